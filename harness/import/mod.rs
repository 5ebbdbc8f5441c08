//! Completions sampled by other tools, read from the files that those tools write.
//!
//! Each format has a file here that turns its rows into [`Imported`] completions and grades nothing. Contract: several
//! completions of one problem are its trajectories, numbered as the file says or else in their order; a row that cannot be
//! read is reported with its place and left out.

mod inspect;
mod jsonl;
mod lighteval;
mod lm_eval;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::grader::{Conventions, extract};
use crate::imported::Imported;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// lm-evaluation-harness: `samples_TASK_DATE.jsonl`, written with `--log_samples`.
    LmEval,
    /// lighteval: `details_TASK_DATE.parquet`, written with `--save-details`.
    Lighteval,
    /// inspect_ai: an eval log in JSON (`inspect log convert --to json` makes one of an `.eval` file).
    Inspect,
    /// Plain JSON lines, as the help text describes.
    Jsonl,
}

impl Format {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::LmEval => "lm-eval",
            Self::Lighteval => "lighteval",
            Self::Inspect => "inspect",
            Self::Jsonl => "jsonl",
        }
    }
}

/// Names for what a file does not name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The model.
    pub model: Option<String>,
    /// The task.
    pub task: Option<String>,
}

/// What was read of some files.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The completions, numbered.
    pub completions: Vec<Imported>,
    /// Rows that were left out, and other things to know, a line each.
    pub notes: Vec<String>,
    /// Rows that were left out because they cannot be read.
    pub left_out: usize,
    /// Of completions that the file numbers: which number, and where it says so.
    said: BTreeMap<usize, (u32, String)>,
}

impl Read {
    fn leave_out(&mut self, place: &str, reason: &str) {
        self.notes.push(format!("{place}: {reason}: left out"));
        self.left_out += 1;
    }

    /// Takes over what was read of `file`, whose name then stands before every place.
    fn add(&mut self, file: &Path, read: Self) {
        let place = |what: String| format!("{}: {what}", file.display());
        let before = self.completions.len();
        let said = read.said.into_iter();
        self.said.extend(said.map(|(at, (sample, row))| (before + at, (sample, place(row)))));
        self.completions.extend(read.completions);
        self.notes.extend(read.notes.into_iter().map(place));
        self.left_out += read.left_out;
    }

    /// Numbers the completions of each problem as their files do, and the others in their order with what is left.
    fn number(&mut self) -> Result<(), String> {
        let taken = self.numbered_by_files()?;
        let mut free: BTreeMap<Key, u32> = BTreeMap::new();
        let others = self.completions.iter_mut().enumerate().filter(|(at, _)| !self.said.contains_key(at));
        for (_, completion) in others {
            let key = key(completion);
            let next = free.entry(key.clone()).or_default();
            while taken.get(&key).is_some_and(|taken| taken.contains(next)) {
                *next += 1;
            }
            completion.trajectory = *next;
            *next += 1;
        }
        Ok(())
    }

    /// Takes over the numbers that files say; of each problem, which are taken.
    fn numbered_by_files(&mut self) -> Result<BTreeMap<Key, BTreeSet<u32>>, String> {
        let mut taken: BTreeMap<Key, BTreeSet<u32>> = BTreeMap::new();
        for (at, (sample, place)) in &self.said {
            let completion = &mut self.completions[*at];
            completion.trajectory = *sample;
            if !taken.entry(key(completion)).or_default().insert(*sample) {
                let problem = &completion.problem;
                return Err(format!(
                    "{place}: problem {problem} has a `sample` {sample} already: leave one out"
                ));
            }
        }
        Ok(taken)
    }
}

/// Model, task and problem: whose trajectories are numbered together.
type Key = (String, String, String);

fn key(completion: &Imported) -> Key {
    (completion.model.clone(), completion.task.clone(), completion.problem.clone())
}

/// Reads all files, in order.
///
/// # Errors
/// A file that cannot be read at all, or that numbers two completions of a problem alike, in one line that names it.
pub fn read(format: Format, files: &[&Path], names: &Names) -> Result<Read, String> {
    let mut all = Read::default();
    for file in files {
        let read = match format {
            Format::LmEval => lm_eval::read(file, names),
            Format::Lighteval => lighteval::read(file, names),
            Format::Inspect => inspect::read(file, names),
            Format::Jsonl => jsonl::read(file, names),
        };
        all.add(file, read.map_err(|message| format!("{}: {message}", file.display()))?);
    }
    all.number()?;
    Ok(all)
}

/// A reference answer as tools give it: bare, or at the end of a worked solution.
fn gold(text: &str) -> String {
    let is_solution = text.contains("####") || text.contains("\\boxed");
    let found = is_solution.then(|| extract(text, &Conventions::default())).flatten();
    found.map_or(text.trim().to_owned(), |found| found.text)
}

/// A tool's verdict: a truth value, 0 or 1, or a grade in a letter or a word. Partial credit is no verdict.
fn verdict(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "c" | "correct" | "true" | "yes" | "1" | "1.0" => Some(true),
            "i" | "n" | "incorrect" | "wrong" | "false" | "no" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The name between a prefix and the date that tools append: `samples_gsm8k_2025-01-02T03-04-05.678`.
fn task_in_name(file: &Path, prefix: &str) -> Option<String> {
    let stem = file.file_stem()?.to_str()?.strip_prefix(prefix)?;
    let is_date =
        |part: &str| part.len() >= 10 && part.as_bytes()[4] == b'-' && part[..4].parse::<u32>().is_ok();
    let task = stem.rsplit_once('_').filter(|(_, date)| is_date(date)).map_or(stem, |(task, _)| task);
    (!task.is_empty()).then(|| task.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_gold_may_be_a_worked_solution() {
        assert_eq!(gold("16 - 3 = 13\n#### 1,234"), "1,234");
        assert_eq!(gold("so $\\boxed{\\frac12}$."), "\\frac12");
        assert_eq!(gold(" 18 "), "18");
    }

    #[test]
    fn verdicts_are_read_and_partial_credit_is_none() {
        for right in [json!(true), json!(1), json!(1.0), json!("C"), json!("correct")] {
            assert_eq!(verdict(&right), Some(true), "{right}");
        }
        for wrong in [json!(false), json!(0.0), json!("I"), json!("N")] {
            assert_eq!(verdict(&wrong), Some(false), "{wrong}");
        }
        assert_eq!(verdict(&json!(0.5)), None);
        assert_eq!(verdict(&json!("P")), None);
    }

    #[test]
    fn the_task_stands_between_prefix_and_date() {
        let task = |name: &str| task_in_name(Path::new(name), "samples_");
        assert_eq!(
            task("out/samples_gsm8k_cot_2025-01-02T03-04-05.678901.jsonl").as_deref(),
            Some("gsm8k_cot")
        );
        assert_eq!(task("samples_gsm8k.jsonl").as_deref(), Some("gsm8k"));
        assert_eq!(task("other.jsonl"), None);
    }
}
