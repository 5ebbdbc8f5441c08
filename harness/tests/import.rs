//! Completions of other tools become graded completions here.
//!
//! The files in `tests/import` have the form that each tool writes (field by field from its source: lm-evaluation-harness
//! `evaluator.py` and `evaluation_tracker.py`, lighteval `info_loggers.py` and `model_output.py`, inspect_ai `_log.py`);
//! their questions, texts and numbers were made up by hand for these tests. The Parquet file was written by pyarrow.

use std::path::{Path, PathBuf};

use isocost_harness::import::{Format, Names, Read, read};
use isocost_harness::imported::{self, Import, Imported, SCHEMA};
use isocost_harness::imported_report::{Group, csv, groups, markdown};
use isocost_harness::judge::Judge;
use isocost_harness::outcome::Outcome;
use isocost_harness::regrade::regrade;
use isocost_harness::statistics::Strategy;

const DATE: &str = "2025-03-04T05-06-07.123456";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name)
}

fn raw(format: Format, name: &str) -> Read {
    read(format, &[&file(name)], &Names::default()).unwrap()
}

fn graded(format: Format, name: &str) -> Vec<Imported> {
    let mut completions = raw(format, name).completions;
    completions.iter_mut().for_each(|completion| completion.grade(&Judge::default()));
    completions
}

fn outcomes(completions: &[Imported]) -> Vec<Outcome> {
    completions.iter().map(|c| c.graded.as_ref().unwrap().outcome).collect()
}

fn accuracy(group: &Group, strategy: Strategy, n: usize) -> f64 {
    let row = group.rows.iter().find(|row| row.strategy == strategy && row.n == n);
    row.unwrap_or_else(|| panic!("no {strategy:?} at {n}")).accuracy.unwrap().value
}

#[test]
fn lm_eval_samples_are_read_once_whatever_their_filters() {
    let name = format!("samples_gsm8k_{DATE}.jsonl");
    let read = raw(Format::LmEval, &name);
    assert_eq!(read.completions.len(), 3);
    assert!(read.notes.iter().any(|note| note.contains("3 lines of other filters")), "{:?}", read.notes);
    let completions = graded(Format::LmEval, &name);
    assert!(completions.iter().all(|c| c.task == "gsm8k" && c.sampled_tokens.is_none()));
    assert_eq!(completions[1].golds, ["1,234"]);
    assert_eq!(outcomes(&completions), [Outcome::Correct, Outcome::Correct, Outcome::NoAnswer]);
    // The tool's filter missed the second answer.
    let disputed: Vec<&str> =
        completions.iter().filter(|c| c.is_disputed()).map(|c| c.problem.as_str()).collect();
    assert_eq!(disputed, ["1"]);
}

#[test]
fn repeats_of_lm_eval_are_the_trajectories_of_a_problem() {
    let completions = graded(Format::LmEval, &format!("samples_repeats_{DATE}.jsonl"));
    assert_eq!(completions.iter().map(|c| c.trajectory).collect::<Vec<_>>(), [0, 1, 2, 3, 0, 1, 2, 3]);
    assert!(
        completions.iter().all(|c| c.given_correct.is_none()),
        "the metric is about all repeats together"
    );
    let group = &groups(&completions)[0];
    assert_eq!((group.problems, group.trajectories, group.voteless), (2, 4, 1));
    assert_eq!(accuracy(group, Strategy::First, 1), 0.5);
    assert_eq!(accuracy(group, Strategy::PassAtK, 4), 1.0);
    // 42 and 42.0 vote together, against 41.
    assert_eq!(accuracy(group, Strategy::Majority, 4), 1.0);
}

#[test]
fn lighteval_details_keep_tokens_and_never_grade_an_unfinished_thought() {
    let completions = graded(Format::Lighteval, &format!("details_math_500_{DATE}.parquet"));
    assert_eq!(completions.len(), 4);
    assert_eq!(
        outcomes(&completions),
        [Outcome::Correct, Outcome::Truncated, Outcome::Correct, Outcome::Wrong]
    );
    let tokens: Vec<_> = completions.iter().map(|c| c.sampled_tokens).collect();
    assert_eq!(tokens, [Some(3), Some(8), Some(4), Some(5)]);
    assert_eq!(completions[0].task, "math_500");
    assert!(completions.iter().all(|c| c.seconds.is_none() && c.usd.is_none()));
}

