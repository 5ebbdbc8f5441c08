//! How a person names a model, and where that leads on disk.

use std::path::{Path, PathBuf};

use crate::bundled;
use crate::load::LoadError;

/// A model on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What its card is looked up by: the name of a folder or file, or one on the hub.
    pub name: String,
    /// A folder with a checkpoint, or a `.gguf` file.
    pub path: PathBuf,
}

impl Source {
    /// Resolves `bundled:NAME`, a folder, or a `.gguf` file.
    ///
    /// # Errors
    /// [`LoadError`] if there is no such model.
    pub fn resolve(text: &str) -> Result<Self, LoadError> {
        if text.starts_with("bundled:") {
            return bundled::folder(text).map(|path| Self::at(&path));
        }
        let source = Self::at(Path::new(text));
        if source.path.is_dir() || source.is_gguf() {
            return Ok(source);
        }
        let message = if source.path.exists() {
            "it is neither a model folder nor a .gguf file"
        } else {
            "there is no such model folder or .gguf file"
        };
        Err(LoadError::read(&source.path, &message))
    }

    /// A folder or file that is known to exist.
    pub fn at(path: &Path) -> Self {
        let name = path.file_stem().filter(|_| path.is_file()).or(path.file_name());
        Self { name: name.unwrap_or_default().to_string_lossy().into_owned(), path: path.to_owned() }
    }

    /// Whether this is a GGUF file.
    pub fn is_gguf(&self) -> bool {
        let gguf = self.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
        gguf && self.path.is_file()
    }
}
