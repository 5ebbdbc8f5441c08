//! The report as one page: the answer, charts that answer to the pointer, tables, every trajectory, and where it all
//! comes from.
//!
//! The page is one file and fetches nothing. Texts of models are hostile: the template escapes all that it writes,
//! data stand in JSON that cannot end its element and are written by the script as text, and a content security policy
//! names the one script and the one style sheet by their hashes, so that nothing else could run even if it got in.
//! Charts are drawn by [`crate::plot`]'s script from the descriptions of [`crate::figures`], as in the files beside the page.
//! Tables and verdicts can be read without any script. The same run gives the same bytes.

mod answer;
mod claims;
mod script_data;
mod topics;
mod trajectories;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::bargain::tasks;
use crate::cell::Strategy;
use crate::cell_tables::{answers_per_price, price_unit, way_name};
use crate::escape;
use crate::figures::{Figure, models};
use crate::plot;
use crate::report_md::{Report, at_the_cap, budget, economy_summary, economy_table, meaning, way_label};
use crate::rounding::{amount, grouped, share, significant};
use crate::row::Row;
use crate::table::{Column, Table};
use answer::{Answer, answer};
use claims::ClaimView;
use script_data::json;
use topics::{TopicView, topics};

pub use trajectories::Embedded;

/// The one style sheet, of every page.
pub(crate) const STYLE: &str = include_str!("style.css");
/// How a table is written.
const TABLE: &str = include_str!("table.html");
/// What draws the charts, and what the page does with them.
static SCRIPT: LazyLock<String> =
    LazyLock::new(|| [plot::ECHARTS, plot::CHARTS, include_str!("script.js")].join("\n"));
const PAGE: &str = include_str!("page.html");

/// Title of the section on verification, here and in Markdown.
pub const CHECKED: &str = "Checked by running cells alone";

/// All that a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// What the Markdown report says.
    pub report: &'a Report,
    /// The pictures.
    pub figures: &'a [Figure],
    /// What users wait: of each task and model, a table.
    pub waiting: &'a [Waited],
    /// The trajectories.
    pub trajectories: &'a Embedded,
    /// The run's manifest, as JSON.
    pub manifest: &'a str,
}

/// What users wait for one model on one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Waited {
    /// The task's name.
    pub task: String,
    /// The model's name.
    pub model: String,
    /// Its budgets and percentiles.
    pub table: Table,
}

#[derive(Serialize)]
struct Context<'a> {
    style: &'a str,
    script: &'a str,
    policy: String,
    title: &'a str,
    notes: &'a [String],
    facts: Vec<(String, String)>,
    tasks: Vec<&'a str>,
    models: Vec<&'a str>,
    answers: Vec<Answer<'a>>,
    topics: Vec<TopicView<'a>>,
    claims: Vec<ClaimView<'a>>,
    registration: String,
    economy: Option<Table>,
    economy_summary: String,
    activity: &'a [String],
    at_the_cap: &'static str,
    reading: Vec<(String, &'static str)>,
    conditions: &'a [(String, String)],
    command: &'a str,
    manifest: String,
    charts: String,
    cells: String,
    cells_count: String,
    trajectories: &'a str,
    carried: String,
    recorded: String,
    choice: &'a str,
}

/// The page as HTML.
///
/// # Errors
/// If the template cannot be rendered, which is a fault of this program.
pub fn report_html(page: &Page) -> Result<String, minijinja::Error> {
    let mut environment = environment()?;
    environment.add_template("page.html", PAGE)?;
    environment.get_template("page.html")?.render(context(page))
}

/// What pages are made with: every text is escaped, and tables are written by one macro.
pub(crate) fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => Ok(out.write_str(&harmless(text))?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("table.html", TABLE)?;
    Ok(environment)
}

/// A text between tags or in an attribute, line by line; nothing in it is invisible.
fn harmless(text: &str) -> String {
    text.split('\n').map(escape::xml).collect::<Vec<_>>().join("\n")
}