#[test]
fn inspect_logs_keep_epochs_usage_cost_and_several_targets() {
    let completions = graded(Format::Inspect, "inspect.json");
    assert_eq!(
        outcomes(&completions),
        [Outcome::Correct, Outcome::Wrong, Outcome::Correct, Outcome::Truncated]
    );
    assert_eq!(completions[0].completion.as_deref(), Some("The answer is 12."));
    assert_eq!((completions[0].reasoning_tokens, completions[0].sampled_tokens), (Some(30), Some(40)));
    assert_eq!((completions[0].model.as_str(), completions[0].task.as_str()), ("openai/m", "arith"));
    let group = &groups(&completions)[0];
    assert_eq!(group.right_only_here, ["b"], "0.5 is 1/2, which the tool missed");
    let first = &group.rows[0];
    assert_eq!((first.tokens, first.seconds), (Some(42.5), Some(1.625)));
    assert!((first.usd.unwrap() - 0.002).abs() < 1e-12, "8 m$ for 4 completions: {:?}", first.usd);
}

#[test]
fn a_sample_that_failed_is_an_error_and_missing_numbers_are_absent() {
    let completions = graded(Format::Inspect, "inspect_failed.json");
    assert_eq!(outcomes(&completions), [Outcome::Correct, Outcome::Error]);
    let row = &groups(&completions)[0].rows[0];
    assert_eq!((row.tokens, row.seconds, row.usd), (None, None, None));
    assert_eq!(row.accuracy.unwrap().value, 0.5);
}

#[test]
fn what_cannot_be_read_is_counted_whatever_its_format_calls_it_and_other_notes_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let left_out = |format: Format, name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let read = read(format, &[&path], &Names::default()).unwrap();
        (read.left_out, read.notes.len())
    };
    let log =
        r#"{"samples": [{"id": 1}, {"id": 2, "output": {"choices": [{"message": {"content": "x"}}]}}]}"#;
    assert_eq!(left_out(Format::Inspect, "log.json", log), (1, 1));
    // The note of an unknown field names the file, and that is all it says of rows.
    let line = r#"{"problem_id": 1, "gold": "2", "answer": "2", "colour": "red"}"#;
    assert_eq!(left_out(Format::Jsonl, "a: row 1.jsonl", line), (0, 1));
    let (read, others) =
        (raw(Format::Jsonl, "plain.jsonl"), raw(Format::LmEval, &format!("samples_gsm8k_{DATE}.jsonl")));
    assert_eq!((read.left_out, others.left_out, others.notes.len()), (1, 0, 1));
}

/// Plain lines in files, each with further fields.
fn plain(files: &[&[&str]]) -> Result<Read, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = |(number, lines): (usize, &&[&str])| {
        let line =
            |rest: &&str| format!("{{\"problem_id\": \"p\", \"gold\": \"2\", \"answer\": \"2\"{rest}}}\n");
        let path = folder.path().join(format!("{number}.jsonl"));
        std::fs::write(&path, lines.iter().map(line).collect::<String>()).unwrap();
        path
    };
    let paths: Vec<PathBuf> = files.iter().enumerate().map(path).collect();
    read(Format::Jsonl, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), &Names::default())
}

#[test]
fn plain_lines_are_numbered_as_they_say_and_a_number_that_is_taken_is_refused_by_its_row() {
    let sample = |number: u32| format!(", \"sample\": {number}");
    let numbers = |read: Read| read.completions.iter().map(|c| c.trajectory).collect::<Vec<_>>();
    let (zero, one, five) = (sample(0), sample(1), sample(5));
    assert_eq!(numbers(plain(&[&[&five, "", &one], &["", &zero]]).unwrap()), [5, 2, 1, 3, 0]);
    let message = plain(&[&[&one, &zero], &[&five, &one]]).unwrap_err();
    assert!(message.contains("1.jsonl: row 2: problem p has a `sample` 1 already"), "{message}");
    let read = plain(&[&[", \"sample\": -1", ", \"sample\": \"first\"", ", \"sample\": null"]]).unwrap();
    assert_eq!((read.left_out, read.completions.len()), (2, 1));
}

#[test]
fn tokens_of_a_plain_line_are_known_where_thought_and_answer_are_and_no_count_overflows() {
    let read = plain(&[&[
        ", \"answer_tokens\": 5",
        ", \"reasoning_tokens\": 7",
        ", \"answer_tokens\": 5, \"reasoning_tokens\": 7",
        ", \"answer_tokens\": 5, \"reasoning_tokens\": 0, \"usd\": 0.25",
        ", \"answer_tokens\": 18446744073709551615, \"reasoning_tokens\": 1",
    ]])
    .unwrap();
    let tokens: Vec<_> = read.completions.iter().map(|c| c.sampled_tokens).collect();
    assert_eq!(tokens, [None, None, Some(12), Some(5)]);
    assert_eq!(read.completions[3].usd, Some(0.25));
    assert_eq!((read.left_out, read.notes.len()), (1, 1), "{:?}", read.notes);
}

