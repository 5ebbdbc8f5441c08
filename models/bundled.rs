//! The models that come with the program, and how a sweep names a model.
//!
//! Their files are inside the program, so it works wherever it is copied. A model is written to the user's cache before
//! it is opened, since weights are mapped from files: `$XDG_CACHE_HOME/isocost/bundled/HASH/NAME`, else under
//! `~/.cache`, else in a folder of the temporary files that nobody else may enter. What is there already is compared, byte
//! by byte, and written again if it differs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::load::LoadError;

/// A model's files by name.
type Files = [(&'static str, &'static [u8]); 6];

/// The files of one folder of `models/bundled`.
macro_rules! model {
    ($name:literal) => {
        ($name, model!($name; "card.toml", "config.json", "model.safetensors", "tokenizer.json",
            "tokenizer_config.json", "training.json"))
    };
    ($name:literal; $($file:literal),*) => {
        [$(($file, include_bytes!(concat!("bundled/", $name, "/", $file)).as_slice())),*]
    };
}

/// The models, sorted by name.
static BUNDLED: [(&str, Files); 6] = [
    model!("concise-m"),
    model!("direct-m"),
    model!("distill-s"),
    model!("reason-l"),
    model!("reason-m"),
    model!("reason-s"),
];

/// Where a sweep's `source` points: `bundled:reason-l`, or a folder.
///
/// # Errors
/// [`LoadError`] if there is no such bundled model, or no place to write it to.
pub fn folder(source: &str) -> Result<PathBuf, LoadError> {
    let Some(name) = source.strip_prefix("bundled:") else { return Ok(PathBuf::from(source)) };
    let (_, files) = BUNDLED.iter().find(|(known, _)| *known == name).ok_or_else(|| unknown(name))?;
    write_out(name, files)
}

/// Names of the bundled models, sorted.
pub fn names() -> Vec<String> {
    BUNDLED.iter().map(|(name, _)| (*name).to_owned()).collect()
}

fn unknown(name: &str) -> LoadError {
    LoadError::other(&format!("no bundled model `{name}`; there are {}", names().join(", ")))
}

/// The model's folder in the first place that can be written to.
fn write_out(name: &str, files: &Files) -> Result<PathBuf, LoadError> {
    let hash = files.iter().fold(Sha256::new(), |hash, (_, bytes)| hash.chain_update(bytes)).finalize();
    let below = Path::new("bundled").join(format!("{hash:x}").split_at(16).0).join(name);
    let cached = cache().and_then(|cache| in_place(&cache.join(&below), files).ok());
    cached.map_or_else(
        || {
            let folder = private_temporary().map(|home| home.join(&below));
            let written = folder.and_then(|folder| in_place(&folder, files));
            written.map_err(|e| {
                LoadError::other(&format!(
                    "bundled:{name}: {e}: set XDG_CACHE_HOME to a folder that can be written"
                ))
            })
        },
        Ok,
    )
}

/// `$XDG_CACHE_HOME/isocost`, else `~/.cache/isocost`; `None` without a home.
pub fn cache() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("isocost"))
}

/// Has `folder` hold exactly these contents; returns it.
fn in_place(folder: &Path, files: &Files) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        if !fs::read(&path).is_ok_and(|there| there == *bytes) {
            // Another process may be writing the same; each file appears whole.
            let mut file = NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.persist(&path)?;
        }
    }
    Ok(folder.to_owned())
}

/// A folder among the temporary files that belongs to this user alone.
fn private_temporary() -> io::Result<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};
        // SAFETY: only asks who runs this.
        let user = unsafe { libc::geteuid() };
        let folder = std::env::temp_dir().join(format!("isocost-{user}"));
        let _ = fs::DirBuilder::new().mode(0o700).create(&folder);
        let found = fs::symlink_metadata(&folder)?;
        if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!("{}: others may change it", folder.display())));
        }
        Ok(folder)
    }
    #[cfg(not(unix))]
    Ok(std::env::temp_dir().join("isocost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_of_bundled_models_is_in_the_program() {
        let entries = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/bundled")).unwrap().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let mut there: Vec<String> =
            folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        there.sort();
        assert_eq!(there, names());
    }

    #[test]
    fn a_file_that_was_changed_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let (_, files) = &BUNDLED[5];
        in_place(folder.path(), files).unwrap();
        let weights = folder.path().join("model.safetensors");
        let whole = fs::read(&weights).unwrap();
        fs::write(&weights, &whole[..100]).unwrap();
        in_place(folder.path(), files).unwrap();
        assert_eq!(fs::read(&weights).unwrap(), whole);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        for name in ["bundled:gpt", "bundled:../bundled/reason-s", "bundled:"] {
            let message = folder(name).unwrap_err().to_string();
            assert!(message.contains("there are concise-m, direct-m"), "{message}");
        }
    }
}
