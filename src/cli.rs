//! The command line, as a person types it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
    /// Make tables, report and pictures of a run again, from its records alone.
    #[command(after_help = "Example:\n  isocost report results/runs/2026-11-22-host-quickstart")]
    Report {
        /// The run directory.
        run: PathBuf,
    },
}
