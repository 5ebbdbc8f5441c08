//! What one model of a run has done so far, and the line that shows it.
//!
//! Accuracy is that of single completions at the largest budget on the task under way, with the interval that the
//! report will use: problems are the clusters. Cost is what the recorded trajectories take at the sweep's first price,
//! those of an earlier session included. Tokens a second and the use of rows are of this session, from its steps.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use isocost_harness::outcome::Outcome;
use isocost_harness::price::{Price, Usage};
use isocost_harness::statistics::{Estimate, Level, Tally, accuracy};
use isocost_harness::step::Step;
use isocost_harness::trajectory::Trajectory;
use serde::Serialize;

/// A task and the number of its forced continuations: what is sampled together.
type Series = (String, u32);

/// What a model of a run has done so far.
pub(crate) struct SoFar {
    name: String,
    total: u64,
    /// Places of a batch.
    rows: u64,
    price: Option<Price>,
    steps: Receiver<Step>,
    began: Instant,
    /// Trajectories of this session.
    fresh: u64,
    recorded: u64,
    stepped: Stepped,
    under_way: Series,
    problems: BTreeMap<(Series, String), Tally>,
    usd: f64,
    finished_s: Option<f64>,
}

/// Sums over the steps of this session.
#[derive(Default)]
struct Stepped {
    steps: u64,
    row_steps: u64,
    tokens: u64,
}

/// The numbers as they stand; what is not known is absent.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    pub(crate) model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    pub(crate) trajectories: u64,
    pub(crate) of: u64,
    pub(crate) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens_per_s: Option<f64>,
    /// Share of the batch's places that steps filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) row_use: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usd: Option<f64>,
    /// Seconds left, if the rest goes as what was sampled in this session; absent before the first trajectory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_s: Option<f64>,
}

impl SoFar {
    /// Nothing yet of `total` trajectories, in batches of `rows`; `steps` are heard as they happen.
    pub(crate) fn new(
        name: &str,
        total: u64,
        rows: usize,
        price: Option<&Price>,
        steps: Receiver<Step>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            total,
            rows: rows as u64,
            price: price.cloned(),
            steps,
            began: Instant::now(),
            fresh: 0,
            recorded: 0,
            stepped: Stepped::default(),
            under_way: Series::default(),
            problems: BTreeMap::new(),
            usd: 0.0,
            finished_s: None,
        }
    }

    /// Counts a record of an earlier session.
    pub(crate) fn recall(&mut self, record: &Trajectory) {
        self.recorded += 1;
        self.under_way = (record.task.clone(), record.waits);
        let problem = (self.under_way.clone(), record.problem.clone());
        let tally = self.problems.entry(problem).or_insert(Tally { correct: 0, trajectories: 0 });
        tally.trajectories += 1;
        let is_correct = record.answers.last().is_some_and(|answer| answer.outcome == Outcome::Correct);
        tally.correct += usize::from(is_correct);
        let before = tally.trajectories - 1;
        self.usd += self.price.as_ref().map_or(0.0, |price| usd_of(price, record, before));
    }

    /// Counts a record of this session.
    pub(crate) fn record(&mut self, record: &Trajectory) {
        self.fresh += 1;
        self.recall(record);
        self.hear_steps();
    }

    /// The clock stops.
    pub(crate) fn finish(&mut self) {
        self.finished_s.get_or_insert(self.began.elapsed().as_secs_f64());
    }

    /// The numbers now.
    pub(crate) fn standing(&mut self) -> Standing {
        self.hear_steps();
        let seconds = self.finished_s.unwrap_or_else(|| self.began.elapsed().as_secs_f64());
        let Stepped { steps, row_steps, tokens } = self.stepped;
        let has_steps = steps > 0 && seconds > 0.0;
        let left = self.total.saturating_sub(self.recorded);
        Standing {
            model: self.name.clone(),
            task: Some(self.under_way.0.clone()).filter(|task| !task.is_empty()),
            trajectories: self.recorded,
            of: self.total,
            seconds,
            tokens_per_s: has_steps.then(|| tokens as f64 / seconds),
            row_use: has_steps.then(|| row_steps as f64 / (steps * self.rows.max(1)) as f64),
            accuracy: self.accuracy(),
            usd: self.price.is_some().then_some(self.usd),
            left_s: (self.fresh > 0).then(|| seconds / self.fresh as f64 * left as f64),
        }
    }

    fn hear_steps(&mut self) {
        for step in self.steps.try_iter() {
            self.stepped.steps += 1;
            self.stepped.row_steps += u64::from(step.load.rows);
            self.stepped.tokens += u64::from(step.load.sampled_tokens);
        }
    }

    fn accuracy(&self) -> Option<Estimate> {
        let of_series =
            |((series, _), tally): (&(Series, String), &Tally)| (*series == self.under_way).then_some(*tally);
        let tallies: Vec<Tally> = self.problems.iter().filter_map(of_series).collect();
        accuracy(&tallies, Level::default()).ok()
    }
}

