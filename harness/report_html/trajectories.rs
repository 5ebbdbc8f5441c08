//! The trajectories that a page carries: compact, compressed, and no more than a browser takes with ease.
//!
//! Which ones is decided by the run alone: the first trajectories of every problem, as many as fit; of problems, every
//! k-th if even one trajectory of each is too much.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use crate::escape;
use crate::observations::Observations;
use crate::run_directory::read_records_where;
use crate::run_error::RunError;
use crate::trajectory::{Answer, Thought, Trajectory};

/// Bytes of records that are made compact and compressed for a page: those of 100,000 short trajectories.
const MOST_BYTES: u64 = 192 << 20;
/// Bytes that they may then take in the page.
const MOST_DATA: u64 = 4 << 20;
/// How hard to compress, of 10.
const EFFORT: u8 = 8;

/// Trajectories for a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedded {
    /// Base64 of raw deflate of JSON, see [`Browser`]; empty without trajectories.
    pub data: String,
    /// Trajectories in it.
    pub carried: usize,
    /// Trajectories of the run.
    pub recorded: usize,
    /// Which were taken, in words.
    pub choice: String,
}

/// What the page's script reads.
#[derive(Serialize)]
struct Browser {
    models: Vec<String>,
    tasks: Vec<String>,
    problems: Vec<Asked>,
    trajectories: Vec<Shown>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Asked {
    task: usize,
    id: String,
    question: String,
    gold: String,
}

#[derive(Serialize)]
struct Shown {
    /// Indices of model and problem.
    m: usize,
    p: usize,
    /// Its number and its forced continuations.
    k: u32,
    w: u32,
    /// The thought, its tokens, and how it ended.
    r: String,
    t: u32,
    e: Thought,
    /// Whether cuts are exact, and not estimated from the length of the text.
    x: bool,
    a: Vec<ShownAnswer>,
}

#[derive(Serialize)]
struct ShownAnswer {
    /// Budget, tokens of thought, tokens of the answer, its text, what was graded, the outcome.
    b: String,
    t: u32,
    n: u32,
    s: String,
    g: Option<String>,
    o: crate::outcome::Outcome,
    /// UTF-16 units of the thought before the cut.
    c: usize,
}

impl Embedded {
    /// Of a run.
    ///
    /// # Errors
    /// [`RunError::File`] if the records cannot be read.
    pub fn read(run: &Path, observations: &Observations) -> Result<Self, RunError> {
        let bytes = std::fs::metadata(run.join("trajectories.jsonl")).map_or(0, |file| file.len());
        let most = observations.all().map(|one| one.trajectory + 1).max().unwrap_or(0);
        let mut allowed = MOST_BYTES;
        loop {
            let choice = Choice::new((bytes, most), allowed);
            let records = read_records_where(run, |problem, number| choice.takes(problem, number))?;
            let embedded = Self::of(&records, observations.len(), choice.words(most));
            let data = embedded.data.len() as u64;
            if data <= MOST_DATA {
                return Ok(embedded);
            }
            allowed = narrowed(allowed.min(bytes), data);
        }
    }

    /// Of records in memory.
    pub fn of(records: &[Trajectory], recorded: usize, choice: String) -> Self {
        if records.is_empty() {
            return Self { recorded, choice, ..Self::default() };
        }
        let json = serde_json::to_vec(&browser(records)).expect("a browser is plain data");
        let data = BASE64_STANDARD.encode(miniz_oxide::deflate::compress_to_vec(&json, EFFORT));
        Self { data, carried: records.len(), recorded, choice }
    }
}

/// Bytes of records that fit after so many took `data` bytes of the page: long thoughts are fewer. Always less than before.
fn narrowed(taken: u64, data: u64) -> u64 {
    (u128::from(taken) * u128::from(MOST_DATA) / u128::from(data.max(1))).min(u128::from(taken * 7 / 8))
        as u64
}

/// Which records are taken.
struct Choice {
    trajectories: u32,
    every: u64,
}

impl Choice {
    /// Of records of so many bytes, with at most so many trajectories a problem, those that take `allowed` bytes.
    fn new((bytes, most): (u64, u32), allowed: u64) -> Self {
        let allowed = allowed.max(1);
        let fits = allowed * u64::from(most) / bytes.max(1);
        let trajectories = u32::try_from(fits).unwrap_or(u32::MAX).clamp(1, most.max(1));
        let of_these = bytes * u64::from(trajectories) / u64::from(most.max(1));
        Self { trajectories, every: of_these.div_ceil(allowed).max(1) }
    }

    fn takes(&self, problem: &str, number: u32) -> bool {
        number < self.trajectories && (self.every == 1 || lot(problem).is_multiple_of(self.every))
    }

