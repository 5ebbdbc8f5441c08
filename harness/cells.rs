//! From observations to the rows of a result table.
//!
//! One pass over the observations serves all budgets, n and strategies; cells that share a budget share a [`Slice`].

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::cell::{Budget, Cell, Strategy};
use crate::flop::Network;
use crate::model_facts::ModelFacts;
use crate::observations::{Observations, Sampled};
use crate::outcome::Outcome;
use crate::price::{Price, Usage};
use crate::row::{Economy, PerProblem, Priced, Row};
use crate::slice::{Completion, Slice};
use crate::statistics::{
    CostOfPass, Level, OpenAbove, cost_of_pass, cost_per_correct, is_reliable, mean, mean_share,
};
use crate::sweep::{ModelEntry, Sweep, TaskEntry};
use crate::whole::{LeftOut, Whole, usual};

/// What is known beside the observations.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Of each model: its facts.
    pub models: BTreeMap<String, ModelFacts>,
    /// Of each model and task: joules of a device second, where a meter was there.
    pub joules_per_device_s: BTreeMap<(String, String), f64>,
}

/// The rows of a sweep's table, as far as `observations` go: only problems with all their trajectories count, and of these
/// only those with an answer at every budget ([`Whole`]), so that all budgets of a series have the same problems.
pub fn rows(sweep: &Sweep, observations: &Observations, known: &Known) -> Vec<Row> {
    let cells = sweep.cells();
    let slices: Vec<&[Cell]> = cells
        .chunk_by(|a, b| (&a.model, &a.task, a.waits, a.budget) == (&b.model, &b.task, b.waits, b.budget))
        .collect();
    slices.par_iter().flat_map_iter(|cells| rows_of_a_slice(sweep, observations, known, cells)).collect()
}

fn rows_of_a_slice(sweep: &Sweep, observations: &Observations, known: &Known, cells: &[Cell]) -> Vec<Row> {
    let Some(cell) = cells.first() else { return Vec::new() };
    let sampled = observations.problems(&cell.model, &cell.task, cell.waits, sweep.trajectories() as usize);
    let entry = sweep.models.iter().find(|model| model.name == cell.model);
    let mut budgets = entry.map(|model| usual(&sampled, sweep.budgets(model))).unwrap_or_default();
    budgets.push(cell.budget);
    let Whole { problems, left_out } = Whole::at(sampled, &budgets);
    let Some(slice) = Slice::new(&problems, cell.budget) else { return Vec::new() };
    let ids = problems.iter().map(|p| p.problem.to_owned()).collect();
    let series = SeriesFacts { ids, left_out, ..SeriesFacts::new(sweep, known, &cell.model, &cell.task) };
    cells.iter().map(|cell| row(sweep, &slice, &series, cell)).collect()
}

/// What stands beside a series' observations: its problems, and what prices them.
struct SeriesFacts {
    ids: Arc<[String]>,
    left_out: LeftOut,
    prices: Vec<Price>,
    network: Option<Network>,
    joules_per_device_s: Option<f64>,
}

impl SeriesFacts {
    fn new(sweep: &Sweep, known: &Known, model: &str, task: &str) -> Self {
        let facts = known.models.get(model);
        let network = facts.and_then(|facts| Some(Network::new(facts.parameters?, facts.shape.as_ref()?)));
        let joules = known.joules_per_device_s.get(&(model.to_owned(), task.to_owned())).copied();
        Self {
            ids: Arc::default(),
            left_out: LeftOut::default(),
            prices: sweep.all_prices().cloned().collect(),
            network,
            joules_per_device_s: joules,
        }
    }
}

