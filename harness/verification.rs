//! Verification: cells run alone for real, against what the grid and the surface said of them.
//!
//! The whole program rests on two claims: that a forked answer is that of a request run alone, and that seconds follow
//! from lengths. Here both are measured on cells of a run: same seeds, one problem at a time, n completions
//! together, the cell's budget as the only one. Tokens must be equal one by one; seconds and joules are predicted by
//! [`crate::replay`] before they are measured.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::cell::Budget;
use crate::engine::{Engine, EngineError, Generated, Settings};
use crate::latency_rows::Asked;
use crate::outcome::Outcome;
use crate::problem::Problem;
use crate::sampling::record;
use crate::statistics::{Estimate, Level, mean, paired_share_difference, quantile};
use crate::sweep::ModelEntry;
use crate::task::Task;
use crate::trajectory::Trajectory;

/// A cell, predicted and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellCheck {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Cap on reasoning tokens.
    pub budget: Budget,
    /// Completions of a request.
    pub n: u32,
    /// Problems, each a request.
    pub requests: usize,
    /// Tokens sampled, as the grid recorded them.
    pub tokens_recorded: u64,
    /// Tokens sampled, when the cell was run alone.
    pub tokens_alone: u64,
    /// Completions that were not the recorded ones, token for token.
    pub different_completions: usize,
    /// Share of correct completions, as recorded.
    pub accuracy_recorded: f64,
    /// Share of correct completions, alone.
    pub accuracy_alone: f64,
    /// Alone minus recorded, paired by problem; absent where there are too few problems for an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_difference: Option<Estimate>,
    /// Mean seconds of a request, predicted; absent where nothing could be predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e2e_predicted_s: Option<f64>,
    /// Mean seconds of a request, measured: the median over repeats of each, then the mean.
    pub e2e_measured_s: f64,
    /// Mean joules of a request, predicted; absent without a meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules_predicted: Option<f64>,
    /// Mean joules of a request, measured; absent without a meter or a valid window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules_measured: Option<f64>,
}

/// All cells that were checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// When, where and by what, for the reader.
    pub conditions: Vec<String>,
    /// The cells.
    pub cells: Vec<CellCheck>,
}

/// A problem with what the run recorded of it.
pub struct Recorded<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// The first n trajectories, by number.
    pub trajectories: Vec<&'a Trajectory>,
}

/// A cell that was run alone.
pub struct Alone {
    /// Trajectories of each request, by number.
    pub trajectories: Vec<Vec<Trajectory>>,
    /// Median seconds of each request.
    pub seconds: Vec<f64>,
    /// Requests run in all, repeats included.
    pub runs: usize,
}

/// Chooses up to `count` things to check, spread over models, tasks, budgets and n and over their combinations: each
/// time the one that has least in common with those chosen before. Series with forced continuations are left out.
pub fn choose(asked: &[Asked], count: usize) -> Vec<Asked> {
    let mut left: Vec<&Asked> = asked.iter().filter(|asked| asked.waits == 0).collect();
    let mut chosen: Vec<Asked> = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let in_common = |at: &usize| chosen.iter().map(|other| likeness(left[*at], other)).sum::<u32>();
        let least = (0..left.len()).min_by_key(in_common).unwrap_or(0);
        chosen.push(left.remove(least).clone());
    }
    chosen
}

/// The square of how many of its four values two cells share, so that sharing two at once weighs more than one twice.
fn likeness(a: &Asked, b: &Asked) -> u32 {
    let shared = [a.model == b.model, a.task == b.task, a.budget == b.budget, a.n == b.n];
    shared.into_iter().map(u32::from).sum::<u32>().pow(2)
}

