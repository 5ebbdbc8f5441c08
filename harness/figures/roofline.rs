//! The roofline: how fast steps ran, against what the device could do at best.

use super::{Figure, Topic, file_name, seconds, tick};
use crate::plot::chart::{Chart, Form, Guide, Point as Drawn, Series};
use crate::plot::{Axis, Colour};
use crate::rounding::{percent, significant};
use crate::step::StepKind;
use crate::surface::{Point, Surface};

pub(super) fn figure(surface: &Surface) -> Option<Figure> {
    let rates = surface.rates?;
    let of = |kind: StepKind, name: &str, at: usize| {
        let points =
            surface.points.iter().filter(|point| point.step.kind == kind && point.step.load.forks == 0);
        Series::new(
            name,
            Colour::Model(at),
            at,
            Form::Dust,
            points.filter_map(|point| placed(surface, point)).collect(),
        )
    };
    let series: Vec<Series> = [of(StepKind::Prefill, "prefill", 1), of(StepKind::Decode, "decode", 0)]
        .into_iter()
        .flatten()
        .collect();
    let xs: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.x)).collect();
    let (low, high) = (xs.iter().copied().reduce(f64::min)?, xs.iter().copied().reduce(f64::max)?);
    let (bandwidth, peak) = (rates.copy_bytes_per_s, rates.matrix_flop_per_s);
    let high = high.max(peak / bandwidth * 2.0);
    let roof = |step: i32| low * (high / low).powf(f64::from(step) / 60.0);
    let roof = (0..=60).map(roof).map(|x| (x, (x * bandwidth).min(peak) / 1e9)).collect();
    let name = surface.name.model.trim_start_matches("bundled:").to_owned();
    let ys = series.iter().flat_map(|s| s.points.iter().map(|p| p.y)).chain([peak / 1e9]);
    let chart = Chart {
        title: format!("{name}: roofline"),
        subtitle: format!(
            "Forward passes on {}, {}. Dotted: what {} GB/s copied and {} GFLOP/s multiplied, both measured, allow.",
            surface.name.device,
            surface.name.dtype,
            significant(bandwidth / 1e9),
            significant(peak / 1e9)
        ),
        x: Axis::amounts("FLOP per byte that must move (logarithmic)", [low, high].into_iter(), tick),
        y: Axis::amounts("GFLOP/s (logarithmic)", ys, tick),
        guides: vec![Guide { points: roof, label: "roofline".into() }],
        series,
    };
    Some(Figure {
        name: file_name(&[&name, "roofline"]),
        topic: Topic::Device,
        task: None,
        model: Some(name),
        caption: "Left of the bend bytes are the limit, right of it arithmetic. A model that fits a cache may pass the roof on the left.".into(),
        picture: chart.into(),
    })
}

fn placed(surface: &Surface, point: &Point) -> Option<Drawn> {
    let step = &point.step;
    let bound = surface.bound(&step.load)?;
    let says = format!(
        "{} of {} rows, {} tokens fed, {} in context\n{}; {} % of the roofline",
        step.kind.name(),
        step.load.rows,
        step.load.fed_tokens,
        step.load.context_tokens,
        seconds(step.forward_s),
        percent(bound.seconds / step.forward_s)
    );
    let (x, y) = (bound.flop / bound.bytes, bound.flop / step.forward_s / 1e9);
    Some(Drawn { x, y, weight: 0.6, says, ..Drawn::default() })
}
