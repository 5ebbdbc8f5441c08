//! The pictures of a run: what each shows, from rows and findings that were computed once.
//!
//! Every picture is one description; a report's page, a paper's SVG and a PNG are drawn from it.

mod accuracy_by_tokens;
mod budget_by_n;
mod economy;
mod plane;
mod predicted;
mod roofline;
mod serial_parallel;
mod surface;
mod waiting;

use crate::cell::{Cell, Strategy};
use crate::cell_tables::way_name;
use crate::claims::table::ClaimsFile;
use crate::claims::verdict::ComparisonFinding;
use crate::currency::Currency;
use crate::escape;
use crate::latency_rows::LatencyRow;
use crate::plot::Picture;
use crate::plot::chart::Point;
use crate::rounding::{share, significant};
use crate::row::{Economy, Row};
use crate::surface::Surface;
use crate::verification::Verification;

/// What pictures are made of; what a run does not have is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The cells.
    pub rows: &'a [Row],
    /// Verdicts on the claims.
    pub claims: Option<&'a ClaimsFile>,
    /// What sampling took.
    pub economy: &'a [Economy],
    /// What users wait.
    pub latency: &'a [LatencyRow],
    /// Measured devices.
    pub surfaces: &'a [Surface],
    /// Cells run alone.
    pub verification: Option<&'a Verification>,
}

/// What a picture is about; the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Cost against accuracy.
    Plane,
    /// Accuracy against reasoning tokens.
    Tokens,
    /// Budget by n.
    Grid,
    /// One long thought against many short ones.
    Serial,
    /// Latency.
    Waiting,
    /// Roofline and surface.
    Device,
    /// What sampling once saves.
    Economy,
    /// Predicted against measured.
    Predicted,
}

/// A picture with its place in a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Name of its files, without ending.
    pub name: String,
    /// What it is about.
    pub topic: Topic,
    /// The task it is of, if of one.
    pub task: Option<String>,
    /// The model it is of, if of one.
    pub model: Option<String>,
    /// What it shows, and how to read it.
    pub caption: String,
    /// The picture.
    pub picture: Picture,
}

/// Every picture that the facts allow, in the order of a report.
pub fn figures(facts: &Facts) -> Vec<Figure> {
    let mut figures = Vec::new();
    for task in crate::bargain::tasks(facts.rows) {
        figures.extend(plane::figure(facts, task));
        figures.extend(accuracy_by_tokens::figure(facts, task));
        figures.extend(waiting::figure(facts, task));
        for model in models(facts.rows) {
            figures.extend(budget_by_n::figure(facts, task, model));
            figures.extend(serial_parallel::figure(facts, task, model));
        }
    }
    for surface in facts.surfaces {
        figures.extend(roofline::figure(surface));
        figures.extend(surface::figure(surface));
    }
    figures.extend(economy::figure(facts));
    figures.extend(predicted::figure(facts));
    figures.sort_by_key(|figure| figure.topic);
    figures
}

/// Models in the order of their first row: their place gives their colour everywhere.
pub(crate) fn models(rows: &[Row]) -> Vec<&str> {
    let mut models: Vec<&str> = Vec::new();
    for row in rows {
        if !models.contains(&row.cell.model.as_str()) {
            models.push(&row.cell.model);
        }
    }
    models
}

/// A model's place.
fn place(rows: &[Row], model: &str) -> usize {
    models(rows).iter().position(|name| *name == model).unwrap_or(0)
}

/// Rows of a task without forced continuations, and of a model if one is given.
fn rows_of<'a>(facts: &Facts<'a>, task: &str, model: Option<&str>) -> Vec<&'a Row> {
    let is_shown = |row: &&Row| {
        row.cell.task == task && row.cell.waits == 0 && model.is_none_or(|model| row.cell.model == model)
    };
    facts.rows.iter().filter(is_shown).collect()
}

/// The choice that can be had: verifier before majority before the others, at the largest reliable n.
fn best_choice(rows: &[&Row]) -> Option<(Strategy, u32)> {
    let usable = rows.iter().filter(|row| row.cell.n > 1 && row.reliable && row.accuracy.is_some());
    let ways: std::collections::BTreeSet<(Strategy, u32)> =
        usable.map(|row| (row.cell.strategy, row.cell.n)).collect();
    let preferred =
        [Strategy::Verifier, Strategy::Maj, Strategy::Weighted, Strategy::Score, Strategy::Shortest];
    let strategy = preferred.into_iter().find(|strategy| ways.iter().any(|way| way.0 == *strategy))?;
    ways.into_iter().rfind(|way| way.0 == strategy)
}

