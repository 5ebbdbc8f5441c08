//! What is measured and concluded.

pub mod statistics;
