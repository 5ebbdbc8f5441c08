//! A folder and what of it is in a store.
//!
//! A store cannot append and has no locks, so a run has two forms there. What is written whole (reports, pictures) is an object
//! of that name. What grows (`*.jsonl`) is in *parts*, `parts/000001/trajectories.jsonl`, which are created once and never
//! changed; in order they are the file. Creating fails if the object is there, and that is all the locking there is: a
//! process takes a run by creating its next part, and one that had it before finds its next part taken and stops.
//! So no record is lost or doubled, no lease runs out, no clocks are compared, and what a preempted job began goes on
//! elsewhere at once. A killed process loses what it recorded since its last part.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use isocost_harness::run_directory::set_torn_aside;
use sha2::{Digest, Sha256};

use super::bucket::Bucket;

/// The file whose parts decide who has the run.
const RECORDS: &str = "trajectories.jsonl";
/// Decides what the records are of: in the store before the first of them, and never changed.
const MANIFEST: &str = "manifest.json";
/// What is damaged, set aside.
const TORN: &str = "torn.jsonl";

/// Somebody else created the next part.
#[derive(Debug, thiserror::Error)]
#[error("another process has taken this run over: let it finish, or stop it and run again")]
pub(crate) struct TakenOver;

/// A folder and what of it is in the store.
pub(crate) struct Mirror {
    bucket: Bucket,
    folder: PathBuf,
    /// Bytes of each growing file that are in parts.
    in_parts: BTreeMap<String, u64>,
    /// Of each whole file: the hash of what is there.
    whole: BTreeMap<String, [u8; 32]>,
    /// Number of the next part.
    next: u32,
}

impl Mirror {
    /// Creates an empty part, which says whose the run is now; false if somebody else was first.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) fn take(&mut self) -> Result<bool> {
        let is_first = self.bucket.create(&part_name(self.next, RECORDS), vec![])?;
        self.next += 1;
        Ok(is_first)
    }

    /// Fetches what is there into an empty folder.
    ///
    /// # Errors
    /// If the store does not answer, or the folder cannot be written.
    pub(crate) fn fetch(bucket: Bucket, folder: &Path) -> Result<Self> {
        let (names, folder) = (bucket.names()?, folder.to_owned());
        let mut mirror = Self { bucket, folder, in_parts: BTreeMap::new(), whole: BTreeMap::new(), next: 1 };
        for name in names {
            let bytes = mirror.bucket.get(&name)?;
            match part(&name) {
                Some((number, file)) => mirror.fetched_part(number, file, &bytes)?,
                None => mirror.fetched_whole(name, &bytes)?,
            }
        }
        // What is damaged there stays there, and must not shift what is counted from here on.
        set_torn_aside(&mirror.folder)?;
        for file in files(&mirror.folder)?.into_iter().filter(|name| is_growing(name)) {
            let bytes = std::fs::metadata(mirror.folder.join(&file))?.len();
            mirror.in_parts.insert(file, bytes);
        }
        Ok(mirror)
    }

    fn fetched_part(&mut self, number: u32, file: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(file);
        OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)?;
        self.next = self.next.max(number + 1);
        Ok(())
    }

    fn fetched_whole(&mut self, name: String, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(&name);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        std::fs::write(path, bytes)?;
        self.whole.insert(name, Sha256::digest(bytes).into());
        Ok(())
    }

    /// Puts into the store what has grown. If that fails it can be tried again.
    ///
    /// # Errors
    /// [`TakenOver`], or if the store does not answer.
    pub(crate) fn add(&mut self) -> Result<()> {
        if self.growth()?.is_empty() { Ok(()) } else { self.add_part() }
    }

    /// Puts the rest into the store, whole files last: they are made from the records. `is_ours` if the run was taken.
    ///
    /// # Errors
    /// [`TakenOver`], or if the store does not answer.
    pub(crate) fn finish(&mut self, is_ours: bool) -> Result<()> {
        if is_ours {
            self.add_part()?;
        }
        for name in files(&self.folder)?.into_iter().filter(|name| is_kept_whole(name)) {
            let bytes = std::fs::read(self.folder.join(&name))?;
            let hash = Sha256::digest(&bytes).into();
            if self.whole.get(&name) != Some(&hash) {
                self.bucket.put(&name, bytes)?;
                self.whole.insert(name, hash);
            }
        }
        Ok(())
    }

    /// Creates the next part, with what has grown.
    fn add_part(&mut self) -> Result<()> {
        let mut growth = self.growth()?;
        if !growth.is_empty() {
            self.create_manifest()?;
        }
        let (number, records) = (self.next, growth.remove(RECORDS).unwrap_or_default());
        let bytes = records.len() as u64;
        self.create(&part_name(number, RECORDS), records)?;
        self.next += 1;
        *self.in_parts.entry(RECORDS.into()).or_default() += bytes;
        for (file, lines) in growth {
            let bytes = lines.len() as u64;
            self.bucket.put(&part_name(number, &file), lines)?;
            *self.in_parts.entry(file).or_default() += bytes;
        }
        Ok(())
    }

    fn create_manifest(&mut self) -> Result<()> {
        let path = self.folder.join(MANIFEST);
        if !self.whole.contains_key(MANIFEST) && path.exists() {
            let bytes = std::fs::read(path)?;
            let hash = Sha256::digest(&bytes).into();
            self.create(MANIFEST, bytes)?;
            self.whole.insert(MANIFEST.into(), hash);
        }
        Ok(())
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let is_ours = self.bucket.create(name, bytes.clone())?
            // An answer may have been lost on the way: no two processes write the same lines.
            || (!bytes.is_empty() && self.bucket.get(name)? == bytes);
        if is_ours { Ok(()) } else { Err(TakenOver.into()) }
    }

    /// What whole lines each growing file has beyond its parts.
    fn growth(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut growth = BTreeMap::new();
        for file in files(&self.folder)?.into_iter().filter(|name| is_growing(name)) {
            let bytes =
                whole_lines(&self.folder.join(&file), self.in_parts.get(&file).copied().unwrap_or(0))?;
            if !bytes.is_empty() {
                growth.insert(file, bytes);
            }
        }
        Ok(growth)
    }
}

/// The whole lines of a file from a byte on.
fn whole_lines(path: &Path, start: u64) -> Result<Vec<u8>> {
    let (mut file, mut bytes) = (File::open(path)?, Vec::new());
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut bytes)?;
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    Ok(bytes)
}

fn part_name(number: u32, file: &str) -> String {
    format!("parts/{number:06}/{file}")
}

/// Number and file of a part, if this is the name of one.
fn part(name: &str) -> Option<(u32, &str)> {
    let (number, file) = name.strip_prefix("parts/")?.split_once('/')?;
    Some((number.parse().ok()?, file)).filter(|_| is_growing(file))
}

/// Lines are only added to it. What was set aside is not kept: it is found again in the parts.
fn is_growing(name: &str) -> bool {
    name.ends_with(".jsonl") && !name.contains('/') && name != TORN
}

/// Not of this machine alone, and neither growing nor half-written.
fn is_kept_whole(name: &str) -> bool {
    !is_growing(name) && !["lock", TORN].contains(&name) && !name.ends_with(".partial")
}

/// All files below a folder, by their paths from there.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if let Ok(name) = entry.path().strip_prefix(folder) {
                let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
                found.push(parts.join("/"));
            }
        }
    }
    found.sort();
    Ok(found)
}
