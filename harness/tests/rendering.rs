//! What a reader sees of a sweep: tables, report, pictures.

mod synthetic;

use isocost_harness::card::{Card, card};
use isocost_harness::cell::{Budget, Policy, Strategy};
use isocost_harness::cell_record::COLUMNS;
use isocost_harness::cell_tables::groups;
use isocost_harness::cells_csv::cells_csv;
use isocost_harness::figures::{Facts, Figure, figures};
use isocost_harness::leading::leading_table;
use isocost_harness::plot::{png, svg};
use isocost_harness::report_html::{Embedded, Page, report_html};
use isocost_harness::report_md::{Report, report_md};
use isocost_harness::row::Row;
use isocost_harness::statistics::Estimate;
use isocost_harness::table::TERMINAL_WIDTH;
use synthetic::{hostile_rows, report, rows};

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
    assert_eq!(cells_csv(&[]), COLUMNS.map(|(name, _)| name).join(",") + "\n");
}

#[test]
fn the_leading_table_says_what_each_model_buys() {
    insta::assert_snapshot!(leading_table(&rows(), "What each model buys").markdown());
}

#[test]
fn an_end_that_is_nearly_nothing_is_shown_alike_in_every_form() {
    let mut rows = rows();
    rows.truncate(1);
    rows[0].accuracy = Some(Estimate { value: 0.005, ci_low: 0.000_005, ci_high: 0.046, n: 100, df: None });
    let table = leading_table(&rows, "What each model buys");
    let page = page_of(&rows);
    for (form, text, end) in [
        ("terminal", table.terminal(), "0.005 [<0.001, 0.046]"),
        ("Markdown", table.markdown(), "| 0.005 [<0.001, 0.046] |"),
        ("LaTeX", table.latex(), r"0.005 {[}\textless{}0.001, 0.046{]}"),
        ("report", report_md(&report(rows.clone())), "0.005 [<0.001, 0.046]"),
        ("page", page.clone(), "[&lt;0.001, 0.046]"),
        ("page's cells", page, r"0.005 [\u003c0.001, 0.046]"),
    ] {
        assert!(text.contains(end), "{form}: {text}");
    }
}

