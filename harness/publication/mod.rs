//! Published runs: folders under `results/` that this program wrote and checked, and the pages that list them.
//!
//! A published folder holds `published.json`, which names every file beside it with its sha256. Pages are made from those
//! records alone, so what a page says is what a checked run said; a folder that was changed by hand is refused.

mod check;
mod index;
mod splice;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::run_error::{RunError, file_error};
use crate::table::Table;

pub use check::{Checked, Unfit, check};
pub use index::{index_html, index_md};
pub use splice::{Splice, SpliceError, splice};

/// Version of the form of `published.json`.
pub const SCHEMA: u32 = 1;

/// Name of the file that says what was published.
pub const FILE: &str = "published.json";

/// What was published, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the folder.
    pub name: String,
    /// The sweep's name.
    pub sweep: String,
    /// The question it answers.
    pub why: String,
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// The command that made the run.
    pub command: String,
    /// Cells in the tables.
    pub cells: usize,
    /// Records, all of them whole.
    pub trajectories: usize,
    /// sha256 of `trajectories.jsonl`, whether it was included or not.
    pub records_sha256: String,
    /// What all cells share.
    pub conditions: Vec<(String, String)>,
    /// What each model buys.
    pub leading: Table,
    /// Files of the pictures that lead: of the task on which choosing well matters most.
    #[serde(default)]
    pub pictures: Vec<String>,
    /// sha256 of every file beside this one.
    pub files: BTreeMap<String, String>,
}

/// Why published runs cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum PublicationError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] RunError),
    /// `published.json` is not what this program writes.
    #[error("{}: {message}: publish the run again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file is not what was published.
    #[error("{}: is not what was published (its hash differs): publish the run again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// Every published run in a folder, the latest first; each file is compared with its hash.
///
/// # Errors
/// [`PublicationError`], naming the file.
pub fn published(results: &Path) -> Result<Vec<Published>, PublicationError> {
    let mut all = Vec::new();
    let entries = match std::fs::read_dir(results) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(all),
        Err(error) => return Err(file_error(results)(error).into()),
    };
    for entry in entries.flatten().filter(|entry| entry.path().join(FILE).is_file()) {
        all.push(read(&entry.path())?);
    }
    all.sort_by(|a, b| (&b.date, &a.name).cmp(&(&a.date, &b.name)));
    Ok(all)
}

fn read(folder: &Path) -> Result<Published, PublicationError> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(file_error(&path))?;
    let malformed = |message: String| PublicationError::Malformed { path: path.clone(), message };
    let published: Published = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    if published.schema != SCHEMA {
        return Err(malformed(format!("is of version {}, not {SCHEMA}", published.schema)));
    }
    if folder.file_name().is_none_or(|name| *name != *published.name) {
        return Err(malformed("names another folder".to_owned()));
    }
    for (name, sha256) in &published.files {
        let path = folder.join(name);
        if file_sha256(&path)? != *sha256 {
            return Err(PublicationError::Changed { path });
        }
    }
    Ok(published)
}

/// Lower-case hexadecimal sha256 of a file.
///
/// # Errors
/// [`RunError::File`].
pub fn file_sha256(path: &Path) -> Result<String, RunError> {
    let mut file = std::fs::File::open(path).map_err(file_error(path))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(file_error(path))?;
    Ok(format!("{:x}", hasher.finalize()))
}
