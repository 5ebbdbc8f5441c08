//! The folder that stands for a run in a store, and the thread that keeps the store up to date.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use tempfile::TempDir;

use super::Access;
use super::bucket::Bucket;
use super::mirror::{Mirror, TakenOver};
use crate::log;

/// Seconds from part to part, unless `ISOCOST_PART_S` says otherwise.
const PART_S: f64 = 15.0;
/// How often a run is read before it is given up to others.
const TRIES: usize = 20;

/// A run in a store, as a folder.
pub(crate) struct WorkingCopy {
    url: String,
    access: Access,
    /// Around the folder, which is known by the URL, so that this one can still be named.
    around: TempDir,
    /// Closed to end the thread.
    open: Sender<()>,
    /// Ends by itself only if another process has the run.
    keeper: JoinHandle<Result<Mirror>>,
}

impl WorkingCopy {
    /// Fetches the run, if there is one, and takes it over if it is to grow.
    ///
    /// # Errors
    /// If the store does not answer, or does not allow what is to be done.
    pub(crate) fn check_out(url: &str, access: Access) -> Result<Self> {
        if access == Access::Rewrite {
            bail!("records in a store never change: put its parts together in a folder, and score that");
        }
        let every = part_time()?;
        let (around, mirror) = fetched(url, access)?;
        let (open, closed) = channel();
        let keeper = std::thread::spawn(move || {
            let is_over = || closed.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
            keep(mirror, access, is_over)
        });
        Ok(Self { url: url.to_owned(), access, around, open, keeper })
    }

    /// The folder.
    pub(crate) fn path(&self) -> PathBuf {
        inside(&self.around)
    }

    /// Whether another process has the run now; [`WorkingCopy::check_in`] says so.
    pub(crate) fn is_lost(&self) -> bool {
        self.keeper.is_finished()
    }

    /// Puts everything into the store that is not there yet. Where that fails, the folder is left and named.
    ///
    /// # Errors
    /// If the store does not take it, or another process has the run.
    pub(crate) fn check_in(self) -> Result<()> {
        drop(self.open);
        let failed = |_| Err(anyhow!("the thread that keeps the store failed"));
        let mirror = self.keeper.join().unwrap_or_else(failed);
        let done = mirror.and_then(|mut mirror| mirror.finish(self.access == Access::Append));
        done.map_err(|error| match error.is::<TakenOver>() {
            true => error,
            false => left(error, self.around),
        })
        .context(self.url)
    }
}

/// The run as it is in the store, in a new folder. Whoever has the run may add a part between the reading of the last and the
/// taking of the next: then it is read again.
fn fetched(url: &str, access: Access) -> Result<(TempDir, Mirror)> {
    for _ in 0..TRIES {
        let around = tempfile::Builder::new().prefix("isocost-run-").tempdir()?;
        let folder = inside(&around);
        std::fs::create_dir(&folder)?;
        let mut mirror = Mirror::fetch(Bucket::open(url)?, &folder)?;
        if access != Access::Append || mirror.take()? {
            return Ok((around, mirror));
        }
    }
    bail!("other processes add to this run faster than it can be read: let them finish, or stop them")
}

fn inside(around: &TempDir) -> PathBuf {
    around.path().join("run")
}

/// Adds a part after each wait. A store that is away for a while is no reason to stop.
fn keep(mut mirror: Mirror, access: Access, is_over: impl Fn() -> bool) -> Result<Mirror> {
    while !is_over() {
        match if access == Access::Append { mirror.add() } else { Ok(()) } {
            Err(error) if error.is::<TakenOver>() => return Err(error),
            Err(error) => log::say(&format!("not in the store yet, and tried again: {error:#}")),
            Ok(()) => {}
        }
    }
    Ok(mirror)
}

fn left(error: Error, around: TempDir) -> Error {
    let folder: &Path = &around.keep();
    error.context(format!("not all is in the store; what was recorded is left in {}", folder.display()))
}

fn part_time() -> Result<Duration> {
    let Some(text) = std::env::var_os("ISOCOST_PART_S") else { return Ok(Duration::from_secs_f64(PART_S)) };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero())
        .context("ISOCOST_PART_S is no number of seconds: unset it, or give one above 0")
}