/// A row as a point: its accuracy against `x`.
fn point(x: f64, row: &Row) -> Option<Point> {
    let accuracy = row.accuracy.filter(|accuracy| accuracy.value.is_finite())?;
    Some(Point {
        x,
        y: accuracy.value,
        range: Some((accuracy.ci_low, accuracy.ci_high)),
        is_hollow: !row.reliable,
        weight: 1.0,
        says: says(row),
    })
}

/// A cell in words.
pub fn cell_name(cell: &Cell) -> String {
    let waits = if cell.waits == 0 { String::new() } else { format!(" + {} waits", cell.waits) };
    format!("{}, budget {}{waits}, {}", cell.model, cell.budget, way_name(cell.strategy, cell.n))
}

/// What a row's point says: the cell, its accuracy, and what it costs.
fn says(row: &Row) -> String {
    let mut lines = vec![cell_name(&row.cell), format!("accuracy {}", share(row.accuracy.as_ref()))];
    let tokens = row.reasoning_tokens_mean * f64::from(row.cell.n);
    lines.push(format!("{} reasoning tokens, {} a problem", significant(tokens), seconds(row.device_s_mean)));
    lines.extend(
        row.prices.first().map(|priced| format!("{} per million problems", dollars(priced.usd_mean * 1e6))),
    );
    lines.join("\n")
}

/// Seconds with the unit that fits.
fn seconds(value: f64) -> String {
    match value {
        value if value < 0.9995e-3 => format!("{} µs", significant(value * 1e6)),
        value if value < 0.9995 => format!("{} ms", significant(value * 1e3)),
        value => format!("{} s", significant(value)),
    }
}

/// A round number of seconds, for an axis.
fn seconds_tick(value: f64) -> String {
    seconds(value).replace(".00", "").replace(".0 ", " ")
}

/// Dollars.
fn dollars(value: f64) -> String {
    format!("${}", significant(value))
}

/// A round amount, for an axis: 0.01, 1, 1,000.
fn tick(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1.0 => crate::rounding::grouped(value.round() as u64),
        value => format!("{}", (value * 1e9).round() / 1e9),
    }
}

/// Cost of a problem on a chart's axis: dollars per million problems, or device seconds.
fn cost(currency: Currency, row: &Row) -> f64 {
    let scale = if currency == Currency::Dollars { 1e6 } else { 1.0 };
    currency.per_problem(row).unwrap_or(f64::NAN) * scale
}

/// The title of that axis, and how its amounts are written.
fn cost_axis(currency: Currency, values: impl Iterator<Item = f64>) -> crate::plot::Axis {
    match currency {
        Currency::Dollars => {
            crate::plot::Axis::amounts("dollars per million problems (logarithmic)", values, |v| {
                format!("${}", tick(v))
            })
        }
        _ => crate::plot::Axis::amounts("device time per problem (logarithmic)", values, seconds_tick),
    }
}

/// What a claim says of one comparison.
fn comparison<'a>(facts: &Facts<'a>, claim: &str, name: &str) -> Option<&'a ComparisonFinding> {
    let finding = facts.claims?.findings.iter().find(|finding| finding.claim.id == claim)?;
    finding.comparisons.iter().find(|comparison| comparison.name == name)
}

/// The names of a task's two pictures that say most: what accuracy costs, and what thinking adds.
pub fn leading_names(task: &str) -> [String; 2] {
    [file_name(&[task, "plane"]), file_name(&[task, "tokens"])]
}

/// A name that may be part of a file's.
fn file_name(parts: &[&str]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let plain = |part: &str| -> String {
        let part: String = escape::visible(part).chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        part.trim_start_matches('.').to_owned()
    };
    parts.iter().map(|part| plain(part)).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_stays_in_its_folder() {
        assert_eq!(file_name(&["../a b/c", "tokens"]), "_a_b_c-tokens");
        assert_eq!(file_name(&["countdown-3", "plane"]), "countdown-3-plane");
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.001, 0.1, 1.0, 1000.0, 2e6].map(tick), ["0.001", "0.1", "1", "1,000", "2M"]);
        assert_eq!([1e-6, 0.002, 0.1, 10.0].map(seconds_tick), ["1 µs", "2 ms", "100 ms", "10 s"]);
    }
}
