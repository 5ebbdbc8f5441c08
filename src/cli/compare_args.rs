//! What `compare` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use isocost_harness::compare::{Gate, Only};

/// Arguments of `compare`.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// The run that the others are compared with.
    pub(crate) base: PathBuf,
    /// The runs that are compared with it.
    #[arg(required = true)]
    pub(crate) others: Vec<PathBuf>,
    /// A model of the base run and the one it is compared with; by default those of the same name, or the only ones.
    #[arg(long, value_name = "BASE=OTHER", value_parser = pair)]
    pub(crate) pair: Vec<(String, String)>,
    /// Only cells with KEY=VALUE: model, task, waits, budget, n or strategy. May be repeated; all must hold.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) only: Vec<Only>,
    /// Exit with 1 if a compared cell is beyond METRIC<NUMBER or METRIC>NUMBER. May be repeated.
    ///
    /// METRIC is accuracy (other minus base, in percentage points) or one of tokens, seconds, speed, joules, usd,
    /// seconds_per_correct, usd_per_correct (ratios, other over base). With ` ci` at the end the whole interval must be
    /// beyond the threshold; intervals are then widened so that all cells together give a false alarm at most one time in
    /// twenty. Intervals are of problems: a threshold on seconds must leave room for what the machine's hours differ by (a fifth and
    /// more). A gate that no cell can be checked for is an error.
    #[arg(long, value_name = "GATE")]
    pub(crate) fail_on: Vec<Gate>,
    /// What to print on stdout.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: CompareOutput,
}

/// What to print on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareOutput {
    /// Tables for a terminal.
    Text,
    /// Markdown.
    Md,
    /// An array with a comparison for each other run, all digits; its form is harness/schema/comparison.schema.json.
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (base, other) = text.split_once('=').ok_or("write BASE=OTHER")?;
    if base.is_empty() || other.is_empty() {
        Err("write BASE=OTHER".into())
    } else {
        Ok((base.into(), other.into()))
    }
}
