//! What is measured and concluded.

pub mod grader;
