//! What each problem of a run asks, so that problems of two runs are paired only if they are the same.
//!
//! Generated tasks number their problems, so equal ids mean little; equal questions with equal reference answers do.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use serde::Deserialize;

use crate::run_error::{RunError, file_error};
use crate::trajectory::Trajectory;

/// Of each task and problem: a hash of question and reference answer.
#[derive(Clone, Debug, Default)]
pub struct Asked(HashMap<(String, String), u64>);

/// The part of a record that matters here.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    task: Cow<'a, str>,
    #[serde(borrow)]
    problem: Cow<'a, str>,
    #[serde(borrow)]
    question: Cow<'a, str>,
    #[serde(borrow)]
    gold: Cow<'a, str>,
}

impl Asked {
    /// Of a run's records; lines that are not records are left out.
    ///
    /// # Errors
    /// [`RunError::File`] if the file cannot be read.
    pub fn read(run: &Path) -> Result<Self, RunError> {
        let path = run.join("trajectories.jsonl");
        let reader = match File::open(&path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(file_error(&path)(error)),
        };
        let mut asked = Self::default();
        for line in reader.split(b'\n') {
            let line = line.map_err(file_error(&path))?;
            if let Ok(Line { task, problem, question, gold }) = serde_json::from_slice(&line) {
                asked.add(&task, &problem, &question, &gold);
            }
        }
        Ok(asked)
    }

    /// Of records in memory.
    pub fn of(records: &[Trajectory]) -> Self {
        let mut asked = Self::default();
        records.iter().for_each(|r| asked.add(&r.task, &r.problem, &r.question, &r.gold));
        asked
    }

    fn add(&mut self, task: &str, problem: &str, question: &str, gold: &str) {
        let mut hasher = DefaultHasher::new();
        (question, gold).hash(&mut hasher);
        self.0.entry((task.to_owned(), problem.to_owned())).or_insert(hasher.finish());
    }

    /// Equal for equal questions with equal reference answers.
    pub(super) fn hash(&self, task: &str, problem: &str) -> Option<u64> {
        self.0.get(&(task.to_owned(), problem.to_owned())).copied()
    }
}
