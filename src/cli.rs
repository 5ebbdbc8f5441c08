//! The command line, as a person types it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures what reasoning costs: accuracy per token, second and dollar, with honest intervals.
#[derive(Debug, Parser)]
#[command(name = "isocost", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Carry a sweep out, or go on with one that was interrupted.
    ///
    /// Samples every trajectory once to the largest budget and answers at each smaller budget on a fork,
    /// so one pass yields the whole grid. Stop it at any time; the same command goes on where it stopped.
    #[command(
        after_help = "Examples:\n  isocost run quickstart\n  isocost run my-sweep.toml --out results/runs/mine"
    )]
    Run {
        /// A built-in sweep, or a TOML file.
        sweep: String,
        /// Run directory [default: results/runs/DATE-HOST-SWEEP].
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Say what a sweep would do: cells, trajectories, tokens and time.
    ///
    /// Samples a few trajectories of each model for the estimate; `--no-pilot` gives upper bounds only.
    #[command(after_help = "Example:\n  isocost plan quickstart")]
    Plan {
        /// A built-in sweep, or a TOML file.
        sweep: String,
        /// Load no model and sample nothing: upper bounds only.
        #[arg(long)]
        no_pilot: bool,
    },
    /// Measure what steps cost on a device: the surface that prices any run on it.
    ///
    /// Times prefill and decode over rows and context, fits seconds (and joules, where a meter can be read), and shows the
    /// roofline beside it. With `--shape` the weights are random, so no checkpoint is needed.
    #[command(
        after_help = "Examples:\n  isocost calibrate bundled:reason-l\n  isocost calibrate --shape config.json --dtype bf16 --device cuda"
    )]
    Calibrate(CalibrateOptions),
    /// Say what every cell's users would wait on a device, from a run's records and a surface.
    ///
    /// Nothing is generated: the records say how long completions are, the surface what their steps cost.
    #[command(
        after_help = "Examples:\n  isocost replay results/runs/2026-11-22-host-quickstart --surface surface.json\n  isocost replay RUN --surface surface.json --saturated 64 --itl-limit 0.05"
    )]
    Replay {
        /// The run directory.
        run: PathBuf,
        /// A file of surfaces [default: the run's own surface.json].
        #[arg(long)]
        surface: Option<PathBuf>,
        /// Serve as many requests as so many rows hold, instead of one user.
        #[arg(long, value_name = "ROWS")]
        saturated: Option<u32>,
        /// The largest batch, up to ROWS, at which 99 of 100 gaps between tokens are at most so many seconds.
        #[arg(long, value_name = "SECONDS", requires = "saturated")]
        itl_limit: Option<f64>,
    },
    /// Run some cells of a run alone for real: tokens, accuracy, seconds and joules, predicted against measured.
    ///
    /// Calibrates each model right before its cells. Wants an idle machine.
    #[command(after_help = "Example:\n  isocost verify results/runs/2026-11-22-host-quickstart")]
    Verify {
        /// The run directory.
        run: PathBuf,
        /// Cells to run.
        #[arg(long, default_value_t = 12, value_parser = count)]
        cells: usize,
        /// Problems of each cell.
        #[arg(long, default_value_t = 16, value_parser = count)]
        problems: usize,
        /// Times each request is repeated; its median counts.
        #[arg(long, default_value_t = 3, value_parser = count)]
        repeats: usize,
        /// Seconds of calibration for each model.
        #[arg(long, default_value_t = 30.0, value_parser = positive)]
        time_limit: f64,
    },
    /// Measure what sampling once saves: a sweep's grid from one pass, against every cell by itself.
    #[command(after_help = "Example:\n  isocost economy quickstart --problems 16")]
    Economy {
        /// A built-in sweep, or a TOML file.
        sweep: String,
        /// Problems of each task [default: the sweep's].
        #[arg(long)]
        problems: Option<usize>,
        /// Only this model; may be repeated.
        #[arg(long = "model")]
        models: Vec<String>,
        /// Write the numbers as JSON.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Make tables, report and pictures of a run again, from its records alone.
    #[command(after_help = "Example:\n  isocost report results/runs/2026-11-22-host-quickstart")]
    Report {
        /// The run directory.
        run: PathBuf,
    },
}

/// What to calibrate, and how.
#[derive(Debug, Args)]
pub(crate) struct CalibrateOptions {
    /// `bundled:NAME` or a model folder.
    pub(crate) model: Option<String>,
    /// A config.json: calibrate its shape with random weights.
    #[arg(long, conflicts_with = "model", required_unless_present = "model")]
    pub(crate) shape: Option<PathBuf>,
    /// `cpu`, `cuda`, `cuda:INDEX` or `metal`.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// `f32`, `f16` or `bf16`.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: String,
    /// Most rows of a step.
    #[arg(long, default_value_t = 64, value_parser = count)]
    pub(crate) rows: usize,
    /// Longest context, in tokens.
    #[arg(long, default_value_t = 4096, value_parser = count)]
    pub(crate) context: usize,
    /// Seconds after which to stop, however tight the numbers are; energy takes about half a minute more.
    #[arg(long, default_value_t = 60.0, value_parser = positive)]
    pub(crate) time_limit: f64,
    /// Where to write the surface [default: results/surfaces/DATE-HOST-MODEL-DTYPE.json].
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a count from 1".into()),
        Ok(count) => Ok(count),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(number),
        _ => Err("must be a number above 0".into()),
    }
}
