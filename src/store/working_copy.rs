//! The folder that stands for a run in a store, and the thread that keeps the store up to date.
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
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use isocost_harness::run_directory::set_torn_aside;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Access;
use super::bucket::Bucket;

/// Seconds from part to part, unless `ISOCOST_PART_S` says otherwise.
const PART_S: f64 = 15.0;
/// The file whose parts decide who has the run.
const RECORDS: &str = "trajectories.jsonl";
/// Decides what the records are of: in the store before the first of them, and never changed.
const MANIFEST: &str = "manifest.json";

/// What is damaged, set aside.
const TORN: &str = "torn.jsonl";

/// A run in a store, as a folder.
pub(crate) struct WorkingCopy {
    url: String,
    folder: TempDir,
    /// Closed to end the thread.
    open: Sender<()>,
    /// Ends by itself only if the store cannot be kept up to date.
    keeper: JoinHandle<Result<Mirror>>,
}

impl WorkingCopy {
    /// Fetches the run, if there is one, and takes it over if it is to grow.
    ///
    /// # Errors
    /// If the store does not answer, or does not allow what is to be done.
    pub(crate) fn check_out(url: &str, access: Access) -> Result<Self> {
        if access == Access::Rewrite {
            bail!(
                "records in a store never change: put its parts together in a folder (cat parts/*/{RECORDS}), and score that"
            );
        }
        let folder = tempfile::Builder::new().prefix("isocost-run-").tempdir()?;
        let mut mirror = Mirror::fetch(Bucket::open(url)?, folder.path(), access)?;
        if access == Access::Append {
            mirror.add_part()?;
        }
        let every = part_time()?;
        let (open, closed) = channel();
        let keeper = std::thread::spawn(move || {
            while closed.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                mirror.add()?;
            }
            Ok(mirror)
        });
        Ok(Self { url: url.to_owned(), folder, open, keeper })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether the store can no longer be kept up to date; [`WorkingCopy::check_in`] says why.
    pub(crate) fn is_lost(&self) -> bool {
        self.keeper.is_finished()
    }

    /// Puts everything into the store that is not there yet.
    ///
    /// # Errors
    /// If the store could not be kept up to date, now or earlier.
    pub(crate) fn check_in(self) -> Result<()> {
        drop(self.open);
        let mirror =
            self.keeper.join().unwrap_or_else(|_| Err(anyhow!("the thread that keeps the store failed")));
        mirror.and_then(|mut mirror| mirror.finish()).context(self.url)
    }
}

fn part_time() -> Result<Duration> {
    let Some(text) = std::env::var_os("ISOCOST_PART_S") else { return Ok(Duration::from_secs_f64(PART_S)) };
    let seconds =
        text.to_str().and_then(|text| text.parse().ok()).and_then(|s| Duration::try_from_secs_f64(s).ok());
    seconds
        .filter(|s| !s.is_zero())
        .context("ISOCOST_PART_S is no number of seconds: unset it, or give one above 0")
}

/// A folder and what of it is in the store.
struct Mirror {
    bucket: Bucket,
    folder: PathBuf,
    access: Access,
    /// Bytes of each growing file that are in parts.
    in_parts: BTreeMap<String, u64>,
    /// Of each whole file: the hash of what is there.
    whole: BTreeMap<String, [u8; 32]>,
    /// Number of the next part.
    next: u32,
}

impl Mirror {
    fn fetch(bucket: Bucket, folder: &Path, access: Access) -> Result<Self> {
        let names = bucket.names()?;
        let mut mirror = Self {
            bucket,
            folder: folder.to_owned(),
            access,
            in_parts: BTreeMap::new(),
            whole: BTreeMap::new(),
            next: 1,
        };
        for name in names {
            let bytes = mirror.bucket.get(&name)?;
            match part(&name) {
                Some((number, file)) => mirror.fetched_part(number, file, &bytes)?,
                None => mirror.fetched_whole(name, &bytes)?,
            }
        }
        // What is damaged there stays there, and must not shift what is counted from here on.
        set_torn_aside(folder)?;
        for file in files(folder)?.into_iter().filter(|name| is_growing(name)) {
            mirror.in_parts.insert(file.clone(), std::fs::metadata(folder.join(&file))?.len());
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

    /// Puts into the store what has grown; a reader adds nothing.
    fn add(&mut self) -> Result<()> {
        let is_grown = self.access == Access::Append && !self.growth()?.is_empty();
        if is_grown { self.add_part() } else { Ok(()) }
    }

    /// Puts the rest into the store, whole files last: they are made from the records.
    fn finish(&mut self) -> Result<()> {
        if self.access == Access::Append {
            self.add_part()?;
        }
        for name in files(&self.folder)?.into_iter().filter(|name| is_kept_whole(name)) {
            let bytes = std::fs::read(self.folder.join(&name))?;
            let hash = Sha256::digest(&bytes).into();
            if self.whole.insert(name.clone(), hash) != Some(hash) {
                self.bucket.put(&name, bytes)?;
            }
        }
        Ok(())
    }

    /// Creates the next part, with what has grown. An empty one says only whose the run is now.
    fn add_part(&mut self) -> Result<()> {
        let growth = self.growth()?;
        if !growth.is_empty() {
            self.create_manifest()?;
        }
        let records = growth.get(RECORDS).cloned().unwrap_or_default();
        self.create(&part_name(self.next, RECORDS), records)?;
        for (file, bytes) in growth {
            *self.in_parts.entry(file.clone()).or_default() += bytes.len() as u64;
            if file != RECORDS {
                self.bucket.put(&part_name(self.next, &file), bytes)?;
            }
        }
        self.next += 1;
        Ok(())
    }

    fn create_manifest(&mut self) -> Result<()> {
        let path = self.folder.join(MANIFEST);
        if !self.whole.contains_key(MANIFEST) && path.exists() {
            let bytes = std::fs::read(path)?;
            self.whole.insert(MANIFEST.into(), Sha256::digest(&bytes).into());
            self.create(MANIFEST, bytes)?;
        }
        Ok(())
    }

    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        if self.bucket.create(name, bytes)? {
            return Ok(());
        }
        bail!("another process has taken this run over: let it finish, or stop it and run again")
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
