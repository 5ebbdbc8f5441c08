//! The surface: seconds of a decoding step over rows and context, measured and fitted.

use super::{Figure, Topic, file_name, seconds, seconds_tick};
use crate::plot::chart::{Chart, Form, Point as Drawn, Series};
use crate::plot::{Axis, Colour};
use crate::rounding::percent;
use crate::step::StepKind;
use crate::surface::{Point, Surface};

/// Contexts that differ by less than this factor are shown together.
const SAME: f64 = 1.5;

pub(super) fn figure(surface: &Surface) -> Option<Figure> {
    let groups = by_context(surface);
    let count = groups.len();
    let series: Vec<Series> = groups
        .iter()
        .enumerate()
        .flat_map(|(at, points)| lines(surface, points, (at, count)))
        .flatten()
        .collect();
    if series.is_empty() {
        return None;
    }
    let points = || series.iter().flat_map(|line| &line.points);
    let name = surface.name.model.trim_start_matches("bundled:").to_owned();
    let fit = surface.held_out.map_or(String::new(), |error| {
        format!(
            " On workloads held out it is off by {} % in the median and {} % for nine of ten.",
            percent(error.median),
            percent(error.p90)
        )
    });
    let chart = Chart {
        title: format!("{name}: cost of a decoding step"),
        subtitle: format!(
            "Points: measured on {}, {}. Dotted: the surface.",
            surface.name.device, surface.name.dtype
        ),
        x: Axis::counts("rows in the batch (logarithmic)", points().map(|p| p.x)),
        y: Axis::amounts("time of a step (logarithmic)", points().map(|p| p.y), seconds_tick),
        guides: Vec::new(),
        series,
    };
    Some(Figure {
        name: file_name(&[&name, "surface"]),
        topic: Topic::Device,
        task: None,
        model: Some(name),
        caption: format!(
            "A surface prices any trajectory on its device without generating anything again.{fit}"
        ),
        picture: chart.into(),
    })
}

fn mean_context(point: &Point) -> f64 {
    point.step.load.context_tokens as f64 / f64::from(point.step.load.rows.max(1))
}

/// Decoding steps of one token a row, by context from the shortest.
fn by_context(surface: &Surface) -> Vec<Vec<&Point>> {
    let is_plain = |point: &&Point| {
        let load = &point.step.load;
        point.step.kind == StepKind::Decode && load.forks == 0 && load.fed_tokens == load.rows
    };
    let mut points: Vec<&Point> = surface.points.iter().filter(is_plain).collect();
    points.sort_by(|a, b| mean_context(a).total_cmp(&mean_context(b)));
    points.chunk_by(|a, b| mean_context(b) < mean_context(a) * SAME).map(<[&Point]>::to_vec).collect()
}

/// What was measured at one context, and what the surface says of it.
fn lines(surface: &Surface, points: &[&Point], (at, count): (usize, usize)) -> [Option<Series>; 2] {
    let middle = points[points.len() / 2];
    let (name, colour) = (format!("context {:.0}", mean_context(middle)), Colour::Rank(at, count));
    let measured = |point: &&Point| {
        let (load, predicted) = (&point.step.load, surface.cost.seconds(&point.step.load));
        let says = format!(
            "{} rows, context {:.0}\nmeasured {}, surface {}",
            load.rows,
            mean_context(point),
            seconds(point.step.seconds),
            seconds(predicted)
        );
        Drawn { x: f64::from(load.rows), y: point.step.seconds, weight: 1.0, says, ..Drawn::default() }
    };
    let mut fitted: Vec<Drawn> = points
        .iter()
        .map(|point| Drawn {
            x: f64::from(point.step.load.rows),
            y: surface.cost.seconds(&point.step.load),
            ..Drawn::default()
        })
        .collect();
    fitted.sort_by(|a, b| a.x.total_cmp(&b.x));
    fitted.dedup_by_key(|point| point.x);
    [
        Series::new(&name, colour, at, Form::Dust, points.iter().map(measured).collect()),
        Series::new(&name, colour, at, Form::Fit, fitted),
    ]
}