#[test]
fn plain_lines_are_graded_beside_the_verdict_they_bring() {
    let read = raw(Format::Jsonl, "plain.jsonl");
    assert!(read.notes[0].contains("row 13") && read.notes[0].contains("left out"), "{:?}", read.notes);
    let completions = graded(Format::Jsonl, "plain.jsonl");
    let group = &groups(&completions)[0];
    assert_eq!((group.problems, group.trajectories), (3, 4));
    assert_eq!(accuracy(group, Strategy::First, 1), 8.0 / 12.0);
    assert_eq!(accuracy(group, Strategy::Majority, 4), 1.0);
    assert!(group.rows.iter().any(|row| row.strategy == Strategy::BestOfN));
    // The file calls the second of each problem wrong and all others right.
    assert_eq!(group.right_only_here, ["p0"]);
    assert_eq!(group.right_only_there, ["p0", "p2"]);
}

#[test]
fn verdicts_alone_give_accuracy_and_pass_at_n_but_no_majority() {
    let completions = graded(Format::Jsonl, "verdicts.jsonl");
    let group = &groups(&completions)[0];
    assert_eq!(accuracy(group, Strategy::First, 1), (0.0 + 0.25 + 0.5 + 0.75) / 4.0);
    // 1 - C(4-c, 2) / C(4, 2) for c of 0 to 3.
    let expected = (0.0 + 0.5 + (1.0 - 1.0 / 6.0) + 1.0) / 4.0;
    assert!((accuracy(group, Strategy::PassAtK, 2) - expected).abs() < 1e-12);
    assert!(!group.rows.iter().any(|row| row.strategy == Strategy::Majority));
    assert_eq!(group.voteless, 16);
}

#[test]
fn an_imported_run_is_written_read_graded_again_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let completions = graded(Format::Jsonl, "plain.jsonl");
    let judges = [("t".to_owned(), Judge::default())].into();
    let import =
        Import { schema: SCHEMA, format: "jsonl".into(), files: [].into(), judges, provenance: [].into() };
    imported::write(folder.path(), &import, &completions).unwrap();
    assert_eq!(imported::read(folder.path()).unwrap(), (import.clone(), completions.clone()));
    assert!(imported::write(folder.path(), &import, &completions).is_err());
    assert!(!regrade(folder.path()).unwrap().is_written, "the same grader changes nothing");

    let path = folder.path().join("completions.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let older = text.replacen("\"outcome\":\"correct\"", "\"outcome\":\"wrong\"", 2);
    std::fs::write(&path, older.replace("\"grader\":\"2\"", "\"grader\":\"0\"")).unwrap();
    let done = regrade(folder.path()).unwrap();
    let counts: Vec<_> = done.by_outcome().into_iter().map(|(key, changes)| (key, changes.len())).collect();
    assert_eq!(counts, [([Outcome::Wrong, Outcome::Correct], 2)]);
    assert!(folder.path().join("completions.grader-0.jsonl").exists());
    assert_eq!(imported::read(folder.path()).unwrap().1, completions);
}

#[test]
fn the_report_shows_what_is_absent_as_absent() {
    let groups = groups(&graded(Format::Jsonl, "verdicts.jsonl"));
    let text = markdown(&groups, &[("format".into(), "jsonl".into())]);
    assert!(text.contains("| first | 1 | 0.38 ["), "{text}");
    let table = csv(&groups);
    let line = table.lines().nth(1).unwrap();
    assert!(
        line.starts_with("unnamed,unnamed,first,1,true,4,4,0.375,") && line.ends_with(",,,,,,"),
        "{line}"
    );
}

#[test]
fn a_file_of_another_form_is_refused_with_its_name() {
    for (format, name) in [
        (Format::Inspect, "plain.jsonl"),
        (Format::Lighteval, "plain.jsonl"),
        (Format::LmEval, "absent.jsonl"),
    ] {
        match read(format, &[&file(name)], &Names::default()) {
            Err(message) => assert!(message.contains(name), "{message}"),
            Ok(read) => {
                assert!(read.completions.is_empty() && !read.notes.is_empty());
                assert!(read.notes.iter().all(|note| note.contains(name)));
            }
        }
    }
}
