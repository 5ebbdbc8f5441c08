//! Tasks, grading, re-grading and imports as a person uses them.

mod program;

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use isocost_harness::run_directory::read_records;
use program::{stderr, stdout, unsealed};
use serde_json::Value;

fn isocost(args: &[&str], folder: &Path, input: &str) -> Output {
    let mut command = program::isocost(args, folder);
    command.env_remove("ISOCOST_DATA");
    // Nothing may depend on the network, or on what this machine has fetched.
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder).env("XDG_CACHE_HOME", folder);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn grade_answers_line_by_line_and_a_bad_line_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let input = concat!(
        r#"{"id":1,"gold":"\\frac{1}{2}","completion":"<think>0.4</think>So it is $\\boxed{50\\%}$."}"#,
        "\nnot json\n",
        r#"{"id":"b","gold":"B","task":"gpqa-diamond","completion":"I choose (b)... Answer: C"}"#,
        "\n",
        r#"{"id":"c","gold":"make 24 from 7 4 8","task":"countdown-3","answer":"(7 - 4) * 8"}"#,
        "\n",
        r#"{"id":"d","gold":"1","task":"chess","answer":"1"}"#,
        "\n",
    );
    let output = isocost(&["grade"], folder.path(), input);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["correct", "error", "wrong", "correct", "error"]);
    assert_eq!(
        (&lines[0]["id"], &lines[0]["equal"], &lines[0]["rule"]),
        (&1.into(), &true.into(), &"boxed".into())
    );
    assert_eq!(lines[2]["extracted"], "C");
    assert!(lines[4]["error"].as_str().unwrap().contains("chess"));

    let good =
        isocost(&["grade", "--task", "gsm8k"], folder.path(), "{\"gold\":\"18\",\"answer\":\"$18\"}\n");
    assert!(good.status.success() && stdout(&good).contains("\"equal\":true"), "{}", stdout(&good));
    assert_eq!(isocost(&["grade", "--task", "chess"], folder.path(), "").status.code(), Some(2));
}

#[test]
fn tasks_are_listed_shown_and_previewed_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let list = stdout(&isocost(&["tasks", "list"], folder.path(), ""));
    for name in ["gsm8k", "math-500", "aime-2025", "mmlu-pro", "gsm-plus", "game24", "word-problems"] {
        assert!(list.lines().any(|line| line.starts_with(name)), "{name} in\n{list}");
    }
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    let shown = isocost(&["tasks", "show", "word-problems"], folder.path(), "");
    std::fs::write(folder.path().join("copy.toml"), &shown.stdout).unwrap();
    let preview = |name: &str| isocost(&["tasks", "preview", name, "--limit", "2"], folder.path(), "");
    assert_eq!(stdout(&preview("copy.toml")), stdout(&preview("word-problems")), "{}", stderr(&shown));
    assert!(stderr(&preview("word-problems")).contains("2 of 400 problems, drawn at random"));
    let absent = preview("gsm8k");
    assert_eq!(absent.status.code(), Some(2));
    assert!(stderr(&absent).contains("ISOCOST_DATA"), "{}", stderr(&absent));
}

const TASK: &str = r#"
name = "sums"
why = "a test"
licence = "MIT"
answer_tokens = 6

[judge.answer]
answer_type = "number"

[[sources]]
from = { path = "sums.csv" }
fields = { question = "q", gold = "a", id = "id" }
"#;

const SWEEP: &str = r#"
name = "mine"
why = "a test"
seed = 5
budgets = [0]
n = [1, 2]
strategies = ["first", "maj"]

[sampling]
temperature = 0.8

[[models]]
name = "d"
source = "bundled:direct-m"

[[tasks]]
name = "sums.toml"
problems = 3
"#;

