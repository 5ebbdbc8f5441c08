//! The models that come with the program, and how a sweep names a model.

use std::path::{Path, PathBuf};

use crate::load::LoadError;

/// Where a sweep's `source` points: `bundled:reason-l`, or a folder.
///
/// # Errors
/// [`LoadError`] if there is no such bundled model.
pub fn folder(source: &str) -> Result<PathBuf, LoadError> {
    let Some(name) = source.strip_prefix("bundled:") else { return Ok(PathBuf::from(source)) };
    let folder = home().join(name);
    if name.contains(['/', '\\', '.']) || !folder.is_dir() {
        let message = format!("no bundled model `{name}`; there are {}", names().join(", "));
        return Err(LoadError::read(&folder, &message));
    }
    Ok(folder)
}

/// Names of the bundled models, sorted.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(home()).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter(|e| e.path().is_dir()).map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// `ISOCOST_BUNDLED`, or the repository that the program was built from.
fn home() -> PathBuf {
    match std::env::var_os("ISOCOST_BUNDLED") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("bundled"),
    }
}
