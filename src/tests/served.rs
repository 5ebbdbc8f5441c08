//! Models behind a server: budgets by continuing, failures that pass and that do not, and a key that stays secret.

mod fake_server;
mod program;

use std::path::Path;
use std::process::Output;

use fake_server::{FakeServer, Trouble};
use isocost_harness::cell::Budget;
use isocost_harness::request_log::{LoggedAttempt, read_attempts};
use isocost_harness::trajectory::Thought;
use program::{folder_with, isocost, records, stderr};

/// Planted in the environment; looked for everywhere else.
const KEY: &str = "sk-planted-0123456789";

fn sweep(urls: &[&str], lines: &str, budgets: &str) -> String {
    let mirrors: Vec<String> = urls[1..].iter().map(|url| format!("{url:?}")).collect();
    format!(
        r#"
name = "served"
why = "a test"
seed = 5
{budgets}
n = [1, 2]
strategies = ["first", "maj"]

[sampling]
temperature = 0.8

[[models]]
name = "m"
source = "{}"

[models.server]
model = "counts"
mirrors = [{}]
key_env = "PLANTED_KEY"
concurrency = 3
attempts = 4
silence_s = 2.0
back_off_s = 0.01
{lines}

[[tasks]]
name = "countdown-3"
problems = 4
"#,
        urls[0],
        mirrors.join(", ")
    )
}

const CONTINUED: &str = "tokenizer = \"bundled:reason-s\"";
const BUDGETS: &str = "budgets = [0, 4, 8, 20]";

fn run(folder: &Path) -> Output {
    let mut command = isocost(&["run", "served.toml", "--out", "out"], folder);
    command.env("PLANTED_KEY", KEY).env("NO_PROXY", "127.0.0.1").output().unwrap()
}

/// Runs the sweep; the key must be nowhere, whatever came of it.
fn watched(folder: &Path) -> Output {
    let output = run(folder);
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains(KEY), "{}", String::from_utf8_lossy(&said));
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
                assert!(!text.contains(KEY), "{}", entry.path().display());
            }
        }
    }
    output
}

fn attempts(folder: &Path) -> Vec<LoggedAttempt> {
    read_attempts(&folder.join("out")).unwrap()
}

#[test]
fn every_budget_is_the_same_thought_cut_there_and_answered() {
    let server = FakeServer::start();
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let output = watched(folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let records = records(&folder.path().join("out"));
    assert_eq!(records.len(), 4 * 2);
    for record in &records {
        assert_eq!((record.thought, record.reasoning_tokens), (Thought::Closed, 10));
        assert_eq!(record.reasoning.split_whitespace().collect::<Vec<_>>().join(" "), "0 1 2 3 4 5 6 7 8 9");
        let answers: Vec<_> =
            record.answers.iter().map(|a| (a.budget, a.forced, a.reasoning_tokens, a.text.trim())).collect();
        let tokens = |count| Budget::Tokens(count);
        assert_eq!(
            answers,
            [
                (tokens(0), true, 0, "7"),
                (tokens(4), true, 4, "7"),
                (tokens(8), true, 8, "7"),
                (Budget::Max, false, 10, "7")
            ]
        );
        assert!(
            record.answers.iter().all(|a| a.complete && a.answer_tokens == 2 && a.logprob_mean.is_none())
        );
    }
    // A thought of three pieces and four answers.
    let attempts = attempts(folder.path());
    assert_eq!(attempts.len(), 8 * 7);
    let first =
        |part: &str| attempts.iter().find(|logged| logged.attempt.part == part).unwrap().attempt.clone();
    let (thought, answer) = (first("thought"), first("answer"));
    assert!(thought.ttft_s.is_some_and(|s| s > 0.0 && s <= thought.e2e_s) && thought.ttfa_s.is_none());
    assert!(answer.ttfa_s.is_some() && answer.completion_tokens == Some(2));
    let report = std::fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    assert!(report.contains("was asked 56 times") && report.contains("exact at every budget"), "{report}");
}

#[test]
fn whatever_passes_is_tried_again_and_the_records_are_the_same() {
    let calm = FakeServer::start();
    let folder = folder_with("served.toml", &sweep(&[calm.url()], CONTINUED, BUDGETS));
    assert!(watched(folder.path()).status.success());
    let expected = records(&folder.path().join("out"));
    for trouble in [
        Trouble::TooMany,
        Trouble::Broken,
        Trouble::Stalls,
        Trouble::Garbage,
        Trouble::GarbageEvent,
        Trouble::ClosesHalfWay,
        Trouble::ClosesAtOnce,
        Trouble::RepeatsPieces,
        Trouble::ErrorEvent,
    ] {
        let server = FakeServer::start();
        server.next(&[trouble; 2]);
        let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
        let output = watched(folder.path());
        assert!(output.status.success(), "{trouble:?}: {}", stderr(&output));
        assert_eq!(records(&folder.path().join("out")), expected, "{trouble:?}");
        let attempts = attempts(folder.path());
        let failed: Vec<_> = attempts.iter().filter(|logged| logged.attempt.failure.is_some()).collect();
        assert_eq!((attempts.len(), failed.len()), (8 * 7 + 2, 2), "{trouble:?}: {failed:?}");
        let report = std::fs::read_to_string(folder.path().join("out/report.md")).unwrap();
        assert!(report.contains("2 attempts failed"), "{report}");
    }
}

#[test]
fn a_server_that_refuses_is_not_asked_again_and_the_key_is_not_told() {
    let server = FakeServer::start();
    server.always(Trouble::Refuses);
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let output = watched(folder.path());
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    let last = text.trim().lines().last().unwrap();
    assert!(last.contains("401") && last.contains("PLANTED_KEY") && last.contains("[key]"), "{text}");
    assert!(attempts(folder.path()).iter().all(|logged| logged.attempt.attempt == 1));
}

#[test]
fn attempts_end_and_what_was_had_is_kept() {
    let server = FakeServer::start();
    server.always(Trouble::Broken);
    let folder = folder_with("served.toml", &sweep(&[server.url()], CONTINUED, BUDGETS));
    let output = watched(folder.path());
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("after 4 attempts") && text.contains("run again"), "{text}");
    let nobody = folder_with("served.toml", &sweep(&["http://127.0.0.1:9/v1"], CONTINUED, BUDGETS));
    let output = watched(nobody.path());
    assert!(stderr(&output).contains("is the server running?"), "{}", stderr(&output));
    assert!(!nobody.path().join("out").exists());
}