fn context<'a>(page: &Page<'a>) -> Context<'a> {
    let Page { report, figures, waiting, trajectories, manifest } = *page;
    let rows = &report.rows;
    let findings = report.claims.as_ref();
    Context {
        style: STYLE,
        script: &SCRIPT,
        policy: policy(),
        title: &report.title,
        notes: &report.notes,
        facts: facts(page),
        tasks: tasks(rows),
        models: models(rows),
        answers: tasks(rows).into_iter().map(|task| answer(rows, task)).collect(),
        topics: topics(report, figures, waiting),
        claims: findings.map(|file| file.findings.iter().map(ClaimView::of).collect()).unwrap_or_default(),
        registration: findings.map(|file| file.registration()).unwrap_or_default(),
        economy: Some(economy_table(&report.economy)).filter(|table| !table.rows.is_empty()),
        economy_summary: economy_summary(&report.economy),
        activity: &report.activity,
        at_the_cap: at_the_cap(report.policy),
        reading: reading(rows),
        conditions: &report.conditions,
        command: &report.command,
        manifest: manifest.split('\n').map(escape::visible).collect::<Vec<_>>().join("\n"),
        charts: json(&charts(figures)),
        cells: json(&cells(rows)),
        cells_count: grouped(rows.len() as u64),
        trajectories: &trajectories.data,
        carried: grouped(trajectories.carried as u64),
        recorded: grouped(trajectories.recorded as u64),
        choice: &trajectories.choice,
    }
}

/// Only this script and this style sheet; pictures from the page itself, for downloads.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data: blob:; base-uri 'none'; form-action 'none'",
        hash(&SCRIPT),
        hash(STYLE)
    )
}

/// The run in a few numbers.
fn facts(page: &Page) -> Vec<(String, String)> {
    let report = page.report;
    let sum = |tokens: fn(&crate::row::Economy) -> u64| report.economy.iter().map(tokens).sum::<u64>();
    let (grid, one_by_one) = (sum(|part| part.grid_tokens), sum(|part| part.cell_by_cell_tokens));
    let mut facts = vec![
        (grouped(report.rows.len() as u64), "cells".to_owned()),
        (grouped(page.trajectories.recorded as u64), "trajectories".to_owned()),
    ];
    if grid > 0 {
        facts.push((grouped(grid), "tokens sampled".to_owned()));
        facts.push((
            format!("{}×", significant(one_by_one as f64 / grid as f64)),
            "fewer than cell by cell".to_owned(),
        ));
    }
    facts
}

/// What charts show, by name.
fn charts(figures: &[Figure]) -> BTreeMap<&str, serde_json::Value> {
    figures.iter().map(|figure| (figure.name.as_str(), figure.picture.description())).collect()
}

fn reading(rows: &[Row]) -> Vec<(String, &'static str)> {
    let used: std::collections::BTreeSet<Strategy> = rows.iter().map(|row| row.cell.strategy).collect();
    used.into_iter().map(|strategy| (way_label(strategy), meaning(strategy))).collect()
}

/// Every cell with its main numbers, rounded to what their intervals support; `cells.csv` holds all of them in full.
fn cells(rows: &[Row]) -> Table {
    let answers = answers_per_price(rows.iter());
    let has_joules = rows.iter().any(|row| row.joules_mean.is_some());
    let mut columns = vec![
        Column::text("model"),
        Column::text("task"),
        Column::number("budget", "tokens"),
        Column::number("n", ""),
        Column::text("strategy"),
        Column::number("accuracy", "95 % interval"),
        Column::number("reasoning", "tokens"),
        Column::number("device time", "ms/problem"),
        Column::number("price", price_unit(answers)),
        Column::number("tokens", "per correct"),
    ];
    columns.extend(has_joules.then(|| Column::number("energy", "mJ/correct")));
    let entries = |row: &Row| {
        let mark = if row.reliable { "" } else { "~" };
        let mut entries = vec![
            escape::visible(&row.cell.model),
            escape::visible(&row.cell.task),
            budget(row),
            row.cell.n.to_string(),
            way_name(row.cell.strategy, row.cell.n),
            format!("{mark}{}", share(row.accuracy.as_ref())),
            significant(row.reasoning_tokens_mean),
            significant(row.device_s_mean * 1e3),
            amount(row.usd_per_correct(), answers as f64),
            amount(row.tokens_per_correct.as_ref(), 1.0),
        ];
        entries.extend(has_joules.then(|| amount(row.joules_per_correct.as_ref(), 1e3)));
        entries
    };
    Table { columns, rows: rows.iter().map(entries).collect(), ..Table::default() }
}
