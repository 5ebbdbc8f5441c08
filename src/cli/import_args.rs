//! What `import` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use isocost_harness::import::Format;

/// Arguments of `import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// What wrote the files.
    #[arg(long, value_enum)]
    pub(crate) format: ImportFormat,
    /// The files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where the run goes.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// The model's name, where the files do not say.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Task whose conventions hold, and whose name is used where the files do not say one.
    #[arg(long)]
    pub(crate) task: Option<String>,
}

/// What wrote the files of an import.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ImportFormat {
    /// lm-evaluation-harness.
    LmEval,
    /// lighteval.
    Lighteval,
    /// inspect_ai.
    Inspect,
    /// Plain JSON lines.
    Jsonl,
}

impl From<ImportFormat> for Format {
    fn from(format: ImportFormat) -> Self {
        match format {
            ImportFormat::LmEval => Self::LmEval,
            ImportFormat::Lighteval => Self::Lighteval,
            ImportFormat::Inspect => Self::Inspect,
            ImportFormat::Jsonl => Self::Jsonl,
        }
    }
}
