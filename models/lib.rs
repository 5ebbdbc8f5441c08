//! What generates.

pub mod attention;
pub mod bundled;
pub mod cache;
pub mod card;
pub mod chat;
pub mod config;
pub mod decoder;
pub mod device;
pub mod engine;
#[cfg(feature = "hub")]
pub mod hub;
pub mod lanes;
pub mod linear;
pub mod load;
pub mod memory;
mod packed;
pub mod rope;
pub mod sampler;
pub mod scheduler;
pub mod source;
pub mod tokenizer;
#[cfg(feature = "train")]
pub mod training;
