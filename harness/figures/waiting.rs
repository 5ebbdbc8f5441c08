//! What a user waits for an answer, by how long the model thinks.

use super::{Facts, Figure, Topic, file_name, models, rows_of, seconds, seconds_tick};
use crate::cell::Strategy;
use crate::latency_rows::LatencyRow;
use crate::plot::chart::{Chart, Form, Point, Series};
use crate::plot::{Axis, Colour};
use crate::row::Row;

pub(super) fn figure(facts: &Facts, task: &str) -> Option<Figure> {
    let line = |(at, model): (usize, &&str)| {
        let rows = rows_of(facts, task, Some(model));
        let points = rows.iter().filter(|row| row.cell.strategy == Strategy::First).filter_map(|row| {
            let waited = facts.latency.iter().find(|waited| is_of(waited, row))?;
            Some(point(row, waited))
        });
        Series::new(model, Colour::Model(at), at, Form::Line, points.collect())
    };
    let series: Vec<Series> = models(facts.rows).iter().enumerate().filter_map(line).collect();
    if series.is_empty() {
        return None;
    }
    let points = || series.iter().flat_map(|line| &line.points);
    let ends = || points().flat_map(|p| p.range.map_or([p.y, p.y], |(low, high)| [low, high]));
    let chart = Chart {
        title: format!("{task}: waiting for an answer"),
        subtitle: "Seconds from request to last token, one completion alone on the measured surface. Line: median; the band reaches from it to the 99th percentile.".into(),
        x: Axis::counts("mean reasoning tokens of the completion (logarithmic)", points().map(|p| p.x)),
        y: Axis::amounts("end to end (logarithmic)", ends(), seconds_tick),
        guides: Vec::new(),
        series,
    };
    Some(Figure {
        name: file_name(&[task, "waiting"]),
        topic: Topic::Waiting,
        task: Some(task.into()),
        model: None,
        caption: "The run's trajectories replayed on the surface that verify measured. TTFT: first token; TTFA: first token of the answer; ITL: gap between tokens.".into(),
        picture: chart.into(),
    })
}

fn is_of(waited: &LatencyRow, row: &Row) -> bool {
    let (asked, cell) = (&waited.asked, &row.cell);
    (asked.n, asked.budget, asked.waits) == (1, cell.budget, cell.waits)
        && asked.model == cell.model
        && asked.task == cell.task
}

fn point(row: &Row, waited: &LatencyRow) -> Point {
    let latency = &waited.latency;
    let (asked, e2e) = (&waited.asked, latency.e2e_s);
    let mut says = format!(
        "{}, budget {}\nend to end: p50 {}, p90 {}, p99 {}\nTTFT p50 {}",
        asked.model,
        asked.budget,
        seconds(e2e.p50),
        seconds(e2e.p90),
        seconds(e2e.p99),
        seconds(latency.ttft_s.p50)
    );
    says += &latency.ttfa_s.map_or(String::new(), |p| format!(", TTFA p50 {}", seconds(p.p50)));
    says += &latency.itl_s.map_or(String::new(), |p| format!(", ITL p50 {}", seconds(p.p50)));
    Point {
        x: row.reasoning_tokens_mean,
        y: e2e.p50,
        range: Some((e2e.p50, e2e.p99)),
        weight: 1.0,
        says,
        is_hollow: false,
    }
}