/// Runs a cell alone, one problem at a time, `repeats` times over.
///
/// # Errors
/// If the engine fails.
pub fn run_alone(
    engine: &mut dyn Engine,
    model: &ModelEntry,
    task: &Task,
    settings: &Settings,
    recorded: &[Recorded],
    repeats: usize,
) -> Result<Alone, EngineError> {
    let request = |engine: &mut dyn Engine, recorded: &Recorded| {
        let problem = recorded.problem;
        let job = task.job(problem, recorded.trajectories.iter().map(|t| t.trajectory).collect());
        let mut generated: Vec<Generated> = Vec::new();
        let activity = engine.sample(&[job], settings, &mut |one| {
            generated.push(one);
            ControlFlow::Continue(())
        })?;
        generated.sort_by_key(|one| one.trajectory);
        let made = generated.into_iter().map(|one| record(model, task, problem, settings.waits, one));
        Ok((made.collect(), activity.wall_s - activity.handing_over_s))
    };
    // The first request warms caches and clocks up; it is not timed.
    recorded.first().map_or(Ok(()), |first| request(engine, first).map(|_: (Vec<Trajectory>, f64)| ()))?;
    let mut trajectories = Vec::new();
    let mut seconds = vec![Vec::new(); recorded.len()];
    for _ in 0..repeats.max(1) {
        trajectories.clear();
        for (recorded, seconds) in recorded.iter().zip(&mut seconds) {
            let (made, took) = request(engine, recorded)?;
            trajectories.push(made);
            seconds.push(took);
        }
    }
    let runs = 1 + recorded.len() * repeats.max(1);
    Ok(Alone { trajectories, seconds: seconds.into_iter().filter_map(median).collect(), runs })
}

/// Absent without values.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Trajectories of a request as recorded, and as sampled alone.
type Pair<'a> = (Vec<&'a Trajectory>, Vec<&'a Trajectory>);

/// Compares a cell run alone with its records; seconds and joules, predicted and measured, are per request.
pub fn compare(
    asked: &Asked,
    recorded: &[Recorded],
    alone: &Alone,
    e2e_predicted_s: Option<f64>,
    joules: (Option<f64>, Option<f64>),
) -> CellCheck {
    let budget = asked.budget;
    let pairs: Vec<Pair> = recorded
        .iter()
        .zip(&alone.trajectories)
        .map(|(recorded, alone)| (recorded.trajectories.clone(), alone.iter().collect()))
        .collect();
    let tokens = |side: &dyn Fn(&Pair) -> u64| pairs.iter().map(side).sum();
    let shares = |of: &dyn Fn(&Pair) -> f64| -> Vec<f64> { pairs.iter().map(of).collect() };
    let (before, after) = (shares(&|p| correct(&p.0, budget)), shares(&|p| correct(&p.1, budget)));
    CellCheck {
        model: asked.model.clone(),
        task: asked.task.clone(),
        budget,
        n: asked.n,
        requests: recorded.len(),
        tokens_recorded: tokens(&|pair| sampled(&pair.0, budget)),
        tokens_alone: tokens(&|pair| sampled(&pair.1, budget)),
        different_completions: pairs.iter().map(|pair| different(pair, budget)).sum(),
        accuracy_recorded: mean(&before),
        accuracy_alone: mean(&after),
        accuracy_difference: paired_share_difference(&after, &before, Level::default()).ok(),
        e2e_predicted_s,
        e2e_measured_s: mean(&alone.seconds),
        joules_predicted: joules.0,
        joules_measured: joules.1,
    }
}

fn sampled(trajectories: &[&Trajectory], budget: Budget) -> u64 {
    let tokens = |t: &&Trajectory| {
        t.answer_at(budget).map_or(0, |(_, a)| u64::from(a.reasoning_tokens) + u64::from(a.answer_tokens))
    };
    trajectories.iter().map(tokens).sum()
}

fn correct(trajectories: &[&Trajectory], budget: Budget) -> f64 {
    let is_correct =
        |t: &&&Trajectory| t.answer_at(budget).is_some_and(|(_, a)| a.outcome == Outcome::Correct);
    trajectories.iter().filter(is_correct).count() as f64 / trajectories.len().max(1) as f64
}

/// Completions that are not the same on both sides; one that is missing differs.
fn different((before, after): &Pair, budget: Budget) -> usize {
    let equal = before.iter().zip(after).filter(|(before, after)| is_same(before, after, budget)).count();
    before.len().max(after.len()) - equal
}

fn is_same(grid: &Trajectory, alone: &Trajectory, budget: Budget) -> bool {
    let (Some((_, a)), Some((_, b))) = (grid.answer_at(budget), alone.answer_at(budget)) else {
        return false;
    };
    // A cut may split a character; its replacement is no part of the longer text.
    let thought = alone.reasoning.trim_end_matches('\u{fffd}');
    let same_answer = (a.reasoning_tokens, a.answer_tokens, &a.text, a.complete)
        == (b.reasoning_tokens, b.answer_tokens, &b.text, b.complete);
    grid.trajectory == alone.trajectory && same_answer && grid.reasoning.starts_with(thought)
}

