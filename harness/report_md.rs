//! The report of a sweep as Markdown: the answer, the tables with their conditions, what it cost to know, and how
//! to get it again.

mod reading;

use std::fmt::Write;

use crate::bargain::{Bargain, bargains, not_compared, tasks};
use crate::cell::Policy;
use crate::cell_tables::{answers_per_price, groups, price_unit, way_name};
use crate::claims::table::{ClaimsFile, section};
use crate::escape;
use crate::rounding::{ABSENT, amount, grouped, share, significant};
use crate::row::{Economy, Row};
use crate::table::{Column, Table, markdown};

use reading::reading;
pub(crate) use reading::{at_the_cap, meaning, way_label};

/// Columns of strategies in a published accuracy table.
const STRATEGY_COLUMNS: usize = 7;

/// A picture of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// File name relative to the report.
    pub file: String,
    /// What it shows, in one sentence.
    pub caption: String,
}

/// All that a report says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The headline.
    pub title: String,
    /// The command that made the numbers.
    pub command: String,
    /// Machine, versions, seeds, prices: names with values, in the order shown.
    pub conditions: Vec<(String, String)>,
    /// The cells.
    pub rows: Vec<Row>,
    /// What happened to a thought at its budget.
    pub policy: Policy,
    /// What the run says on the registered claims.
    pub claims: Option<ClaimsFile>,
    /// What each model and task cost to sample.
    pub economy: Vec<Economy>,
    /// What happened during the run: resumed, retried, skipped.
    pub activity: Vec<String>,
    /// Pictures.
    pub figures: Vec<Figure>,
    /// Remarks of the author of the sweep.
    pub notes: Vec<String>,
    /// Further tables, each group under its title.
    pub sections: Vec<Section>,
}

/// Tables under a title.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// What they are about.
    pub title: String,
    /// The tables.
    pub tables: Vec<Table>,
}

/// The report as Markdown. The same report gives the same bytes.
pub fn report_md(report: &Report) -> String {
    let mut text = format!("# {}\n", escape::markdown(&report.title));
    text.push_str(&answer(&report.rows));
    text.push_str(&report.claims.as_ref().map(section).unwrap_or_default());
    text.push_str(&figures(&report.figures));
    text.push_str(&prices(&report.rows));
    text.push_str(&tables(report));
    report.sections.iter().for_each(|section| text.push_str(&section_text(section)));
    text.push_str(&economy(&report.economy));
    text.push_str(&reading(report));
    text.push_str(&list("What happened", &report.activity));
    text.push_str(&list("Notes", &report.notes));
    text.push_str(&provenance(report));
    text
}

fn answer(rows: &[Row]) -> String {
    let answers = answers_per_price(rows.iter());
    let mut text = "\n## The answer\n".to_string();
    for task in tasks(rows) {
        let found = bargains(rows, task);
        let said = headline(&found, answers, escape::markdown);
        let left_out = not_compared(rows, task).map(|said| escape::markdown(&said));
        let said = [Some(said), left_out].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let _ = write!(text, "\n**{}**: {said}\n", escape::markdown(task));
        if found.len() > 1 {
            let table = bargain_table(&found, answers);
            let _ = write!(text, "\n{}", markdown(&table.columns, &table.rows));
        }
    }
    if rows.is_empty() {
        text.push_str("\nNo cell was measured.\n");
    }
    text
}

/// A task's answer in a sentence or two; `escape` makes names harmless where it is shown.
pub(crate) fn headline(found: &[Bargain], answers: u64, escape: fn(&str) -> String) -> String {
    let Some(best) = found.first() else {
        return "no reliable accuracy above zero was measured.".into();
    };
    let cell = &best.row.cell;
    let mut text = format!(
        "the best accuracy is {}, by {} at a budget of {} with {}, for {} device seconds per problem",
        share(best.row.accuracy.as_ref()),
        escape(&cell.model),
        budget(best.row),
        way_name(cell.strategy, cell.n),
        significant(best.row.device_s_mean),
    );
    if best.row.usd_per_correct().is_some() {
        let per = if answers == 1 {
            "correct answer".into()
        } else {
            format!("{} correct answers", grouped(answers))
        };
        let _ = write!(text, " and {}{} per {per}", escape("$"), dollars(best.row, answers));
    }
    text + "." + &found.get(1).map(|next| saving(best, next)).unwrap_or_default()
}

