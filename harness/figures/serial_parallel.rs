//! Serial against parallel: one longer thought, or more thoughts of a given length, for the same money.

use std::collections::BTreeSet;

use super::{Facts, Figure, Topic, best_choice, comparison, cost, cost_axis, file_name, point, rows_of};
use crate::cell::{Budget, Strategy};
use crate::currency::Currency;
use crate::plot::chart::{Chart, Form, Point, Series};
use crate::plot::{Axis, Colour};
use crate::rounding::amount_beside;
use crate::row::Row;

pub(super) fn figure(facts: &Facts, task: &str, model: &str) -> Option<Figure> {
    let currency = Currency::of_charts(facts.rows);
    let rows = rows_of(facts, task, Some(model));
    let (strategy, _) = best_choice(&rows)?;
    let budgets: BTreeSet<Budget> = rows.iter().map(|row| row.cell.budget).collect();
    if budgets.len() < 2 {
        return None;
    }
    let single = rows.iter().filter(|row| row.cell.strategy == Strategy::First);
    let serial: Vec<Point> = single.filter_map(|row| point(cost(currency, row), row)).collect();
    let parallel =
        |(at, budget): (usize, &Budget)| parallel(&rows, strategy, *budget, currency, (at, budgets.len()));
    let mut series: Vec<Series> = budgets.iter().enumerate().filter_map(parallel).collect();
    series.extend(Series::new("longer thought", Colour::Ink, 0, Form::Line, serial));
    let points = || series.iter().flat_map(|line| &line.points);
    let chart = Chart {
        title: format!("{task}: {model}, serial against parallel"),
        subtitle: format!(
            "Line with a band: one completion, thinking longer, with its 95 % interval. Coloured: more completions of one budget, chosen by {strategy}. Hollow: n above half of the trajectories."
        ),
        x: cost_axis(currency, points().map(|p| p.x)),
        y: Axis::share("accuracy", points().map(|p| p.range.map_or(p.y, |range| range.1))),
        guides: Vec::new(),
        series,
    };
    let gain = comparison(facts, "best-of-n", &format!("{model} on {task}"));
    let gain = gain.map(|found| format!(" At equal cost several thoughts solve {} more than one (a share of all problems; chosen on half of the trajectories, compared on the other).", amount_beside(Some(&found.estimate), 0.0)));
    Some(Figure {
        name: file_name(&[task, model, "serial"]),
        topic: Topic::Serial,
        task: Some(task.into()),
        model: Some(model.into()),
        caption: format!(
            "Where a coloured line runs above the line with the band, sampling again buys more than thinking longer.{}",
            gain.unwrap_or_default()
        ),
        picture: chart.into(),
    })
}

/// One budget over n; a single completion is every strategy's n = 1.
fn parallel(
    rows: &[&Row],
    strategy: Strategy,
    budget: Budget,
    currency: Currency,
    (at, count): (usize, usize),
) -> Option<Series> {
    let is_shown = |row: &&&Row| {
        let cell = &row.cell;
        cell.budget == budget
            && (cell.strategy == Strategy::First || (cell.strategy == strategy && cell.n > 1))
    };
    let points = rows
        .iter()
        .filter(is_shown)
        .filter_map(|row| Some(Point { range: None, ..point(cost(currency, row), row)? }));
    Series::new(&format!("budget {budget}"), Colour::Rank(at, count), at, Form::Line, points.collect())
}