/// What a record adds to the cost, after `before` others of its problem, with which it shares the prompt.
fn usd_of(price: &Price, record: &Trajectory, before: usize) -> f64 {
    let timing = &record.timing;
    let answers = record.answers.iter().zip(&timing.answer_s);
    let forced_s: f64 = answers.filter(|(answer, _)| answer.forced).map(|(_, seconds)| seconds).sum();
    let prompt_s = if before == 0 { timing.prompt_s } else { 0.0 };
    let prompts = |n: usize| {
        let prompt_tokens = if n == 0 { 0.0 } else { f64::from(record.prompt_tokens) };
        price.usd(&Usage { n: n as f64, prompt_tokens, ..Usage::default() })
    };
    let sampled = Usage {
        device_s: prompt_s + timing.chain_s + forced_s,
        sampled_tokens: record.sampled_tokens() as f64,
        ..Usage::default()
    };
    price.usd(&sampled) + prompts(before + 1) - prompts(before)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use isocost_harness::step::Load;
    use serde_json::json;

    use super::*;

    /// A record of 10 reasoning and 2 answer tokens, 1.5 device seconds, with a prompt of 100 tokens and half a second.
    fn record(task: &str, problem: &str, trajectory: u32, outcome: &str) -> Trajectory {
        let answer = |budget: serde_json::Value, forced: bool| {
            json!({ "budget": budget, "forced": forced, "reasoning_tokens": 10, "answer_tokens": 1, "text": "1",
                "complete": true, "outcome": outcome })
        };
        let record = json!({ "schema": 2, "model": "m", "task": task, "problem": problem, "trajectory": trajectory,
            "waits": 0, "question": "", "gold": "", "grader": "", "prompt_tokens": 100, "reasoning": "",
            "reasoning_tokens": 10, "thought": "closed",
            "answers": [answer(json!(8), true), answer(json!("max"), false)],
            "timing": { "prompt_s": 0.5, "chain_s": 1.0, "reasoning_s": [0.8, 0.9], "answer_s": [0.5, 0.1] } });
        serde_json::from_value(record).unwrap()
    }

    fn so_far(price: &str) -> (SoFar, Sender<Step>) {
        let price =
            Price::parse("p", &format!("device = \"d\"\nsource = \"s\"\ndate = \"2026-01-01\"\n{price}"));
        let (sender, steps) = channel();
        (SoFar::new("m", 8, 4, Some(&price.unwrap()), steps), sender)
    }

    #[test]
    fn accuracy_is_of_the_task_under_way_and_problems_are_its_clusters() {
        let (mut so_far, _steps) = so_far("usd_per_device_hour = 3600");
        so_far.recall(&record("a", "1", 0, "wrong"));
        for (problem, trajectory, outcome) in
            [("1", 0, "correct"), ("1", 1, "correct"), ("2", 0, "wrong"), ("2", 1, "correct")]
        {
            so_far.record(&record("b", problem, trajectory, outcome));
        }
        let standing = so_far.standing();
        let accuracy = standing.accuracy.unwrap();
        assert_eq!((standing.task.as_deref(), accuracy.value, accuracy.n), (Some("b"), 0.75, 2));
        assert_eq!((standing.trajectories, standing.of), (5, 8));
        assert_eq!((standing.tokens_per_s, standing.row_use), (None, None), "no step was heard");
    }

    #[test]
    fn cost_is_of_all_records_with_the_prompt_once_a_problem_and_the_natural_answer_once() {
        let (mut by_the_second, _steps) = so_far("usd_per_device_hour = 3600");
        let (mut by_the_token, _more) = so_far(
            "[api]\nusd_per_million_input = 1e6\nusd_per_million_cached_input = 1e5\nusd_per_million_output = 1e6",
        );
        for so_far in [&mut by_the_second, &mut by_the_token] {
            so_far.recall(&record("a", "1", 0, "wrong"));
            so_far.record(&record("a", "1", 1, "wrong"));
            so_far.record(&record("a", "2", 0, "wrong"));
        }
        assert!((by_the_second.standing().usd.unwrap() - (3.0 * 1.5 + 2.0 * 0.5)).abs() < 1e-9);
        assert!((by_the_token.standing().usd.unwrap() - (2.0 * 100.0 + 10.0 + 3.0 * 12.0)).abs() < 1e-9);
    }

    #[test]
    fn rows_and_rate_are_of_this_session_and_time_left_needs_a_record_of_it() {
        let (mut so_far, steps) = so_far("usd_per_device_hour = 1");
        for rows in [4, 2] {
            let load = Load { rows, sampled_tokens: rows, ..Load::default() };
            steps.send(Step { load, ..Step::default() }).unwrap();
        }
        so_far.recall(&record("a", "1", 0, "correct"));
        let standing = so_far.standing();
        assert_eq!((standing.row_use, standing.left_s), (Some(0.75), None));
        so_far.record(&record("a", "1", 1, "correct"));
        so_far.finish();
        let standing = so_far.standing();
        assert!((standing.left_s.unwrap() - 6.0 * standing.seconds).abs() < 1e-12);
        assert!((standing.tokens_per_s.unwrap() * standing.seconds - 6.0).abs() < 1e-9);
    }
}