/// What the second best level saves.
fn saving(best: &Bargain, next: &Bargain) -> String {
    let times = best.row.device_s_mean / next.row.device_s_mean;
    if !times.is_finite() || times < 1.05 {
        return String::new();
    }
    let at_least = next.level * 100.0;
    format!(" At least {at_least:.0} % of that accuracy is had for {} times less.", significant(times))
}

/// The cheapest cell for each level of accuracy.
pub(crate) fn bargain_table(found: &[Bargain], answers: u64) -> Table {
    let columns = vec![
        Column::number("share of the best accuracy", "at least, %"),
        Column::text("cheapest model"),
        Column::number("budget", "tokens"),
        Column::text("strategy"),
        Column::number("accuracy", "95 % interval"),
        Column::number("device time", "s/problem"),
        Column::number("price", price_unit(answers)),
    ];
    let entries = |bargain: &Bargain| {
        let Row { cell, accuracy, device_s_mean, .. } = bargain.row;
        vec![
            format!("{:.0}", bargain.level * 100.0),
            cell.model.clone(),
            budget(bargain.row),
            way_name(cell.strategy, cell.n),
            share(accuracy.as_ref()),
            significant(*device_s_mean),
            dollars(bargain.row, answers),
        ]
    };
    Table { columns, rows: found.iter().map(entries).collect(), ..Table::default() }
}

/// A row's budget, with its forced continuations.
pub(crate) fn budget(row: &Row) -> String {
    match row.cell.waits {
        0 => row.cell.budget.to_string(),
        waits => format!("{} + {waits} waits", row.cell.budget),
    }
}

fn dollars(row: &Row, answers: u64) -> String {
    amount(row.usd_per_correct(), answers as f64)
}

fn figures(figures: &[Figure]) -> String {
    let mut text = String::new();
    for figure in figures {
        let caption = escape::markdown(&figure.caption);
        let _ = write!(text, "\n![{caption}](<{}>)\n\n*{caption}*\n", link(&figure.file));
    }
    if text.is_empty() { text } else { format!("\n## Pictures\n{text}") }
}

/// A relative address: whatever could end the link, or make it another scheme's, is percent-encoded.
fn link(file: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let mut text = String::new();
    for byte in file.bytes() {
        if is_plain(byte) { text.push(char::from(byte)) } else { text.push_str(&format!("%{byte:02X}")) }
    }
    text
}

fn tables(report: &Report) -> String {
    let mut text = String::new();
    let conditions = conditions_line(&report.conditions);
    for group in groups(&report.rows) {
        let (accuracy, cost) = (group.accuracy(STRATEGY_COLUMNS), group.cost(2));
        let _ = write!(text, "\n{}\n{}\n{conditions}", accuracy.markdown(), cost.markdown());
    }
    if text.is_empty() { text } else { format!("\n## Tables\n{text}") }
}

fn section_text(section: &Section) -> String {
    let tables: Vec<String> = section.tables.iter().map(|table| format!("\n{}", table.markdown())).collect();
    format!("\n## {}\n{}", escape::markdown(&section.title), tables.concat())
}

fn conditions_line(conditions: &[(String, String)]) -> String {
    let pairs = conditions
        .iter()
        .map(|(name, value)| format!("{}: {}", escape::markdown(name), escape::markdown(value)));
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() { String::new() } else { format!("*Conditions: {}.*\n", pairs.join("; ")) }
}

