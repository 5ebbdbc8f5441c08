//! What is measured and concluded.

pub mod chain;
pub mod countdown;
pub mod problem;
