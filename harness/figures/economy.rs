//! What sampling once saves: the tokens of the whole grid, and of its cells one by one.

use super::{Facts, Figure, Topic, tick};
use crate::plot::chart::{Chart, Form, Point, Series};
use crate::plot::{Axis, Colour};
use crate::rounding::{grouped, significant};
use crate::row::Economy;

/// Tokens by one way to sample.
type Count = fn(&Economy) -> u64;

pub(super) fn figure(facts: &Facts) -> Option<Figure> {
    if facts.economy.is_empty() {
        return None;
    }
    let of = |name: &str, colour, shape, tokens: Count| {
        let point = |(at, part): (usize, &Economy)| {
            let says = format!("{} on {}\n{name}: {} tokens", part.model, part.task, grouped(tokens(part)));
            Point { x: tokens(part) as f64, y: at as f64, weight: 1.0, says, ..Point::default() }
        };
        Series::new(name, colour, shape, Form::Dots, facts.economy.iter().enumerate().map(point).collect())
    };
    let all: [(&str, Colour, usize, Count); 3] = [
        ("one pass", Colour::Model(0), 0, |part| part.grid_tokens),
        ("cell by cell", Colour::Model(1), 1, |part| part.cell_by_cell_tokens),
        ("row by row", Colour::Grey, 3, |part| part.row_by_row_tokens),
    ];
    let series: Vec<Series> =
        all.into_iter().filter_map(|(name, colour, shape, tokens)| of(name, colour, shape, tokens)).collect();
    let sum = |tokens: Count| facts.economy.iter().map(tokens).sum::<u64>() as f64;
    let times = sum(|part| part.cell_by_cell_tokens) / sum(|part| part.grid_tokens).max(1.0);
    let chart = Chart {
        title: format!("One pass samples {} times fewer tokens", significant(times)),
        subtitle: "Tokens for the whole grid of budgets and n, for every budget and n by itself, and for every strategy by itself too.".into(),
        x: Axis::amounts("tokens sampled (logarithmic)", series.iter().flat_map(|s| s.points.iter().map(|p| p.x)), tick),
        y: Axis::names("", facts.economy.iter().map(|part| format!("{}, {}", part.model, part.task)).collect()),
        guides: Vec::new(),
        series,
    };
    Some(Figure {
        name: "economy".into(),
        topic: Topic::Economy,
        task: None,
        model: None,
        caption: "A trajectory sampled to the largest budget holds every smaller one as a prefix, and N of them serve every n up to N.".into(),
        picture: chart.into(),
    })
}
