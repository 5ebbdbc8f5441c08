//! Several devices of one machine: workers that share the problems, and one that is killed.
#![cfg(target_os = "linux")]

mod program;

use std::io::{BufRead, BufReader};

use program::{bytes, folder_with, isocost, ran, records, signal, stderr, wait_until};
use serde_json::Value;

const SWEEP: &str = r#"
name = "shared"
why = "a test"
seed = 5
budgets = [0, 16, 64, 200]
n = [1, 2, 4]
strategies = ["first", "maj"]
rows = 8

[sampling]
temperature = 0.8

[[models]]
name = "s"
source = "bundled:reason-s"

[[tasks]]
name = "countdown-3"
problems = 24
"#;

#[test]
fn a_worker_that_is_killed_has_its_problems_finished_by_the_others() {
    let folder = folder_with("shared.toml", SWEEP);
    let output = ran(&["run", "shared.toml", "--out", "whole"], folder.path());
    assert!(output.status.success(), "{}", stderr(&output));

    let mut child = isocost(&["run", "shared.toml", "--device", "cpu,cpu", "--out", "shared"], folder.path())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut heard = String::new();
    let mut workers = Vec::new();
    while workers.len() < 2 {
        let line = said.next().expect("the workers' processes are said").unwrap();
        workers.extend(line.strip_prefix("worker on cpu: process ").map(str::to_owned));
        heard += &(line + "\n");
    }
    // Nothing is read off the pipe for a while, which is too short to fill it.
    wait_until(&mut child, || bytes(&folder.path().join("shared/trajectories.jsonl")) > 0);
    assert!(signal("-KILL", &workers[1]));
    said.map_while(Result::ok).for_each(|line| heard += &(line + "\n"));
    assert!(child.wait().unwrap().success(), "{heard}");

    assert_eq!(records(&folder.path().join("shared")), records(&folder.path().join("whole")));
    let text = std::fs::read_to_string(folder.path().join("shared/trajectories.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 24 * 4, "none twice, none lost");
    let report = std::fs::read_to_string(folder.path().join("shared/report.md")).unwrap();
    let died = format!("The worker on cpu (process {}) died; its ", workers[1]);
    assert!(report.contains(&died) && report.contains("2 workers: cpu, cpu"), "{report}");
}

#[test]
fn devices_that_make_no_list_are_refused() {
    let folder = folder_with("shared.toml", SWEEP);
    for (devices, expected) in
        [("cuda:0,cuda:0", "twice"), ("cpu,auto", "auto is one device"), ("cpu,gpu", "choose cpu")]
    {
        let output = ran(&["run", "shared.toml", "--device", devices, "--out", "out"], folder.path());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
fn a_run_goes_on_where_it_was_begun_and_nowhere_else() {
    let folder = folder_with("shared.toml", SWEEP);
    let on = |device: &str| {
        ran(&["run", "shared.toml", "--limit", "1", "--device", device, "--out", "out"], folder.path())
    };
    assert!(on("cpu").status.success());
    let refused = on("cpu,cpu");
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let said = stderr(&refused);
    assert!(said.contains("out: was begun with the device cpu, ") && said.contains("2 workers"), "{said}");
    assert!(on("cpu").status.success(), "the same device goes on");
}

#[test]
fn every_line_of_a_json_log_is_an_event_whatever_it_is_about() {
    let folder = folder_with("shared.toml", SWEEP);
    let logged = |args: &[&str]| {
        let output = ran(&[&["run", "shared.toml", "--log-format", "json"], args].concat(), folder.path());
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}"));
        stderr(&output).lines().map(event).collect::<Vec<_>>()
    };
    let events = logged(&["--limit", "1", "--device", "cpu,cpu", "--out", "out"]);
    let workers = events.iter().filter(|event| event["event"] == "worker" && event["device"] == "cpu");
    assert_eq!(workers.filter(|event| event["process"].is_u64()).count(), 2, "{events:?}");
    // A run's place is looked at before the run is.
    let events = logged(&["--out", "nowhere://bucket/run"]);
    assert!(events.last().is_some_and(|event| event["event"] == "error"), "{events:?}");
}
