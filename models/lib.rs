//! What generates.

#[cfg(feature = "train")]
pub mod training;
