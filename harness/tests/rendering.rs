//! What a reader sees of a sweep: tables, report, pictures.

mod synthetic;

use isocost_harness::cell::{Budget, Strategy};
use isocost_harness::cell_tables::groups;
use isocost_harness::cells_csv::{COLUMNS, cells_csv};
use isocost_harness::plot::{PlotError, accuracy_by_n, accuracy_by_tokens};
use isocost_harness::report_md::{Report, report_md};
use isocost_harness::table::TERMINAL_WIDTH;
use synthetic::{hostile_rows, report, rows};

const TASK: &str = "countdown-4";

#[test]
fn the_csv_has_its_columns_in_order_and_full_precision() {
    insta::assert_snapshot!(cells_csv(&rows()[..14]));
}

#[test]
fn the_csv_leaves_absent_numbers_empty_and_disarms_names() {
    insta::assert_snapshot!(cells_csv(&hostile_rows()));
}

#[test]
fn the_csv_of_no_rows_is_its_header() {
    assert_eq!(cells_csv(&[]), COLUMNS.join(",") + "\n");
}

#[test]
fn terminal_tables_fit_their_width_and_show_the_most_telling_strategies() {
    let rows = rows();
    let groups = groups(&rows);
    let text = format!(
        "{}\n{}",
        groups[1].accuracy_for_terminal().terminal(),
        groups[1].cost_for_terminal().terminal()
    );
    assert!(text.lines().all(|line| line.chars().count() <= TERMINAL_WIDTH), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn unreliable_cells_are_marked_when_no_others_exist() {
    let mut rows = rows();
    rows.retain(|row| row.cell.n == 1 || row.cell.n == 16);
    insta::assert_snapshot!(groups(&rows)[0].accuracy_for_terminal().terminal());
}

#[test]
fn waits_and_an_unlimited_budget_have_their_own_lines() {
    let mut rows = rows()[..2].to_vec();
    rows.push(rows[0].clone());
    rows[1].cell.budget = Budget::Max;
    rows[2].cell.waits = 2;
    insta::assert_snapshot!(groups(&rows)[0].accuracy_for_terminal().terminal());
}

#[test]
fn the_report_says_the_answer_first() {
    insta::assert_snapshot!(report_md(&report(rows())));
}

#[test]
fn a_report_of_nothing_says_so() {
    insta::assert_snapshot!(report_md(&Report { title: "Nothing".to_string(), ..Report::default() }));
}

#[test]
fn hostile_names_stay_harmless_in_a_report() {
    let rows = hostile_rows();
    let mut hostile = report(rows.clone());
    hostile.title = rows[0].cell.model.clone();
    hostile.notes = vec![rows[2].cell.model.clone(), "[x](javascript:alert(1))".to_string()];
    hostile.figures[0].file = "javascript:alert(1)>\n<img src=x>".to_string();
    let text = report_md(&hostile);
    assert!(!text.contains("<script") && !text.contains("<img") && !text.contains('\u{1b}'));
    assert!(text.contains("\\[x\\](javascript") && !text.contains("](<javascript:"));
    insta::assert_snapshot!(text);
}

#[test]
fn hostile_names_stay_harmless_in_a_terminal_and_a_picture() {
    let rows = hostile_rows();
    for group in groups(&rows) {
        let text = group.accuracy_for_terminal().terminal() + &group.cost_for_terminal().terminal();
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'));
    }
    for task in [&rows[0].cell.task, &rows[2].cell.task] {
        let svg = accuracy_by_tokens(&rows, task).unwrap();
        assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
    }
}

#[test]
fn pictures_and_reports_are_the_same_bytes_twice() {
    let rows = rows();
    assert_eq!(accuracy_by_tokens(&rows, TASK).unwrap(), accuracy_by_tokens(&rows, TASK).unwrap());
    assert_eq!(
        accuracy_by_n(&rows, TASK, "reason-m").unwrap(),
        accuracy_by_n(&rows, TASK, "reason-m").unwrap()
    );
    assert_eq!(report_md(&report(rows.clone())), report_md(&report(rows)));
}

#[test]
fn pictures_name_every_line_and_carry_a_title() {
    let svg = accuracy_by_tokens(&rows(), TASK).unwrap();
    for text in
        ["reason-s", "reason-m verifier@8", "<title>countdown-4: accuracy by reasoning tokens</title>"]
    {
        assert!(svg.contains(text), "{text} is missing");
    }
    if let Ok(folder) = std::env::var("ISOCOST_PICTURES") {
        let by_n = accuracy_by_n(&rows(), TASK, "reason-m").unwrap();
        std::fs::write(format!("{folder}/by_tokens.svg"), svg).unwrap();
        std::fs::write(format!("{folder}/by_n.svg"), by_n).unwrap();
    }
}

#[test]
fn a_picture_of_nothing_is_refused_by_name() {
    let error = accuracy_by_tokens(&rows(), "no such task").unwrap_err();
    assert_eq!(error, PlotError::Empty("no such task".to_string()));
    assert!(accuracy_by_n(&[], TASK, "x").is_err());
}

#[test]
fn a_model_that_never_thinks_is_drawn_at_zero() {
    let mut rows = rows();
    rows.retain(|row| row.cell.budget == Budget::Tokens(0) && row.cell.strategy == Strategy::First);
    assert!(accuracy_by_tokens(&rows, TASK).unwrap().contains("<circle"));
}
