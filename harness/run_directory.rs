//! A run on disk: a manifest that says what is measured, and records that only ever grow.
//!
//! Contract: a record is appended as one line and flushed before the next is begun, so a run killed at
//! any moment has lost at most the line being written. Opening the directory again sets torn, damaged and
//! doubled lines aside, says which trajectories are there, and refuses to go on with a manifest that measures
//! anything else, or as another build or on another device ([`crate::same_run`]). A lock keeps a second process out.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::Activity;
use crate::imported::is_imported;
use crate::json_lines;
use crate::record_line;
use crate::records::{set_aside, survey};
use crate::same_run::{Setting, check_same};
use crate::shard::Shard;
use crate::sweep::Sweep;
use crate::trajectory::{SCHEMA, Trajectory};

pub use crate::records::{for_each_record, read_records, read_records_where, set_torn_aside};

/// What a run measures and with what. Two runs with equal identities give equal records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What must not change when a run is resumed.
    pub identity: Identity,
    /// When, where and by which build; for the reader.
    pub provenance: BTreeMap<String, String>,
}

/// What must not change when a run is resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the record's form.
    pub schema: u32,
    /// The sweep, defaults filled in.
    pub sweep: Sweep,
    /// Of each task: sha256 of the problems that are used.
    pub problems_sha256: BTreeMap<String, String>,
    /// Of each model: what identifies it.
    pub models: BTreeMap<String, serde_json::Value>,
    /// Which part of the problems is sampled here; absent if all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

/// Which trajectory of which problem, by which model, in which series.
pub type Key = (String, String, u32, String, u32);

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file could not be read or written.
    #[error("{}: {message}{}", path.display(), remedy(*kind))]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
        /// What kind of failure.
        kind: ErrorKind,
    },
    /// The directory holds another run.
    #[error("{}: holds a run with another {what}: choose another --out, or remove it", path.display())]
    Mixed {
        /// The directory.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The run was begun by another build, or on another device.
    #[error(
        "{}: was begun with the {setting} {there}, and this is {here}: go on with the same {setting}, or choose another --out",
        path.display()
    )]
    Elsewhere {
        /// The directory.
        path: PathBuf,
        /// What differs.
        setting: Setting,
        /// What the run was begun with.
        there: String,
        /// What is here.
        here: String,
    },
    /// Another process writes there.
    #[error("{}: another process is running there: wait for it, or choose another --out", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Another version of this program wrote it.
    #[error("{}: was written in schema {found}, and this version reads {SCHEMA}: use the version that wrote it", path.display())]
    OtherVersion {
        /// The directory.
        path: PathBuf,
        /// The schema it names.
        found: u64,
    },
    /// There are completions of another tool, and no cells.
    #[error("{}: was imported, and has completions but no cells: isocost report shows them", path.display())]
    Imported {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds something else.
    #[error("{}: is not empty and holds no run: choose another --out", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// There is no run.
    #[error("{}: is not a run directory (it has no manifest.json): give the --out of a run", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// Everything is computed from the records, and they are not there.
    #[error(
        "{}: has no trajectories.jsonl, from which all numbers come: give the run itself, or put the file back", path.display()
    )]
    NoRecords {
        /// The directory.
        path: PathBuf,
    },
    /// What was published stays as it is.
    #[error("{}: was published and stays as it is: give the run that it was made from, or another folder", path.display())]
    Published {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest makes no sense.
    #[error("{}: {message}: restore the file, or start a new run", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            ": the disk is full; every record up to the last whole line is safe; free some space and run again"
        }
        ErrorKind::NotFound => ": it is not there (was it moved or removed?): put it back, and run again",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ": choose a place that can be written",
        _ => "",
    }
}

pub(crate) fn file_error(path: &Path) -> impl Fn(std::io::Error) -> RunError + '_ {
    |e| RunError::File { path: path.to_owned(), message: e.to_string(), kind: e.kind() }
}

