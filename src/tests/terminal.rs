//! What a person or a program sees on stderr while it runs; and what the program says of itself and its machine.

mod program;

use program::{fails, folder_with, isocost, ran};
use std::process::{Command, Output, Stdio};

const SWEEP: &str = r#"
name = "seen"
why = "a test"
seed = 5
budgets = [0, 64, 200]
n = [1, 8]
strategies = ["first", "maj"]
rows = 8

[sampling]
temperature = 0.8

[[models]]
name = "reason-s"
source = "bundled:reason-s"

[[models]]
name = "a name that is longer than its column"
source = "bundled:direct-m"

[[tasks]]
name = "countdown-3"
problems = 6

[price]
device = "a test"
usd_per_device_hour = 1.0
source = "made up"
date = "2026-01-01"
"#;

/// What a call that succeeds says on the way.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn without_a_terminal_progress_is_one_plain_line_for_each_model() {
    let folder = folder_with("seen.toml", SWEEP);
    let text = said(&ran(&["run", "seen.toml", "--out", "a"], folder.path()));
    assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
    let progress: Vec<&str> = text.lines().filter(|line| line.contains(" of 48 trajectories")).collect();
    assert_eq!(progress.len(), 2, "{text}");
    assert!(progress[0].starts_with("reason-s: 48 of 48 trajectories, "), "{text}");
    assert!(progress[1].starts_with("a name that is longer than its column: 48 of 48 "), "{text}");
}

#[test]
fn as_json_stderr_is_one_object_for_each_event_and_a_resumed_run_counts_what_was_there() {
    let folder = folder_with("seen.toml", SWEEP);
    let arguments = ["run", "seen.toml", "--out", "a", "--log-format", "json"];
    for _ in 0..2 {
        let text = said(&ran(&arguments, folder.path()));
        let events: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let named = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
        assert_eq!((named("device").len(), named("memory").len(), named("wrote").len()), (1, 2, 1), "{text}");
        let models = named("model");
        assert_eq!(models[0]["trajectories"], 48);
        assert!(models[0]["accuracy"]["ci_low"].is_f64() && models[0]["usd"].is_f64(), "{text}");
    }
    let failed = ran(&["run", "no.toml", "--log-format", "json"], folder.path());
    let error: serde_json::Value = serde_json::from_slice(&failed.stderr).unwrap();
    assert_eq!((failed.status.code(), &error["event"]), (Some(2), &serde_json::json!("error")));
}

/// What a run writes to a terminal of so many columns; `None` without the program `script`.
fn on_a_terminal(columns: usize) -> Option<String> {
    let folder = folder_with("seen.toml", SWEEP);
    let program = env!("CARGO_BIN_EXE_isocost");
    let line = format!("stty cols {columns} rows 30; '{program}' run seen.toml --out a > tables.txt");
    let mut command = Command::new("script");
    command.args(["-qfec", &line, "typescript"]).current_dir(folder.path()).env("TERM", "xterm");
    let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).output().ok()?;
    assert!(output.status.success());
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The text without the sequences that move the cursor or erase.
fn text_of(terminal: &str) -> String {
    console::strip_ansi_codes(terminal).replace('\r', "\n")
}

#[test]
fn on_a_terminal_no_line_is_wider_than_it_and_narrow_ones_have_fewer_columns() {
    for (columns, has_task) in [(60, false), (80, false), (120, true)] {
        let Some(seen) = on_a_terminal(columns) else { return println!("skipped: there is no `script`") };
        let text = text_of(&seen);
        for line in text.lines() {
            // A line may be filled up with blanks, so that what comes next begins on the next one.
            let reached = line.chars().skip(columns - 1).step_by(columns);
            assert!(reached.into_iter().all(|last| last == ' '), "{columns}: {line}");
        }
        assert!(text.contains("accuracy") && text.contains("done"), "{text}");
        let header = text.lines().find(|line| line.starts_with("model ")).expect("a header");
        assert_eq!(header.contains("  task"), has_task, "{columns}: {header}");
    }
}

#[test]
fn the_doctor_finds_nothing_broken_and_never_shows_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = isocost(&["doctor", "-o", "json"], folder.path());
    let output = command.env("HF_TOKEN", "hf_secret").env("HF_HOME", folder.path()).output().unwrap();
    assert!(output.status.success());
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    for name in ["device", "instructions", "memory", "cuda", "metal", "bundled", "cache", "data", "runs"] {
        assert!(checks.iter().any(|check| check["check"] == name), "{name}");
    }
    let text = String::from_utf8(ran(&["doctor"], folder.path()).stdout).unwrap();
    assert!(text.contains("cargo build --release --features cuda") || cfg!(feature = "cuda"), "{text}");
    assert!(!format!("{text}{found}").contains("hf_secret"));
}

#[test]
fn the_program_works_anywhere_with_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = isocost(args, folder.path());
        let output = command.env_clear().env("TMPDIR", folder.path()).output().unwrap();
        said(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["models", "list"]).contains("bundled:reason-l"));
    assert!(run(&["tasks", "list"]).contains("countdown-4"));
    run(&["generate", "bundled:reason-s", "--prompt", "make 24 from 2 4 3", "--budget", "8"]);
    run(&["plan", "brittleness", "--no-pilot"]);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = ran(&["completions", shell], folder.path());
        assert!(String::from_utf8(output.stdout).unwrap().contains("doctor"), "{shell}");
    }
    said(&ran(&["man", "--out", "man"], folder.path()));
    let page = std::fs::read_to_string(folder.path().join("man/isocost-run.1")).unwrap();
    assert!(page.contains("quickstart") && folder.path().join("man/isocost-tasks-list.1").exists());
}

#[cfg(unix)]
#[test]
fn a_closed_stdout_is_an_error_and_a_reader_that_goes_away_is_none() {
    let by_shell = |asked: &str, to: &str| {
        let line = format!(
            "echo '{{\"gold\": \"1\", \"completion\": \"1\"}}' | {} {asked} {to}",
            env!("CARGO_BIN_EXE_isocost")
        );
        Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    for asked in
        ["tasks list", "tasks show chain", "models list", "completions bash", "doctor -o json", "grade"]
    {
        let said = fails(&by_shell(asked, ">&-"), &["stdout: it is closed"]);
        assert_eq!(said.lines().count(), 1, "{asked}: {said}");
        let piped = by_shell(asked, "| true");
        assert!(piped.status.success(), "{asked}: {piped:?}");
        let said = String::from_utf8_lossy(&piped.stderr);
        assert!(!said.contains("stdout") && !said.contains("panicked"), "{asked}: {said}");
    }
    assert!(by_shell("tasks list", ">/dev/null").status.success());
}
