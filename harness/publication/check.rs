//! Whether a run is fit to be published: whole, of this version, and made by a build that can be had again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::record_line;
use crate::run_directory::{Key, Manifest, RunError, file_error, key, read_manifest};
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
    /// Trajectories are missing.
    #[error("{}: {message}: go on with it: isocost run ... --out {}", path.display(), path.display())]
    Incomplete {
        /// The run.
        path: PathBuf,
        /// What is missing.
        message: String,
    },
}

/// Reads all of a run and checks it.
///
/// # Errors
/// [`Unfit`], one line with the remedy.
pub fn check(path: &Path) -> Result<Checked, Unfit> {
    let manifest = read_manifest(path)?;
    let tree = manifest.provenance.get("git_tree").map_or("unknown", String::as_str);
    if tree != "clean" {
        return Err(Unfit::Dirty { path: path.to_owned(), tree: tree.to_owned() });
    }
    let (keys, records_sha256) = records(&path.join("trajectories.jsonl"))?;
    check_complete(path, &manifest, &keys)?;
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

/// Every series of the sweep has every trajectory of the same problems.
fn check_complete(path: &Path, manifest: &Manifest, keys: &BTreeSet<Key>) -> Result<(), Unfit> {
    let sweep = &manifest.identity.sweep;
    let mut found: BTreeMap<(&str, &str, u32), BTreeMap<&str, u32>> = BTreeMap::new();
    for (model, task, waits, problem, _) in keys {
        *found.entry((model, task, *waits)).or_default().entry(problem).or_default() += 1;
    }
    let incomplete = |message: String| Err(Unfit::Incomplete { path: path.to_owned(), message });
    for task in &sweep.tasks {
        let problems = found.iter().filter(|((_, of, _), _)| *of == task.name).map(|(_, p)| p.len()).max();
        for model in &sweep.models {
            for waits in sweep.series(model) {
                let series = found.get(&(model.name.as_str(), task.name.as_str(), waits));
                let whole = series.map_or(0, |problems| {
                    problems.values().filter(|count| **count >= sweep.trajectories()).count()
                });
                let wanted = task.problems.or(problems).unwrap_or(1).min(problems.unwrap_or(1)).max(1);
                if whole < wanted {
                    return incomplete(format!(
                        "{whole} of {wanted} problems are complete for {} on {} (waits {waits})",
                        model.name, task.name
                    ));
                }
            }
        }
    }
    Ok(())
}
