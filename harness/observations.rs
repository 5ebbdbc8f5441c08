//! The records of a run as conclusions see them, by problem and number.
//!
//! A million trajectories are more than a gigabyte of text, of which conclusions need a few hundred bytes each. Reading
//! them here is one streaming pass: blocks of whole lines, parsed on all cores, texts skipped and never copied.
//! The same rules hold as for [`crate::run_directory::read_records`]: lines that are not records are left out (a field is
//! missing or unknown, or an answer has no time), and of two records of one trajectory the first counts. How many lines that
//! were is kept, for reports to say. One thing is not seen here: whether a text that is skipped is one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use rayon::prelude::*;

use crate::observation::{Observation, Observed};
use crate::problem::Seeds;
use crate::records::open_records;
use crate::run_error::{RunError, file_error};
use crate::trajectory::Trajectory;

/// Bytes that are read before they are parsed.
const BLOCK: usize = 16 << 20;

/// All trajectories of one problem in one series, by number.
#[derive(Clone, Debug)]
pub struct Sampled<'a> {
    /// The problem's id.
    pub problem: &'a str,
    /// Its trajectories.
    pub trajectories: Vec<&'a Observation>,
}

/// What shares trajectories.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Series {
    model: String,
    task: String,
    waits: u32,
}

impl Series {
    fn is(&self, model: &str, task: &str, waits: u32) -> bool {
        self.waits == waits && self.task == task && self.model == model
    }
}

/// A problem and its trajectories.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    variant_of: Option<String>,
    trajectories: Vec<Observation>,
}

/// The observations of a run.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// Few, so that looking one up compares a few names.
    series: Vec<(Series, BTreeMap<String, Seen>)>,
    count: usize,
    left_out: usize,
}

impl Observations {
    /// Of a run's `trajectories.jsonl`.
    ///
    /// # Errors
    /// [`RunError::NoRecords`], or [`RunError::File`] if the file cannot be read.
    pub fn read(run: &Path) -> Result<Self, RunError> {
        let path = run.join("trajectories.jsonl");
        let mut file = open_records(run)?;
        let (mut all, mut block, mut is_end) = (Self::default(), Vec::new(), false);
        while !is_end {
            is_end = fill(&mut file, &mut block).map_err(file_error(&path))?;
            let whole = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            let whole = if is_end { block.len() } else { whole };
            all.add_lines(&block[..whole]);
            block.drain(..whole);
        }
        Ok(all.in_order())
    }

    /// Of records in memory.
    pub fn of(records: &[Trajectory]) -> Self {
        let mut all = Self::default();
        all.add_all(records.iter().map(Observed::of));
        all.in_order()
    }

