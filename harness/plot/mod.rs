//! The pictures of a sweep, as SVG without fonts or scripts: the same rows give the same bytes.
//!
//! Colours are those of Okabe and Ito, told apart by nearly everyone; every line also has its own marker and is
//! named where it ends, so a black-and-white print can be read.

mod axis;
mod labels;
mod palette;
mod picture;

use std::collections::{BTreeMap, BTreeSet};

use axis::Axis;
use picture::{Picture, Point, Series};

use crate::cell::{Budget, Strategy};
use crate::cell_tables::way_name;
use crate::row::Row;

/// Why a picture cannot be drawn. The text is written for the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlotError {
    /// No row has the accuracy and tokens that the picture shows.
    #[error("nothing to draw: no cell of {0} has an accuracy")]
    Empty(String),
    /// The drawing library refused.
    #[error("drawing failed: {0}")]
    Drawing(String),
}

/// Accuracy against the reasoning tokens a problem takes, all its completions together: each model with one
/// completion (solid, with its 95 % band) and with its best choice among n (dashed, with bars).
///
/// # Errors
/// [`PlotError::Empty`] if no row of the task has an accuracy.
pub fn accuracy_by_tokens(rows: &[Row], task: &str) -> Result<String, PlotError> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.cell.task == task && row.cell.waits == 0).collect();
    let models = in_order(rows.iter().map(|row| row.cell.model.as_str()));
    let mut series = Vec::new();
    for (at, model) in models.iter().enumerate() {
        let of_model: Vec<&Row> = rows.iter().copied().filter(|row| row.cell.model == *model).collect();
        series.extend(by_tokens(&of_model, Strategy::First, 1, model, at));
        if let Some((strategy, n)) = best_choice(&of_model) {
            let name = format!("{model} {}", way_name(strategy, n));
            series.extend(by_tokens(&of_model, strategy, n, &name, at));
        }
    }
    let x = Axis::with_zero(series.iter().flat_map(|line| line.points.iter().map(|point| point.x)));
    let picture = Picture {
        title: format!("{task}: accuracy by reasoning tokens"),
        subtitle: "solid: one completion; dashed: the best choice among n; 95 % intervals over problems"
            .to_string(),
        x_title: "mean reasoning tokens per problem, all n completions (logarithmic)".to_string(),
        x,
        series,
    };
    draw(&picture, task)
}

/// Accuracy of one model against n, one line per budget, by the task's verifier if it has one, else by majority.
///
/// # Errors
/// [`PlotError::Empty`] if the model has no accuracy on the task at any n.
pub fn accuracy_by_n(rows: &[Row], task: &str, model: &str) -> Result<String, PlotError> {
    let is_shown = |row: &&Row| row.cell.task == task && row.cell.model == model && row.cell.waits == 0;
    let rows: Vec<&Row> = rows.iter().filter(is_shown).collect();
    let strategy = best_choice(&rows).map_or(Strategy::First, |(strategy, _)| strategy);
    let budgets: BTreeSet<Budget> = rows.iter().map(|row| row.cell.budget).collect();
    let line = |(at, budget): (usize, &Budget)| by_n(&rows, strategy, *budget, at, budgets.len());
    let series: Vec<Series> = budgets.iter().enumerate().filter_map(line).collect();
    let x = Axis::positive(series.iter().flat_map(|line| line.points.iter().map(|point| point.x)));
    let picture = Picture {
        title: format!("{task}: {model}, accuracy by n"),
        subtitle: format!(
            "n completions, chosen by {strategy}; one line per budget; hollow: n above half of the trajectories"
        ),
        x_title: "n, completions per problem (logarithmic)".to_string(),
        x,
        series,
    };
    draw(&picture, &format!("{model} on {task}"))
}

fn draw(picture: &Picture, what: &str) -> Result<String, PlotError> {
    if picture.series.is_empty() {
        return Err(PlotError::Empty(crate::escape::visible(what)));
    }
    picture.svg()
}

/// One line over budgets at a fixed n.
fn by_tokens(rows: &[&Row], strategy: Strategy, n: u32, name: &str, model: usize) -> Option<Series> {
    let of_way = rows.iter().filter(|row| (row.cell.strategy, row.cell.n) == (strategy, n));
    let points = of_way.filter_map(|row| point(row.reasoning_tokens_mean * f64::from(n), row));
    let is_dashed = strategy != Strategy::First;
    Series::new(name, palette::of_model(model), model, is_dashed, points.collect())
}

/// One line over n at a fixed budget; one completion is every strategy's n = 1.
fn by_n(rows: &[&Row], strategy: Strategy, budget: Budget, at: usize, count: usize) -> Option<Series> {
    let mut by_n: BTreeMap<u32, Point> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.cell.budget == budget) {
        let is_single = row.cell.strategy == Strategy::First && row.cell.n == 1;
        if let Some(point) =
            point(f64::from(row.cell.n), row).filter(|_| is_single || row.cell.strategy == strategy)
        {
            by_n.insert(row.cell.n, point);
        }
    }
    let name = format!("budget {budget}");
    Series::new(&name, palette::of_rank(at, count), at, false, by_n.into_values().collect())
}

fn point(x: f64, row: &Row) -> Option<Point> {
    let accuracy = row.accuracy?;
    let point = Point {
        x,
        y: accuracy.value,
        low: accuracy.ci_low,
        high: accuracy.ci_high,
        is_reliable: row.reliable,
    };
    point.is_drawable().then_some(point)
}

/// The choice that can be had: verifier before majority before the others, at the largest reliable n.
fn best_choice(rows: &[&Row]) -> Option<(Strategy, u32)> {
    let usable = rows.iter().filter(|row| row.cell.n > 1 && row.reliable && row.accuracy.is_some());
    let ways: BTreeSet<(Strategy, u32)> = usable.map(|row| (row.cell.strategy, row.cell.n)).collect();
    let preferred =
        [Strategy::Verifier, Strategy::Maj, Strategy::Weighted, Strategy::Score, Strategy::Shortest];
    let strategy = preferred.into_iter().find(|strategy| ways.iter().any(|way| way.0 == *strategy))?;
    ways.into_iter().rfind(|way| way.0 == strategy)
}

/// Distinct names in the order of their first occurrence.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}
