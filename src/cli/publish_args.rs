//! What `publish` is told.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `publish`.
#[derive(Args, Debug)]
pub(crate) struct PublishArgs {
    /// The run directory; without one only the pages are made again.
    pub(crate) run: Option<PathBuf>,
    /// Name of the published folder [default: the run directory's].
    #[arg(long, requires = "run")]
    pub(crate) name: Option<String>,
    /// Folder of published runs.
    #[arg(long, default_value = "results", value_name = "DIR")]
    pub(crate) into: PathBuf,
    /// Leave trajectories.jsonl and steps.parquet out of the folder; their number and hash are kept.
    #[arg(long, requires = "run")]
    pub(crate) without_trajectories: bool,
    /// File with the markers `<!-- isocost:leading-table -->` and `<!-- /isocost:leading-table -->`, between which the run's
    /// leading table goes.
    #[arg(long, default_value = "README.md", value_name = "FILE")]
    pub(crate) readme: PathBuf,
    /// Leave that file alone.
    #[arg(long)]
    pub(crate) keep_readme: bool,
    /// Upload the published folder, trajectories included, as a data set of the Hugging Face hub; the token is $HF_TOKEN.
    #[arg(long, value_name = "OWNER/NAME", requires = "run")]
    pub(crate) hub: Option<String>,
    /// Make the data set private if it is new.
    #[arg(long, requires = "hub")]
    pub(crate) private: bool,
}
