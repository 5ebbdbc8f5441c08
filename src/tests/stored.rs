//! Run directories in an object store: real processes, and a folder as the store, or a place in another one that
//! `ISOCOST_TEST_STORE` names (`scripts/servers/object_store.sh` gives one that speaks S3).

mod program;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};

use program::{
    fails, folder_with, isocost, ran, records, stderr, stdout, succeeds, wait_until, while_stopped,
};

/// A second, so that there is time to interfere.
const SWEEP: &str = r#"
name = "kept"
why = "a test"
seed = 5
budgets = [0, 16, 64]
n = [1, 2, 4]
strategies = ["first", "maj"]
rows = 8

[sampling]
temperature = 0.8

[[models]]
name = "m"
source = "bundled:reason-m"

[[tasks]]
name = "countdown-3"
problems = 120
"#;

/// A folder with the sweep, and a place in a store that nothing is in yet.
fn folder_and_place(name: &str) -> (tempfile::TempDir, String) {
    let folder = folder_with("kept.toml", SWEEP);
    let unique = folder.path().file_name().unwrap().to_string_lossy().into_owned();
    let store = std::env::var("ISOCOST_TEST_STORE")
        .unwrap_or_else(|_| format!("file://{}/store", folder.path().display()));
    (folder, format!("{store}/{unique}/{name}"))
}

/// The sweep under way into a place in a store: it has taken the place, and said so.
fn begun(folder: &Path, place: &str) -> Child {
    let said = said(folder);
    let mut command = isocost(&["run", "kept.toml", "--out", place], folder);
    command.env("ISOCOST_PART_S", "0.05").env("TMPDIR", folder).stderr(File::create(&said).unwrap());
    let mut child = command.spawn().unwrap();
    wait_until(&mut child, || std::fs::read_to_string(&said).unwrap().contains(place));
    child
}

/// What the sweep under way says.
fn said(folder: &Path) -> PathBuf {
    folder.join("said")
}

/// The same sweep in a folder, undisturbed.
fn sampled_alone(folder: &Path) -> Vec<isocost_harness::trajectory::Trajectory> {
    succeeds(&ran(&["run", "kept.toml", "--out", "alone"], folder));
    records(&folder.join("alone"))
}

/// Every cell of a run, wherever it is.
fn cells(folder: &Path, run: &str) -> serde_json::Value {
    let output = ran(&["table", run, "-o", "json"], folder);
    succeeds(&output);
    let mut cells: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    // What depends on the clock is not compared.
    for row in cells["cells"].as_array_mut().unwrap() {
        let object = row.as_object_mut().unwrap();
        object.retain(|key, _| {
            ["model", "task", "budget", "n", "strategy", "accuracy", "problems"].contains(&key.as_str())
        });
        assert!(object.len() >= 6, "{object:?}");
    }
    cells["cells"].take()
}

/// The run in the store has the cells of one that nothing happened to, and no record is there twice.
fn is_undisturbed(folder: &Path, place: &str) {
    sampled_alone(folder);
    assert_eq!(cells(folder, place), cells(folder, "alone"));
    let report = ran(&["report", place], folder);
    assert!(!stderr(&report).contains("left out"), "{}", stderr(&report));
}

#[test]
fn a_run_in_a_store_is_the_run_in_a_folder() {
    let (folder, place) = folder_and_place("run");
    let folder = folder.path();
    let output = ran(&["run", "kept.toml", "--out", &place], folder);
    succeeds(&output);
    assert!(stderr(&output).contains(&format!("wrote {place}/report.html")), "{}", stderr(&output));
    assert_eq!(sampled_alone(folder).len(), 120 * 4);
    assert_eq!(cells(folder, &place), cells(folder, "alone"));
    // Everything else reads it there too, and a report made again is there.
    succeeds(&ran(&["report", &place, "--price", "h100-owned"], folder));
    succeeds(&ran(&["claims", &place], folder));
    let compared = ran(&["compare", "alone", &place, "-o", "json"], folder);
    succeeds(&compared);
    assert!(ran(&["table", &place, "-o", "md"], folder).status.success());
    // Nothing is left to do.
    let again = ran(&["run", "kept.toml", "--out", &place], folder);
    succeeds(&again);
    assert!(stderr(&again).contains("480 trajectories are recorded already"), "{}", stderr(&again));
}

