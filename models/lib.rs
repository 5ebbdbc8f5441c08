//! What generates.

pub mod attention;
pub mod bundled;
pub mod cache;
pub mod card;
pub mod chat;
pub mod config;
pub mod decoder;
pub mod engine;
pub mod lanes;
mod lineage;
pub mod linear;
pub mod load;
pub mod rope;
pub mod sampler;
pub mod scheduler;
pub mod tokenizer;
#[cfg(feature = "train")]
pub mod training;