fn row(sweep: &Sweep, slice: &Slice, series: &SeriesFacts, cell: &Cell) -> Row {
    let n = cell.n as usize;
    let trajectories = slice.trajectories();
    let correct = slice.correct(cell.strategy, n);
    let usage = slice.usage(cell.strategy, n, sweep.verifier.as_ref());
    let per_correct = |costs: &[f64]| ratio(costs, correct.as_deref());
    let of_usage = |amount: &dyn Fn(&Usage) -> f64| usage.iter().map(amount).collect::<Vec<f64>>();
    let device_s = of_usage(&|u| u.device_s);
    let sampled_tokens = of_usage(&|u| u.sampled_tokens);
    let joules = series.joules_per_device_s.map(|joules| of_usage(&|u| u.device_s * joules));
    let flop = series.network.map(|network| slice.flop(&network, n));
    let judged_usd = sweep.verifier.as_ref().filter(|_| cell.strategy == Strategy::Verifier);
    let judged_usd = judged_usd.map_or(0.0, |verifier| verifier.usd_per_answer * n as f64);
    let usd = |price: &Price| of_usage(&|u| price.usd(u) + judged_usd);
    Row {
        cell: cell.clone(),
        reliable: cell.strategy == Strategy::First || is_reliable(n, trajectories),
        problems: slice.problems(),
        ids: series.ids.clone(),
        left_out: series.left_out,
        trajectories,
        reasoning_tokens_mean: slice.mean(|c| c.reasoning_tokens),
        answer_tokens_mean: slice.mean(|c| c.answer_tokens),
        truncated_share: slice.mean(|c| share(c, Outcome::Truncated)),
        no_answer_share: slice.mean(|c| share(c, Outcome::NoAnswer)),
        device_s_mean: mean(&device_s),
        device_s_per_correct: per_correct(&device_s),
        tokens_per_correct: per_correct(&sampled_tokens),
        flop_mean: flop.as_deref().map(mean),
        flop_per_correct: flop.as_deref().and_then(per_correct),
        joules_mean: joules.as_deref().map(mean),
        joules_per_correct: joules.as_deref().and_then(per_correct),
        cost_of_pass_usd: series.prices.first().and_then(|price| cost_of_a_pass(slice, cell, &usd(price))),
        prices: series.prices.iter().map(|price| priced(price, &usd(price), per_correct)).collect(),
        accuracy: correct.as_ref().and_then(|c| mean_share(c, trajectories, Level::default()).ok()),
        per_problem: PerProblem {
            usd: series.prices.first().map(&usd).unwrap_or_default(),
            correct: correct.unwrap_or_default(),
            tokens: sampled_tokens,
            joules: joules.unwrap_or_default(),
            device_s,
        },
    }
}

fn priced(price: &Price, usd: &[f64], per_correct: impl Fn(&[f64]) -> Option<OpenAbove>) -> Priced {
    Priced { price: price.label().to_owned(), usd_mean: mean(usd), usd_per_correct: per_correct(usd) }
}

/// Of single completions only: what retrying against a free perfect checker costs.
fn cost_of_a_pass(slice: &Slice, cell: &Cell, usd: &[f64]) -> Option<CostOfPass> {
    let is_single = cell.strategy == Strategy::First;
    is_single.then(|| cost_of_pass(usd, &slice.tallies(), Level::default()).ok()).flatten()
}

fn ratio(costs: &[f64], correct: Option<&[f64]>) -> Option<OpenAbove> {
    cost_per_correct(costs, correct?, Level::default()).ok()
}

fn share(completion: &Completion, outcome: Outcome) -> f64 {
    f64::from(u8::from(completion.outcome == outcome))
}

