//! A row of the result table: one cell with everything measured and estimated for it.

use std::sync::Arc;

use crate::cell::Cell;
use crate::statistics::{CostOfPass, Estimate, OpenAbove};
use crate::whole::LeftOut;

/// One cell of the grid with its numbers. What does not exist is absent, never 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which cell.
    pub cell: Cell,
    /// Accuracy with its interval, clustered by problem.
    pub accuracy: Option<Estimate>,
    /// Whether enough distinct subsets of n exist among the trajectories (n at most half of them, or exact).
    pub reliable: bool,
    /// Problems.
    pub problems: usize,
    /// Their ids, in order: cells can be compared problem by problem only where these are equal.
    pub ids: Arc<[String]>,
    /// Problems with all trajectories that are left out, since some of these have no answer at a budget.
    pub left_out: LeftOut,
    /// Trajectories per problem (the fewest of any problem).
    pub trajectories: usize,
    /// Mean reasoning tokens of one completion.
    pub reasoning_tokens_mean: f64,
    /// Mean answer tokens of one completion.
    pub answer_tokens_mean: f64,
    /// Share of completions whose thought or answer ran out of tokens.
    pub truncated_share: f64,
    /// Share of completions in which no answer was found.
    pub no_answer_share: f64,
    /// Mean device seconds a problem takes at this n: the prompt once, then n completions.
    pub device_s_mean: f64,
    /// Device seconds per correct answer.
    pub device_s_per_correct: Option<OpenAbove>,
    /// What each problem cost and how often it was right, in the order of `ids`; for comparisons of cells.
    pub per_problem: PerProblem,
    /// Sampled tokens per correct answer (ratio of sums).
    pub tokens_per_correct: Option<OpenAbove>,
    /// Mean floating-point operations a problem takes at this n; absent if the model's shape is unknown.
    pub flop_mean: Option<f64>,
    /// Floating-point operations per correct answer.
    pub flop_per_correct: Option<OpenAbove>,
    /// Mean joules a problem takes at this n; absent without a meter.
    pub joules_mean: Option<f64>,
    /// Joules per correct answer.
    pub joules_per_correct: Option<OpenAbove>,
    /// Dollars at each of the sweep's prices, in their order.
    pub prices: Vec<Priced>,
    /// Cost of retrying until a correct answer, averaged over problems, in dollars at the first price; of single
    /// completions only.
    pub cost_of_pass_usd: Option<CostOfPass>,
}

/// A number for each problem.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerProblem {
    /// Expected accuracy; empty if it does not exist.
    pub correct: Vec<f64>,
    /// Device seconds.
    pub device_s: Vec<f64>,
    /// Dollars at the sweep's first price; empty without.
    pub usd: Vec<f64>,
    /// Tokens sampled in the n completions.
    pub tokens: Vec<f64>,
    /// Joules; empty without a meter.
    pub joules: Vec<f64>,
}

impl PerProblem {
    /// Only the problems at these places, in this order; a place beyond the end is left out.
    pub fn only(&self, places: &[usize]) -> Self {
        let only = |values: &Vec<f64>| places.iter().filter_map(|at| values.get(*at).copied()).collect();
        let Self { correct, device_s, usd, tokens, joules } = self;
        Self {
            correct: only(correct),
            device_s: only(device_s),
            usd: only(usd),
            tokens: only(tokens),
            joules: only(joules),
        }
    }
}

/// What a cell costs at one price.
#[derive(Clone, Debug, PartialEq)]
pub struct Priced {
    /// The price's label.
    pub price: String,
    /// Mean dollars a problem takes at this n.
    pub usd_mean: f64,
    /// Dollars per correct answer (ratio of sums); absent without a correct answer.
    pub usd_per_correct: Option<OpenAbove>,
}

impl Row {
    /// Dollars per correct answer at the sweep's first price.
    pub fn usd_per_correct(&self) -> Option<&OpenAbove> {
        self.prices.first()?.usd_per_correct.as_ref()
    }
}

/// What one model and task cost to sample, and what its dearest cell alone would have cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Economy {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Tokens sampled for the whole grid.
    pub grid_tokens: u64,
    /// Tokens of the single most expensive cell: the largest budget at the largest n.
    pub dearest_cell_tokens: u64,
    /// Tokens of every budget and n, each run by itself; strategies share the completions of their n.
    pub cell_by_cell_tokens: u64,
    /// Tokens of every row of the table, each strategy run by itself too.
    pub row_by_row_tokens: u64,
    /// Device seconds attributed to the whole grid, without prompts.
    pub grid_device_s: f64,
    /// Device seconds of all cells, each run by itself at the rate of this run, without prompts.
    pub cell_by_cell_device_s: f64,
}
