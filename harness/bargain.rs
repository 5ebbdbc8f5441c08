//! The answer first: for each task, the cheapest ways to the accuracies that were reached.
//!
//! Cost is device seconds per problem, which all cells of a run share; what only an oracle could do (pass@n) and
//! cells with too few subsets are left out. The best of many cells was chosen for its luck too: its interval is
//! that of a cell named beforehand, and the same problems should be used again before money is spent on it.
//! Only cells on the same problems are compared: a model that has met two easy problems so far is not the best.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::{Budget, Strategy};
use crate::currency::Currency;
use crate::row::Row;

/// Shares of the best accuracy for which the cheapest cell is named.
pub const LEVELS: [f64; 4] = [1.0, 0.95, 0.8, 0.5];

/// The cheapest cell that reaches a share of a task's best accuracy.
#[derive(Clone, Copy, Debug)]
pub struct Bargain<'a> {
    /// The largest of [`LEVELS`] that this cell is the cheapest for.
    pub level: f64,
    /// The cell.
    pub row: &'a Row,
}

/// The cells of a task that can be compared: those on its largest set of problems (of equally large ones, that of the most
/// cells).
pub fn comparable<'a>(rows: &'a [Row], task: &str) -> Vec<&'a Row> {
    let mut of_task: Vec<&Row> = rows.iter().filter(|row| row.cell.task == task).collect();
    let mut sets: BTreeMap<(usize, &[String]), usize> = BTreeMap::new();
    of_task.iter().for_each(|row| *sets.entry((row.problems, &row.ids)).or_default() += 1);
    let largest = sets.into_iter().max_by_key(|&((problems, _), cells)| (problems, cells));
    of_task.retain(|row| largest.is_some_and(|(set, _)| set == (row.problems, &*row.ids)));
    of_task
}

/// The cells of a task that are not [`comparable`], in a sentence that names their models and budgets.
pub fn not_compared(rows: &[Row], task: &str) -> Option<String> {
    let compared = comparable(rows, task);
    let all = compared.first()?.problems;
    let is_out = |row: &&Row| row.cell.task == task && !compared.iter().any(|other| other.cell == row.cell);
    let mut out: BTreeMap<(&str, usize), BTreeSet<Budget>> = BTreeMap::new();
    for row in rows.iter().filter(is_out) {
        out.entry((&row.cell.model, row.problems)).or_default().insert(row.cell.budget);
    }
    let named = |((model, problems), budgets): ((&str, usize), BTreeSet<Budget>)| {
        let is_whole = !compared.iter().any(|row| row.cell.model == model);
        let at: Vec<String> = budgets.iter().map(ToString::to_string).collect();
        let at = if is_whole { String::new() } else { format!(" at {}", at.join(", ")) };
        format!("{model}{at} ({problems} problems)")
    };
    let out: Vec<String> = out.into_iter().map(named).collect();
    (!out.is_empty())
        .then(|| format!("Not compared, being on other problems than these {all}: {}.", out.join("; ")))
}

/// The cheapest cells of a task, the best accuracy first; a cell that serves two levels is named once.
pub fn bargains<'a>(rows: &'a [Row], task: &str) -> Vec<Bargain<'a>> {
    bargains_among(comparable(rows, task).into_iter())
}

/// As [`bargains`], among these cells alone; they are of one task.
pub fn bargains_among<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Bargain<'a>> {
    let candidates: Vec<(f64, &Row)> = rows.filter(|row| is_candidate(row)).filter_map(scored).collect();
    let Some(best) = candidates.iter().map(|(accuracy, _)| *accuracy).reduce(f64::max) else {
        return Vec::new();
    };
    let mut bargains: Vec<Bargain> = Vec::new();
    for level in LEVELS {
        let reaching = candidates.iter().filter(|(accuracy, _)| *accuracy >= level * best && *accuracy > 0.0);
        let cheapest = reaching.min_by(|a, b| by_cost(a.1, b.1)).map(|(_, row)| *row);
        if let Some(row) = cheapest
            && !bargains.iter().any(|named| named.row.cell == row.cell)
        {
            bargains.push(Bargain { level, row });
        }
    }
    bargains
}

