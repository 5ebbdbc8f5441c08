//! A sweep dealt out to several machines, and put together again: real processes on a small sweep.

mod program;

use std::path::Path;

use isocost_harness::activity::read_activity;
use isocost_harness::manifest::read_manifest;
use isocost_harness::request_log::{Attempt, append_attempts, read_attempts};
use isocost_harness::step_log::read_steps;
use program::{folder_with, ran, records};

const SWEEP: &str = r#"
name = "split"
why = "a test"
seed = 5
budgets = [0, 16, 64]
n = [1, 2]
strategies = ["first", "maj"]
waits = [1]
rows = 8

[sampling]
temperature = 0.8

[[models]]
name = "s"
source = "bundled:reason-s"

[[models]]
name = "d"
source = "bundled:direct-m"
budgets = [0]

[[tasks]]
name = "countdown-3"
problems = 7

[[tasks]]
name = "chain"
problems = 2
"#;

fn sampled(folder: &Path, args: &[&str]) {
    let output = ran(&[&["run", "split.toml"], args].concat(), folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The last line that a refused call wrote.
fn refused(folder: &Path, args: &[&str]) -> String {
    let output = ran(args, folder);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let last = text.trim().lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("isocost: "), "{text}");
    last
}

#[test]
fn shards_merged_are_the_run_that_was_never_split() {
    let folder = folder_with("split.toml", SWEEP);
    let at = |run: &str| folder.path().join(run);
    sampled(folder.path(), &["--out", "whole"]);
    // With more shards than a task has problems, some have none of it.
    for (shard, out) in [("1/3", "a"), ("2/3", "b"), ("3/3", "c")] {
        sampled(folder.path(), &["--shard", shard, "--out", out]);
        assert!(!at(out).join("report.md").exists(), "a part is not reported as if it were all");
    }
    // As if a server had been asked, once for each part, but for the last.
    for (run, problem) in [("a", "p1"), ("b", "p2")] {
        let attempt = Attempt { problem: problem.into(), attempt: 1, ..Attempt::default() };
        append_attempts(&at(run), "s", "countdown-3", [attempt].into_iter()).unwrap();
    }
    let output = ran(&["merge", "c", "a", "b", "--out", "merged"], folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(records(&at("merged")), records(&at("whole")));
    assert_eq!(records(&at("merged")).len(), 2 * (9 * 2 + 9));
    let [merged, whole] = ["merged", "whole"].map(|run| read_manifest(&at(run)).unwrap());
    assert_eq!(merged.identity, whole.identity);
    assert!(merged.provenance["command"].matches("--shard").count() == 3, "{:?}", merged.provenance);
    let parts = || ["a", "b", "c"].into_iter();
    let steps = |run: &str| read_steps(&at(run)).unwrap().len();
    assert_eq!(steps("merged"), parts().map(steps).sum::<usize>());
    let notes = |run: &str| read_activity(&at(run)).unwrap().len();
    assert_eq!(notes("merged"), parts().map(notes).sum::<usize>());
    let attempts = read_attempts(&at("merged")).unwrap();
    let asked: Vec<&str> = attempts.iter().map(|logged| logged.attempt.problem.as_str()).collect();
    assert_eq!(asked, ["p1", "p2"], "what was paid for is in the whole");
    assert!(at("merged/report.md").exists() && at("merged/cells.csv").exists());
    // What is merged is a run like any other: it goes on, and there is nothing left to do.
    sampled(folder.path(), &["--out", "merged"]);
    assert_eq!(records(&at("merged")), records(&at("whole")));
}

#[test]
fn shards_that_do_not_belong_together_are_refused_in_one_line() {
    let folder = folder_with("split.toml", SWEEP);
    let at = |run: &str| folder.path().join(run);
    for (shard, out) in [("1/3", "a"), ("2/3", "b"), ("3/3", "c"), ("2/2", "half")] {
        sampled(folder.path(), &["--shard", shard, "--out", out]);
    }
    sampled(folder.path(), &["--out", "whole"]);
    std::fs::write(at("split.toml"), SWEEP.replace("seed = 5", "seed = 6")).unwrap();
    sampled(folder.path(), &["--shard", "3/3", "--out", "other"]);
    let merge = |shards: &[&str]| {
        let message = refused(folder.path(), &[&["merge"], shards, &["--out", "merged"]].concat());
        assert!(!at("merged").exists(), "{message}");
        message
    };
    for (shards, expected) in [
        (&["a", "b", "other"][..], "other: has another sweep than a"),
        (&["a", "half"], "half: has another number of shards than a"),
        (&["a", "c"], "shards are missing: 2/3"),
        (&["a"], "shards are missing: 2/3, 3/3"),
        (&["a", "b", "a"], "a: is shard 1/3, and so is a"),
        (&["a", "whole"], "whole: is a whole run and no shard"),
        (&["a", "nowhere"], "nowhere: is not a run directory"),
    ] {
        let message = merge(shards);
        assert!(message.contains(expected), "{message}");
    }
    let spoil = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(at(file)).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(at(file), text.replacen(from, to, 1)).unwrap();
        text
    };
    let manifest = spoil("b/manifest.json", "\"parameters\": ", "\"parameters\": 1");
    assert!(merge(&["a", "b", "c"]).contains("b: has another model behind the name"));
    std::fs::write(at("b/manifest.json"), &manifest).unwrap();
    spoil("b/manifest.json", "\"isocost\": \"", "\"isocost\": \"9.");
    assert!(merge(&["a", "b", "c"]).contains("b: has another version of the program than a"));
    std::fs::write(at("b/manifest.json"), &manifest).unwrap();
    spoil("b/trajectories.jsonl", "{", "torn {");
    let message = merge(&["a", "b", "c"]);
    assert!(message.contains("b: shard 2/3 lacks 1 trajectories: go on with isocost run"), "{message}");
}

#[test]
fn a_shard_goes_on_as_that_shard_and_no_other() {
    let folder = folder_with("split.toml", SWEEP);
    sampled(folder.path(), &["--shard", "1/2", "--out", "a"]);
    let message = refused(folder.path(), &["run", "split.toml", "--shard", "2/2", "--out", "a"]);
    assert!(message.contains("a: holds a run with another part of the problems (--shard)"), "{message}");
    for wrong in ["0/2", "3/2", "2", "x/y"] {
        let output = ran(&["run", "split.toml", "--shard", wrong], folder.path());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("is not a shard"), "{wrong}");
    }
}
