//! What verification found, for a reader.

use crate::rounding::{ABSENT, grouped, percent, significant};
use crate::table::{Column, Table};
use crate::verification::{CellCheck, Verification};

/// What was found, in sentences.
pub fn findings(found: &Verification) -> Vec<String> {
    let cells = found.cells.len();
    let equal = found.cells.iter().filter(|cell| cell.tokens_are_equal()).count();
    let agree = found.cells.iter().filter(|cell| cell.accuracy_agrees()).count();
    let Some(error) = found.median_e2e_error() else { return vec!["No cell was checked.".into()] };
    let worst = found.cells.iter().map(|cell| cell.e2e_error().abs()).fold(0.0, f64::max);
    vec![
        format!("Tokens: {equal} of {cells} cells equal the records, completion by completion."),
        format!("Accuracy: in {agree} of {cells} cells the paired 95 % interval of the difference holds 0."),
        format!(
            "Seconds: predictions are off by {} % in the median, {} % at most.",
            percent(error),
            percent(worst)
        ),
    ]
}

/// Predicted against measured, cell by cell.
pub fn table(found: &Verification) -> Table {
    let joules = found.cells.iter().any(|cell| cell.joules_predicted.or(cell.joules_measured).is_some());
    let mut columns = vec![
        Column::text("model"),
        Column::text("task"),
        Column::number("budget", "tokens"),
        Column::number("n", ""),
        Column::number("tokens", "recorded"),
        Column::number("tokens", "alone"),
        Column::number("correct", "recorded"),
        Column::number("correct", "alone"),
        Column::number("E2E", "predicted, ms"),
        Column::number("E2E", "measured, ms"),
        Column::number("off", "%"),
    ];
    if joules {
        columns.push(Column::number("energy", "predicted, J"));
        columns.push(Column::number("energy", "measured, J"));
    }
    Table {
        caption: "Cells run alone, against what was recorded and predicted".into(),
        columns,
        rows: found.cells.iter().map(|cell| entries(cell, joules)).collect(),
        footnotes: findings(found).into_iter().chain(found.conditions.clone()).collect(),
    }
}

fn entries(cell: &CellCheck, joules: bool) -> Vec<String> {
    let alone = grouped(cell.tokens_alone) + if cell.tokens_are_equal() { "" } else { " !" };
    let share = |share: f64| format!("{share:.3}");
    let mut entries = vec![
        cell.model.clone(),
        cell.task.clone(),
        cell.budget.to_string(),
        cell.n.to_string(),
        grouped(cell.tokens_recorded),
        alone,
        share(cell.accuracy_recorded),
        share(cell.accuracy_alone),
        significant(cell.e2e_predicted_s * 1e3),
        significant(cell.e2e_measured_s * 1e3),
        format!("{:+.1}", cell.e2e_error() * 100.0),
    ];
    if joules {
        let amount = |joules: Option<f64>| joules.map_or(ABSENT.into(), significant);
        entries.extend([amount(cell.joules_predicted), amount(cell.joules_measured)]);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Budget;

    fn check(predicted: f64, measured: f64) -> CellCheck {
        CellCheck {
            model: "m".into(),
            task: "t".into(),
            budget: Budget::Tokens(64),
            n: 4,
            requests: 3,
            tokens_recorded: 1000,
            tokens_alone: 1000,
            different_completions: 0,
            accuracy_recorded: 0.5,
            accuracy_alone: 0.5,
            accuracy_difference: None,
            e2e_predicted_s: predicted,
            e2e_measured_s: measured,
            joules_predicted: None,
            joules_measured: None,
        }
    }

    #[test]
    fn the_error_of_the_seconds_is_relative_and_its_median_is_reported() {
        let cells = vec![check(1.1, 1.0), check(0.98, 1.0), check(1.0, 2.0)];
        let verification = Verification { conditions: vec![], cells };
        assert!((verification.median_e2e_error().unwrap() - 0.1).abs() < 1e-9);
        let text = table(&verification).terminal();
        assert!(text.contains("off by 10.0 % in the median, 50.0 % at most"), "{text}");
        assert!(text.contains("+10.0") && text.contains("-2.0") && !text.contains("energy"), "{text}");
    }

    #[test]
    fn cells_with_other_tokens_are_marked_and_counted() {
        let spoilt = CellCheck { different_completions: 1, ..check(1.0, 1.0) };
        let verification = Verification { conditions: vec![], cells: vec![check(1.0, 1.0), spoilt] };
        let text = table(&verification).terminal();
        assert!(text.contains("1,000 !") && text.contains("1 of 2 cells equal the records"), "{text}");
    }
}
