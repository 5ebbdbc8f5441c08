//! What generates.

pub mod attention;
pub mod cache;
pub mod config;
pub mod decoder;
pub mod load;
pub mod rope;
pub mod sampler;
pub mod scheduler;
#[cfg(feature = "train")]
pub mod training;
