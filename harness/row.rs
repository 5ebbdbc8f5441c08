//! A row of the result table: one cell with everything measured and estimated for it.

use crate::cell::Cell;
use crate::statistics::Estimate;

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
    /// Dollars per correct answer (ratio of sums) at the sweep's price; absent without a price or without a
    /// correct answer.
    pub usd_per_correct: Option<Estimate>,
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
    /// Tokens of all cells, each run by itself.
    pub cell_by_cell_tokens: u64,
}
