//! A cell as a flat record: the columns that `cells.csv`, `cells.parquet` and `cells.json` share.
//!
//! Numbers keep all their digits, and their unit stands in the column's name. The columns only ever grow at the right.
//! An absent number is null here: an empty field in CSV, a null in Parquet, no key in JSON.
//! `harness/schema/cells.schema.json` says what each column holds.

use serde_json::Value;

use crate::row::Row;
use crate::statistics::Interval;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name; a budget too, which is a count or `max`.
    Text,
    /// A whole number from 0.
    Count,
    /// A finite number, or null.
    Number,
    /// `true` or `false`.
    Flag,
}

/// The columns, in order.
pub const COLUMNS: [(&str, Kind); 39] = [
    ("model", Kind::Text),
    ("task", Kind::Text),
    ("budget", Kind::Text),
    ("n", Kind::Count),
    ("strategy", Kind::Text),
    ("accuracy", Kind::Number),
    ("accuracy_ci_low", Kind::Number),
    ("accuracy_ci_high", Kind::Number),
    ("problems", Kind::Count),
    ("trajectories", Kind::Count),
    ("reasoning_tokens_mean", Kind::Number),
    ("answer_tokens_mean", Kind::Number),
    ("waits", Kind::Count),
    ("truncated_share", Kind::Number),
    ("no_answer_share", Kind::Number),
    ("device_s_mean", Kind::Number),
    ("usd_per_correct", Kind::Number),
    ("usd_per_correct_ci_low", Kind::Number),
    ("usd_per_correct_ci_high", Kind::Number),
    ("reliable", Kind::Flag),
    ("tokens_per_correct", Kind::Number),
    ("tokens_per_correct_ci_low", Kind::Number),
    ("tokens_per_correct_ci_high", Kind::Number),
    ("flop_mean", Kind::Number),
    ("flop_per_correct", Kind::Number),
    ("flop_per_correct_ci_low", Kind::Number),
    ("flop_per_correct_ci_high", Kind::Number),
    ("joules_mean", Kind::Number),
    ("joules_per_correct", Kind::Number),
    ("joules_per_correct_ci_low", Kind::Number),
    ("joules_per_correct_ci_high", Kind::Number),
    ("price", Kind::Text),
    ("usd_mean", Kind::Number),
    ("cost_of_pass_usd", Kind::Number),
    ("cost_of_pass_usd_ci_low", Kind::Number),
    ("cost_of_pass_usd_ci_high", Kind::Number),
    ("never_solved_share", Kind::Number),
    ("never_solved_share_ci_low", Kind::Number),
    ("never_solved_share_ci_high", Kind::Number),
];

/// The values of a row, in the order of [`COLUMNS`].
pub fn record(row: &Row) -> [Value; COLUMNS.len()] {
    let [accuracy, accuracy_low, accuracy_high] = numbers(row.accuracy.as_ref());
    let [usd, usd_low, usd_high] = numbers(row.usd_per_correct());
    let [tokens, tokens_low, tokens_high] = numbers(row.tokens_per_correct.as_ref());
    let [flop, flop_low, flop_high] = numbers(row.flop_per_correct.as_ref());
    let [joules, joules_low, joules_high] = numbers(row.joules_per_correct.as_ref());
    let pass = row.cost_of_pass_usd.as_ref();
    let [pass_usd, pass_low, pass_high] = numbers(pass.and_then(|pass| pass.shrunk.as_ref()));
    let [never, never_low, never_high] = numbers(pass.map(|pass| &pass.never_solved));
    let price = row.prices.first();
    [
        row.cell.model.as_str().into(),
        row.cell.task.as_str().into(),
        row.cell.budget.to_string().into(),
        row.cell.n.into(),
        row.cell.strategy.name().into(),
        accuracy,
        accuracy_low,
        accuracy_high,
        row.problems.into(),
        row.trajectories.into(),
        row.reasoning_tokens_mean.into(),
        row.answer_tokens_mean.into(),
        row.cell.waits.into(),
        row.truncated_share.into(),
        row.no_answer_share.into(),
        row.device_s_mean.into(),
        usd,
        usd_low,
        usd_high,
        row.reliable.into(),
        tokens,
        tokens_low,
        tokens_high,
        row.flop_mean.into(),
        flop,
        flop_low,
        flop_high,
        row.joules_mean.into(),
        joules,
        joules_low,
        joules_high,
        price.map(|price| price.price.as_str()).into(),
        price.map(|price| price.usd_mean).into(),
        pass_usd,
        pass_low,
        pass_high,
        never,
        never_low,
        never_high,
    ]
}

fn numbers(estimate: Option<&impl Interval>) -> [Value; 3] {
    estimate.map_or([Value::Null, Value::Null, Value::Null], |estimate| {
        let (value, low, high) = estimate.parts();
        [value.into(), low.into(), high.into()]
    })
}