/// An open run that records can be added to.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    records: File,
    done: HashSet<Key>,
    torn_lines: usize,
    /// Held as long as the run is open.
    _lock: File,
}

impl RunDirectory {
    /// Starts a run in `path`, or goes on with the one that is there.
    ///
    /// # Errors
    /// [`RunError`]; nothing that was recorded is touched.
    pub fn open(path: &Path, manifest: &Manifest) -> Result<Self, RunError> {
        std::fs::create_dir_all(path).map_err(file_error(path))?;
        check_vacant(path)?;
        let lock = lock(path)?;
        let manifest_path = path.join("manifest.json");
        if manifest_path.exists() {
            check_same(path, &read_manifest(path)?, manifest)?;
        } else {
            write_whole(&manifest_path, &(pretty(manifest) + "\n"))?;
        }
        let records_path = path.join("trajectories.jsonl");
        let (done, torn_lines) = survey(&records_path)?;
        if torn_lines > 0 {
            set_aside(&records_path)?;
        }
        let records = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&records_path)
            .map_err(file_error(&records_path))?;
        Ok(Self { path: path.to_owned(), records, done, torn_lines, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines set aside on opening because they were torn, damaged or there twice; what is lacking is sampled again.
    pub fn torn_lines(&self) -> usize {
        self.torn_lines
    }

    /// Whether this trajectory is recorded.
    pub fn is_done(&self, key: &Key) -> bool {
        self.done.contains(key)
    }

    /// Trajectories recorded.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether nothing is recorded yet.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Appends a record and flushes it.
    ///
    /// # Errors
    /// [`RunError::File`]; what was written of the line is taken back, as far as the disk allows.
    pub fn append(&mut self, record: &Trajectory) -> Result<(), RunError> {
        let path = self.path.join("trajectories.jsonl");
        let file = self.records.metadata().map_err(file_error(&path))?;
        if is_removed(&file) {
            return Err(file_error(&path)(ErrorKind::NotFound.into()));
        }
        let (before, line) = (file.len(), record_line::sealed(record));
        let written = self.records.write_all(line.as_bytes()).and_then(|()| self.records.flush());
        if let Err(error) = written {
            // A torn line would be found on the next opening anyway; this spares the reader of a full disk.
            let _ = self.records.set_len(before);
            return Err(file_error(&path)(error));
        }
        self.done.insert(key(record));
        Ok(())
    }

    /// Notes what the device did for one model, task and series.
    ///
    /// # Errors
    /// [`RunError::File`].
    pub fn note_activity(&self, note: &ActivityNote) -> Result<(), RunError> {
        json_lines::append(&self.path.join("activity.jsonl"), [note].into_iter())
    }
}

/// What the device did for one model, task and series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityNote {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Forced continuations.
    pub waits: u32,
    /// What it did.
    pub activity: Activity,
}

/// The key of a record.
pub fn key(record: &Trajectory) -> Key {
    (record.model.clone(), record.task.clone(), record.waits, record.problem.clone(), record.trajectory)
}

/// A run's manifest.
///
/// # Errors
/// [`RunError::NotARun`] or [`RunError::Malformed`].
pub fn read_manifest(path: &Path) -> Result<Manifest, RunError> {
    let file = path.join("manifest.json");
    let text = std::fs::read_to_string(&file).map_err(|e| match e.kind() {
        ErrorKind::NotFound if is_imported(path) => RunError::Imported { path: path.to_owned() },
        ErrorKind::NotFound => RunError::NotARun { path: path.to_owned() },
        _ => file_error(&file)(e),
    })?;
    let schema = serde_json::from_str::<serde_json::Value>(&text).ok();
    let schema = schema.and_then(|v| v.pointer("/identity/schema").and_then(serde_json::Value::as_u64));
    if let Some(found) = schema.filter(|found| *found != u64::from(SCHEMA)) {
        return Err(RunError::OtherVersion { path: path.to_owned(), found });
    }
    let malformed = |message: String| RunError::Malformed { path: file.clone(), message };
    let manifest: Manifest = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
    // It may be anybody's: what is made of it relies on what a sweep of this program's own keeps to.
    manifest.identity.sweep.check_values().map_err(malformed)?;
    Ok(manifest)
}

/// What the device did, as noted by every start of the run.
///
/// # Errors
/// [`RunError::File`] if the file cannot be read.
pub fn read_activity(path: &Path) -> Result<Vec<ActivityNote>, RunError> {
    json_lines::read(&path.join("activity.jsonl"))
}

/// Writes a file under another name and renames it, so that it is never seen half-written.
///
/// # Errors
/// [`RunError::File`].
pub fn write_whole(path: &Path, text: &str) -> Result<(), RunError> {
    write_bytes(path, text.as_bytes())
}

/// As [`write_whole`], for what is no text.
///
/// # Errors
/// [`RunError::File`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let partial = path.with_extension("partial");
    let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&partial);
        file_error(path)(error)
    })
}