    /// Trajectories in all.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Lines that are no records, or a trajectory's second.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The problems of a series that have at least so many trajectories, by id.
    pub fn problems(&self, model: &str, task: &str, waits: u32, at_least: usize) -> Vec<Sampled<'_>> {
        let Some((_, problems)) = self.series.iter().find(|(series, _)| series.is(model, task, waits)) else {
            return Vec::new();
        };
        let complete = problems.iter().filter(|(_, seen)| seen.trajectories.len() >= at_least);
        complete
            .map(|(problem, seen)| Sampled { problem, trajectories: seen.trajectories.iter().collect() })
            .collect()
    }

    /// Of a task's problems: which is a variation of which.
    pub fn seeds(&self, task: &str) -> Seeds {
        let series = self.series.iter().filter(|(series, _)| series.task == task);
        let problems = series.flat_map(|(_, problems)| problems);
        problems.map(|(problem, seen)| (problem.clone(), seen.variant_of.clone())).collect()
    }

    /// Every trajectory.
    pub fn all(&self) -> impl Iterator<Item = &Observation> {
        self.series.iter().flat_map(|(_, problems)| problems.values()).flat_map(|seen| &seen.trajectories)
    }

    fn add_lines(&mut self, lines: &[u8]) {
        let parsed = lines.par_split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let parsed: Vec<Option<Observed>> = parsed.map(Observed::read).collect();
        self.add_all(parsed.into_iter());
    }

    fn add_all<'a>(&mut self, lines: impl Iterator<Item = Option<Observed<'a>>>) {
        for line in lines {
            match line {
                Some(observed) => self.add(observed),
                None => self.left_out += 1,
            }
        }
    }

    fn add(&mut self, Observed { model, task, waits, problem, variant_of, observation }: Observed) {
        let known = self.series.iter().position(|(series, _)| series.is(&model, &task, waits));
        let at = known.unwrap_or_else(|| {
            let series = Series { model: model.into_owned(), task: task.into_owned(), waits };
            self.series.push((series, BTreeMap::new()));
            self.series.len() - 1
        });
        let problems = &mut self.series[at].1;
        match problems.get_mut(&*problem) {
            Some(seen) => seen.trajectories.push(observation),
            None => {
                let seen =
                    Seen { variant_of: variant_of.map(Cow::into_owned), trajectories: vec![observation] };
                problems.insert(problem.into_owned(), seen);
            }
        }
    }

    /// Trajectories by number, the first of each.
    fn in_order(mut self) -> Self {
        for Seen { trajectories, .. } in self.series.iter_mut().flat_map(|(_, p)| p.values_mut()) {
            trajectories.sort_by_key(|observation| observation.trajectory);
            let lines = trajectories.len();
            trajectories.dedup_by_key(|observation| observation.trajectory);
            self.left_out += lines - trajectories.len();
            self.count += trajectories.len();
        }
        self
    }
}

