//! Putting the shards of a run together: the records of all, as if one machine had sampled them.
//!
//! Nothing is merged unless everything fits: one sweep, one set of models, one version of the program, every shard
//! there once and finished. The result is an ordinary run directory. A merge that broke off is merged again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Error, Write};
use std::path::{Path, PathBuf};

use crate::energy::{LoggedWindow, read_energy};
use crate::manifest::{Identity, Manifest, read_manifest};
use crate::run_directory::{Key, RunDirectory, for_each_record, key};
use crate::run_error::{RunError, file_error};
use crate::same_run::{BUILD, difference};
use crate::sampling::TaskInRun;
use crate::shard::Shard;

/// Why shards cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A directory cannot be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run that was never split.
    #[error("{}: is a whole run and no shard: give directories of isocost run --shard", path.display())]
    NotAShard {
        /// The directory.
        path: PathBuf,
    },
    /// Two shards are not of one run.
    #[error(
        "{}: has another {what} than {}: merge shards of one sweep, sampled by one version with the same models",
        path.display(), first.display()
    )]
    Different {
        /// The directory.
        path: PathBuf,
        /// The one that it is compared with.
        first: PathBuf,
        /// What differs.
        what: String,
    },
    /// One shard is given twice.
    #[error("{}: is shard {shard}, and so is {}: leave one of them out", path.display(), first.display())]
    Twice {
        /// The directory.
        path: PathBuf,
        /// The one before it.
        first: PathBuf,
        /// Which shard both are.
        shard: Shard,
    },
    /// Shards are missing.
    #[error(
        "shards are missing: {missing}: sample them with isocost run {sweep} --shard i/N, or name their directories"
    )]
    Missing {
        /// Which.
        missing: String,
        /// The sweep's name.
        sweep: String,
    },
    /// The problems here are not those that were sampled.
    #[error(
        "task {task}: its problems on this machine are not those of the shards (another hash): bring the same files here"
    )]
    Problems {
        /// The task.
        task: String,
    },
    /// A shard was interrupted.
    #[error("{}: shard {shard} lacks {lacks} trajectories: go on with isocost run --shard {shard} --out {0}", path.display())]
    Unfinished {
        /// The directory.
        path: PathBuf,
        /// Which shard.
        shard: Shard,
        /// How many are missing.
        lacks: usize,
    },
}

/// A shard on disk.
struct Part<'a> {
    path: &'a Path,
    shard: Shard,
    manifest: Manifest,
}

/// The shards of a run, checked against one another.
pub struct Merge<'a> {
    parts: Vec<Part<'a>>,
}

impl<'a> Merge<'a> {
    /// Reads the manifests of all shards.
    ///
    /// # Errors
    /// [`MergeError`] if they are not all the shards of one run.
    pub fn open(paths: &'a [PathBuf]) -> Result<Self, MergeError> {
        let mut parts = paths.iter().map(Part::open).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = parts.first() else { return Ok(Self { parts }) };
        parts.iter().try_for_each(|part| part.check_like(first))?;
        parts.sort_by_key(|part| part.shard);
        if let Some(pair) = parts.windows(2).find(|pair| pair[0].shard == pair[1].shard) {
            let [first, path] = [pair[0].path, pair[1].path].map(Path::to_owned);
            return Err(MergeError::Twice { path, first, shard: pair[0].shard });
        }
        let merge = Self { parts };
        merge.check_complete()?;
        Ok(merge)
    }

    /// What was sampled.
    pub fn identity(&self) -> &Identity {
        &self.parts[0].manifest.identity
    }

