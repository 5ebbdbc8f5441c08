//! Accuracy over budget and n, with isocosts: the ways of spending the same money.

use std::collections::BTreeSet;

use super::{Facts, Figure, Topic, best_choice, cost, file_name, rows_of, says, seconds_tick, tick};
use crate::cell::{Budget, Strategy};
use crate::currency::Currency;
use crate::plot::heat::{Contour, Heat, Tile, crossing};
use crate::row::Row;

/// Accuracies whose line is drawn.
const LEVELS: [f64; 3] = [0.5, 0.8, 0.95];

pub(super) fn figure(facts: &Facts, task: &str, model: &str) -> Option<Figure> {
    let rows = rows_of(facts, task, Some(model));
    let (strategy, _) = best_choice(&rows)?;
    let is_shown = |row: &&&Row| {
        row.cell.strategy == strategy || row.cell.n == 1 && row.cell.strategy == Strategy::First
    };
    let shown: Vec<&Row> = rows.iter().filter(is_shown).copied().collect();
    let budgets: Vec<Budget> =
        shown.iter().map(|row| row.cell.budget).collect::<BTreeSet<_>>().into_iter().collect();
    let counts: Vec<u32> = shown.iter().map(|row| row.cell.n).collect::<BTreeSet<_>>().into_iter().collect();
    if budgets.len() < 2 || counts.len() < 2 {
        return None;
    }
    let at = |budget: Budget, n: u32| {
        shown.iter().copied().find(|row| (row.cell.budget, row.cell.n) == (budget, n))
    };
    let currency = Currency::of_charts(facts.rows);
    let heat = Heat {
        title: format!("{task}: {model}, budget by n"),
        subtitle: format!(
            "Accuracy of n completions chosen by {strategy}. Dashed: isocosts, equal cost per million problems. Solid: equal accuracy. ~: n above half of the trajectories."
        ),
        columns: ("budget, reasoning tokens".into(), budgets.iter().map(Budget::to_string).collect()),
        rows: ("n, completions".into(), counts.iter().map(u32::to_string).collect()),
        tiles: counts.iter().map(|n| budgets.iter().map(|budget| tile(at(*budget, *n)?)).collect()).collect(),
        costs: costs(&budgets, &counts, currency, &at),
        accuracies: LEVELS
            .iter()
            .filter_map(|level| {
                contour(&budgets, &counts, *level, format!("{level}"), &|b, n| {
                    at(b, n)?.accuracy.map(|a| a.value)
                })
            })
            .collect(),
    };
    Some(Figure {
        name: file_name(&[task, model, "grid"]),
        topic: Topic::Grid,
        task: Some(task.into()),
        model: Some(model.into()),
        caption:
            "Follow a dashed line to spend the same money; where it meets the darkest tile it is spent best."
                .into(),
        picture: heat.into(),
    })
}

fn tile(row: &Row) -> Option<Tile> {
    let share = row.accuracy?.value;
    let mark = if row.reliable { "" } else { "~" };
    Some(Tile { share, label: format!("{mark}{share:.2}"), says: says(row) })
}

/// Isocosts at a few round amounts within what the cells cost.
fn costs<'a>(
    budgets: &[Budget],
    counts: &[u32],
    currency: Currency,
    at: &dyn Fn(Budget, u32) -> Option<&'a Row>,
) -> Vec<Contour> {
    let amount =
        |budget: Budget, n: u32| at(budget, n).map(|row| cost(currency, row)).filter(|cost| *cost > 0.0);
    let all = || budgets.iter().flat_map(|budget| counts.iter().filter_map(|n| amount(*budget, *n)));
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if !(low > 0.0 && low < high) {
        return Vec::new();
    }
    let label = |level: f64| {
        if currency == Currency::Dollars { format!("${}", tick(level)) } else { seconds_tick(level) }
    };
    let powers = (low.log10().floor() as i32..=high.log10().ceil() as i32).map(|power| 10f64.powi(power));
    powers.filter_map(|level| contour(budgets, counts, level, label(level), &amount)).collect()
}

/// Where a level is crossed in each column, from the first to the last that crosses it without a gap.
fn contour(
    budgets: &[Budget],
    counts: &[u32],
    level: f64,
    label: String,
    amount: &dyn Fn(Budget, u32) -> Option<f64>,
) -> Option<Contour> {
    let column = |(at, budget): (usize, &Budget)| {
        let amounts: Vec<Option<f64>> = counts.iter().map(|n| amount(*budget, *n)).collect();
        Some((at as f64, crossing(&amounts, level)?))
    };
    let points: Vec<(f64, f64)> = budgets.iter().enumerate().filter_map(column).collect();
    (points.len() > 1).then_some(Contour { label, points })
}
