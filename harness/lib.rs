//! What is measured and concluded.
//!
//! Two halves meet only at [`trajectory`], the record. Measuring: [`problem`], tasks, sweeps,
//! [`engine`]. Concluding: statistics, prices, tables, claims. Neither knows of tensors or terminals.

pub mod bargain;
pub mod cell;
pub mod cell_tables;
pub mod cells_csv;
pub mod chain;
pub mod countdown;
pub mod engine;
pub mod escape;
pub mod outcome;
pub mod plot;
pub mod problem;
pub mod report_md;
pub mod rounding;
pub mod row;
pub mod statistics;
pub mod table;
pub mod trajectory;