    fn words(&self, most: u32) -> String {
        match (self.trajectories >= most, self.every) {
            (true, 1) => "all of them".into(),
            (_, 1) => format!("the first {} of every problem's {most}", self.trajectories),
            (_, every) => {
                format!("the first of {most}, of about one problem in {every}, drawn by the hash of its id")
            }
        }
    }
}

/// A number that follows from a problem's id alone (FNV-1a), so that all models show the same problems.
fn lot(problem: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    problem.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 7
}

fn browser(records: &[Trajectory]) -> Browser {
    let mut sorted: Vec<&Trajectory> = records.iter().collect();
    let models = in_order(records.iter().map(|record| record.model.as_str()));
    let tasks = in_order(records.iter().map(|record| record.task.as_str()));
    let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name).unwrap_or(0);
    let key = |r: &&Trajectory| {
        (place(&tasks, &r.task), place(&models, &r.model), r.problem.clone(), r.waits, r.trajectory)
    };
    sorted.sort_by_cached_key(key);
    let asked = |r: &Trajectory| Asked {
        task: place(&tasks, &r.task),
        id: escape::visible(&r.problem),
        question: shown(&r.question),
        gold: shown(&r.gold),
    };
    let mut problems: BTreeMap<Asked, usize> = sorted.iter().map(|r| (asked(r), 0)).collect();
    problems.values_mut().enumerate().for_each(|(at, place)| *place = at);
    let trajectories = sorted.iter().map(|r| trajectory(r, place(&models, &r.model), problems[&asked(r)]));
    Browser {
        trajectories: trajectories.collect(),
        models: models.into_iter().map(escape::visible).collect(),
        tasks: tasks.into_iter().map(escape::visible).collect(),
        problems: problems.into_keys().collect(),
    }
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

fn trajectory(record: &Trajectory, m: usize, p: usize) -> Shown {
    let reasoning = shown(&record.reasoning);
    let cuts = Cuts::new(&reasoning, record.reasoning_tokens);
    let answer = |answer: &Answer| ShownAnswer {
        b: answer.budget.to_string(),
        t: answer.reasoning_tokens,
        n: answer.answer_tokens,
        s: shown(&answer.text),
        g: answer.extracted.as_deref().filter(|found| *found != answer.text).map(shown),
        o: answer.outcome,
        c: cuts.at(answer.reasoning_tokens),
    };
    Shown {
        m,
        p,
        k: record.trajectory,
        w: record.waits,
        t: record.reasoning_tokens,
        e: record.thought,
        x: cuts.is_exact,
        a: record.answers.iter().map(answer).collect(),
        r: reasoning,
    }
}

/// Text with the invisible made visible, line by line.
fn shown(text: &str) -> String {
    text.split('\n').map(escape::visible).collect::<Vec<_>>().join("\n")
}

/// Where a thought was cut. Records hold texts, not tokens: a cut is exact where every word is a token, and else at
/// the word boundary after the same share of the text.
struct Cuts {
    /// UTF-16 units before the end of each word.
    ends: Vec<usize>,
    units: usize,
    tokens: u32,
    is_exact: bool,
}

impl Cuts {
    fn new(text: &str, tokens: u32) -> Self {
        let (mut ends, mut units, mut in_word) = (Vec::new(), 0, false);
        for character in text.chars() {
            if in_word && character.is_whitespace() {
                ends.push(units);
            }
            in_word = !character.is_whitespace();
            units += character.len_utf16();
        }
        ends.extend(in_word.then_some(units));
        Self { is_exact: ends.len() == tokens as usize, ends, units, tokens }
    }

    fn at(&self, tokens: u32) -> usize {
        if tokens == 0 {
            return 0;
        }
        if self.is_exact {
            return self.ends.get(tokens as usize - 1).copied().unwrap_or(self.units);
        }
        let share = f64::from(tokens) / f64::from(self.tokens.max(1));
        let wanted = (share * self.units as f64).round() as usize;
        self.ends.iter().copied().find(|end| *end >= wanted).unwrap_or(self.units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_exact_where_words_are_tokens_and_else_by_share() {
        let exact = Cuts::new("ab c  de", 3);
        assert_eq!((exact.is_exact, [0, 1, 2, 3].map(|t| exact.at(t))), (true, [0, 2, 4, 8]));
        let about = Cuts::new("abcd efgh 😀", 6);
        assert_eq!((about.is_exact, about.at(3), about.at(6)), (false, 9, 12));
    }

    #[test]
    fn thoughts_that_take_more_of_the_page_are_thinned_until_they_fit() {
        for share in [0.05, 0.5, 0.99] {
            let (mut taken, mut tries) = (MOST_BYTES, 0);
            while (taken as f64 * share) as u64 > MOST_DATA {
                taken = narrowed(taken, (taken as f64 * share) as u64);
                tries += 1;
            }
            assert!(
                taken as f64 * share > 0.8 * MOST_DATA as f64 && (1..4).contains(&tries),
                "{share}: {tries}"
            );
        }
        assert_eq!(narrowed(1, u64::MAX), 0);
    }

    #[test]
    fn as_many_trajectories_are_taken_as_fit_and_then_fewer_problems() {
        let all = Choice::new((1 << 20, 16), 16 << 20);
        assert_eq!((all.trajectories, all.every, all.words(16).as_str()), (16, 1, "all of them"));
        let some = Choice::new((64 << 20, 16), 16 << 20);
        assert_eq!((some.trajectories, some.every), (4, 1));
        let few = Choice::new((1 << 30, 16), 16 << 20);
        assert_eq!((few.trajectories, few.every), (1, 4));
        let taken = (0..4000).filter(|id| few.takes(&format!("p-{id}"), 0)).count();
        assert!((800..1200).contains(&taken), "{taken}");
    }
}
