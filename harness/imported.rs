//! Completions that another tool sampled, as this program keeps them.
//!
//! An imported run holds `import.json` (which tool, which files, which judge for each task) and `completions.jsonl` (one
//! line per completion, graded by this program). It has neither budgets nor steps, so what is said of it is what
//! completions alone can say. Contract: what the other tool did not write is absent, never 0; what it said of
//! correctness stands beside this program's outcome and is never mixed with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::grader::GRADER_VERSION;
use crate::judge::{Finding, Judge};
use crate::outcome::Outcome;
use crate::run_directory::write_whole;
use crate::run_error::{RunError, file_error};

/// Version of the form of both files.
pub const SCHEMA: u32 = 1;

/// What was imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The format that was read.
    pub format: String,
    /// Files with the sha256 of their bytes.
    pub files: BTreeMap<String, String>,
    /// Of each task: what decides whether an answer is right.
    pub judges: BTreeMap<String, Judge>,
    /// When, and by which build.
    pub provenance: BTreeMap<String, String>,
}

/// One completion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// The problem's id.
    pub problem: String,
    /// Its number among the problem's, from 0.
    pub trajectory: u32,
    /// Reference answers; any of them is right. Empty if none was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golds: Vec<String>,
    /// The text, thinking included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// An answer that was extracted already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether the completion ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// What the other tool says of its correctness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_correct: Option<bool>,
    /// A verifier's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Tokens of the thought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Tokens sampled, thought and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_tokens: Option<u64>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Why there is no completion, where the other tool failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// This program's grading; absent until it is graded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graded: Option<Graded>,
}

/// This program's grading of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graded {
    /// What became of it.
    pub outcome: Outcome,
    /// What was graded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted: Option<String>,
    /// Which rule found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Equal for answers that mean the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Version of the grader.
    pub grader: String,
}

impl Imported {
    /// Grades it, if there is anything to grade.
    pub fn grade(&mut self, judge: &Judge) {
        self.graded = self.finding(judge).map(|finding| Graded {
            outcome: finding.outcome,
            extracted: finding.extracted,
            rule: finding.rule,
            class: finding.class,
            grader: GRADER_VERSION.into(),
        });
    }

    fn finding(&self, judge: &Judge) -> Option<Finding> {
        if self.error.is_some() {
            return Some(Finding::without_answer(Outcome::Error));
        }
        if self.complete == Some(false) {
            return Some(Finding::without_answer(Outcome::Truncated));
        }
        let against = |gold: &String| match (&self.answer, &self.completion) {
            (Some(answer), _) => Some(judge.judge_answer(gold, answer)),
            (None, Some(completion)) => Some(judge.judge_completion(gold, completion)),
            (None, None) => None,
        };
        let findings: Vec<Finding> = self.golds.iter().filter_map(against).collect();
        let right = findings.iter().position(|finding| finding.outcome == Outcome::Correct);
        findings.into_iter().nth(right.unwrap_or(0))
    }

    /// Whether it is right: by this program where it could grade, else as it was given.
    pub fn is_correct(&self) -> Option<bool> {
        self.graded.as_ref().map(|graded| graded.outcome == Outcome::Correct).or(self.given_correct)
    }

    /// Whether this program and the other tool disagree.
    pub fn is_disputed(&self) -> bool {
        let graded = self.graded.as_ref().map(|graded| graded.outcome == Outcome::Correct);
        matches!((graded, self.given_correct), (Some(graded), Some(given)) if graded != given)
    }
}

/// Whether a folder holds an imported run.
pub fn is_imported(run: &Path) -> bool {
    run.join("import.json").is_file()
}

/// Writes an imported run into a folder that holds no run yet.
///
/// # Errors
/// [`RunError::Mixed`] if there is one already; [`RunError::File`].
pub fn write(run: &Path, import: &Import, completions: &[Imported]) -> Result<(), RunError> {
    if is_imported(run) || run.join("manifest.json").exists() {
        return Err(RunError::Mixed { path: run.to_owned(), what: "content".into() });
    }
    std::fs::create_dir_all(run).map_err(file_error(run))?;
    write_completions(run, completions)?;
    let text = serde_json::to_string_pretty(import).expect("an import is plain data") + "\n";
    write_whole(&run.join("import.json"), &text)
}

/// Writes the completions anew, whole or not at all.
///
/// # Errors
/// [`RunError::File`].
pub fn write_completions(run: &Path, completions: &[Imported]) -> Result<(), RunError> {
    let line = |c: &Imported| serde_json::to_string(c).expect("a completion is plain data") + "\n";
    write_whole(&run.join("completions.jsonl"), &completions.iter().map(line).collect::<String>())
}

/// Reads an imported run.
///
/// # Errors
/// [`RunError::File`] or [`RunError::Malformed`].
pub fn read(run: &Path) -> Result<(Import, Vec<Imported>), RunError> {
    let read = |name: &str| {
        let path = run.join(name);
        std::fs::read_to_string(&path).map_err(file_error(&path)).map(|text| (path, text))
    };
    let (path, text) = read("import.json")?;
    let malformed = |path: &Path| {
        let path = path.to_owned();
        move |error: serde_json::Error| RunError::Malformed { path, message: error.to_string() }
    };
    let import: Import = serde_json::from_str(&text).map_err(malformed(&path))?;
    let (path, text) = read("completions.jsonl")?;
    let lines = text.lines().map(|line| serde_json::from_str(line).map_err(malformed(&path)));
    Ok((import, lines.collect::<Result<_, _>>()?))
}

/// Models and tasks that occur, in order.
pub fn series(completions: &[Imported]) -> BTreeSet<(&str, &str)> {
    completions.iter().map(|c| (c.model.as_str(), c.task.as_str())).collect()
}
