//! Accuracy against the reasoning tokens a problem takes, with the line that the claim on logarithms fits.

use super::{Facts, Figure, Topic, best_choice, comparison, file_name, models, point, rows_of};
use crate::cell::Strategy;
use crate::cell_tables::way_name;
use crate::plot::chart::{Chart, Form, Point, Series};
use crate::plot::{Axis, Colour};
use crate::rounding::amount_beside;
use crate::row::Row;
use crate::statistics::{LogLine, Point as Measured};

pub(super) fn figure(facts: &Facts, task: &str) -> Option<Figure> {
    let (mut series, mut slopes, mut ways) = (Vec::new(), Vec::new(), Vec::new());
    for (at, model) in models(facts.rows).into_iter().enumerate() {
        let rows = rows_of(facts, task, Some(model));
        let single = by_tokens(&rows, (Strategy::First, 1), model, at, Form::Line);
        let fitted = single.as_ref().and_then(|line| fit(line, at));
        series.extend(single);
        series.extend(fitted);
        if let Some(way) = best_choice(&rows) {
            series.extend(by_tokens(&rows, way, model, at, Form::Dashed));
            ways.push(way_name(way.0, way.1));
        }
        let slope = comparison(facts, "log-linear", &format!("{model} on {task}"));
        slopes.extend(slope.map(|found| format!("{model} {}", amount_beside(Some(&found.estimate), 0.0))));
    }
    if series.is_empty() {
        return None;
    }
    ways.sort();
    ways.dedup();
    let dashed = if ways.is_empty() { String::new() } else { format!(" Dashed: {}.", ways.join(", ")) };
    let points = || series.iter().flat_map(|line| &line.points);
    let chart = Chart {
        title: format!("{task}: accuracy by reasoning tokens"),
        subtitle: format!(
            "Solid: one completion, with its 95 % band over problems.{dashed} Dotted: straight in the logarithm."
        ),
        x: Axis::counts("mean reasoning tokens per problem (logarithmic)", points().map(|p| p.x)),
        y: Axis::share("accuracy", points().map(|p| p.range.map_or(p.y, |range| range.1))),
        guides: Vec::new(),
        series,
    };
    let slopes = if slopes.is_empty() {
        String::new()
    } else {
        format!(" Accuracy per tenfold tokens: {}.", slopes.join("; "))
    };
    Some(Figure {
        name: file_name(&[task, "tokens"]),
        topic: Topic::Tokens,
        task: Some(task.into()),
        model: None,
        caption: format!("Tokens are those that were really sampled, of all completions together.{slopes}"),
        picture: chart.into(),
    })
}

fn by_tokens(rows: &[&Row], way: (Strategy, u32), model: &str, at: usize, form: Form) -> Option<Series> {
    let of_way = rows.iter().filter(|row| (row.cell.strategy, row.cell.n) == way);
    let points = of_way.filter_map(|row| point(row.reasoning_tokens_mean * f64::from(row.cell.n), row));
    Series::new(model, Colour::Model(at), at, form, points.collect())
}

/// The least-squares line through the points of at least one token, as the claim fits it.
fn fit(line: &Series, at: usize) -> Option<Series> {
    let thinking: Vec<Measured> = line
        .points
        .iter()
        .filter(|point| point.x > 0.0)
        .map(|point| Measured { cost: point.x, accuracy: point.y })
        .collect();
    let found = LogLine::fit(&thinking).filter(|_| thinking.len() > 2)?;
    let (low, high) = (thinking.first()?.cost, thinking.last()?.cost);
    let along = |step: u32| low * (high / low).powf(f64::from(step) / 24.0);
    let points = (0..=24).map(along).map(|x| Point { x, y: found.at(x), ..Point::default() });
    let points = points.filter(|point| (0.0..=1.0).contains(&point.y));
    Series::new(&line.name, Colour::Model(at), at, Form::Fit, points.collect())
}