#[test]
fn requests_are_shared_out_and_a_broken_server_is_avoided() {
    let (one, two) = (FakeServer::start(), FakeServer::start());
    let folder = folder_with("served.toml", &sweep(&[one.url(), two.url()], CONTINUED, BUDGETS));
    assert!(watched(folder.path()).status.success());
    let shares = [one.requests().len(), two.requests().len()];
    assert!(shares[0] + shares[1] == 56 && shares.iter().all(|share| *share > 10), "{shares:?}");
    let expected = records(&folder.path().join("out"));
    one.always(Trouble::Broken);
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    let output = watched(folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(records(&folder.path().join("out")), expected);
}

#[test]
fn a_chat_server_is_asked_only_for_what_it_can_express() {
    let server = FakeServer::start();
    let refused = folder_with("served.toml", &sweep(&[server.url()], "", BUDGETS));
    let output = watched(refused.path());
    let last = stderr(&output).trim().lines().last().unwrap().to_owned();
    assert!(
        output.status.code() == Some(2) && last.contains("cannot be made to answer at a budget"),
        "{last}"
    );

    let truncated = "budgets = [4, 20]\npolicy = \"truncate\"";
    for in_tags in [false, true] {
        let server = FakeServer::start();
        if in_tags {
            server.thinks_in_tags();
        }
        let folder = folder_with("served.toml", &sweep(&[server.url()], "", truncated));
        let output = watched(folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        for record in records(&folder.path().join("out")) {
            assert_eq!((record.thought, record.reasoning_tokens), (Thought::Closed, 10), "{record:?}");
            let [cut, whole] = &record.answers[..] else { panic!("{record:?}") };
            assert_eq!((cut.budget, cut.reasoning_tokens, cut.complete), (Budget::Tokens(4), 4, false));
            assert_eq!((whole.budget, whole.text.trim(), whole.complete), (Budget::Max, "7", true));
        }
        let report = std::fs::read_to_string(folder.path().join("out/report.md")).unwrap();
        assert!(report.contains("only what one chat request expresses"), "{report}");
    }
}

#[test]
fn tokens_that_the_server_does_not_count_are_counted_here_or_not_at_all() {
    let server = FakeServer::start();
    server.counts_nothing();
    let whole = "budgets = [\"max\"]";
    let folder = folder_with("served.toml", &sweep(&[server.url()], "", whole));
    let output = watched(folder.path());
    assert!(
        output.status.code() == Some(2) && stderr(&output).contains("name the served model's `tokenizer`")
    );
    for lines in [CONTINUED.to_owned(), format!("{CONTINUED}\nchat = true")] {
        let folder = folder_with("served.toml", &sweep(&[server.url()], &lines, whole));
        let output = watched(folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(records(&folder.path().join("out")).iter().all(|record| record.reasoning_tokens == 10));
        let report = std::fs::read_to_string(folder.path().join("out/report.md")).unwrap();
        assert!(report.contains("counted the tokens of 0 of"), "{report}");
    }
}

#[test]
fn a_sweep_holds_no_key_and_no_price_that_a_server_does_not_have() {
    let price =
        "\n[price]\ndevice = \"d\"\nusd_per_device_hour = 1.0\nsource = \"s\"\ndate = \"2026-01-01\"\n";
    let with_price = sweep(&["http://h/v1"], CONTINUED, BUDGETS) + price;
    for (text, expected) in [
        (sweep(&["http://me:secret@h/v1"], CONTINUED, BUDGETS), "a base URL holds no user, key or query"),
        (sweep(&["http://h/v1?key=1"], CONTINUED, BUDGETS), "a base URL holds no user, key or query"),
        (sweep(&["bundled:reason-s"], CONTINUED, BUDGETS), "the source of a server is its base URL"),
        (with_price, "give prices by the token"),
    ] {
        let folder = folder_with("served.toml", &text);
        let output = run(folder.path());
        let last = stderr(&output).trim().lines().last().unwrap().to_owned();
        assert!(output.status.code() == Some(2) && last.contains(expected), "{last}");
        assert!(!folder.path().join("out").exists());
    }
}