#[test]
fn a_run_that_is_killed_goes_on_from_the_store_on_another_machine() {
    let (folder, place) = folder_and_place("killed");
    let folder = folder.path();
    for _ in 0..2 {
        let mut child = begun(folder, &place);
        // A table needs all trajectories of a problem.
        wait_until(&mut child, || ran(&["table", &place], folder).status.success());
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = ran(&["run", "kept.toml", "--out", &place], folder);
    succeeds(&output);
    assert!(
        stderr(&output).contains("are recorded already"),
        "the parts of killed runs: {}",
        stderr(&output)
    );
    is_undisturbed(folder, &place);
}

#[test]
fn the_process_that_came_later_has_the_run_and_the_earlier_one_says_so() {
    let (folder, place) = folder_and_place("taken");
    let folder = folder.path();
    let mut earlier = begun(folder, &place);
    succeeds(&while_stopped(&mut earlier, || ran(&["run", "kept.toml", "--out", &place], folder)));
    let (status, stderr) = (earlier.wait().unwrap(), std::fs::read(said(folder)).unwrap());
    fails(&Output { status, stdout: vec![], stderr }, &[&place, "another process has taken this run over"]);
    is_undisturbed(folder, &place);
}

#[test]
fn shards_in_a_store_are_merged_there() {
    let (folder, place) = folder_and_place("shards");
    let folder = folder.path();
    let parts = ["1/2", "2/2"].map(|shard| {
        let out = format!("{place}/{}", shard.replace('/', "-of-"));
        succeeds(&ran(&["run", "kept.toml", "--shard", shard, "--out", &out], folder));
        out
    });
    let whole = format!("{place}/whole");
    succeeds(&ran(&["merge", &parts[0], &parts[1], "--out", &whole], folder));
    sampled_alone(folder);
    assert_eq!(cells(folder, &whole), cells(folder, "alone"));
}

#[test]
fn what_a_store_cannot_do_is_a_clear_error() {
    let (folder, place) = folder_and_place("errors");
    let folder = folder.path();
    fails(&ran(&["report", &place], folder), &[&place, "is not a run directory"]);
    fails(&ran(&["score", &place], folder), &[&place, "never change"]);
    fails(&ran(&["report", "ftp://place/run"], folder), &["ftp://place/run", "give s3://BUCKET/PLACE"]);
    fails(&ran(&["report", "s3://"], folder), &["s3://"]);
    let output = isocost(&["run", "kept.toml", "--out", &place], folder)
        .env("ISOCOST_PART_S", "soon")
        .output()
        .unwrap();
    fails(&output, &["ISOCOST_PART_S"]);
}

/// A port on which nobody listens.
#[test]
fn a_store_that_does_not_answer_is_an_error_that_tells_no_key() {
    let (folder, _) = folder_and_place("away");
    let away = [
        ("AWS_ENDPOINT", "http://127.0.0.1:9"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "planted-id"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret"),
    ];
    let output = isocost(&["report", "s3://runs/away"], folder.path()).envs(away).output().unwrap();
    fails(&output, &["s3://runs/away"]);
    assert!(!stderr(&output).contains("planted"), "{}", stderr(&output));
}

/// Another sweep never joins the records that are there.
#[test]
fn a_store_that_holds_another_run_is_left_alone() {
    let (folder, place) = folder_and_place("other");
    let folder = folder.path();
    let small = SWEEP.replace("problems = 120", "problems = 2");
    std::fs::write(folder.join("small.toml"), &small).unwrap();
    std::fs::write(folder.join("other.toml"), small.replace("seed = 5", "seed = 6")).unwrap();
    succeeds(&ran(&["run", "small.toml", "--out", &place], folder));
    let before = cells(folder, &place);
    fails(&ran(&["run", "other.toml", "--out", &place], folder), &[&place, "another sweep"]);
    assert_eq!(cells(folder, &place), before);
}