/// What each model and task cost to sample, against its cells one by one.
pub fn economy(sweep: &Sweep, observations: &Observations) -> Vec<Economy> {
    let pairs = sweep.tasks.iter().flat_map(|task| sweep.models.iter().map(move |model| (task, model)));
    let of = |(task, model): (&TaskEntry, &ModelEntry)| {
        let problems = observations.problems(&model.name, &task.name, 0, sweep.trajectories() as usize);
        if problems.is_empty() {
            return None;
        }
        let (tokens, seconds) = by_budget(&problems, sweep.budgets(model));
        let per_n = |n: u32| f64::from(n) / f64::from(sweep.trajectories());
        let all_n: f64 = sweep.n.iter().map(|n| per_n(*n)).sum();
        let largest_n = sweep.n.last().map_or(1.0, |n| per_n(*n));
        let trajectories = || problems.iter().flat_map(|p| &p.trajectories);
        Some(Economy {
            model: model.name.clone(),
            task: task.name.clone(),
            grid_tokens: trajectories().map(|t| t.sampled_tokens()).sum(),
            dearest_cell_tokens: (tokens.last().copied().unwrap_or(0.0) * largest_n).round() as u64,
            cell_by_cell_tokens: (tokens.iter().sum::<f64>() * all_n).round() as u64,
            row_by_row_tokens: row_by_row(sweep, model, task, &tokens).round() as u64,
            grid_device_s: trajectories().map(|t| t.device_s()).sum(),
            cell_by_cell_device_s: seconds.iter().sum::<f64>() * all_n,
        })
    };
    pairs.filter_map(of).collect()
}

/// Tokens of every row by itself, from the tokens of all trajectories at each budget.
fn row_by_row(sweep: &Sweep, model: &ModelEntry, task: &TaskEntry, tokens: &[f64]) -> f64 {
    let budgets = sweep.budgets(model);
    let of = |cell: &Cell| {
        let at = budgets.iter().position(|budget| *budget == cell.budget)?;
        Some(tokens[at] * f64::from(cell.n) / f64::from(sweep.trajectories()))
    };
    let cells = sweep.cells();
    let own = |cell: &&Cell| cell.model == model.name && cell.task == task.name && cell.waits == 0;
    cells.iter().filter(own).filter_map(of).sum()
}

