//! `cells.csv` and `prices.csv`: one line per cell, full precision, for other programs.
//!
//! The columns of cells are those of [`crate::cell_record`]. An absent number is an empty field; a name that a spreadsheet would
//! compute gets a quote before it.

use serde_json::Value;

use crate::cell_record::{self, COLUMNS, Kind};
use crate::escape::spreadsheet;
use crate::row::{Priced, Row};
use crate::statistics::Interval;

/// The header of `prices.csv`: every cell at every price.
pub const PRICE_COLUMNS: [&str; 11] = [
    "model",
    "task",
    "budget",
    "n",
    "strategy",
    "waits",
    "price",
    "usd_mean",
    "usd_per_correct",
    "usd_per_correct_ci_low",
    "usd_per_correct_ci_high",
];

/// The rows as CSV with a header, in the order given.
pub fn cells_csv(rows: &[Row]) -> String {
    csv(COLUMNS.map(|(name, _)| name), rows.iter().map(record))
}

/// The rows at every price as CSV with a header, in the order given.
pub fn prices_csv(rows: &[Row]) -> String {
    let pairs = rows.iter().flat_map(|row| row.prices.iter().map(move |priced| price_record(row, priced)));
    csv(PRICE_COLUMNS, pairs)
}

fn csv<const N: usize>(columns: [&str; N], records: impl Iterator<Item = [String; N]>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let records = std::iter::once(columns.map(String::from)).chain(records);
    for record in records {
        // Writing to memory fails only on records of unequal length, which the array's type excludes.
        if writer.write_record(&record).is_err() {
            break;
        }
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn record(row: &Row) -> [String; COLUMNS.len()] {
    let mut values = cell_record::record(row).into_iter();
    COLUMNS.map(|(_, kind)| entry(kind, values.next().unwrap_or_default()))
}

/// As the file has it: names that a spreadsheet would compute are disarmed, numbers are the shortest that read back.
fn entry(kind: Kind, value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => spreadsheet(&text),
        Value::Number(value) if kind == Kind::Number => value.as_f64().map_or_else(String::new, number),
        other => other.to_string(),
    }
}

fn price_record(row: &Row, priced: &Priced) -> [String; 11] {
    let [usd, usd_low, usd_high] = numbers(priced.usd_per_correct.as_ref());
    [
        spreadsheet(&row.cell.model),
        spreadsheet(&row.cell.task),
        row.cell.budget.to_string(),
        row.cell.n.to_string(),
        row.cell.strategy.to_string(),
        row.cell.waits.to_string(),
        spreadsheet(&priced.price),
        number(priced.usd_mean),
        usd,
        usd_low,
        usd_high,
    ]
}

fn numbers(estimate: Option<&impl Interval>) -> [String; 3] {
    match estimate.map(Interval::parts) {
        Some((value, low, high)) => [number(value), number(low), high.map_or(String::new(), number)],
        None => [const { String::new() }; 3],
    }
}

/// The shortest decimal that reads back as the same number; empty if it is not finite.
fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}
