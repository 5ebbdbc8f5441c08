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
    #[command(
        after_help = "Examples:\n  isocost report results/runs/2026-11-22-host-quickstart\n  isocost report RUN --price h100-owned --price mine.toml"
    )]
    Report {
        /// The run directory.
        run: PathBuf,
        /// A further price: built in, or a TOML file. May be repeated.
        #[arg(long, value_name = "PRICE")]
        price: Vec<String>,
    },
    /// Say which registered claims a run supports, contradicts, leaves open or cannot test.
    ///
    /// A verdict needs the 95 % interval wholly on one side of the claim's threshold. What a run lacks for a claim
    /// is named. Everything is left in the run's `claims.json`.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  isocost claims results/runs/2026-11-22-host-quickstart\n  isocost claims RUN --claim best-of-n\n  isocost claims plan quickstart"
    )]
    Claims {
        /// The run directories.
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Only this claim.
        #[arg(long, value_name = "ID")]
        claim: Option<String>,
        /// What to do instead.
        #[command(subcommand)]
        plan: Option<ClaimsCommand>,
    },
}

/// What else to do with claims.
#[derive(Debug, Subcommand)]
pub(crate) enum ClaimsCommand {
    /// Say how many problems and trajectories each claim needs, and what they would cost.
    Plan {
        /// A built-in sweep, or a TOML file.
        sweep: String,
        /// A run that shows how much the numbers vary, what a trajectory takes, and what that costs.
        #[arg(long, value_name = "RUN")]
        pilot: Option<PathBuf>,
    },
}
