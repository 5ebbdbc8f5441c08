//! The answer first: for each task, the cheapest ways to the accuracies that were reached.
//!
//! Cost is device seconds per problem, which all cells of a run share; what only an oracle could do (pass@n) and
//! cells with too few subsets are left out. The best of many cells was chosen for its luck too: its interval is
//! that of a cell named beforehand, and the same problems should be used again before money is spent on it.

use crate::cell::Strategy;
use crate::currency::Currency;
use crate::row::Row;

/// Shares of the best accuracy for which the cheapest cell is named.
pub const LEVELS: [f64; 4] = [1.0, 0.95, 0.8, 0.5];

/// The cheapest cell that reaches a share of a task's best accuracy.
#[derive(Clone, Copy, Debug)]
pub struct Bargain<'a> {
    /// The largest of [`LEVELS`] that this cell is the cheapest for.
    pub level: f64,
    /// The cell.
    pub row: &'a Row,
}

/// The cheapest cells of a task, the best accuracy first; a cell that serves two levels is named once.
pub fn bargains<'a>(rows: &'a [Row], task: &str) -> Vec<Bargain<'a>> {
    bargains_among(rows.iter().filter(|row| row.cell.task == task))
}

/// As [`bargains`], among these cells alone; they are of one task.
pub fn bargains_among<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Bargain<'a>> {
    let candidates: Vec<(f64, &Row)> = rows.filter(|row| is_candidate(row)).filter_map(scored).collect();
    let Some(best) = candidates.iter().map(|(accuracy, _)| *accuracy).reduce(f64::max) else {
        return Vec::new();
    };
    let mut bargains: Vec<Bargain> = Vec::new();
    for level in LEVELS {
        let reaching = candidates.iter().filter(|(accuracy, _)| *accuracy >= level * best && *accuracy > 0.0);
        let cheapest = reaching.min_by(|a, b| by_cost(a.1, b.1)).map(|(_, row)| *row);
        if let Some(row) = cheapest
            && !bargains.iter().any(|named| named.row.cell == row.cell)
        {
            bargains.push(Bargain { level, row });
        }
    }
    bargains
}

/// The cell whose correct answers are the cheapest: the most accuracy for the money, the energy or the time.
pub fn cheapest_answer<'a>(rows: &'a [Row], task: &str, currency: Currency) -> Option<&'a Row> {
    let candidates = rows.iter().filter(|row| row.cell.task == task && is_candidate(row));
    let priced = candidates.filter_map(|row| Some((currency.per_correct(row)?.value, row)));
    priced
        .filter(|(cost, _)| cost.is_finite())
        .min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cell.cmp(&b.1.cell)))
        .map(|(_, row)| row)
}

/// Tasks in the order of their first row.
pub fn tasks(rows: &[Row]) -> Vec<&str> {
    let mut tasks: Vec<&str> = Vec::new();
    for row in rows {
        if !tasks.contains(&row.cell.task.as_str()) {
            tasks.push(&row.cell.task);
        }
    }
    tasks
}

/// Whether a cell could be chosen by somebody: reliable, and not an oracle's.
pub(crate) fn is_candidate(row: &Row) -> bool {
    row.reliable && row.cell.strategy != Strategy::Pass && row.device_s_mean.is_finite()
}

fn scored(row: &Row) -> Option<(f64, &Row)> {
    row.accuracy.map(|accuracy| (accuracy.value, row)).filter(|(accuracy, _)| accuracy.is_finite())
}

/// Cheaper first; at equal cost the more accurate, then the order of cells, so that ties do not wander.
fn by_cost(a: &Row, b: &Row) -> std::cmp::Ordering {
    let accuracy = |row: &Row| row.accuracy.map_or(0.0, |accuracy| accuracy.value);
    let cost = a.device_s_mean.total_cmp(&b.device_s_mean);
    cost.then(accuracy(b).total_cmp(&accuracy(a))).then_with(|| a.cell.cmp(&b.cell))
}
