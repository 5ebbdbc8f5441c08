//! `merge`: the shards of a run become one.

use std::path::{Path, PathBuf};

use anyhow::Result;
use isocost_harness::merge::Merge;
use isocost_harness::source::Library;

use crate::{report, workload};

/// Merges the shards into `out` and reports on the whole.
pub(crate) fn merge(shards: &[PathBuf], out: &Path, library: &Library) -> Result<()> {
    let merge = Merge::open(shards)?;
    let tasks = workload::tasks(&merge.identity().sweep, library)?;
    let trajectories = merge.write(&tasks, out)?;
    eprintln!("merged {trajectories} trajectories of {} shards into {}", shards.len(), out.display());
    report::report(out, &[])
}
