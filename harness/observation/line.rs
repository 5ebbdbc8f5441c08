//! A record's line, read without its texts.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Observation, ObservedAnswer};
use crate::cell::Budget;
use crate::outcome::Outcome;
use crate::record_line;
use crate::trajectory::{Answer, Thought, Trajectory};

/// A record's line: whose it is, and what was observed.
pub(crate) struct Observed<'a> {
    pub(crate) model: Cow<'a, str>,
    pub(crate) task: Cow<'a, str>,
    pub(crate) waits: u32,
    pub(crate) problem: Cow<'a, str>,
    pub(crate) variant_of: Option<Cow<'a, str>>,
    pub(crate) observation: Observation,
}

impl<'a> Observed<'a> {
    /// `None` if the line is damaged.
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        let is_intact = record_line::is_intact(line);
        is_intact.then(|| serde_json::from_slice::<Line>(line).ok())??.observed()
    }

    /// `None` if an answer has no time.
    pub(crate) fn of(record: &'a Trajectory) -> Option<Self> {
        let times = record.timing.reasoning_s.iter().zip(&record.timing.answer_s);
        let observation = Observation {
            trajectory: record.trajectory,
            prompt_tokens: record.prompt_tokens,
            reasoning_tokens: record.reasoning_tokens,
            thought: record.thought,
            prompt_s: record.timing.prompt_s,
            answers: record.answers.iter().zip(times).map(observed_answer).collect(),
        };
        record.is_timed().then(|| Self {
            model: Cow::Borrowed(&record.model),
            task: Cow::Borrowed(&record.task),
            waits: record.waits,
            problem: Cow::Borrowed(&record.problem),
            variant_of: record.variant_of.as_deref().map(Cow::Borrowed),
            observation,
        })
    }
}

fn observed_answer((answer, (reasoning_s, answer_s)): (&Answer, (&f64, &f64))) -> ObservedAnswer {
    ObservedAnswer {
        budget: answer.budget,
        reasoning_tokens: answer.reasoning_tokens,
        answer_tokens: answer.answer_tokens,
        outcome: answer.outcome,
        class: answer.class.as_deref().map(hash),
        logprob_mean: answer.logprob_mean,
        reasoning_s: *reasoning_s,
        answer_s: *answer_s,
    }
}

/// All fields of a record, so that one that is missing or unknown is seen; those that conclusions do not need are skipped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is skipped must be there all the same")]
struct Line<'a> {
    schema: u32,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    task: Cow<'a, str>,
    #[serde(borrow)]
    problem: Cow<'a, str>,
    trajectory: u32,
    waits: u32,
    question: IgnoredAny,
    gold: IgnoredAny,
    #[serde(borrow, default)]
    variant_of: Option<Name<'a>>,
    grader: IgnoredAny,
    prompt_tokens: u32,
    reasoning: IgnoredAny,
    reasoning_tokens: u32,
    thought: Thought,
    #[serde(borrow)]
    answers: Vec<LineAnswer<'a>>,
    timing: LineTiming,
    /// Of the line; it fits, or nothing is parsed.
    #[serde(default)]
    crc32: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is skipped must be there all the same")]
struct LineAnswer<'a> {
    budget: Budget,
    forced: bool,
    reasoning_tokens: u32,
    answer_tokens: u32,
    text: IgnoredAny,
    complete: bool,
    #[serde(default)]
    logprob_mean: Option<f64>,
    outcome: Outcome,
    #[serde(default)]
    extracted: IgnoredAny,
    #[serde(default)]
    rule: IgnoredAny,
    #[serde(borrow, default)]
    class: Option<Name<'a>>,
}

/// Borrowed where the text has no escapes; inside an `Option` serde would copy a bare `Cow`.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is skipped must be there all the same")]
struct LineTiming {
    prompt_s: f64,
    chain_s: f64,
    reasoning_s: Vec<f64>,
    answer_s: Vec<f64>,
}

impl<'a> Line<'a> {
    /// `None` if an answer has no time.
    fn observed(self) -> Option<Observed<'a>> {
        let LineTiming { prompt_s, reasoning_s, answer_s, .. } = self.timing;
        let is_timed = [&reasoning_s, &answer_s].iter().all(|times| times.len() == self.answers.len());
        let times = reasoning_s.iter().zip(&answer_s);
        let answers = self.answers.iter().zip(times).map(|(answer, times)| answer.observed(times));
        let observation = Observation {
            trajectory: self.trajectory,
            prompt_tokens: self.prompt_tokens,
            reasoning_tokens: self.reasoning_tokens,
            thought: self.thought,
            prompt_s,
            answers: answers.collect(),
        };
        let Self { model, task, waits, problem, .. } = self;
        let variant_of = self.variant_of.map(|name| name.0);
        is_timed.then_some(Observed { model, task, waits, problem, variant_of, observation })
    }
}

impl LineAnswer<'_> {
    fn observed(&self, (reasoning_s, answer_s): (&f64, &f64)) -> ObservedAnswer {
        ObservedAnswer {
            budget: self.budget,
            reasoning_tokens: self.reasoning_tokens,
            answer_tokens: self.answer_tokens,
            outcome: self.outcome,
            class: self.class.as_ref().map(|class| hash(&class.0)),
            logprob_mean: self.logprob_mean,
            reasoning_s: *reasoning_s,
            answer_s: *answer_s,
        }
    }
}

/// 64 bits of a class: two of a problem's classes fall together once in 10^17 problems.
fn hash(class: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    class.hash(&mut hasher);
    hasher.finish()
}
