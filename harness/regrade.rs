//! Grading a stored run again, without generating.
//!
//! A grader is mended after the runs it graded. The records hold the texts and the reference answers, so their outcomes can
//! be computed anew; what changes is said answer by answer. Contract: the old records are kept beside the new under the
//! old grader's version, the new ones appear whole or not at all, and nothing is written where nothing changed. Lines that are
//! no records are set aside before, as `run` does, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use crate::cell::Budget;
use crate::grader::GRADER_VERSION;
use crate::imported;
use crate::judge::Judge;
use crate::manifest::read_manifest;
use crate::outcome::Outcome;
use crate::record_line;
use crate::run_directory::{lock, set_torn_aside};
use crate::run_error::{RunError, file_error};
use crate::trajectory::Trajectory;

/// What grading again changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regrading {
    /// Answers graded.
    pub answers: u64,
    /// Versions of the grader that had graded them.
    pub versions: BTreeSet<String>,
    /// Answers whose outcome is another.
    pub changes: Vec<Change>,
    /// Lines that were set aside because they were torn, damaged or doubled.
    pub torn_lines: usize,
    /// Whether the records were written anew.
    pub is_written: bool,
}

/// An answer whose outcome is another.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Model, task, problem and trajectory.
    pub of: String,
    /// The budget, where the run has budgets.
    pub budget: Option<Budget>,
    /// What it was compared with.
    pub gold: String,
    /// What was graded, before and now.
    pub extracted: [Option<String>; 2],
    /// The rule that finds it now.
    pub rule: Option<String>,
    /// Before and now.
    pub outcome: [Outcome; 2],
    /// The answer's text.
    pub text: String,
}

/// Grades a run again: one of this program's, or an imported one.
///
/// # Errors
/// [`RunError`]; the records are as they were then.
pub fn regrade(run: &Path) -> Result<Regrading, RunError> {
    if imported::is_imported(run) { completions(run) } else { trajectories(run) }
}

fn trajectories(run: &Path) -> Result<Regrading, RunError> {
    let manifest = read_manifest(run)?;
    let _lock = lock(run)?;
    let judges = judges(run, &manifest.identity.sweep.tasks)?;
    let torn_lines = set_torn_aside(run)?;
    let path = run.join("trajectories.jsonl");
    let partial = path.with_extension("partial");
    let reader = BufReader::new(File::open(&path).map_err(file_error(&path))?);
    let mut writer = BufWriter::new(File::create(&partial).map_err(file_error(&partial))?);
    let (mut done, mut is_other) = (Regrading { torn_lines, ..Regrading::default() }, false);
    for line in reader.split(b'\n') {
        let line = line.map_err(file_error(&path))?;
        // None is left that is no record.
        let Ok(mut record) = record_line::record(&line) else { continue };
        if let Some(judge) = judges.get(&record.task) {
            is_other |= done.record(&mut record, judge);
        }
        writer.write_all(record_line::sealed(&record).as_bytes()).map_err(file_error(&partial))?;
    }
    writer.flush().map_err(file_error(&partial))?;
    done.is_written = is_other;
    if is_other {
        keep(&path, &done.versions).and_then(|()| replace(&partial, &path))?
    } else {
        discard(&partial)
    }
    Ok(done)
}

fn judges(run: &Path, tasks: &[crate::sweep::TaskEntry]) -> Result<BTreeMap<String, Judge>, RunError> {
    let malformed = |message: String| RunError::Malformed { path: run.join("manifest.json"), message };
    let judge = |entry: &crate::sweep::TaskEntry| {
        let task = entry.task().map_err(|error| malformed(error.to_string()))?;
        Ok((entry.name.clone(), task.judge))
    };
    tasks.iter().map(judge).collect()
}

fn completions(run: &Path) -> Result<Regrading, RunError> {
    let (import, mut completions) = imported::read(run)?;
    let _lock = lock(run)?;
    let mut done = Regrading::default();
    for completion in &mut completions {
        let before = completion.graded.clone();
        completion.grade(&import.judges.get(&completion.task).cloned().unwrap_or_default());
        let (Some(before), Some(now)) = (before, &completion.graded) else { continue };
        done.answers += 1;
        done.versions.insert(before.grader.clone());
        done.is_written |= before != *now;
        if before.outcome != now.outcome {
            done.changes.push(Change {
                of: format!(
                    "{} {} {} #{}",
                    completion.model, completion.task, completion.problem, completion.trajectory
                ),
                budget: None,
                gold: completion.golds.join(" or "),
                extracted: [before.extracted, now.extracted.clone()],
                rule: now.rule.clone(),
                outcome: [before.outcome, now.outcome],
                text: completion.answer.clone().or(completion.completion.clone()).unwrap_or_default(),
            });
        }
    }
    if done.is_written {
        keep(&run.join("completions.jsonl"), &done.versions)?;
        imported::write_completions(run, &completions)?;
    }
    Ok(done)
}

impl Regrading {
    /// Grades a record's answers again; whether anything about them is another.
    fn record(&mut self, record: &mut Trajectory, judge: &Judge) -> bool {
        let before = (record.grader.clone(), record.answers.clone());
        self.versions.insert(record.grader.clone());
        record.grader = GRADER_VERSION.into();
        for answer in &mut record.answers {
            let finding = judge.judge(&record.gold, &answer.text, answer.complete);
            self.answers += 1;
            if finding.outcome != answer.outcome {
                self.changes.push(Change {
                    of: format!("{} {} {} #{}", record.model, record.task, record.problem, record.trajectory),
                    budget: Some(answer.budget),
                    gold: record.gold.clone(),
                    extracted: [answer.extracted.clone(), finding.extracted.clone()],
                    rule: finding.rule.clone(),
                    outcome: [answer.outcome, finding.outcome],
                    text: answer.text.clone(),
                });
            }
            answer.outcome = finding.outcome;
            answer.extracted = finding.extracted;
            answer.rule = finding.rule;
            answer.class = finding.class;
        }
        before != (record.grader.clone(), record.answers.clone())
    }

    /// How many answers went from one outcome to another, with their names.
    pub fn by_outcome(&self) -> BTreeMap<[Outcome; 2], Vec<&Change>> {
        let mut counts: BTreeMap<[Outcome; 2], Vec<&Change>> = BTreeMap::new();
        for change in &self.changes {
            counts.entry(change.outcome).or_default().push(change);
        }
        counts
    }
}

/// Keeps the old records under the version that graded them; what is kept already stays.
fn keep(path: &Path, versions: &BTreeSet<String>) -> Result<(), RunError> {
    // A record may come from anybody: of its word only what is fit for a file's name.
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let version = versions.iter().cloned().collect::<Vec<_>>().join("-");
    let version: String = version.chars().filter(is_plain).take(64).collect();
    let kept = path.with_extension(format!("grader-{version}.jsonl"));
    if kept.exists() {
        return Ok(());
    }
    let copy = kept.with_extension("partial");
    std::fs::copy(path, &copy).map_err(file_error(&copy))?;
    replace(&copy, &kept)
}

fn replace(from: &Path, to: &Path) -> Result<(), RunError> {
    std::fs::rename(from, to).map_err(file_error(to))
}

fn discard(partial: &Path) {
    // Left behind it does no harm: the next one overwrites it.
    let _ = std::fs::remove_file(partial);
}