/// The cell whose correct answers are the cheapest: the most accuracy for the money, the energy or the time.
pub fn cheapest_answer<'a>(rows: &'a [Row], task: &str, currency: Currency) -> Option<&'a Row> {
    let candidates = comparable(rows, task).into_iter().filter(|row| is_candidate(row));
    let priced = candidates.filter_map(|row| Some((currency.per_correct(row)?.value, row)));
    priced
        .filter(|(cost, _)| cost.is_finite())
        .min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cell.cmp(&b.1.cell)))
        .map(|(_, row)| row)
}

/// Tasks in the order of their first row.
pub fn tasks(rows: &[Row]) -> Vec<&str> {
    let mut tasks: Vec<&str> = Vec::new();
    for row in rows {
        if !tasks.contains(&row.cell.task.as_str()) {
            tasks.push(&row.cell.task);
        }
    }
    tasks
}

/// Whether a cell could be chosen by somebody: reliable, and not an oracle's.
pub(crate) fn is_candidate(row: &Row) -> bool {
    row.reliable && row.cell.strategy != Strategy::Pass && row.device_s_mean.is_finite()
}

fn scored(row: &Row) -> Option<(f64, &Row)> {
    row.accuracy.map(|accuracy| (accuracy.value, row)).filter(|(accuracy, _)| accuracy.is_finite())
}

/// Cheaper first; at equal cost the more accurate, then the order of cells, so that ties do not wander.
fn by_cost(a: &Row, b: &Row) -> std::cmp::Ordering {
    let accuracy = |row: &Row| row.accuracy.map_or(0.0, |accuracy| accuracy.value);
    let cost = a.device_s_mean.total_cmp(&b.device_s_mean);
    cost.then(accuracy(b).total_cmp(&accuracy(a))).then_with(|| a.cell.cmp(&b.cell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::tests::{records, run, sweep};
    use crate::cells::{self, Known};
    use crate::leading::leading_table;
    use crate::observations::Observations;

    /// `whole` is right half of the time on eight problems, `begun` always on the first two.
    fn rows() -> Vec<Row> {
        let run = run().model("whole", |_, _| 0.5).model("begun", |_, _| 1.0);
        let mut records = records(&run);
        records.retain(|record| record.model == "whole" || record.problem.as_str() < "p00002");
        cells::rows(&sweep(&["whole", "begun"]), &Observations::of(&records), &Known::default())
    }

    #[test]
    fn a_model_that_has_met_two_easy_problems_is_not_the_best_and_is_said_to_be_left_out() {
        let rows = rows();
        let names = |found: Vec<Bargain>| found.iter().all(|found| found.row.cell.model == "whole");
        assert!(!bargains(&rows, "chain").is_empty() && names(bargains(&rows, "chain")));
        let cheapest = cheapest_answer(&rows, "chain", Currency::DeviceSeconds).unwrap();
        assert_eq!(cheapest.cell.model, "whole");
        let said = not_compared(&rows, "chain").unwrap();
        assert!(said.contains("these 8: begun (2 problems)"), "{said}");
        let table = leading_table(&rows, "");
        assert!(table.rows.len() == 1 && table.rows[0][1] == "whole");
        assert!(table.footnotes.iter().any(|note| note.contains("begun (2 problems)")));
    }

    #[test]
    fn a_budget_that_few_problems_have_is_named() {
        let mut rows = rows();
        rows.retain(|row| row.cell.model == "whole");
        assert_eq!(not_compared(&rows, "chain"), None);
        for row in rows.iter_mut().filter(|row| row.cell.budget == Budget::Tokens(32)) {
            row.problems = 3;
        }
        assert!(not_compared(&rows, "chain").unwrap().contains("whole at 32 (3 problems)"));
    }
}
