//! The leading table: what each model buys, a row for each model and task.
//!
//! Of a model's cells it shows the cheapest within a twentieth of the model's best accuracy, and beside it the model
//! answering once at its largest budget, so that what choosing well saves can be seen. What only an oracle could do is
//! left out, as in [`crate::bargain`].

use crate::bargain::{bargains_among, comparable, is_candidate, not_compared, tasks};
use crate::cell::Strategy;
use crate::cell_tables::{answers_per_price, price_unit, way_name};
use crate::report_md::budget;
use crate::rounding::{ABSENT, amount, share, significant};
use crate::row::Row;
use crate::table::{Column, Table};

/// A cell with this share of its model's best accuracy is near it.
const NEAR: f64 = 0.95;

const READING: &str = "Of each model: the cheapest cell, in device seconds, with at least 95 % of the model's best accuracy, among \
     reliable cells that need no oracle; the best of many cells is partly luck. One long thought: a single \
     completion at the model's largest budget. Intervals resample problems; a dash is a number that does not exist.";

/// A row for each model and task, the most accurate model first; of a task only what was measured on the same problems.
pub fn leading_table(rows: &[Row], caption: &str) -> Table {
    let answers = answers_per_price(rows.iter().filter(|row| is_candidate(row)));
    let columns = vec![
        Column::text("task"),
        Column::text("model"),
        Column::number("accuracy", "95 % interval"),
        Column::number("budget", "tokens"),
        Column::text("strategy"),
        Column::number("reasoning", "tokens"),
        Column::number("device time", "s/problem"),
        Column::number("price", price_unit(answers)),
        Column::number("one long thought", "accuracy"),
    ];
    let lines = tasks(rows).into_iter().flat_map(|task| of_task(rows, task));
    let left_out = |task: &str| Some(format!("{task}: {}", not_compared(rows, task)?));
    Table {
        caption: caption.to_owned(),
        columns,
        rows: lines.map(|line| entries(&line, answers)).collect(),
        footnotes: std::iter::once(READING.to_owned())
            .chain(tasks(rows).into_iter().filter_map(left_out))
            .collect(),
    }
}

/// The cells that the table shows, in its order.
pub fn leading_cells(rows: &[Row]) -> Vec<&Row> {
    tasks(rows).into_iter().flat_map(|task| of_task(rows, task)).map(|line| line.chosen).collect()
}

/// The task on which choosing well matters most: that of the chosen cell that takes the longest.
pub fn leading_task(rows: &[Row]) -> Option<&str> {
    let longest = |a: &&Row, b: &&Row| a.device_s_mean.total_cmp(&b.device_s_mean);
    leading_cells(rows).into_iter().max_by(longest).map(|row| row.cell.task.as_str())
}

/// A model on a task.
struct Line<'a> {
    chosen: &'a Row,
    /// One completion at the largest budget.
    long: Option<&'a Row>,
}

fn of_task<'a>(rows: &'a [Row], task: &str) -> Vec<Line<'a>> {
    let mut models: Vec<&str> = Vec::new();
    let compared = comparable(rows, task);
    compared.iter().for_each(|row| {
        if !models.contains(&row.cell.model.as_str()) {
            models.push(&row.cell.model);
        }
    });
    let mut lines: Vec<Line> = models.into_iter().filter_map(|model| of_model(&compared, model)).collect();
    let accuracy = |line: &Line| line.chosen.accuracy.map_or(0.0, |accuracy| accuracy.value);
    lines.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)));
    lines
}

fn of_model<'a>(compared: &[&'a Row], model: &str) -> Option<Line<'a>> {
    let own = || compared.iter().copied().filter(|row| row.cell.model == model);
    let near = bargains_among(own()).into_iter().take_while(|bargain| bargain.level >= NEAR).last()?;
    let single = own().filter(|row| row.cell.strategy == Strategy::First && row.cell.waits == 0);
    Some(Line { chosen: near.row, long: single.max_by_key(|row| row.cell.budget) })
}

fn entries(line: &Line, answers: u64) -> Vec<String> {
    let Line { chosen: row, long } = line;
    vec![
        row.cell.task.clone(),
        row.cell.model.clone(),
        share(row.accuracy.as_ref()),
        budget(row),
        way_name(row.cell.strategy, row.cell.n),
        significant(row.reasoning_tokens_mean),
        significant(row.device_s_mean),
        amount(row.usd_per_correct(), answers as f64),
        long.map_or(ABSENT.to_owned(), |row| share(row.accuracy.as_ref())),
    ]
}
