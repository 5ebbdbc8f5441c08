//! The grader on the references and solutions of public problem sets, which are not part of the repository.
//!
//! Skipped, with a printed reason, where the data is absent; `ISOCOST_DATA` names another place.

use isocost_harness::grader::{AnswerType, Conventions, Outcome, equivalent, form, grade_text};
use isocost_harness::judge::Judge;
use isocost_harness::source::Library;
use isocost_harness::task::Task;
use serde_json::Value;
use std::path::PathBuf;

fn data() -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("ISOCOST_DATA").map_or_else(default, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no problem sets at {}", path.display());
    None
}

struct Row {
    id: String,
    gold: String,
    solution: Option<String>,
}

fn rows(path: PathBuf) -> Vec<Row> {
    let Ok(text) = std::fs::read_to_string(&path) else { return Vec::new() };
    let text_of = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|v| Row {
            id: text_of(&v["id"]),
            gold: text_of(&v["answer"]),
            solution: v["solution"].as_str().filter(|s| !s.is_empty()).map(str::to_string),
        })
        .collect()
}

const SETS: &[(&str, bool)] = &[
    ("gsm8k/gsm8k_test.jsonl", true),
    ("math500/math500.jsonl", true),
    ("aime/aime24.jsonl", true),
    ("aime/aime25.jsonl", true),
    ("aime/aime25_alt_test2025-I.jsonl", false),
    ("aime/aime25_alt_test2025-II.jsonl", false),
    ("amc23/amc23.jsonl", false),
    ("svamp/svamp.jsonl", false),
    ("svamp/multiarith.jsonl", false),
    ("perturbed/gsm_hard.jsonl", false),
    ("perturbed/gsm_plus_testmini.jsonl", false),
    ("perturbed/math_perturb_simple.jsonl", false),
    ("perturbed/math_perturb_hard.jsonl", false),
];

/// The reference stated in the ways models state answers.
fn statements(gold: &str) -> [String; 4] {
    [
        format!("Therefore, the answer is $\\boxed{{{gold}}}$."),
        format!("**Final Answer**\n\\[\n\\boxed{{ {} }}\n\\]", gold.replace("\\frac", "\\dfrac")),
        format!("We are done. The answer is ${gold}$."),
        format!("Some steps: 1, 2, 3.\n#### {gold}"),
    ]
}

#[test]
fn references_survive_their_own_solutions_and_statements() {
    let Some(data) = data() else { return };
    let conventions = Conventions::default();
    for (name, solved) in SETS {
        let rows = rows(data.join(name));
        let (mut stated, mut equal, mut solutions, mut found) = (0, 0, 0, 0);
        for row in &rows {
            for text in statements(&row.gold) {
                stated += 1;
                let verdict = grade_text(&row.gold, &text, &conventions);
                equal += u32::from(verdict.equal);
                if !verdict.equal {
                    println!("{name} {}: {:?} stated as {text:?}: {verdict:?}", row.id, row.gold);
                }
            }
            if let Some(solution) = row.solution.as_ref().filter(|_| *solved) {
                solutions += 1;
                let verdict = grade_text(&row.gold, solution, &conventions);
                found += u32::from(verdict.outcome == Outcome::Correct);
                if !verdict.equal {
                    let end: String =
                        solution.chars().rev().take(160).collect::<Vec<_>>().into_iter().rev().collect();
                    println!("{name} {}: {:?} from {end:?}: {verdict:?}", row.id, row.gold);
                }
            }
        }
        println!(
            "{name}: {} problems, {equal} of {stated} statements, {found} of {solutions} solutions",
            rows.len()
        );
        assert!(equal * 1000 >= stated * 998, "{name}");
    }
}

#[test]
fn different_references_are_not_taken_for_equal() {
    let Some(data) = data() else { return };
    let conventions = Conventions::default();
    for name in
        ["math500/math500.jsonl", "perturbed/math_perturb_hard.jsonl", "perturbed/math_perturb_simple.jsonl"]
    {
        let mut golds: Vec<String> = rows(data.join(name)).into_iter().map(|r| r.gold).collect();
        golds.sort();
        golds.dedup();
        let (mut pairs, mut equal) = (0, 0);
        for (i, gold) in golds.iter().enumerate() {
            // Neighbours in alphabetical order are the near misses.
            for other in golds[i + 1..].iter().take(40) {
                pairs += 1;
                if let Some(method) = equivalent(gold, other, &conventions) {
                    equal += 1;
                    println!("{name}: {gold:?} = {other:?} ({method:?})");
                }
            }
        }
        println!("{name}: {equal} of {pairs} pairs of references written differently are equal");
        assert!(equal * 200 <= pairs, "{name}");
    }
}

/// What is printed here is the table of rates in METHODOLOGY.md.
#[test]
fn references_of_every_task_at_hand_are_right_and_vote_together_however_they_are_stated() {
    let Some(data) = data() else { return };
    let library = Library { folder: Some(data), fetch: None };
    let mut graded = 0;
    for task in Task::names().map(|name| Task::open(name).unwrap()) {
        let (Judge::Answer(conventions), Ok(problems)) = (&task.judge, task.problems(&library)) else {
            continue;
        };
        let (mut stated, mut right, mut votes) = (0, 0, 0);
        for problem in problems.problems() {
            let own = form(&problem.gold, conventions);
            for text in statements(&problem.gold) {
                let finding = task.judge.judge(&problem.gold, &text, true);
                stated += 1;
                right += u32::from(finding.outcome == Outcome::Correct);
                votes += u32::from(finding.class.is_some() && finding.class == own);
            }
        }
        println!(
            "{}: {} problems, {right} of {stated} statements right, {votes} in one class",
            task.name,
            problems.problems().len()
        );
        assert!(right * 1000 >= stated * 998 && votes * 1000 >= stated * 990, "{}", task.name);
        graded += 1;
    }
    assert!(graded >= 12, "{graded} tasks");
}

#[test]
fn the_letters_of_a_multiple_choice_set_are_told_apart() {
    let Some(data) = data() else { return };
    let Ok(text) = std::fs::read_to_string(data.join("multiple_choice/sat_math.jsonl")) else { return };
    let choice =
        Judge::Answer(Conventions { answer_type: AnswerType::Choice, options: 4, ..Conventions::default() });
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for row in &rows {
        let gold = row["Answer"].as_str().unwrap();
        for letter in ["A", "B", "C", "D"] {
            for text in [
                format!("Answer: {letter}"),
                format!("So $\\boxed{{{letter}}}$."),
                format!("The answer is ({letter})."),
            ] {
                let outcome = choice.judge(gold, &text, true).outcome;
                assert_eq!(outcome == Outcome::Correct, letter == gold, "{text} for {gold}");
            }
        }
    }
    println!("sat_math: {} problems, 12 statements each", rows.len());
}
