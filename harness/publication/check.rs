//! Whether a run is fit to be published: whole, of this version, and made by a build that can be had again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::manifest::{Manifest, read_manifest};
use crate::problem::{Problem, ProblemSet};
use crate::record_line;
use crate::run_directory::{Key, key};
use crate::run_error::{RunError, file_error};
use crate::shard::Shard;
use crate::source::Library;
use crate::sweep::TaskEntry;
use crate::task::TaskError;
use crate::trajectory::{SCHEMA, Trajectory};

/// A run that may be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Its manifest.
    pub manifest: Manifest,
    /// Records.
    pub trajectories: usize,
    /// sha256 of `trajectories.jsonl`.
    pub records_sha256: String,
}

/// Why a run is not fit to be published, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its build had changes that no commit holds, or its commit is not known.
    #[error(
        "{}: was made by a build that cannot be had again (git_tree is {tree}): commit, build, and run it anew", path.display()
    )]
    Dirty {
        /// The run.
        path: PathBuf,
        /// What the manifest says.
        tree: String,
    },
    /// A line of the records is not a record.
    #[error("{}: line {line}: {message}: go on with the run, which sets torn lines aside", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It is a part of a run.
    #[error("{}: is shard {shard} of a run: merge all shards, and publish the whole", path.display())]
    Shard {
        /// The run.
        path: PathBuf,
        /// Which part.
        shard: Shard,
    },
    /// One of its tasks cannot be opened here.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The problems here are not those that were sampled.
    #[error(
        "{}: task {task}: its problems on this machine are not those of the run (another hash): bring the same files here",
        path.display()
    )]
    Problems {
        /// The run.
        path: PathBuf,
        /// The task.
        task: String,
    },
    /// Trajectories are missing.
    #[error("{}: {message}: go on with it: isocost run ... --out {}", path.display(), path.display())]
    Incomplete {
        /// The run.
        path: PathBuf,
        /// What is missing.
        message: String,
    },
}

/// Reads all of a run and checks it; which problems it must have the library says.
///
/// # Errors
/// [`Unfit`], one line with the remedy.
pub fn check(path: &Path, library: &Library) -> Result<Checked, Unfit> {
    let manifest = read_manifest(path)?;
    let tree = manifest.provenance.get("git_tree").map_or("unknown", String::as_str);
    if tree != "clean" {
        return Err(Unfit::Dirty { path: path.to_owned(), tree: tree.to_owned() });
    }
    if let Some(shard) = manifest.identity.shard {
        return Err(Unfit::Shard { path: path.to_owned(), shard });
    }
    let (keys, records_sha256) = records(&path.join("trajectories.jsonl"))?;
    check_complete(path, &manifest, &keys, library)?;
    Ok(Checked { manifest, trajectories: keys.len(), records_sha256 })
}

/// Keys of all records, each of which must obey the published schema, and the sha256 of the file.
fn records(path: &Path) -> Result<(BTreeSet<Key>, String), Unfit> {
    let mut reader = BufReader::new(File::open(path).map_err(file_error(path))?);
    let (mut keys, mut hasher, mut line) = (BTreeSet::new(), Sha256::new(), Vec::new());
    for number in 1.. {
        line.clear();
        if reader.by_ref().read_until(b'\n', &mut line).map_err(file_error(path))? == 0 {
            break;
        }
        hasher.update(&line);
        let unfit = |message: String| Unfit::Record { path: path.to_owned(), line: number, message };
        let record = record_line::record(&line).map_err(unfit)?;
        sound(&record).map_err(unfit)?;
        if !keys.insert(key(&record)) {
            return Err(unfit("is a trajectory for the second time".to_owned()));
        }
    }
    Ok((keys, format!("{:x}", hasher.finalize())))
}

/// What the schema asks beyond the types of fields.
fn sound(record: &Trajectory) -> Result<(), String> {
    let timing = &record.timing;
    if record.schema != SCHEMA {
        return Err(format!("is of schema {}, not {SCHEMA}", record.schema));
    }
    if timing.reasoning_s.len() != record.answers.len() || timing.answer_s.len() != record.answers.len() {
        return Err("has not one time for each answer".to_owned());
    }
    let seconds =
        timing.reasoning_s.iter().chain(&timing.answer_s).chain([&timing.prompt_s, &timing.chain_s]);
    if seconds.clone().any(|seconds| !seconds.is_finite() || *seconds < 0.0) {
        return Err("has seconds below 0".to_owned());
    }
    Ok(())
}

/// Every series of the sweep has every trajectory of every problem.
fn check_complete(
    path: &Path,
    manifest: &Manifest,
    keys: &BTreeSet<Key>,
    library: &Library,
) -> Result<(), Unfit> {
    let sweep = &manifest.identity.sweep;
    for entry in &sweep.tasks {
        let set = problems(path, manifest, entry, library)?;
        for model in &sweep.models {
            for waits in sweep.series(model) {
                let key = |id: &String, t| (model.name.clone(), entry.name.clone(), waits, id.clone(), t);
                let is_whole =
                    |p: &&Problem| (0..sweep.trajectories()).all(|t| keys.contains(&key(&p.id, t)));
                let (whole, wanted) = (set.problems().iter().filter(is_whole).count(), set.problems().len());
                if whole < wanted {
                    let of = format!("{} on {} (waits {waits})", model.name, entry.name);
                    let message = format!("{whole} of {wanted} problems are complete for {of}");
                    return Err(Unfit::Incomplete { path: path.to_owned(), message });
                }
            }
        }
    }
    Ok(())
}

/// The problems that the run was to sample of a task, which must be on this machine for that.
fn problems(
    path: &Path,
    manifest: &Manifest,
    entry: &TaskEntry,
    library: &Library,
) -> Result<ProblemSet, Unfit> {
    let sweep = &manifest.identity.sweep;
    let set = entry.task()?.subset(entry.problems.unwrap_or(usize::MAX), sweep.seed, library)?;
    let recorded = manifest.identity.problems_sha256.get(&entry.name);
    if recorded.is_some_and(|hash| hash == set.sha256()) {
        return Ok(set);
    }
    Err(Unfit::Problems { path: path.to_owned(), task: entry.name.clone() })
}
