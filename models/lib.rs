//! What generates.

pub mod attention;
pub mod bundled;
pub mod cache;
pub mod card;
pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod engine;
pub mod generate;
pub mod gguf;
pub mod half_product;
pub mod lanes;
pub mod linear;
pub mod load;
pub mod matrix;
mod packed;
pub mod rope;
pub mod sampler;
pub mod scheduler;
pub mod source;
pub mod tokenizer;
#[cfg(feature = "train")]
pub mod training;
pub mod weights;
