//! What generates.

pub mod attention;
mod awake;
mod bounded_file;
pub mod bundled;
pub mod cache;
pub mod calibrate;
pub mod card;
pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod contention;
pub mod conversation;
pub mod crew;
pub mod cuda;
mod deadline;
pub mod decoder;
pub mod device;
pub mod device_rates;
mod elementwise;
pub mod engine;
pub mod export;
pub mod facts;
pub mod generate;
pub mod gguf;
#[cfg(feature = "hub")]
pub mod hub;
pub mod instructions;
pub mod lanes;
mod lineage;
pub mod linear;
mod links;
pub mod load;
pub mod matrix;
pub mod memory;
pub mod meter;
mod overlap;
mod packed;
mod panel;
mod prefetch;
pub mod random_model;
#[cfg(feature = "remote")]
pub mod remote;
pub mod rope;
pub mod sampler;
pub mod scheduler;
mod slab;
pub mod source;
pub mod throughput;
pub mod tokenizer;
#[cfg(feature = "train")]
pub mod training;
pub mod weights;
pub mod worker;