    fn check_complete(&self) -> Result<(), MergeError> {
        let there: BTreeSet<Shard> = self.parts.iter().map(|part| part.shard).collect();
        let missing = self.parts[0].shard.all().filter(|shard| !there.contains(shard));
        let missing: Vec<String> = missing.map(|shard| shard.to_string()).collect();
        let sweep = self.identity().sweep.name.clone();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(MergeError::Missing { missing: missing.join(", "), sweep })
        }
    }

    fn check_problems(&self, tasks: &[TaskInRun]) -> Result<(), MergeError> {
        let recorded = &self.identity().problems_sha256;
        let differs = |task: &&TaskInRun| {
            recorded.get(&task.task.name).is_none_or(|hash| hash != task.problems.sha256())
        };
        let problems = |task: &TaskInRun| MergeError::Problems { task: task.task.name.clone() };
        tasks.iter().find(differs).map_or(Ok(()), |task| Err(problems(task)))
    }

    /// Writes the run that the shards are parts of to `out`; `tasks` are those of the sweep, with all problems. Returns how
    /// many trajectories it has.
    ///
    /// # Errors
    /// [`MergeError`] if a shard is not finished, or `out` cannot be written or holds another run.
    pub fn write(&self, tasks: &[TaskInRun], out: &Path) -> Result<usize, MergeError> {
        self.check_problems(tasks)?;
        self.parts.iter().try_for_each(|part| part.check_finished(tasks))?;
        let mut run = RunDirectory::open(out, &self.manifest())?;
        for part in &self.parts {
            for_each_record(
                part.path,
                |_, _| true,
                |record| {
                    if run.is_done(&key(&record)) { Ok(()) } else { run.append(&record) }
                },
            )?;
        }
        for log in ["activity.jsonl", "steps.jsonl", "requests.jsonl"] {
            self.join(log, out, |line| line)?;
        }
        let doubt = self.doubt_of_energy()?;
        self.join("energy.jsonl", out, |line| match doubt {
            Some(doubt) => doubted(&line, doubt),
            None => line,
        })?;
        Ok(run.len())
    }

    /// The manifest of the whole: what differed from shard to shard is listed.
    fn manifest(&self) -> Manifest {
        let mut provenance: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (key, value) in self.parts.iter().flat_map(|part| &part.manifest.provenance) {
            let values = provenance.entry(key.clone()).or_default();
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        let mut provenance: BTreeMap<String, String> =
            provenance.into_iter().map(|(key, values)| (key, values.join("; "))).collect();
        provenance.insert("merged_from".into(), format!("{} shards", self.parts.len()));
        Manifest { identity: Identity { shard: None, ..self.identity().clone() }, provenance }
    }

    /// Why the joules of the shards cannot be added up, if they cannot.
    fn doubt_of_energy(&self) -> Result<Option<&'static str>, RunError> {
        let hosts: BTreeSet<_> = self.parts.iter().map(|part| part.manifest.provenance.get("host")).collect();
        let meters = self.parts.iter().map(Part::meters).collect::<Result<Vec<_>, _>>()?;
        Ok(if meters.iter().any(|of_part| *of_part != meters[0]) {
            Some("the shards were measured by different meters")
        } else if hosts.len() < self.parts.len() {
            Some("shards of one host may have run side by side")
        } else {
            None
        })
    }

    /// Joins the whole lines of one of the files that every shard may have.
    fn join(&self, name: &str, out: &Path, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<(), RunError> {
        let sources: Vec<PathBuf> = self.parts.iter().map(|part| part.path.join(name)).collect();
        let sources: Vec<&PathBuf> = sources.iter().filter(|source| source.exists()).collect();
        if sources.is_empty() {
            return Ok(());
        }
        let (path, partial) = (out.join(name), out.join(name).with_extension("partial"));
        let fail = |error: Error| file_error(&path)(error);
        let mut joined = BufWriter::new(File::create(&partial).map_err(fail)?);
        for source in sources {
            let mut reader = BufReader::new(File::open(source).map_err(file_error(source))?);
            while let Some(line) = whole_line(&mut reader).map_err(file_error(source))? {
                joined.write_all(&change(line)).map_err(fail)?;
            }
        }
        joined.flush().and_then(|()| std::fs::rename(&partial, &path)).map_err(fail)
    }
}

impl<'a> Part<'a> {
    fn open(path: &'a PathBuf) -> Result<Self, MergeError> {
        let manifest = read_manifest(path)?;
        let shard = manifest.identity.shard.ok_or_else(|| MergeError::NotAShard { path: path.clone() })?;
        Ok(Self { path, shard, manifest })
    }

    fn check_like(&self, first: &Self) -> Result<(), MergeError> {
        let as_first = Identity { shard: first.manifest.identity.shard, ..self.manifest.identity.clone() };
        let version = |part: &Self| BUILD.map(|key| part.manifest.provenance.get(key).cloned());
        let what = difference(&as_first, &first.manifest.identity)
            .or_else(|| (self.shard.of() != first.shard.of()).then(|| "number of shards".into()))
            .or_else(|| (version(self) != version(first)).then(|| "version of the program".into()));
        let [path, first] = [self.path, first.path].map(Path::to_owned);
        what.map_or(Ok(()), |what| Err(MergeError::Different { path, first, what }))
    }

    fn check_finished(&self, tasks: &[TaskInRun]) -> Result<(), MergeError> {
        let mut lacking = self.wanted(tasks);
        for_each_record(
            self.path,
            |_, _| true,
            |record| {
                lacking.remove(&key(&record));
                Ok(())
            },
        )?;
        match lacking.len() {
            0 => Ok(()),
            lacks => Err(MergeError::Unfinished { path: self.path.to_owned(), shard: self.shard, lacks }),
        }
    }

    /// Every trajectory that the shard is to have.
    fn wanted(&self, tasks: &[TaskInRun]) -> HashSet<Key> {
        let sweep = &self.manifest.identity.sweep;
        let mut wanted = HashSet::new();
        for TaskInRun { task, problems } in tasks {
            let part = self.shard.part(problems);
            for model in &sweep.models {
                for waits in sweep.series(model) {
                    for problem in part.problems() {
                        let key = |t| (model.name.clone(), task.name.clone(), waits, problem.id.clone(), t);
                        wanted.extend((0..sweep.trajectories()).map(key));
                    }
                }
            }
        }
        wanted
    }

    fn meters(&self) -> Result<BTreeSet<String>, RunError> {
        Ok(read_energy(self.path)?.into_iter().map(|logged| logged.window.meter).collect())
    }
}

/// The next line with its end; a torn last one is left out.
fn whole_line(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>, Error> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    Ok(Some(line).filter(|line| line.ends_with(b"\n")))
}

/// A line of `energy.jsonl` whose joules are not to be counted.
fn doubted(line: &[u8], doubt: &str) -> Vec<u8> {
    let Ok(mut logged) = serde_json::from_slice::<LoggedWindow>(line) else { return line.to_vec() };
    logged.window.energy_valid = false;
    logged.window.reasons.push(doubt.to_owned());
    let mut line = serde_json::to_vec(&logged).expect("a window is plain data");
    line.push(b'\n');
    line
}
