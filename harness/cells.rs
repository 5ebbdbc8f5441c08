//! From trajectories to the rows of a result table.
//!
//! Everything is computed per problem first and averaged over problems after, since problems are the
//! clusters of every interval. One pass over the records serves all budgets, n and strategies.

use std::collections::{BTreeMap, HashMap};

use crate::cell::{Budget, Cell, Strategy};
use crate::outcome::Outcome;
use crate::price::Price;
use crate::row::{Economy, Row};
use crate::statistics::{
    Bootstrap, Level, Subsets, Vote, cost_per_correct, is_reliable, mean_share, strategy_per_problem,
};
use crate::sweep::Sweep;
use crate::trajectory::{Answer, Trajectory};

/// A problem's trajectories in one series, by number.
type Trajectories<'a> = Vec<&'a Trajectory>;

/// The rows of a sweep's table, as far as `records` go: only problems with all their trajectories count.
pub fn rows(sweep: &Sweep, records: &[Trajectory]) -> Vec<Row> {
    let groups = group(sweep, records);
    let mut rows = Vec::new();
    let mut last: Option<Slice> = None;
    for cell in sweep.cells() {
        let Some(problems) = groups.get(&(cell.model.as_str(), cell.task.as_str(), cell.waits)) else {
            continue;
        };
        let key = (cell.model.clone(), cell.task.clone(), cell.waits, cell.budget);
        if last.as_ref().is_none_or(|slice| slice.key != key) {
            last = Slice::new(key, problems);
        }
        rows.extend(last.as_ref().map(|slice| slice.row(cell, sweep.price.as_ref())));
    }
    rows
}

type Groups<'a> = HashMap<(&'a str, &'a str, u32), Vec<Trajectories<'a>>>;

fn group<'a>(sweep: &Sweep, records: &'a [Trajectory]) -> Groups<'a> {
    let mut by_problem: BTreeMap<(&str, &str, u32, &str), Trajectories> = BTreeMap::new();
    for t in records {
        by_problem.entry((&t.model, &t.task, t.waits, &t.problem)).or_default().push(t);
    }
    let mut groups = Groups::new();
    for ((model, task, waits, _), mut trajectories) in by_problem {
        if trajectories.len() >= sweep.trajectories() as usize {
            trajectories.sort_by_key(|t| t.trajectory);
            groups.entry((model, task, waits)).or_default().push(trajectories);
        }
    }
    groups
}

/// One model, task and budget: what all its n and strategies share.
struct Slice {
    key: (String, String, u32, Budget),
    /// Answers and their device seconds, by problem and trajectory.
    completions: Vec<Vec<Completion>>,
    prompt_s: Vec<f64>,
}

struct Completion {
    outcome: Outcome,
    class: Option<usize>,
    logprob_mean: Option<f64>,
    reasoning_tokens: f64,
    answer_tokens: f64,
    device_s: f64,
}

impl Slice {
    /// `None` if a trajectory was not sampled up to this budget.
    fn new(key: (String, String, u32, Budget), problems: &[Trajectories]) -> Option<Self> {
        let completions = problems.iter().map(|t| completions(t, key.3)).collect::<Option<Vec<_>>>()?;
        let prompt_s = problems.iter().map(|t| t.first().map_or(0.0, |t| t.timing.prompt_s)).collect();
        Some(Self { key, completions, prompt_s })
    }

    fn row(&self, cell: Cell, price: Option<&Price>) -> Row {
        let n = cell.n as usize;
        let trajectories = self.completions.iter().map(Vec::len).min().unwrap_or(0);
        let correct = self.correct_per_problem(cell.strategy, n);
        let device_s: Vec<f64> = (0..self.completions.len()).map(|i| self.device_s(i, n)).collect();
        let usd_per_correct = price.zip(correct.as_ref()).and_then(|(price, correct)| {
            let usd: Vec<f64> = device_s.iter().map(|s| price.usd(*s)).collect();
            cost_per_correct(&usd, correct, Bootstrap::default()).ok()
        });
        Row {
            accuracy: correct.and_then(|c| mean_share(&c, trajectories, Level::default()).ok()),
            reliable: reliable(cell.strategy, n, trajectories),
            problems: self.completions.len(),
            trajectories,
            reasoning_tokens_mean: self.mean(|c| c.reasoning_tokens),
            answer_tokens_mean: self.mean(|c| c.answer_tokens),
            truncated_share: self.mean(|c| share(c.outcome == Outcome::Truncated)),
            no_answer_share: self.mean(|c| share(c.outcome == Outcome::NoAnswer)),
            device_s_mean: device_s.iter().sum::<f64>() / device_s.len().max(1) as f64,
            usd_per_correct,
            cell,
        }
    }

