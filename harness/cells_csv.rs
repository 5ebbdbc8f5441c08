//! `cells.csv`: one line per cell, full precision, for other programs.
//!
//! The columns only ever grow at the right. An absent number is an empty field; a name that a spreadsheet would
//! compute gets a quote before it.

use crate::escape::spreadsheet;
use crate::row::Row;
use crate::statistics::Estimate;

/// The header of `cells.csv`, in order.
pub const COLUMNS: [&str; 20] = [
    "model",
    "task",
    "budget",
    "n",
    "strategy",
    "accuracy",
    "accuracy_ci_low",
    "accuracy_ci_high",
    "problems",
    "trajectories",
    "reasoning_tokens_mean",
    "answer_tokens_mean",
    "waits",
    "truncated_share",
    "no_answer_share",
    "device_s_mean",
    "usd_per_correct",
    "usd_per_correct_ci_low",
    "usd_per_correct_ci_high",
    "reliable",
];

/// The rows as CSV with a header, in the order given.
pub fn cells_csv(rows: &[Row]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let records = std::iter::once(COLUMNS.map(String::from)).chain(rows.iter().map(record));
    for record in records {
        // Writing to memory fails only on records of unequal length, which the array's type excludes.
        if writer.write_record(&record).is_err() {
            break;
        }
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn record(row: &Row) -> [String; 20] {
    let [accuracy, accuracy_low, accuracy_high] = numbers(row.accuracy.as_ref());
    let [usd, usd_low, usd_high] = numbers(row.usd_per_correct.as_ref());
    [
        spreadsheet(&row.cell.model),
        spreadsheet(&row.cell.task),
        row.cell.budget.to_string(),
        row.cell.n.to_string(),
        row.cell.strategy.to_string(),
        accuracy,
        accuracy_low,
        accuracy_high,
        row.problems.to_string(),
        row.trajectories.to_string(),
        number(row.reasoning_tokens_mean),
        number(row.answer_tokens_mean),
        row.cell.waits.to_string(),
        number(row.truncated_share),
        number(row.no_answer_share),
        number(row.device_s_mean),
        usd,
        usd_low,
        usd_high,
        row.reliable.to_string(),
    ]
}

fn numbers(estimate: Option<&Estimate>) -> [String; 3] {
    match estimate {
        Some(estimate) => [estimate.value, estimate.ci_low, estimate.ci_high].map(number),
        None => [const { String::new() }; 3],
    }
}

/// The shortest decimal that reads back as the same number; empty if it is not finite.
fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}
