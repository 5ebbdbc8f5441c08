//! Cost against accuracy: every cell, the front of those that no other beats, and lines of equal price.

use super::{Facts, Figure, Topic, cost, cost_axis, file_name, models, point, says, tick};
use crate::currency::Currency;
use crate::front::{Placed, candidates, front};
use crate::plot::chart::{Chart, Form, Guide, Point, Series};
use crate::plot::{Axis, Colour};
use crate::rounding::percent;
use crate::row::Row;

/// Points along a line of equal price.
const STEPS: i32 = 48;

pub(super) fn figure(facts: &Facts, task: &str) -> Option<Figure> {
    let currency = Currency::of_charts(facts.rows);
    let mut rows = candidates(facts.rows, task);
    rows.retain(|row| row.accuracy.is_some());
    let placed = front(facts.rows, task, currency).unwrap_or_default();
    let mut series: Vec<Series> = models(facts.rows)
        .iter()
        .enumerate()
        .filter_map(|(at, model)| cells(&rows, &placed, currency, model, at))
        .collect();
    if series.is_empty() {
        return None;
    }
    let x = cost_axis(currency, rows.iter().map(|row| cost(currency, row)));
    let y = Axis::share("accuracy", rows.iter().filter_map(|row| Some(row.accuracy?.ci_high)));
    series.extend(front_line(&placed, currency));
    let chart = Chart {
        title: format!("{task}: what accuracy costs"),
        subtitle: "Each point is a cell; fainter: less often on the Pareto front when problems are resampled. Steps: the front, with 95 % intervals. Dotted: equal price of a correct answer.".into(),
        guides: equal_prices(&rows, currency),
        x,
        y,
        series,
    };
    Some(Figure {
        name: file_name(&[task, "plane"]),
        topic: Topic::Plane,
        task: Some(task.into()),
        model: None,
        caption: "Vertical grid: isocosts, spending the same. Horizontal grid: equal accuracy. The best of many cells is partly luck: a cell on the front in few resamplings may owe its place to it.".into(),
        picture: chart.into(),
    })
}

/// The cells of a model, those on the front in most resamplings the boldest.
fn cells(rows: &[&Row], placed: &[Placed], currency: Currency, model: &str, at: usize) -> Option<Series> {
    let of_model = rows.iter().filter(|row| row.cell.model == model);
    let dust = of_model.filter_map(|row| {
        let found = placed.iter().find(|placed| std::ptr::eq(placed.row, *row));
        let probability = found.map_or(0.0, |placed| placed.on_front.probability);
        let says = format!("{}\non the front in {} % of resamplings", says(row), percent(probability));
        Some(Point { range: None, weight: probability, says, ..point(cost(currency, row), row)? })
    });
    Series::new(model, Colour::Model(at), at, Form::Dust, dust.collect())
}

/// The observed front; of cells that are equal in both, one.
fn front_line(placed: &[Placed], currency: Currency) -> Option<Series> {
    let on_front = placed.iter().filter(|placed| placed.on_front.observed);
    let line = on_front.filter_map(|placed| {
        let says = format!(
            "{}\non the front in {} % of resamplings",
            says(placed.row),
            percent(placed.on_front.probability)
        );
        Some(Point { says, ..point(cost(currency, placed.row), placed.row)? })
    });
    let mut line: Vec<Point> = line.collect();
    line.dedup_by(|a, b| (a.x, a.y) == (b.x, b.y));
    Series::new("Pareto front", Colour::Ink, 0, Form::Steps, line)
}

/// Lines on which a correct answer costs the same: accuracy = cost / price.
fn equal_prices(rows: &[&Row], currency: Currency) -> Vec<Guide> {
    let costs = || rows.iter().map(|row| cost(currency, row)).filter(|cost| *cost > 0.0);
    let (low, high) = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));
    if !(low > 0.0 && high > low) {
        return Vec::new();
    }
    let line = |power: i32| {
        let price = 10f64.powi(power);
        let along = |step: i32| price * 10f64.powf(-1.6 * f64::from(STEPS - step) / f64::from(STEPS));
        let label = match currency {
            Currency::Dollars => format!("${}", tick(price)),
            _ => super::seconds_tick(price),
        };
        let points = (0..=STEPS)
            .map(along)
            .filter(|cost| *cost >= low && *cost <= high)
            .map(|cost| (cost, cost / price));
        Guide { label, points: points.collect() }
    };
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    powers.map(line).filter(|guide| guide.points.len() > 4).collect()
}