/// A run of a task that is a file, on problems that are a file.
fn own_run(folder: &Path) {
    std::fs::write(folder.join("sums.toml"), TASK).unwrap();
    std::fs::write(folder.join("sweep.toml"), SWEEP).unwrap();
    let rows: String = (1..=8).map(|i| format!("s{i},start {i} + 1,{}\n", i + 1)).collect();
    std::fs::write(folder.join("sums.csv"), format!("id,q,a\n{rows}")).unwrap();
    let output = isocost(&["run", "sweep.toml", "--out", "run", "--limit", "2"], folder, "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("sums: 2 of 8 problems, drawn at random with seed 5"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_task_file_runs_end_to_end_and_its_run_is_graded_again() {
    let folder = tempfile::tempdir().unwrap();
    own_run(folder.path());
    let records = read_records(&folder.path().join("run")).unwrap();
    assert_eq!(records.len(), 2 * 2);
    assert!(
        records.iter().all(|r| r.task == "sums" && r.gold.parse::<u32>().is_ok() && !r.grader.is_empty())
    );

    let same = isocost(&["score", "run"], folder.path(), "");
    assert!(stdout(&same).contains("no outcome changed"), "{}{}", stdout(&same), stderr(&same));
    // As another version would have graded it.
    let path = folder.path().join("run/trajectories.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let other = unsealed(&text).replace("\"outcome\":\"correct\"", "\"outcome\":\"error\"");
    let other = other
        .replace("\"outcome\":\"wrong\"", "\"outcome\":\"error\"")
        .replace("\"grader\":\"2\"", "\"grader\":\"1/x\"");
    std::fs::write(&path, format!("{other}{{\"torn")).unwrap();
    let changed = isocost(&["score", "run", "--show-disagreements"], folder.path(), "");
    let said = stdout(&changed);
    assert!(said.contains("graded by version 1/x, now by 2") && said.contains("error -> "), "{said}");
    assert!(stderr(&changed).contains("1 torn, damaged or doubled lines"), "{}", stderr(&changed));
    assert_eq!(std::fs::read_to_string(folder.path().join("run/torn.jsonl")).unwrap(), "{\"torn\n");
    assert!(said.contains("── d sums s") && said.contains("gold"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the first grading is back");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("run/trajectories.grader-1x.jsonl")).unwrap(),
        other
    );
    assert!(isocost(&["report", "run"], folder.path(), "").status.success());
}

#[test]
fn imported_lines_become_a_run_that_reports() {
    let folder = tempfile::tempdir().unwrap();
    let line = |p: u32, answer: &str, correct: bool| {
        format!(
            "{{\"problem_id\":\"p{p}\",\"gold\":\"0.5\",\"answer\":{answer:?},\"correct\":{correct},\"usd\":0.01}}\n"
        )
    };
    let text =
        line(0, "1/2", true) + &line(0, "\\frac12", false) + &line(1, "2", false) + &line(1, "50%", true);
    std::fs::write(folder.path().join("theirs.jsonl"), text + "{\"problem_id\":\"p2\"}\n").unwrap();
    let args = [
        "import",
        "--format",
        "jsonl",
        "theirs.jsonl",
        "--out",
        "theirs",
        "--model",
        "m",
        "--task",
        "math-500",
    ];
    let output = isocost(&args, folder.path(), "");
    assert_eq!(output.status.code(), Some(1), "a line was left out: {}", stderr(&output));
    assert!(stderr(&output).contains("4 completions, 1 graded otherwise than given"), "{}", stderr(&output));
    let report = isocost(&["report", "theirs"], folder.path(), "");
    let said = stdout(&report);
    assert!(
        said.contains("m on math-500") && said.contains("1 graded right here, given as wrong: p0"),
        "{said}"
    );
    let table = std::fs::read_to_string(folder.path().join("theirs/cells.csv")).unwrap();
    assert!(table.lines().nth(1).unwrap().starts_with("m,math-500,first,1,true,2,2,0.75,"), "{table}");
    assert_eq!(isocost(&args, folder.path(), "").status.code(), Some(2), "never overwritten");
    assert!(stdout(&isocost(&["score", "theirs"], folder.path(), "")).contains("no outcome changed"));
}
