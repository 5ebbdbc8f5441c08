//! What verification found, for a reader.

use crate::rounding::{ABSENT, grouped, percent, significant};
use crate::table::{Column, Table};
use crate::verification::{CellCheck, Verification};

/// What was found, in sentences.
pub fn findings(found: &Verification) -> Vec<String> {
    let cells = found.cells.len();
    let equal = found.cells.iter().filter(|cell| cell.tokens_are_equal()).count();
    let agree = found.cells.iter().filter(|cell| cell.accuracy_agrees()).count();
    if cells == 0 {
        return vec!["No cell was checked.".into()];
    }
    let seconds = found.e2e_errors().map_or("nothing was predicted.".into(), |(median, worst)| {
        format!("predictions are off by {} % in the median, {} % at most.", percent(median), percent(worst))
    });
    vec![
        format!("Tokens: {equal} of {cells} cells equal the records, completion by completion."),
        format!("Accuracy: in {agree} of {cells} cells the paired 95 % interval of the difference holds 0."),
        format!("Seconds: {seconds}"),
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
    let amount = |amount: Option<f64>| amount.map_or(ABSENT.into(), significant);
    let mut entries = vec![
        cell.model.clone(),
        cell.task.clone(),
        cell.budget.to_string(),
        cell.n.to_string(),
        grouped(cell.tokens_recorded),
        alone,
        share(cell.accuracy_recorded),
        share(cell.accuracy_alone),
        amount(cell.e2e_predicted_s.map(|s| s * 1e3)),
        significant(cell.e2e_measured_s * 1e3),
        cell.e2e_error().map_or(ABSENT.into(), |error| format!("{:+.1}", error * 100.0)),
    ];
    if joules {
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
            e2e_predicted_s: Some(predicted),
            e2e_measured_s: measured,
            joules_predicted: None,
            joules_measured: None,
        }
    }

    #[test]
    fn the_error_of_the_seconds_is_relative_and_its_median_is_reported() {
        let cells = vec![check(1.1, 1.0), check(0.98, 1.0), check(1.0, 2.0)];
        let verification = Verification { conditions: vec![], cells };
        assert!((verification.e2e_errors().unwrap().0 - 0.1).abs() < 1e-9);
        let text = table(&verification).terminal();
        assert!(text.contains("off by 10.0 % in the median, 50.0 % at most"), "{text}");
        assert!(text.contains("+10.0") && text.contains("-2.0") && !text.contains("energy"), "{text}");
    }

    #[test]
    fn a_cell_without_a_prediction_has_none_and_not_one_of_0_seconds() {
        let unknown = CellCheck { e2e_predicted_s: None, ..check(1.0, 1.0) };
        let text = serde_json::to_string(&unknown).unwrap();
        assert!(!text.contains("e2e_predicted_s"), "{text}");
        assert_eq!(serde_json::from_str::<CellCheck>(&text).unwrap(), unknown);
        let mut verification = Verification { conditions: vec![], cells: vec![unknown] };
        assert!(table(&verification).terminal().contains("Seconds: nothing was predicted."));
        verification.cells.push(check(1.1, 1.0));
        let text = table(&verification).terminal();
        assert!(text.contains("10.0 % in the median, 10.0 % at most") && !text.contains("-100"), "{text}");
    }

    #[test]
    fn cells_with_other_tokens_are_marked_and_counted() {
        let spoilt = CellCheck { different_completions: 1, ..check(1.0, 1.0) };
        let verification = Verification { conditions: vec![], cells: vec![check(1.0, 1.0), spoilt] };
        let text = table(&verification).terminal();
        assert!(text.contains("1,000 !") && text.contains("1 of 2 cells equal the records"), "{text}");
    }
}
