//! What `run` is told.

use std::path::PathBuf;

use clap::Args;
use isocost_harness::shard::Shard;
use isocost_models::device::DeviceChoice;

use crate::log::LogFormat;

/// Arguments of `run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// A built-in sweep, or a TOML file.
    pub(crate) sweep: String,
    /// Run directory, or its place in an object store [default: results/runs/DATE-HOST-SWEEP].
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Where the models run: `cpu`, `cuda`, `cuda:INDEX`, `metal`, or `auto`, a GPU if there is one; several share the
    /// problems, each with a process of its own, as in `cuda:0,cuda:1`.
    #[arg(long, default_value = "auto", value_delimiter = ',')]
    pub(crate) device: Vec<DeviceChoice>,
    /// At most so many problems of each task: a random subset, determined by the sweep's seed.
    #[arg(long, value_name = "K", value_parser = super::number::count)]
    pub(crate) limit: Option<usize>,
    /// What stderr gets: a live table and lines, or one JSON object per event.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// Only one of N parts of the problems, for N machines: `2/4` is the second of four.
    #[arg(long, value_name = "i/N")]
    pub(crate) shard: Option<Shard>,
}