/// Appends up to [`BLOCK`] bytes; whether the file has ended.
fn fill(file: &mut File, block: &mut Vec<u8>) -> std::io::Result<bool> {
    let read = file.take(BLOCK as u64).read_to_end(block)?;
    Ok(read < BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Budget;
    use crate::outcome::Outcome;
    use crate::run_directory::read_records_and_left_out;
    use crate::trajectory::{Answer, Thought, Timing};

    fn record(problem: &str, trajectory: u32) -> Trajectory {
        let answer = |budget: Budget, class: Option<&str>| Answer {
            budget,
            forced: budget != Budget::Max,
            reasoning_tokens: 3,
            answer_tokens: 2,
            text: "a \"quoted\" text, \\ and \u{e9}\n".into(),
            complete: true,
            logprob_mean: Some(-0.5),
            outcome: Outcome::Correct,
            extracted: None,
            rule: None,
            class: class.map(str::to_owned),
        };
        Trajectory {
            schema: crate::trajectory::SCHEMA,
            model: "m \"1\"".into(),
            task: "t".into(),
            problem: problem.into(),
            trajectory,
            waits: 0,
            question: "q".into(),
            gold: String::new(),
            variant_of: None,
            grader: String::new(),
            prompt_tokens: 4,
            reasoning: "r".repeat(50),
            reasoning_tokens: 3,
            thought: Thought::Closed,
            answers: vec![answer(Budget::Tokens(0), None), answer(Budget::Max, Some("x\ty"))],
            timing: Timing {
                prompt_s: 0.5,
                chain_s: 3.0,
                reasoning_s: vec![0.0, 2.0],
                answer_s: vec![0.25, 1.0],
            },
        }
    }

    fn lines(records: &[Trajectory]) -> String {
        records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect()
    }

    #[test]
    fn a_file_is_seen_as_its_records_are_whatever_their_order_and_names() {
        let folder = tempfile::tempdir().unwrap();
        let records = [record("b", 1), record("a", 0), record("b", 0), record("b", 1)];
        let torn = &lines(&records[..1])[..40];
        let text = lines(&records) + "{\"schema\":1}\n\n" + torn;
        std::fs::write(folder.path().join("trajectories.jsonl"), text).unwrap();
        let read = Observations::read(folder.path()).unwrap();
        let (whole, left_out) = read_records_and_left_out(folder.path()).unwrap();
        assert_eq!((&read.series, read.left_out()), (&Observations::of(&whole).series, left_out));
        assert_eq!(left_out, 3, "a trajectory's second, what is no record, and what is torn");
        let problems = read.problems("m \"1\"", "t", 0, 2);
        assert_eq!((read.len(), problems.len(), problems[0].problem), (3, 1, "b"));
        assert_eq!(problems[0].trajectories.iter().map(|t| t.trajectory).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_line_is_an_observation_exactly_where_it_is_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trajectories.jsonl");
        let line = serde_json::to_string(&record("p", 0)).unwrap();
        for (change, to, is_record) in [
            ("\"question\":\"q\"", "\"question\":\"q2\"", true),
            ("\"gold\":\"\",", "", false),
            ("\"forced\":true,", "", false),
            ("\"chain_s\":3.0,", "", false),
            ("\"schema\":", "\"colour\":1,\"schema\":", false),
            ("\"answer_s\":[0.25,1.0]", "\"answer_s\":[0.25]", false),
            ("\"reasoning_s\":[0.0,2.0]", "\"reasoning_s\":[0.0,2.0,3.0]", false),
        ] {
            assert!(line.contains(change), "{change}");
            std::fs::write(&path, line.replacen(change, to, 1) + "\n").unwrap();
            let seen = Observations::read(folder.path()).unwrap();
            let (whole, left_out) = read_records_and_left_out(folder.path()).unwrap();
            let expected = if is_record { (1, 0) } else { (0, 1) };
            assert_eq!((seen.len(), seen.left_out()), expected, "{change} to {to}");
            assert_eq!((whole.len(), left_out), expected, "{change} to {to}");
        }
    }

    #[test]
    fn a_variation_keeps_its_original_from_a_file_and_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let records = [
            record("a", 0),
            Trajectory { variant_of: Some("a".into()), ..record("a \"2\"", 0) },
            Trajectory { task: "u".into(), ..record("b", 0) },
        ];
        std::fs::write(folder.path().join("trajectories.jsonl"), lines(&records)).unwrap();
        let expected = Seeds::from([("a".into(), None), ("a \"2\"".into(), Some("a".into()))]);
        assert_eq!(Observations::read(folder.path()).unwrap().seeds("t"), expected);
        assert_eq!(Observations::of(&records).seeds("t"), expected);
    }

    #[test]
    fn a_file_larger_than_a_block_loses_no_line_at_the_seams() {
        let folder = tempfile::tempdir().unwrap();
        let mut long = record("p", 0);
        long.reasoning = "r".repeat(BLOCK / 7);
        let records: Vec<Trajectory> =
            (0..20).map(|trajectory| Trajectory { trajectory, ..long.clone() }).collect();
        std::fs::write(folder.path().join("trajectories.jsonl"), lines(&records)).unwrap();
        assert_eq!(Observations::read(folder.path()).unwrap().len(), 20);
    }

    #[test]
    fn an_observation_answers_and_counts_as_its_record_does() {
        let record = record("p", 0);
        let seen = Observations::of(std::slice::from_ref(&record));
        let one = seen.all().next().unwrap();
        for budget in [Budget::Tokens(0), Budget::Tokens(2), Budget::Tokens(8), Budget::Max] {
            let (of_record, of_seen) = (record.answer_at(budget), one.answer_at(budget));
            assert_eq!(of_record.map(|(_, answer)| answer.budget), of_seen.map(|answer| answer.budget));
        }
        assert_eq!((one.sampled_tokens(), one.device_s()), (record.sampled_tokens(), 3.25));
        assert!(one.answers[0].class.is_none() && one.answers[1].class.is_some());
    }

    #[test]
    fn a_run_whose_records_are_not_there_is_no_empty_run() {
        let read = Observations::read(Path::new("/nonexistent"));
        assert!(matches!(read, Err(RunError::NoRecords { .. })));
    }
}