#[test]
fn hostile_names_stay_harmless_in_latex_and_in_a_card() {
    let rows = hostile_rows();
    let name = rows[1].cell.model.as_str();
    let latex = leading_table(&rows, name).latex();
    assert!(!latex.contains('\u{1b}') && latex.contains(r"\textless{}script\textgreater{}"), "{latex}");
    let conditions = [("device".to_owned(), "a \"quoted\" one: # no comment".to_owned())];
    let card = card(&Card {
        name,
        why: "---\nlicense: stolen",
        command: "``` \n---",
        conditions: &conditions,
        rows: &rows,
        published: &[],
        files: &["cells.parquet".to_owned()],
    });
    insta::assert_snapshot!(card);
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
fn votes_of_one_completion_are_not_shown_and_few_trajectories_show_the_largest_n_marked() {
    let mut rows = rows();
    rows.retain(|row| (row.cell.n == 1 || row.cell.n == 16) && row.cell.strategy != Strategy::Pass);
    rows.iter_mut().for_each(|row| row.reliable = row.cell.n == 1);
    let table = groups(&rows)[0].accuracy_for_terminal().terminal();
    assert!(table.contains("maj@16") && table.contains('~') && !table.contains("@1 "), "{table}");
}

#[test]
fn without_a_price_there_are_no_columns_of_dollars() {
    let mut rows = rows();
    assert!(groups(&rows)[0].cost(2).markdown().contains("correct"));
    rows.iter_mut().for_each(|row| row.prices.clear());
    assert!(!groups(&rows)[0].cost(2).markdown().contains('$'));
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
fn a_run_that_truncates_is_not_said_to_force_answers() {
    let truncated = Report { policy: Policy::Truncate, ..report(rows()) };
    for text in [report_md(&truncated), page_with(&truncated, "{}")] {
        assert!(
            text.contains("the completion ends without an answer") && !text.contains("an answer is forced")
        );
        assert!(!text.contains("an answer was forced"));
    }
    assert!(
        page_with(&report(rows()), "{}").contains("at the cap the thought is closed and an answer is forced")
    );
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
    let drawn = figures_of(&rows);
    assert!(!drawn.is_empty());
    for Figure { name, picture, .. } in drawn {
        let svg = svg(&picture).unwrap();
        assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
        assert!(!name.contains(['/', '<', '\u{1b}']), "{name}");
    }
}

#[test]
fn pictures_and_reports_are_the_same_bytes_twice() {
    let rows = rows();
    let files = || figures_of(&rows).iter().map(|figure| svg(&figure.picture).unwrap()).collect::<Vec<_>>();
    assert_eq!(files(), files());
    assert_eq!(page_of(&rows), page_of(&rows));
    assert_eq!(report_md(&report(rows.clone())), report_md(&report(rows)));
}

#[test]
fn pictures_name_every_line_and_carry_a_title() {
    let drawn = svg(&figure(&rows(), "countdown-4-tokens").picture).unwrap();
    for text in
        ["reason-s</text>", "Dashed: verifier@8", "<title>countdown-4: accuracy by reasoning tokens</title>"]
    {
        assert!(drawn.contains(text), "{text} is missing");
    }
    if let Ok(folder) = std::env::var("ISOCOST_PICTURES") {
        for figure in figures_of(&rows()) {
            let drawn = svg(&figure.picture).unwrap();
            let description = figure.picture.description().to_string();
            std::fs::write(format!("{folder}/{}.json", figure.name), description).unwrap();
            std::fs::write(format!("{folder}/{}.svg", figure.name), &drawn).unwrap();
            std::fs::write(format!("{folder}/{}.png", figure.name), png(&drawn).unwrap()).unwrap();
        }
        std::fs::write(format!("{folder}/report.html"), page_of(&rows())).unwrap();
    }
}

#[test]
fn names_beside_a_picture_have_the_room_that_their_letters_take() {
    let name = "concise-m, countdown-4";
    let drawn = svg(&figure(&rows(), "economy").picture).unwrap();
    let line = drawn.lines().find(|line| line.contains(&format!(">{name}<")));
    let end = line.and_then(|line| line.split_once("translate(")?.1.split_once(' ')?.0.parse::<f64>().ok());
    // The name ends there; the font that PNGs have takes 6.6 a letter.
    assert!(end.is_some_and(|end| end > 7.0 * name.len() as f64), "{line:?}");
}

#[test]
fn a_picture_is_also_a_png_with_its_letters() {
    let drawn = svg(&figure(&rows(), "countdown-4-plane").picture).unwrap();
    let bytes = png(&drawn).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{}", bytes.len());
}

#[test]
fn every_kind_of_picture_is_drawn_where_there_are_numbers() {
    let names: Vec<String> = figures_of(&rows()).into_iter().map(|figure| figure.name).collect();
    for kind in ["-plane", "-tokens", "reason-m-grid", "reason-m-serial", "economy"] {
        assert!(names.iter().any(|name| name.ends_with(kind)), "{kind}: {names:?}");
    }
    assert!(figures(&Facts::default()).is_empty());
}

#[test]
fn a_model_that_never_thinks_is_drawn_at_zero() {
    let mut rows = rows();
    rows.retain(|row| row.cell.budget == Budget::Tokens(0) && row.cell.strategy == Strategy::First);
    let description = figure(&rows, "countdown-4-tokens").picture.description();
    assert_eq!(description["series"][0]["points"][0]["at"][0], 0.0);
}

#[test]
fn a_page_shows_hostile_names_as_text_and_allows_one_script() {
    let page = page_of(&hostile_rows());
    assert_eq!(page.matches("<script>").count(), 1, "a script got in");
    assert!(!page.contains('\u{1b}') && page.contains("&lt;script&gt;alert(1)"));
    assert!(page.contains("no energy meter") || page.contains("per joule"));
}

#[test]
fn a_page_of_nothing_says_so() {
    let page = page_of(&[]);
    assert!(page.contains("No cell was measured.") && page.contains("The run has no trajectory."));
}

fn figures_of(rows: &[Row]) -> Vec<Figure> {
    let economy = report(rows.to_vec()).economy;
    figures(&Facts { rows, economy: &economy, ..Facts::default() })
}

fn figure(rows: &[Row], name: &str) -> Figure {
    let found = figures_of(rows).into_iter().find(|figure| figure.name == name);
    found.unwrap_or_else(|| panic!("no picture {name}"))
}

fn page_of(rows: &[Row]) -> String {
    page_with(&report(rows.to_vec()), "")
}

fn page_with(report: &Report, trajectories: &str) -> String {
    let trajectories = Embedded { data: trajectories.to_owned(), ..Embedded::default() };
    let page = Page {
        report,
        figures: &figures_of(&report.rows),
        waiting: &[],
        trajectories: &trajectories,
        manifest: "{}",
    };
    report_html(&page).unwrap()
}