/// Tokens and device seconds that requests with each budget would have taken, all trajectories together.
fn by_budget(problems: &[Sampled], budgets: &[Budget]) -> (Vec<f64>, Vec<f64>) {
    let all = || problems.iter().flat_map(|p| &p.trajectories);
    let sum = |budget: &Budget| {
        all().filter_map(|t| t.answer_at(*budget)).fold((0.0, 0.0), |(tokens, seconds), answer| {
            let sampled = f64::from(answer.reasoning_tokens) + f64::from(answer.answer_tokens);
            (tokens + sampled, seconds + answer.reasoning_s + answer.answer_s)
        })
    };
    budgets.iter().map(sum).unzip()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cell_tables::groups;
    use crate::claims::simulated::Run;
    use crate::trajectory::Trajectory;
    use crate::whole::tests::forget;

    /// Models on one task at budgets of 0 and 32, two prices beside the seconds.
    pub(crate) fn sweep(models: &[&str]) -> Sweep {
        let model = |name: &&str| format!("{{ name = \"{name}\", source = \"none\" }}");
        let models: Vec<String> = models.iter().map(model).collect();
        let text = r#"
name = "s"
why = "a test"
seed = 1
budgets = [0, 32]
n = [1, 2]
trajectories = 4
strategies = ["first", "maj", "pass"]
tasks = [{ name = "chain" }]
prices = [{ device = "d", usd_per_device_hour = 3600.0, source = "s", date = "2026-01-01" }, "reasoning-api-2025"]
sampling = { temperature = 1.0 }
"#;
        Sweep::parse("s", &format!("{text}models = [{}]", models.join(", "))).unwrap()
    }

    /// Eight problems of that sweep, without models yet.
    pub(crate) fn run() -> Run {
        Run::new(8, 4).budgets(&[0, 32])
    }

    /// The records of a run on that sweep's task.
    pub(crate) fn records(run: &Run) -> Vec<Trajectory> {
        let records = run.records().into_iter();
        records.map(|record| Trajectory { task: "chain".into(), ..record }).collect()
    }

    /// Always right: 0 or 32 tokens of thought and 8 of the answer, a hundredth of a second each.
    fn observations() -> Observations {
        let run = run().model("a", |_, _| 1.0).seconds_per_token(0.01).time_jitter(0.0);
        Observations::of(&records(&run))
    }

    #[test]
    fn a_cell_that_is_always_right_costs_per_correct_answer_what_an_attempt_costs() {
        let rows = rows(&sweep(&["a"]), &observations(), &Known::default());
        let row = rows.iter().find(|row| row.cell.n == 2 && row.cell.budget == Budget::Tokens(32)).unwrap();
        // The prompt once (0.01 s), two completions of 40 tokens, at a dollar a second.
        assert!((row.device_s_mean - 0.81).abs() < 1e-9);
        let priced = &row.prices[0];
        let per_correct = priced.usd_per_correct.unwrap().value;
        assert!((priced.usd_mean - 0.81).abs() < 1e-9 && (per_correct - 0.81).abs() < 1e-9);
        assert!((row.tokens_per_correct.unwrap().value - 80.0).abs() < 1e-9);
        let api = 10.0 * (0.55 + 0.14) / 1e6 + 80.0 * 2.19 / 1e6;
        assert!((row.prices[1].usd_mean / api - 1.0).abs() < 1e-9, "{}", row.prices[1].usd_mean);
        assert!(row.flop_mean.is_none() && row.joules_mean.is_none() && row.cost_of_pass_usd.is_none());
    }

    #[test]
    fn one_answer_that_is_missing_takes_its_problem_and_not_the_cell() {
        let mut records = records(&run().model("a", |_, _| 1.0));
        forget(&mut records[9], Budget::Tokens(32));
        let rows = rows(&sweep(&["a"]), &Observations::of(&records), &Known::default());
        assert_eq!(rows.len(), 10);
        for row in &rows {
            assert_eq!((row.problems, row.left_out), (7, LeftOut { problems: 1, trajectories: 1 }));
            assert_eq!((row.ids.len(), &*row.ids[2]), (7, "p00003"));
        }
        let note = &groups(&rows)[0].accuracy(8).footnotes[0];
        assert!(note.starts_with("Left out at 0, 32: 1 of 8 problems") && note.ends_with(": 1."), "{note}");
    }

    #[test]
    fn joules_and_operations_are_there_when_a_meter_and_the_shape_are() {
        let facts = serde_json::json!({ "parameters": 1000, "shape": {
            "layers": 1, "feed_forward": 8, "heads": 1, "kv_heads": 1, "head_dim": 2, "width": 2, "vocab": 9, "tied": true } });
        let known = Known {
            models: BTreeMap::from([("a".to_owned(), ModelFacts::new(Some(&facts), None))]),
            joules_per_device_s: BTreeMap::from([(("a".to_owned(), "chain".to_owned()), 50.0)]),
        };
        let rows = rows(&sweep(&["a"]), &observations(), &known);
        let row = rows.iter().find(|row| row.cell.n == 1 && row.cell.budget == Budget::Tokens(32)).unwrap();
        assert!((row.joules_mean.unwrap() - 50.0 * 0.41).abs() < 1e-9);
        // 50 tokens, 2 N each, and 4 L H d for each pair.
        let flop = 2.0 * 1000.0 * 50.0 + 8.0 * 50.0 * 50.0 / 2.0;
        assert!((row.flop_mean.unwrap() - flop).abs() < 1e-6 && row.flop_per_correct.is_some());
    }

    #[test]
    fn the_economy_counts_every_budget_and_n_once_and_every_row_beside_it() {
        let found = &economy(&sweep(&["a"]), &observations())[0];
        let trajectories = 8 * 4;
        assert_eq!(found.grid_tokens, trajectories * (32 + 8 + 8));
        // n of 1 and 2 of 4 trajectories, at 8 and at 40 tokens.
        assert_eq!(found.cell_by_cell_tokens, trajectories * (8 + 40) * 3 / 4);
        // first at n = 1; maj and pass at 1 and 2.
        assert_eq!(found.row_by_row_tokens, trajectories * (8 + 40) * 7 / 4);
        assert_eq!(found.dearest_cell_tokens, trajectories * 40 / 2);
    }
}
