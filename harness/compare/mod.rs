//! One run against another: what they do differently, and what that did to accuracy, time and cost.
//!
//! What differs between the manifests is said first, since a ratio of seconds means nothing until it is known whether
//! the device, the model or the program changed. Then each cell that both runs have is compared: accuracies by their
//! difference, tokens, seconds, joules and dollars by their ratio, always other against base. Where the runs asked the
//! same questions the comparison is paired by problem, which cancels what is hard for both; where they did not it is
//! unpaired, wider, and said to be so.
//!
//! Contract: intervals resample problems. They know nothing of a machine that was busy through a whole run: two runs of
//! one build on one machine show how much that is.

mod asked;
mod differences;
mod gate;
mod matching;
mod metric;
mod pair;
mod tables;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::manifest::Manifest;
use crate::row::Row;
use crate::statistics::Level;

pub use asked::Asked;
pub use differences::Difference;
pub use gate::{Gate, GateError, Ruling};
pub use matching::{Matching, Only};
pub use metric::Metric;
pub use pair::{CellPair, Change, Pairing};
pub use tables::{differences_table, tables};

/// Version of the form of a comparison in JSON.
pub const SCHEMA: u32 = 1;

/// A run that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it is called.
    pub name: &'a str,
    /// What it measured and with what.
    pub manifest: &'a Manifest,
    /// Its cells.
    pub rows: &'a [Row],
    /// What its problems ask.
    pub asked: &'a Asked,
}

/// A run against another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the run that is compared with.
    pub base: String,
    /// Name of the run that is compared.
    pub other: String,
    /// What the manifests say differently.
    pub differences: Vec<Difference>,
    /// What could not be compared, in sentences.
    pub unmatched: Vec<String>,
    /// The cells that both have.
    pub cells: Vec<CellPair>,
}

/// Compares every cell that both runs have, at this level of confidence.
pub fn compare(base: &Side, other: &Side, matching: &Matching, level: Level) -> Comparison {
    let pairs = matching.cells(base, other);
    Comparison {
        schema: SCHEMA,
        base: base.name.to_owned(),
        other: other.name.to_owned(),
        differences: differences::differences(base, other, matching),
        unmatched: matching.unmatched(base, other),
        cells: pairs.into_iter().map(|(a, b)| pair::compare(base, other, (a, b), level)).collect(),
    }
}

/// The level at which so many intervals, all together, miss at most as often as one does at 95 % (Bonferroni).
pub fn joint_level(intervals: usize) -> Level {
    Level::new(1.0 - Level::default().alpha() / intervals.max(1) as f64).unwrap_or_default()
}