/// The cheapest cells of each task at each price.
fn prices(rows: &[Row]) -> String {
    let several = rows.first().is_some_and(|row| row.prices.len() > 1);
    if !several {
        return String::new();
    }
    let mut lines = Vec::new();
    for task in tasks(rows) {
        for bargain in bargains(rows, task) {
            let Row { cell, prices, .. } = bargain.row;
            lines.extend(prices.iter().map(|priced| {
                vec![
                    cell.task.clone(),
                    format!("{} {} {}", cell.model, budget(bargain.row), way_name(cell.strategy, cell.n)),
                    share(bargain.row.accuracy.as_ref()),
                    priced.price.clone(),
                    significant(priced.usd_mean * 1e6),
                    amount(priced.usd_per_correct.as_ref(), 1e6),
                ]
            }));
        }
    }
    let columns = [
        Column::text("task"),
        Column::text("cell"),
        Column::number("accuracy", "95 % interval"),
        Column::text("price"),
        Column::number("a million attempts", "$"),
        Column::number("a million correct", "$"),
    ];
    format!("\n## Prices\n\n{}\n`prices.csv` holds every cell at every price.\n", markdown(&columns, &lines))
}

/// What the whole grid took from one pass, against every cell sampled by itself.
fn economy(economy: &[Economy]) -> String {
    if economy.is_empty() {
        return String::new();
    }
    let table = economy_table(economy);
    let said = economy_summary(economy);
    format!("\n## What it took\n\n{}\n{said}\n", markdown(&table.columns, &table.rows))
}

/// What each model and task took.
pub(crate) fn economy_table(economy: &[Economy]) -> Table {
    let columns = vec![
        Column::text("model"),
        Column::text("task"),
        Column::number("grid", "tokens"),
        Column::number("dearest cell", "tokens"),
        Column::number("cell by cell", "tokens"),
        Column::number("fewer", "times"),
        Column::number("grid", "device s"),
        Column::number("cell by cell", "device s"),
        Column::number("less", "times"),
    ];
    Table { columns, rows: economy.iter().map(economy_row).collect(), ..Table::default() }
}

/// What the run took, in sentences.
pub(crate) fn economy_summary(economy: &[Economy]) -> String {
    let sum = |tokens: fn(&Economy) -> u64| economy.iter().map(tokens).sum::<u64>();
    let grid = sum(|part| part.grid_tokens);
    let times = |tokens: u64| significant(tokens as f64 / grid.max(1) as f64);
    format!(
        "All together {} tokens sampled for the whole grid. Cell by cell (every budget and n by itself, strategies of one n\n\
         sharing their completions) it would have been {} times as many; row by row (each strategy by itself too) {} times. Device\n\
         seconds are at this run's rate, without prompts.",
        grouped(grid),
        times(sum(|part| part.cell_by_cell_tokens)),
        times(sum(|part| part.row_by_row_tokens)),
    )
}

fn economy_row(part: &Economy) -> Vec<String> {
    let times = |more: f64, less: f64| if less > 0.0 { significant(more / less) } else { ABSENT.to_owned() };
    vec![
        part.model.clone(),
        part.task.clone(),
        grouped(part.grid_tokens),
        grouped(part.dearest_cell_tokens),
        grouped(part.cell_by_cell_tokens),
        times(part.cell_by_cell_tokens as f64, part.grid_tokens as f64),
        significant(part.grid_device_s),
        significant(part.cell_by_cell_device_s),
        times(part.cell_by_cell_device_s, part.grid_device_s),
    ]
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items: Vec<String> = lines.iter().map(|line| format!("- {}\n", escape::markdown(line))).collect();
    format!("\n## {title}\n\n{}", items.concat())
}

fn provenance(report: &Report) -> String {
    let mut text = "\n## Provenance\n".to_string();
    if !report.command.is_empty() {
        let _ = write!(text, "\n{}", escape::markdown_code(&report.command));
    }
    if !report.conditions.is_empty() {
        let columns = [Column::text("condition"), Column::text("value")];
        let rows: Vec<Vec<String>> =
            report.conditions.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
        let _ = write!(text, "\n{}", markdown(&columns, &rows));
    }
    let problems = report.rows.iter().map(|row| row.problems).max().unwrap_or(0);
    let _ = write!(
        text,
        "\n{} cells of up to {problems} problems. `cells.csv` holds every number.\n",
        report.rows.len()
    );
    text
}
