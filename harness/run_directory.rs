//! A run on disk: a manifest that says what is measured, and records that only ever grow.
//!
//! Contract: a record is appended as one line and flushed before the next is begun, so a run killed at
//! any moment has lost at most the line being written. Opening the directory again sets torn, damaged and
//! doubled lines aside, says which trajectories are there, and refuses to go on with a manifest that measures
//! anything else, or as another build or on another device ([`crate::same_run`]). A lock keeps a second process out.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::activity::ActivityNote;
use crate::json_lines;
use crate::manifest::{Manifest, read_manifest};
use crate::record_line;
use crate::records::{set_aside, survey};
use crate::run_error::{RunError, file_error};
use crate::same_run::check_same;
use crate::trajectory::Trajectory;

pub use crate::records::{
    for_each_record, read_records, read_records_and_left_out, read_records_where, set_torn_aside,
};

/// Which trajectory of which problem, by which model, in which series.
pub type Key = (String, String, u32, String, u32);

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

/// The key of a record.
pub fn key(record: &Trajectory) -> Key {
    (record.model.clone(), record.task.clone(), record.waits, record.problem.clone(), record.trajectory)
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
