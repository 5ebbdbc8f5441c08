//! The Pareto front of a task's cells: those that no other beats on both cost and accuracy, and how surely.

use std::collections::HashSet;

use crate::bargain::{comparable, is_candidate};
use crate::cell::{Cell, Strategy};
use crate::currency::Currency;
use crate::row::Row;
use crate::statistics::{Bootstrap, OnFront, PricedCell, Undefined, pareto_front};

/// A cell that could be chosen, and whether it is on the front.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The cell.
    pub row: &'a Row,
    /// On the front of the means, and in which share of resamplings of the problems.
    pub on_front: OnFront,
}

/// The candidates of a task, placed.
///
/// # Errors
/// As [`pareto_front`].
pub fn front<'a>(rows: &'a [Row], task: &str, currency: Currency) -> Result<Vec<Placed<'a>>, Undefined> {
    let candidates = candidates(rows, task).into_iter();
    let (rows, cells): (Vec<&Row>, Vec<PricedCell>) =
        candidates.filter_map(|row| Some((row, priced(row, currency)?))).unzip();
    let placed = pareto_front(&cells, Bootstrap::default())?;
    Ok(rows.into_iter().zip(placed).map(|(row, on_front)| Placed { row, on_front }).collect())
}

/// Cells of a task, on the same problems, that somebody could choose; one completion is one cell, whatever the strategy.
pub fn candidates<'a>(rows: &'a [Row], task: &str) -> Vec<&'a Row> {
    let mut of_task = comparable(rows, task);
    of_task.retain(|row| is_candidate(row));
    let single = |row: &Row| Cell { strategy: Strategy::First, ..row.cell.clone() };
    let singles: HashSet<Cell> = of_task
        .iter()
        .filter(|row| row.cell.strategy == Strategy::First)
        .map(|row| row.cell.clone())
        .collect();
    let is_repeat = |row: &Row| row.cell.strategy != Strategy::First && singles.contains(&single(row));
    of_task.into_iter().filter(|row| !is_repeat(row)).collect()
}

fn priced(row: &Row, currency: Currency) -> Option<PricedCell> {
    let costs = match currency {
        Currency::Dollars => row.per_problem.usd.clone(),
        // Joules follow device seconds within a task and model only, so there is no front in them.
        Currency::DeviceSeconds | Currency::Joules => row.per_problem.device_s.clone(),
    };
    let accuracies = row.per_problem.correct.clone();
    let is_whole = costs.len() == row.problems && accuracies.len() == row.problems;
    is_whole.then_some(PricedCell { costs, accuracies, trajectories: row.trajectories })
}
