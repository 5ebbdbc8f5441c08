//! What is measured and concluded.
//!
//! Two halves meet only at [`trajectory`], the record. Measuring: [`problem`], tasks, sweeps,
//! [`engine`]. Concluding: statistics, prices, tables, claims. Neither knows of tensors or terminals.

pub mod cell;
pub mod chain;
pub mod countdown;
pub mod engine;
pub mod outcome;
pub mod problem;
pub mod row;
pub mod statistics;
pub mod trajectory;
