//! What is measured and concluded.
//!
//! Two halves meet only at [`trajectory`], the record. Measuring: [`task`], [`sweep`], [`engine`],
//! [`sampling`]. Concluding: [`statistics`], [`price`], [`cells`]. Neither knows of tensors or terminals.

pub mod bargain;
mod built_in_tasks;
pub mod cell;
pub mod cell_tables;
pub mod cells;
pub mod cells_csv;
pub mod chain;
pub mod countdown;
mod countdown_answer;
pub mod countdown_perturbed;
pub mod data_file;
pub mod engine;
pub mod escape;
pub mod fields;
pub mod game24;
pub mod generator;
pub mod grade_lines;
pub mod grader;
pub mod import;
pub mod imported;
pub mod imported_report;
pub mod judge;
pub mod kinship;
pub mod outcome;
mod parquet_rows;
pub mod plot;
pub mod price;
pub mod problem;
pub mod regrade;
pub mod report_md;
pub mod rounding;
pub mod row;
pub mod run_directory;
pub mod sampling;
pub mod source;
pub mod statistics;
pub mod sweep;
pub mod table;
pub mod task;
pub mod trajectory;
pub mod word_problem;
