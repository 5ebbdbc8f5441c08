//! What is measured and concluded.
//!
//! Two halves meet only at [`trajectory`], the record. Measuring: [`task`], [`sweep`], [`engine`],
//! [`sampling`]. Concluding: [`statistics`], [`price`], [`cells`]. Neither knows of tensors or terminals.

pub mod cell;
pub mod cells;
pub mod chain;
pub mod countdown;
pub mod engine;
pub mod judge;
pub mod outcome;
pub mod price;
pub mod problem;
pub mod row;
pub mod run_directory;
pub mod sampling;
pub mod statistics;
pub mod sweep;
pub mod task;
pub mod trajectory;
