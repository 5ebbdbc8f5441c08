//! What is measured and concluded.
//!
//! Two halves meet only at [`trajectory`], the record. Measuring: [`task`], [`sweep`], [`engine`],
//! [`sampling`]. Concluding: [`statistics`], [`price`], [`cells`]. Neither knows of tensors or terminals.

pub mod bargain;
pub mod calibration_report;
pub mod cell;
pub mod cell_tables;
pub mod cells;
pub mod cells_csv;
pub mod chain;
pub mod countdown;
pub mod energy;
pub mod engine;
pub mod escape;
pub mod grader;
pub mod judge;
pub mod latency_rows;
pub mod model_shape;
pub mod nnls;
pub mod one_pass;
pub mod outcome;
pub mod plot;
pub mod price;
pub mod problem;
pub mod replay;
pub mod report_md;
pub mod roofline;
pub mod rounding;
pub mod row;
pub mod run_directory;
pub mod sampling;
pub mod statistics;
pub mod step;
pub mod step_cost;
pub mod step_log;
pub mod steps_parquet;
pub mod surface;
pub mod sweep;
pub mod table;
pub mod task;
pub mod trajectory;
pub mod verification;
pub mod verification_report;
