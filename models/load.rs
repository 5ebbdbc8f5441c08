//! What can go wrong between a model on disk and a decoder on a device.
//!
//! A message may quote what a file says, so what could break its one line or command a terminal is written out.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use isocost_harness::escape::visible;

/// Why a model cannot be loaded: one line with the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("{}: cannot be read ({message}): check the path, or fetch the model again", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
    /// A file's content makes no sense.
    #[error("{}: {message}: fetch the model again, or mend the file", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// No decoder for this family.
    #[error(
        "{}: unknown architecture `{family}`: this program runs qwen2, qwen3, llama, smollm3, phi3 and gemma3_text, \
         and from GGUF files qwen2, qwen3 and llama",
        path.display()
    )]
    UnknownArchitecture {
        /// The configuration.
        path: PathBuf,
        /// Its `model_type`.
        family: String,
    },
    /// A known family asks for something that the decoder does not do.
    #[error("{}: asks for {what}, which this program does not do: use another model or version of it", path.display())]
    Unsupported {
        /// The file that asks for it.
        path: PathBuf,
        /// What it asks for.
        what: String,
    },
    /// Another part of loading failed, with its own file and remedy in the message.
    #[error("{0}")]
    Other(String),
}

impl LoadError {
    /// A file that cannot be opened.
    pub fn read(path: &Path, error: &dyn Display) -> Self {
        Self::Read { path: path.to_owned(), message: visible(&error.to_string()) }
    }

    /// A family that no decoder runs.
    pub fn unknown_architecture(path: &Path, family: &str) -> Self {
        Self::UnknownArchitecture { path: path.to_owned(), family: visible(family) }
    }

    /// Something that the decoder does not do.
    pub fn unsupported(path: &Path, what: &dyn Display) -> Self {
        Self::Unsupported { path: path.to_owned(), what: visible(&what.to_string()) }
    }

    /// The message of another part of loading.
    pub fn other(error: &dyn Display) -> Self {
        Self::Other(visible(&error.to_string()))
    }

    /// A file whose content makes no sense.
    pub fn malformed(path: &Path, error: &dyn Display) -> Self {
        let message = error.to_string();
        Self::Malformed { path: path.to_owned(), message: visible(message.lines().next().unwrap_or("")) }
    }
}