impl CellCheck {
    /// Predicted seconds over measured ones, minus 1; `None` where either is missing.
    pub fn e2e_error(&self) -> Option<f64> {
        let error = self.e2e_predicted_s? / self.e2e_measured_s - 1.0;
        error.is_finite().then_some(error)
    }

    /// Whether every completion was the recorded one.
    pub fn tokens_are_equal(&self) -> bool {
        self.different_completions == 0 && self.tokens_recorded == self.tokens_alone
    }

    /// Whether the difference in accuracy may be 0.
    pub fn accuracy_agrees(&self) -> bool {
        self.accuracy_difference.map_or(self.accuracy_alone == self.accuracy_recorded, |d| d.contains(0.0))
    }
}

impl Verification {
    /// The median size of the errors in seconds, and the largest; `None` where nothing was predicted.
    pub fn e2e_errors(&self) -> Option<(f64, f64)> {
        let errors: Vec<f64> = self.cells.iter().filter_map(|cell| Some(cell.e2e_error()?.abs())).collect();
        let worst = errors.iter().copied().reduce(f64::max)?;
        Some((median(errors)?, worst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Activity, Job, Sampling, Sink};
    use std::collections::BTreeSet;

    /// Generates nothing and remembers what it was asked.
    struct Listening(Vec<Job>);

    impl Engine for Listening {
        fn sample(&mut self, jobs: &[Job], _: &Settings, _: &mut Sink) -> Result<Activity, EngineError> {
            self.0.extend_from_slice(jobs);
            Ok(Activity::default())
        }

        fn prompt_tokens(&self, _: &Job) -> Result<usize, EngineError> {
            Ok(0)
        }
    }

    #[test]
    fn a_cell_run_alone_is_asked_what_the_run_was_asked() {
        let task = Task::open("gsm8k").unwrap();
        let problem =
            Problem { id: "p".into(), question: "How many?".into(), gold: "1".into(), variant_of: None };
        let model: ModelEntry = serde_json::from_str(r#"{"name": "m", "source": "s"}"#).unwrap();
        let sampling = Sampling { temperature: 0.8, top_k: None, top_p: None, min_p: None };
        let settings = Settings {
            budgets: vec![Budget::Max],
            policy: Default::default(),
            answer_tokens: 9,
            waits: 0,
            sampling,
            seed: 1,
        };
        let recorded = [Recorded { problem: &problem, trajectories: vec![] }];
        let mut engine = Listening(vec![]);
        run_alone(&mut engine, &model, &task, &settings, &recorded, 1).unwrap();
        let asked = task.job(&problem, vec![]);
        assert!(asked.question.contains("How many?") && asked.question != "How many?");
        assert_eq!(engine.0, [asked.clone(), asked]);
    }

    fn asked(model: usize, task: usize, budget: u32, n: u32) -> Asked {
        Asked {
            task: format!("t{task}"),
            model: format!("m{model}"),
            waits: 0,
            budget: Budget::Tokens(budget),
            n,
        }
    }

    #[test]
    fn a_few_cells_meet_every_model_task_budget_and_n() {
        let mut all = Vec::new();
        for (model, task) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
            for budget in [0, 32, 64, 128] {
                all.extend([1, 4, 16].map(|n| asked(model, task, budget, n)));
            }
        }
        let chosen = choose(&all, 8);
        let count = |values: BTreeSet<String>| values.len();
        assert_eq!(chosen.len(), 8);
        assert_eq!(count(chosen.iter().map(|a| a.model.clone()).collect()), 3);
        assert_eq!(count(chosen.iter().map(|a| a.task.clone()).collect()), 2);
        assert_eq!(count(chosen.iter().map(|a| a.budget.to_string()).collect()), 4);
        assert_eq!(count(chosen.iter().map(|a| a.n.to_string()).collect()), 3);
        assert_eq!(count(chosen.iter().map(|a| format!("{} {}", a.model, a.task)).collect()), 6);
        assert_eq!(choose(&all[..3], 8).len(), 3, "no more than there are");
    }
}