    /// Expected accuracy of each problem; `None` if there are fewer than n trajectories.
    fn correct_per_problem(&self, strategy: Strategy, n: usize) -> Option<Vec<f64>> {
        let votes: Vec<Vec<Vote>> =
            self.completions.iter().map(|c| c.iter().map(|c| c.vote(strategy)).collect()).collect();
        strategy_per_problem(&votes, n, estimator(strategy), Subsets::default()).ok()
    }

    /// Mean device seconds of `n` completions of a problem, its prompt read once.
    fn device_s(&self, problem: usize, n: usize) -> f64 {
        let completions = &self.completions[problem];
        let mean = completions.iter().map(|c| c.device_s).sum::<f64>() / completions.len().max(1) as f64;
        self.prompt_s[problem] + n as f64 * mean
    }

    /// Mean over problems of the mean over completions.
    fn mean(&self, value: impl Fn(&Completion) -> f64) -> f64 {
        let per_problem =
            self.completions.iter().map(|c| c.iter().map(&value).sum::<f64>() / c.len().max(1) as f64);
        per_problem.sum::<f64>() / self.completions.len().max(1) as f64
    }
}

fn share(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

fn completions(trajectories: &[&Trajectory], budget: Budget) -> Option<Vec<Completion>> {
    let mut classes: HashMap<&str, usize> = HashMap::new();
    trajectories
        .iter()
        .map(|trajectory| {
            let (index, answer) = trajectory.answer_at(budget)?;
            let next = classes.len();
            let class = answer.class.as_deref().map(|class| *classes.entry(class).or_insert(next));
            let timing = &trajectory.timing;
            let device_s = timing.reasoning_s.get(index)? + timing.answer_s.get(index)?;
            Some(Completion::new(answer, class, device_s))
        })
        .collect()
}

impl Completion {
    fn new(answer: &Answer, class: Option<usize>, device_s: f64) -> Self {
        Self {
            outcome: answer.outcome,
            class,
            logprob_mean: answer.logprob_mean,
            reasoning_tokens: f64::from(answer.reasoning_tokens),
            answer_tokens: f64::from(answer.answer_tokens),
            device_s,
        }
    }

    fn vote(&self, strategy: Strategy) -> Vote {
        let correct = self.outcome == Outcome::Correct;
        let score = match strategy {
            Strategy::Verifier => share(correct),
            Strategy::Weighted => self.logprob_mean.map_or(0.0, f64::exp),
            _ => self.logprob_mean.unwrap_or(f64::NEG_INFINITY),
        };
        Vote { correct, answer: self.class, score, tokens: self.reasoning_tokens + self.answer_tokens }
    }
}

fn estimator(strategy: Strategy) -> crate::statistics::Strategy {
    use crate::statistics::Strategy as Estimator;
    match strategy {
        Strategy::First => Estimator::First,
        Strategy::Maj => Estimator::Majority,
        Strategy::Weighted => Estimator::Weighted,
        Strategy::Score | Strategy::Verifier => Estimator::BestOfN,
        Strategy::Shortest => Estimator::Shortest,
        Strategy::Pass => Estimator::PassAtK,
    }
}

fn reliable(strategy: Strategy, n: usize, trajectories: usize) -> bool {
    strategy == Strategy::First || is_reliable(n, trajectories)
}

/// What each model and task cost to sample, against its cells one by one.
pub fn economy(sweep: &Sweep, records: &[Trajectory]) -> Vec<Economy> {
    let groups = group(sweep, records);
    let mut found = Vec::new();
    for task in &sweep.tasks {
        for model in &sweep.models {
            let Some(problems) = groups.get(&(model.name.as_str(), task.name.as_str(), 0)) else { continue };
            let trajectories: Vec<&Trajectory> = problems.iter().flatten().copied().collect();
            let per_n = |n: u32| f64::from(n) / f64::from(sweep.trajectories());
            let tokens: Vec<f64> = sweep
                .budgets(model)
                .iter()
                .map(|b| trajectories.iter().map(|t| tokens_at(t, *b)).sum())
                .collect();
            let all_n: f64 = sweep.n.iter().map(|n| per_n(*n)).sum();
            let largest_n = sweep.n.last().map_or(1.0, |n| per_n(*n));
            found.push(Economy {
                model: model.name.clone(),
                task: task.name.clone(),
                grid_tokens: trajectories.iter().map(|t| t.sampled_tokens()).sum(),
                dearest_cell_tokens: (tokens.last().copied().unwrap_or(0.0) * largest_n).round() as u64,
                cell_by_cell_tokens: (tokens.iter().sum::<f64>() * all_n).round() as u64,
            });
        }
    }
    found
}

/// Tokens that a request with this budget would have sampled.
fn tokens_at(trajectory: &Trajectory, budget: Budget) -> f64 {
    trajectory
        .answer_at(budget)
        .map_or(0.0, |(_, a)| f64::from(a.reasoning_tokens) + f64::from(a.answer_tokens))
}
