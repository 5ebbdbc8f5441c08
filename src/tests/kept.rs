//! What is there stays there: no command replaces what it cannot make again, or what others wrote.

mod program;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use isocost_harness::surface::Surface;
use program::{fails, ran, stdout, succeeds};

const SWEEP: &str = r#"
name = "small"
why = "a test"
seed = 5
budgets = [0, 16]
n = [1, 2]
strategies = ["first", "maj"]
rows = 8
sampling = { temperature = 0.8 }
models = [{ name = "s", source = "bundled:reason-s" }, { name = "d", source = "bundled:direct-m", budgets = [0] }]
tasks = [{ name = "countdown-3", problems = 4 }]
price = { device = "a test", usd_per_device_hour = 1.0, source = "made up", date = "2026-01-01" }
"#;

/// A folder with a finished run `a`; made once.
fn made() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = program::folder_with("small.toml", SWEEP);
        succeeds(&ran(&["run", "small.toml", "--out", "a"], folder.path()));
        folder
    });
    made.path()
}

/// A folder with a copy of run `a`.
fn workplace() -> tempfile::TempDir {
    let folder = program::folder_with("small.toml", SWEEP);
    std::fs::create_dir_all(folder.path().join("a/figures")).unwrap();
    for (name, bytes) in files(&made().join("a")) {
        std::fs::write(folder.path().join("a").join(name), bytes).unwrap();
    }
    folder
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(
                files(&entry.path()).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)),
            );
        } else {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn a_run_without_whole_records_is_refused_and_stays_as_it_is() {
    let folder = workplace();
    let records = folder.path().join("a/trajectories.jsonl");
    for (damage, said) in
        [(None, "has no trajectories.jsonl"), (Some(""), "go on with the run"), (Some("x\n"), "go on")]
    {
        damage.map_or_else(|| std::fs::remove_file(&records), |text| std::fs::write(&records, text)).unwrap();
        let before = files(folder.path());
        for command in ["report", "claims", "verify", "replay", "table"] {
            fails(&ran(&[command, "a"], folder.path()), &["a: ", said]);
            assert!(files(folder.path()) == before, "{command} wrote something");
        }
    }
}

#[test]
fn nothing_is_written_into_what_was_published_and_what_it_says_is_said() {
    let folder = workplace();
    std::fs::write(folder.path().join("a/published.json"), "{}").unwrap();
    let before = files(folder.path());
    for command in ["report", "claims"] {
        let output = ran(&[command, "a"], folder.path());
        fails(&output, &["was published and stays as it is"]);
        assert!(!stdout(&output).is_empty(), "{command} said nothing");
    }
    for command in [&["verify", "a"][..], &["score", "a"], &["run", "small.toml", "--out", "a"]] {
        fails(&ran(command, folder.path()), &["was published and stays as it is"]);
    }
    assert!(files(folder.path()) == before, "something was written");
}

#[test]
fn a_run_takes_no_folder_in_which_something_else_is() {
    let folder = program::folder_with("small.toml", SWEEP);
    std::fs::create_dir(folder.path().join("proj")).unwrap();
    std::fs::write(folder.path().join("proj/report.md"), "mine").unwrap();
    let before = files(folder.path());
    let refused = ran(&["run", "small.toml", "--out", "proj"], folder.path());
    fails(&refused, &["proj: is not empty and holds no run: choose another --out"]);
    assert!(files(folder.path()) == before, "something was written");
}

#[test]
fn who_leaves_damaged_lines_out_says_how_many() {
    let folder = workplace();
    let records = folder.path().join("a/trajectories.jsonl");
    let text = std::fs::read_to_string(&records).unwrap();
    std::fs::write(&records, format!("{text}{{\"torn\n")).unwrap();
    let limits = ["--rows", "2", "--context", "64", "--time-limit", "1", "--out", "s.json"];
    succeeds(&ran(&[&["calibrate", "bundled:reason-s"][..], &limits].concat(), folder.path()));
    for command in
        [&["report", "a"][..], &["claims", "a"], &["table", "a"], &["replay", "a", "--surface", "s.json"]]
    {
        let output = ran(command, folder.path());
        succeeds(&output);
        let said = program::stderr(&output);
        assert_eq!(said.matches("1 lines of trajectories.jsonl are torn").count(), 1, "{command:?}: {said}");
    }
}

#[test]
fn a_replay_of_one_models_surface_names_the_others_and_keeps_what_is_known_of_them() {
    let folder = workplace();
    for model in ["s", "d"] {
        let source = if model == "s" { "bundled:reason-s" } else { "bundled:direct-m" };
        let out = format!("{model}.json");
        let limits = ["--rows", "2", "--context", "64", "--time-limit", "1", "--out", &out];
        succeeds(&ran(&[&["calibrate", source], &limits[..]].concat(), folder.path()));
    }
    let read = |name: &str| Surface::read_all(&folder.path().join(name)).unwrap();
    let both = [read("s.json"), read("d.json")].concat();
    std::fs::write(folder.path().join("a/surface.json"), Surface::write_all(&both)).unwrap();
    succeeds(&ran(&["replay", "a"], folder.path()));
    let before = std::fs::read_to_string(folder.path().join("a/latency.csv")).unwrap();
    let one = ran(&["replay", "a", "--surface", "s.json"], folder.path());
    succeeds(&one);
    assert!(program::stderr(&one).contains("left out, since no surface has their shape and type: d"));
    assert_eq!(std::fs::read_to_string(folder.path().join("a/latency.csv")).unwrap(), before);
}

#[test]
fn what_cannot_be_written_is_said_before_the_work() {
    let folder = workplace();
    std::fs::write(folder.path().join("file"), "mine").unwrap();
    let started = std::time::Instant::now();
    let calibrate = ["calibrate", "bundled:reason-s", "--time-limit", "60", "--out", "file/c.json"];
    for command in [&calibrate[..], &["economy", "small.toml", "--out", "file/e.json"]] {
        let said =
            fails(&ran(command, folder.path()), &["file/", "cannot be written", "choose another --out"]);
        assert!(!said.contains("was it moved"), "{said}");
    }
    assert!(started.elapsed().as_secs() < 40);
}

#[test]
fn nothing_is_published_where_an_argument_is_wrong() {
    let folder = workplace();
    let manifest = folder.path().join("a/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"git_tree\": \"dirty\"", "\"git_tree\": \"clean\"")).unwrap();
    let before = files(folder.path());
    for (arguments, said) in [
        (["--readme", "nope.md"], "nope.md"),
        (["--hub", "bad name"], "OWNER/NAME"),
        (["--hub", "owner/name"], "HF_TOKEN"),
    ] {
        let mut publish = program::isocost(&[&["publish", "a"], &arguments[..]].concat(), folder.path());
        publish.env_remove("HF_TOKEN").env_remove("HF_HUB_OFFLINE").env("HOME", folder.path());
        fails(&publish.output().unwrap(), &[said]);
        assert!(files(folder.path()) == before, "{arguments:?}: something was written");
    }
    fails(&ran(&["publish", "nope"], folder.path()), &["nope: is not a run directory"]);
}

#[test]
fn a_check_against_another_model_or_other_problems_is_refused_with_what_changed() {
    let folder = workplace();
    let manifest = folder.path().join("a/manifest.json");
    let whole = std::fs::read_to_string(&manifest).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&whole).unwrap();
    changed["identity"]["models"]["s"]["weights_sha256"] = serde_json::json!(["another"]);
    changed["identity"]["models"]["d"]["weights_sha256"] = serde_json::json!(["another"]);
    std::fs::write(&manifest, changed.to_string()).unwrap();
    fails(&ran(&["verify", "a"], folder.path()), &["is not what it was (its weights_sha256 differs)"]);
    let mut changed: serde_json::Value = serde_json::from_str(&whole).unwrap();
    changed["identity"]["problems_sha256"]["countdown-3"] = "another".into();
    std::fs::write(&manifest, changed.to_string()).unwrap();
    fails(&ran(&["verify", "a"], folder.path()), &["the problems of countdown-3 are not what they were"]);
}
