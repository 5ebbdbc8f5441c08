//! The command line, as a person types it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use isocost_models::device::DeviceChoice;

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
        /// Where the models run: `cpu`, `cuda`, `cuda:INDEX`, `metal`, or `auto`, a GPU if there is one.
        #[arg(long, default_value_t)]
        device: DeviceChoice,
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
        /// Where the models would run: `cpu`, `cuda`, `cuda:INDEX`, `metal`, or `auto`, a GPU if there is one.
        #[arg(long, default_value_t)]
        device: DeviceChoice,
    },
    /// Which models there are, what is known of one, and fetching it from the hub.
    #[command(
        after_help = "Examples:\n  isocost models list\n  isocost models show qwen3-0.6b\n  isocost models fetch hub:Qwen/Qwen3-0.6B\n\nHF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE are honoured."
    )]
    Models {
        /// What to do.
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Make tables, report and pictures of a run again, from its records alone.
    #[command(after_help = "Example:\n  isocost report results/runs/2026-11-22-host-quickstart")]
    Report {
        /// The run directory.
        run: PathBuf,
    },
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// The bundled models, those with a card, and those in the hub's cache.
    List,
    /// A model's sizes and files, as far as they are on this machine, and its card with the source of each fact.
    Show {
        /// `bundled:NAME`, `hub:OWNER/NAME[@REVISION]`, a folder, or the short name of a model with a card.
        model: String,
    },
    /// Fetch a model's files and print where they are.
    ///
    /// What is complete in the cache is not fetched again, and what broke off is resumed. Only configuration, tokenizer,
    /// template and safetensors (or the .gguf file that is named) are fetched, never pickle files.
    Fetch {
        /// `hub:OWNER/NAME[@REVISION]`, `hub:OWNER/NAME/FILE.gguf`, or the short name of a model with a card.
        model: String,
    },
}
