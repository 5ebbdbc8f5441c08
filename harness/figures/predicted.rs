//! Predicted against measured: seconds of requests that were run alone for real.

use super::{Facts, Figure, Topic, place, seconds, seconds_tick};
use crate::plot::chart::{Chart, Form, Guide, Point, Series};
use crate::plot::{Axis, Colour};
use crate::verification::CellCheck;
use crate::verification_report::findings;

pub(super) fn figure(facts: &Facts) -> Option<Figure> {
    let found = facts.verification?;
    let mut models: Vec<&str> =
        found.cells.iter().filter(|cell| point(cell).is_some()).map(|cell| cell.model.as_str()).collect();
    if models.is_empty() {
        return None;
    }
    models.sort_by_key(|model| place(facts.rows, model));
    models.dedup();
    let of = |model: &&str| {
        let cells = found.cells.iter().filter(|cell| cell.model == **model);
        let at = place(facts.rows, model);
        Series::new(model, Colour::Model(at), at, Form::Dots, cells.filter_map(point).collect())
    };
    let series: Vec<Series> = models.iter().filter_map(of).collect();
    let points = found.cells.iter().filter_map(point);
    let both: Vec<f64> = points.flat_map(|point| [point.x, point.y]).collect();
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

/// A cell with both times.
fn point(cell: &CellCheck) -> Option<Point> {
    let (predicted_s, error) = (cell.e2e_predicted_s?, cell.e2e_error()?);
    let says = format!(
        "{} on {}, budget {}, n = {}\npredicted {}, measured {} ({:+.1} %)",
        cell.model,
        cell.task,
        cell.budget,
        cell.n,
        seconds(predicted_s),
        seconds(cell.e2e_measured_s),
        error * 100.0
    );
    Some(Point { x: cell.e2e_measured_s, y: predicted_s, weight: 1.0, says, ..Point::default() })
}
