//! A comparison as tables: what differs, then for each task and model what it did.

use super::metric::Metric;
use super::{CellPair, Comparison, Pairing};
use crate::cell_tables::way_name;
use crate::rounding::{ABSENT, amount, amount_beside, significant};
use crate::statistics::Estimate;
use crate::table::{Column, Table};

/// What the manifests say differently.
pub fn differences_table(comparison: &Comparison) -> Table {
    let Comparison { base, other, differences, unmatched, .. } = comparison;
    let absent = |value: &Option<String>| value.clone().unwrap_or_else(|| ABSENT.to_owned());
    let entries = |d: &super::Difference| vec![d.what.clone(), absent(&d.base), absent(&d.other)];
    let same = "The manifests differ in nothing that could change a number.".to_owned();
    Table {
        caption: format!("What differs: {base} (base) and {other} (other)"),
        columns: vec![Column::text("what"), Column::text("base"), Column::text("other")],
        rows: differences.iter().map(entries).collect(),
        footnotes: differences
            .is_empty()
            .then_some(same)
            .into_iter()
            .chain(unmatched.iter().cloned())
            .collect(),
    }
}

/// Two tables for each task and model: accuracy by difference, all else by ratio.
pub fn tables(comparison: &Comparison) -> Vec<Table> {
    let mut groups: Vec<Vec<&CellPair>> = Vec::new();
    for cell in &comparison.cells {
        let is_same = |group: &Vec<&CellPair>| {
            (&group[0].base.task, &group[0].base.model) == (&cell.base.task, &cell.base.model)
        };
        match groups.iter_mut().find(|group| is_same(group)) {
            Some(group) => group.push(cell),
            None => groups.push(vec![cell]),
        }
    }
    groups.iter().flat_map(|cells| [accuracy(cells), cost(cells)]).collect()
}

fn accuracy(cells: &[&CellPair]) -> Table {
    let mut columns = cell_columns(cells);
    columns.extend([Column::number("base", "accuracy"), Column::number("other", "accuracy")]);
    columns.extend([Column::number("change", "points"), Column::number("problems", "")]);
    let entries = |cell: &&CellPair| {
        let change = cell.change(Metric::Accuracy);
        let value = |of: Option<f64>| of.map_or(ABSENT.to_owned(), |share| format!("{share:.3}"));
        let mut row = cell_entries(cells, cell);
        row.push(value(change.and_then(|change| change.base)));
        row.push(value(change.and_then(|change| change.other)));
        row.push(mark(cell) + &signed(change.and_then(|change| change.change.as_ref())));
        row.push(problems(cell.pairing));
        row
    };
    let mut footnotes = vec![pairing_note(cells)];
    if cells.iter().any(|cell| !cell.reliable) {
        footnotes.push("~ n is more than half of the trajectories: read with care.".into());
    }
    Table {
        caption: format!("{}. Accuracy, other minus base [95 % interval]", names(cells)),
        columns,
        rows: cells.iter().map(entries).collect(),
        footnotes,
    }
}

fn cost(cells: &[&CellPair]) -> Table {
    let has = |metric: Metric| cells.iter().any(|cell| cell.change(metric).is_some());
    // One of the two is enough for a table; JSON has both.
    let per_correct =
        if has(Metric::UsdPerCorrect) { Metric::UsdPerCorrect } else { Metric::SecondsPerCorrect };
    let metrics: Vec<Metric> = [Metric::Tokens, Metric::Seconds, Metric::Joules, Metric::Usd, per_correct]
        .into_iter()
        .filter(|metric| has(*metric))
        .collect();
    let mut columns = cell_columns(cells);
    columns.extend(metrics.iter().map(|metric| Column::number(title(*metric), "x")));
    let entries = |cell: &&CellPair| {
        let ratio = |metric: &Metric| {
            let change = cell.change(*metric).and_then(|change| change.change);
            change.map_or(ABSENT.to_owned(), |change| ratio_text(&change))
        };
        let mut row = cell_entries(cells, cell);
        row.extend(metrics.iter().map(ratio));
        row
    };
    Table {
        caption: format!("{}. Cost, other over base [95 % interval]", names(cells)),
        columns,
        rows: cells.iter().map(entries).collect(),
        footnotes: vec![
            "Of a problem, or of a correct answer (/correct). Intervals resample problems; a machine that was busy through a \
             whole run is not in them. Dollars are at each run's own first price."
                .into(),
        ],
    }
}

fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::Usd => "$",
        Metric::SecondsPerCorrect => "s/correct",
        Metric::UsdPerCorrect => "$/correct",
        other => other.name(),
    }
}

fn names(cells: &[&CellPair]) -> String {
    let CellPair { base, other, .. } = cells[0];
    if base.model == other.model {
        return format!("{} on {}", base.model, base.task);
    }
    format!("{} (base) and {} (other) on {}", base.model, other.model, base.task)
}

fn has_waits(cells: &[&CellPair]) -> bool {
    cells.iter().any(|cell| cell.base.waits > 0)
}

fn cell_columns(cells: &[&CellPair]) -> Vec<Column> {
    let mut columns = vec![Column::number("budget", "tokens")];
    columns.extend(has_waits(cells).then(|| Column::number("waits", "")));
    columns.push(Column::text("strategy"));
    columns
}

fn cell_entries(cells: &[&CellPair], cell: &CellPair) -> Vec<String> {
    let mut row = vec![cell.base.budget.to_string()];
    row.extend(has_waits(cells).then(|| cell.base.waits.to_string()));
    row.push(way_name(cell.base.strategy, cell.base.n));
    row
}

fn mark(cell: &CellPair) -> String {
    if cell.reliable { String::new() } else { "~".to_owned() }
}

/// A difference, read by its side of nothing.
fn signed(change: Option<&Estimate>) -> String {
    let text = amount_beside(change, 0.0);
    let is_gain =
        change.is_some_and(|change| change.value > 0.0) && text.starts_with(|c: char| c.is_ascii_digit());
    if is_gain { format!("+{text}") } else { text }
}

/// A ratio; one without spread is exact.
fn ratio_text(change: &Estimate) -> String {
    if change.ci_low == change.ci_high { significant(change.value) } else { amount(Some(change), 1.0) }
}

fn problems(pairing: Pairing) -> String {
    if pairing.paired { pairing.shared.to_string() } else { format!("{}, {}", pairing.base, pairing.other) }
}

fn pairing_note(cells: &[&CellPair]) -> String {
    let Pairing { paired, shared, base, other } = cells[0].pairing;
    match paired {
        true if shared == base && shared == other => format!("Paired by problem, on {shared} problems."),
        true => format!("Paired by problem, on the {shared} that both runs asked of {base} and {other}."),
        false => format!(
            "Not paired: the runs share {shared} problems of {base} and {other}, so intervals are those of independent groups."
        ),
    }
}
