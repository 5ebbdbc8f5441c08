//! `cells.csv` and `prices.csv`: one line per cell, full precision, for other programs.
//!
//! The columns only ever grow at the right. An absent number is an empty field; a name that a spreadsheet would
//! compute gets a quote before it.

use crate::escape::spreadsheet;
use crate::row::{Priced, Row};
use crate::statistics::Estimate;

/// The header of `cells.csv`, in order.
pub const COLUMNS: [&str; 39] = [
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
    "tokens_per_correct",
    "tokens_per_correct_ci_low",
    "tokens_per_correct_ci_high",
    "flop_mean",
    "flop_per_correct",
    "flop_per_correct_ci_low",
    "flop_per_correct_ci_high",
    "joules_mean",
    "joules_per_correct",
    "joules_per_correct_ci_low",
    "joules_per_correct_ci_high",
    "price",
    "usd_mean",
    "cost_of_pass_usd",
    "cost_of_pass_usd_ci_low",
    "cost_of_pass_usd_ci_high",
    "never_solved_share",
    "never_solved_share_ci_low",
    "never_solved_share_ci_high",
];

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
    csv(COLUMNS, rows.iter().map(record))
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

fn record(row: &Row) -> [String; 39] {
    let [accuracy, accuracy_low, accuracy_high] = numbers(row.accuracy.as_ref());
    let [usd, usd_low, usd_high] = numbers(row.usd_per_correct());
    let [tokens, tokens_low, tokens_high] = numbers(row.tokens_per_correct.as_ref());
    let [flop, flop_low, flop_high] = numbers(row.flop_per_correct.as_ref());
    let [joules, joules_low, joules_high] = numbers(row.joules_per_correct.as_ref());
    let pass = row.cost_of_pass_usd.as_ref();
    let [pass_usd, pass_low, pass_high] = numbers(pass.map(|pass| &pass.shrunk));
    let [never, never_low, never_high] = numbers(pass.map(|pass| &pass.never_solved));
    let price = row.prices.first();
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
        tokens,
        tokens_low,
        tokens_high,
        row.flop_mean.map_or_else(String::new, number),
        flop,
        flop_low,
        flop_high,
        row.joules_mean.map_or_else(String::new, number),
        joules,
        joules_low,
        joules_high,
        price.map_or_else(String::new, |price| spreadsheet(&price.price)),
        price.map_or_else(String::new, |price| number(price.usd_mean)),
        pass_usd,
        pass_low,
        pass_high,
        never,
        never_low,
        never_high,
    ]
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
