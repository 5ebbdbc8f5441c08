//! What `models` can do.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// The bundled models, those with a card, and those in the hub's cache.
    #[command(after_help = "Example:\n  isocost models list")]
    List,
    /// A model's sizes and files, as far as they are on this machine, and its card with the source of each fact.
    #[command(after_help = "Example:\n  isocost models show bundled:reason-s")]
    Show {
        /// `bundled:NAME`, `hub:OWNER/NAME[@REVISION]`, a folder, or the short name of a model with a card.
        model: String,
    },
    /// Write a bundled model as a file for other programs, which must not exist yet.
    #[command(after_help = "Example:\n  isocost models export --gguf bundled:reason-s reason-s.gguf")]
    Export {
        /// As GGUF in 32 bits, with the tokenizer as llama.cpp can express it: the same ids, and so the same tokens.
        #[arg(long, required = true)]
        gguf: bool,
        /// `bundled:NAME`.
        model: String,
        /// Where to.
        file: PathBuf,
    },
    /// Fetch a model's files and print where they are.
    ///
    /// What is complete in the cache is not fetched again, and what broke off is resumed. Only configuration, tokenizer,
    /// template and safetensors (or the .gguf file that is named) are fetched, never pickle files.
    #[command(after_help = "Example:\n  isocost models fetch hub:Qwen/Qwen3-0.6B")]
    Fetch {
        /// `hub:OWNER/NAME[@REVISION]`, `hub:OWNER/NAME/FILE.gguf`, or the short name of a model with a card.
        model: String,
    },
}
