//! What `table` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `table`.
#[derive(Args, Debug)]
pub(crate) struct TableArgs {
    /// The run directory.
    pub(crate) run: PathBuf,
    /// What to print on stdout.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: TableOutput,
    /// Only the leading table: what each model buys, a row for each model and task (text, md, latex).
    #[arg(long)]
    pub(crate) leading: bool,
    /// A further price: built in, or a TOML file. May be repeated.
    #[arg(long, value_name = "PRICE")]
    pub(crate) price: Vec<String>,
}

/// What to print on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableOutput {
    /// Tables for a terminal.
    Text,
    /// Markdown.
    Md,
    /// LaTeX with booktabs.
    Latex,
    /// Every cell and column, all digits.
    Csv,
    /// The same as JSON, with the conditions; its form is harness/schema/cells.schema.json.
    Json,
    /// The same as Parquet; only into a file or a pipe.
    Parquet,
    /// The card of a data set on the Hugging Face hub.
    Card,
}
