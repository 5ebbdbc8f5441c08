//! Run directories at a URL: fetched before a command starts, and put back while it works and when it ends.
//!
//! Every command sees a folder of this machine; only this module knows that there is a store behind it. What the
//! program says names the URL.

#[cfg(feature = "object-store")]
mod bucket;
#[cfg(feature = "object-store")]
mod mirror;
#[cfg(feature = "object-store")]
mod working_copy;

use std::path::PathBuf;

use anyhow::{Context, Result};

#[cfg(feature = "object-store")]
use working_copy::WorkingCopy;

use crate::output;

/// What a command does with a run directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads records, and may write what is made of them.
    Read,
    /// Adds records: nobody else may.
    Append,
    /// Changes records, which a store does not allow.
    Rewrite,
}

/// The run directories of a command that are in a store.
#[derive(Default)]
pub(crate) struct WorkingCopies(Vec<WorkingCopy>);

impl WorkingCopies {
    /// Fetches those of a command's run directories that are given as URLs, and puts the folders in their place.
    ///
    /// # Errors
    /// If a store cannot be reached, or does not allow what is to be done.
    pub(crate) fn check_out(&mut self, directories: Vec<(&mut PathBuf, Access)>) -> Result<()> {
        for (path, access) in directories {
            let Some(url) = path.to_str().filter(|text| text.contains("://")).map(str::to_owned) else {
                continue;
            };
            let copy = WorkingCopy::check_out(&url, access).context(url.clone())?;
            *path = copy.path();
            output::show_instead(&path.to_string_lossy(), &url);
            self.0.push(copy);
        }
        Ok(())
    }

    /// Whether what is recorded now can no longer be put into the store.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.iter().any(WorkingCopy::is_lost)
    }

    /// Puts the rest into the stores.
    ///
    /// # Errors
    /// The first that went wrong, then or earlier.
    pub(crate) fn check_in(self) -> Result<()> {
        self.0.into_iter().try_for_each(WorkingCopy::check_in)
    }
}

/// What stands in where the program was built without stores: there are none.
#[cfg(not(feature = "object-store"))]
enum WorkingCopy {}

#[cfg(not(feature = "object-store"))]
impl WorkingCopy {
    fn check_out(_: &str, _: Access) -> Result<Self> {
        anyhow::bail!(
            "this program was built without object stores: give a folder, or build it with --features object-store"
        )
    }

    fn path(&self) -> PathBuf {
        match *self {}
    }

    fn is_lost(&self) -> bool {
        match *self {}
    }

    fn check_in(self) -> Result<()> {
        match self {}
    }
}
