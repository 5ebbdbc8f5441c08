//! What the commands are told that measure devices and cells: `calibrate`, `replay`, `verify`, `economy`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use isocost_models::device::DeviceChoice;

use super::number::{Number, count, positive, seconds};

/// Arguments of `calibrate`: what, and how.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// `bundled:NAME` or a model folder.
    pub(crate) model: Option<String>,
    /// A config.json: calibrate its shape with random weights.
    #[arg(long, conflicts_with = "model", required_unless_present = "model")]
    pub(crate) shape: Option<PathBuf>,
    /// `cpu`, `cuda`, `cuda:INDEX`, `metal`, or `auto`, a GPU if there is one.
    #[arg(long, default_value_t)]
    pub(crate) device: DeviceChoice,
    /// Type of the numbers [default: as the weights are stored; f32 for a shape].
    #[arg(long)]
    pub(crate) dtype: Option<Number>,
    /// Most rows of a step.
    #[arg(long, default_value_t = 64, value_parser = count)]
    pub(crate) rows: usize,
    /// Longest context, in tokens.
    #[arg(long, default_value_t = 4096, value_parser = count)]
    pub(crate) context: usize,
    /// Seconds after which to stop, however tight the numbers are; energy takes about half a minute more.
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub(crate) time_limit: Duration,
    /// Where to write the surface [default: results/surfaces/DATE-HOST-MODEL-DTYPE.json].
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `replay`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// The run directory.
    pub(crate) run: PathBuf,
    /// A file of surfaces [default: the run's own surface.json].
    #[arg(long)]
    pub(crate) surface: Option<PathBuf>,
    /// Serve as many requests as so many rows hold, instead of one user.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) saturated: Option<u32>,
    /// The largest batch, up to ROWS, at which 99 of 100 gaps between tokens are at most so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "saturated", value_parser = positive)]
    pub(crate) itl_limit: Option<f64>,
}

/// Arguments of `verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The run directory.
    pub(crate) run: PathBuf,
    /// Cells to run.
    #[arg(long, default_value_t = 12, value_parser = count)]
    pub(crate) cells: usize,
    /// Problems of each cell.
    #[arg(long, default_value_t = 16, value_parser = count)]
    pub(crate) problems: usize,
    /// Times each request is repeated; the median counts.
    #[arg(long, default_value_t = 3, value_parser = count)]
    pub(crate) repeats: usize,
    /// Seconds of calibration for each model.
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub(crate) time_limit: Duration,
    /// Where to run them.
    #[arg(long, default_value_t)]
    pub(crate) device: DeviceChoice,
}

/// Arguments of `economy`.
#[derive(Args, Debug)]
pub(crate) struct EconomyArgs {
    /// A built-in sweep, or a TOML file.
    pub(crate) sweep: String,
    /// Problems of each task [default: the sweep's].
    #[arg(long, value_parser = count)]
    pub(crate) problems: Option<usize>,
    /// Only this model; may be repeated.
    #[arg(long = "model")]
    pub(crate) models: Vec<String>,
    /// Write the numbers as JSON.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Where to run it.
    #[arg(long, default_value_t)]
    pub(crate) device: DeviceChoice,
}
