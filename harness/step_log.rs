//! The steps of a run on disk.
//!
//! `steps.jsonl` grows by whole lines while the run samples, beside the records and as safe from a crash
//! as they are: a resumed run appends to it. `steps.parquet` is the same as a table, made from it whenever a
//! report is made.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::json_lines;
use crate::run_error::{RunError, file_error};
use crate::step::Step;

/// A step with whose it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedStep {
    /// The model's name in the sweep.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Forced continuations of the series.
    pub waits: u32,
    /// The step.
    pub step: Step,
}

/// A run's `steps.jsonl`, open for appending.
#[derive(Debug)]
pub struct StepLog {
    path: PathBuf,
    file: File,
}

/// Where a run keeps its steps.
fn log_path(run: &Path) -> PathBuf {
    run.join("steps.jsonl")
}

impl StepLog {
    /// Opens the log of a run directory; a torn last line is cut off.
    ///
    /// # Errors
    /// [`RunError::File`].
    pub fn open(run: &Path) -> Result<Self, RunError> {
        let path = log_path(run);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(file_error(&path))?;
        cut_torn_tail(&path, &file).map_err(file_error(&path))?;
        Ok(Self { path, file })
    }

    /// Appends the steps of one model, task and series.
    ///
    /// # Errors
    /// [`RunError::File`].
    pub fn append(
        &mut self,
        model: &str,
        task: &str,
        waits: u32,
        steps: impl Iterator<Item = Step>,
    ) -> Result<(), RunError> {
        let mut lines = String::new();
        for step in steps {
            let logged = LoggedStep { model: model.to_owned(), task: task.to_owned(), waits, step };
            lines += &serde_json::to_string(&logged).expect("a step is plain data");
            lines.push('\n');
        }
        self.file.write_all(lines.as_bytes()).map_err(file_error(&self.path))
    }
}

fn cut_torn_tail(path: &Path, file: &File) -> std::io::Result<()> {
    let mut whole = 0;
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        whole += if line.ends_with(b"\n") { line.len() as u64 } else { 0 };
        line.clear();
    }
    if file.metadata()?.len() > whole { file.set_len(whole) } else { Ok(()) }
}

/// Hands every step of a run to `each`, in order; lines that are not steps are left out.
///
/// # Errors
/// [`RunError::File`] if the log is there and cannot be read.
pub fn for_each_step(run: &Path, each: impl FnMut(LoggedStep)) -> Result<(), RunError> {
    json_lines::for_each(&log_path(run), each).map(|_damaged| ())
}

/// All steps of a run.
///
/// # Errors
/// As [`for_each_step`].
pub fn read_steps(run: &Path) -> Result<Vec<LoggedStep>, RunError> {
    let mut steps = Vec::new();
    for_each_step(run, |step| steps.push(step))?;
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Load, StepKind};

    fn step(rows: u32) -> Step {
        let load = Load { rows, fed_tokens: rows, ..Load::default() };
        Step { kind: StepKind::Decode, load, seconds: 0.5, forward_s: 0.25, joules: None }
    }

    #[test]
    fn steps_are_appended_over_restarts_and_a_torn_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        StepLog::open(folder.path()).unwrap().append("m", "t", 0, [step(1), step(2)].into_iter()).unwrap();
        let path = log_path(folder.path());
        let mut torn = std::fs::read_to_string(&path).unwrap();
        torn += "{\"model\":\"m\",\"ta";
        std::fs::write(&path, torn).unwrap();
        StepLog::open(folder.path()).unwrap().append("m", "u", 1, [step(3)].into_iter()).unwrap();
        let rows: Vec<_> = read_steps(folder.path()).unwrap().iter().map(|s| s.step.load.rows).collect();
        assert_eq!(rows, [1, 2, 3]);
    }

    #[test]
    fn a_run_without_a_log_has_no_steps() {
        assert_eq!(read_steps(tempfile::tempdir().unwrap().path()).unwrap(), []);
    }
}
