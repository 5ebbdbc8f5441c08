//! Where weights come from: a folder's shards, a GGUF file, or nowhere.

use std::path::{Path, PathBuf};

use super::gguf::GgufFile;
use super::shards::Shards;
use super::stored::Raw;
use crate::load::LoadError;

pub(super) enum Source {
    Shards(Shards),
    Gguf(GgufFile),
    /// Drawn when they are asked for.
    Random,
}

impl Source {
    /// The names of all weights that a network may ask for.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Shards(shards) => shards.names().cloned().collect(),
            // Of the configuration, which has read it.
            Self::Gguf(file) => file.names().filter(|name| name != "rope_freqs.weight").collect(),
            Self::Random => vec![],
        }
    }

    /// Whether there is a weight of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        match self {
            Self::Shards(shards) => shards.names().any(|known| known == name),
            Self::Gguf(file) => file.names().any(|known| known == name),
            Self::Random => true,
        }
    }

    /// A weight as it is stored.
    pub(super) fn raw(&self, name: &str) -> Result<Raw<'_>, LoadError> {
        let raw = match self {
            Self::Shards(shards) => shards.raw(name)?,
            Self::Gguf(file) => file.raw(name)?,
            Self::Random => None,
        };
        raw.ok_or_else(|| LoadError::malformed(self.path(), &format!("has no weight `{name}`")))
    }

    /// Heads of a weight whose rows the file has in another order.
    pub(super) fn interleaved_heads(&self, name: &str) -> Option<usize> {
        match self {
            Self::Gguf(file) => file.interleaved_heads(name),
            _ => None,
        }
    }

    /// The weight files, in order.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Shards(shards) => shards.files().iter().map(|file| file.path().to_owned()).collect(),
            Self::Gguf(file) => vec![file.file().path().to_owned()],
            Self::Random => vec![],
        }
    }

    /// What errors name.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Shards(shards) => shards.files()[0].path(),
            Self::Gguf(file) => file.file().path(),
            Self::Random => Path::new("random weights"),
        }
    }
}
