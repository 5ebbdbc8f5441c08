//! Predicted against measured: seconds of requests that were run alone for real.

use super::{Facts, Figure, Topic, place, seconds, seconds_tick};
use crate::plot::chart::{Chart, Form, Guide, Point, Series};
use crate::plot::{Axis, Colour};
use crate::verification::CellCheck;
use crate::verification_report::findings;

pub(super) fn figure(facts: &Facts) -> Option<Figure> {
    let found = facts.verification.filter(|found| !found.cells.is_empty())?;
    let mut models: Vec<&str> = found.cells.iter().map(|cell| cell.model.as_str()).collect();
    models.sort_by_key(|model| place(facts.rows, model));
    models.dedup();
    let of = |model: &&str| {
        let cells = found.cells.iter().filter(|cell| cell.model == **model);
        let at = place(facts.rows, model);
        Series::new(model, Colour::Model(at), at, Form::Dots, cells.map(point).collect())
    };
    let series: Vec<Series> = models.iter().filter_map(of).collect();
    let both: Vec<f64> =
        found.cells.iter().flat_map(|cell| [cell.e2e_measured_s, cell.e2e_predicted_s]).collect();
    let low = both.iter().copied().fold(f64::INFINITY, f64::min);
    let high = both.iter().copied().fold(0.0, f64::max);
    let axis = |title: &str| Axis::amounts(title, both.iter().copied(), seconds_tick);
    let chart = Chart {
        title: "Predicted and measured seconds".into(),
        subtitle: "Mean seconds of a request, cells run alone. Dotted: equal.".into(),
        x: axis("measured (logarithmic)"),
        y: axis("predicted (logarithmic)"),
        guides: vec![Guide { points: vec![(low, low), (high, high)], label: "equal".into() }],
        series,
    };
    Some(Figure {
        name: "predicted".into(),
        topic: Topic::Predicted,
        task: None,
        model: None,
        caption: findings(found).join(" "),
        picture: chart.into(),
    })
}

fn point(cell: &CellCheck) -> Point {
    let says = format!(
        "{} on {}, budget {}, n = {}\npredicted {}, measured {} ({:+.1} %)",
        cell.model,
        cell.task,
        cell.budget,
        cell.n,
        seconds(cell.e2e_predicted_s),
        seconds(cell.e2e_measured_s),
        cell.e2e_error() * 100.0
    );
    Point { x: cell.e2e_measured_s, y: cell.e2e_predicted_s, weight: 1.0, says, ..Point::default() }
}