fn pretty(manifest: &Manifest) -> String {
    serde_json::to_string_pretty(manifest).expect("a manifest is plain data")
}

/// A folder without a manifest takes a run only if nothing else is there than a start that was interrupted left.
fn check_vacant(path: &Path) -> Result<(), RunError> {
    let mut entries = std::fs::read_dir(path).map_err(file_error(path))?.flatten();
    let is_left = |entry: &std::fs::DirEntry| {
        ["lock", "manifest.partial"].iter().any(|name| entry.file_name() == *name)
            || entry.metadata().is_ok_and(|file| file.is_file() && file.len() == 0)
    };
    // The manifest is looked for last: another process may be writing it just now, before all else.
    let is_occupied = entries.any(|entry| !is_left(&entry)) && !path.join("manifest.json").exists();
    if is_occupied { Err(RunError::Occupied { path: path.to_owned() }) } else { Ok(()) }
}

/// Refuses a published folder, in which nothing may be written.
///
/// # Errors
/// [`RunError::Published`].
pub fn check_unpublished(path: &Path) -> Result<(), RunError> {
    let is_published = path.join(crate::publication::FILE).exists();
    if is_published { Err(RunError::Published { path: path.to_owned() }) } else { Ok(()) }
}

/// Keeps other processes out of a run as long as the file is open.
pub(crate) fn lock(path: &Path) -> Result<File, RunError> {
    check_unpublished(path)?;
    let lock_path = path.join("lock");
    let options = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
    let file = options.map_err(file_error(&lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(file_error(&lock_path)(error)),
    }
}

/// Whether no name leads to a file any more: what is written to it is lost.
#[cfg(unix)]
fn is_removed(file: &std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(file) == 0
}

#[cfg(not(unix))]
fn is_removed(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_whose_sweep_makes_no_sense_is_refused_with_its_name() {
        let (folder, sweep) = (tempfile::tempdir().unwrap(), Sweep::open("quickstart").unwrap());
        let identity = json!({ "schema": SCHEMA, "sweep": sweep, "problems_sha256": {}, "models": {} });
        let whole = json!({ "identity": identity, "provenance": {} });
        let read = |manifest: &serde_json::Value| {
            std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
            read_manifest(folder.path())
        };
        assert!(read(&whole).is_ok());
        for (place, value, complaint) in [
            ("n", json!([0]), "n = 0"),
            ("budgets", json!([]), "budgets is empty"),
            ("models/0/budgets", json!([]), "budgets is empty"),
            ("tasks/0/definition/sources/0/from", json!({ "path": "../x" }), "leads out"),
        ] {
            let mut spoilt = whole.clone();
            *spoilt.pointer_mut(&format!("/identity/sweep/{place}")).unwrap() = value;
            let message = read(&spoilt).unwrap_err().to_string();
            assert!(message.contains("manifest.json: ") && message.contains(complaint), "{message}");
        }
    }
}
