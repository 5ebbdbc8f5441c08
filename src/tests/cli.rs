//! The program as a person runs it: real processes, real (very small) models, real files.

mod program;

use std::path::Path;
use std::process::{Command, Output};

use isocost_harness::one_pass::OnePass;
use isocost_harness::step_log::read_steps;
use isocost_harness::surface::Surface;
use isocost_harness::trajectory::{SCHEMA, Trajectory};
use isocost_harness::verification::Verification;
use program::{
    bytes, fails, folder_with, isocost, ran, records, signal, small_sweep, stderr, unsealed, wait_until,
    while_stopped,
};

const SWEEP: &str = r#"
name = "small"
why = "a test"
seed = 5
budgets = [0, 16, 64, 200]
n = [1, 2, 4]
strategies = ["first", "maj", "verifier", "pass"]
rows = 8

[sampling]
temperature = 0.8

[[models]]
name = "s"
source = "bundled:reason-s"

[[tasks]]
name = "countdown-3"
problems = 12

[[tasks]]
name = "chain"
problems = 6

[price]
device = "a test"
usd_per_device_hour = 1.0
source = "made up"
date = "2026-01-01"
"#;

fn run(folder: &Path, out: &str) -> Output {
    ran(&["run", "small.toml", "--out", out], folder)
}

#[test]
fn the_same_seed_gives_the_same_records_and_the_same_report_twice() {
    let folder = folder_with("small.toml", SWEEP);
    for out in ["a", "b"] {
        let output = run(folder.path(), out);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let a = records(&folder.path().join("a"));
    assert_eq!(a.len(), 18 * 4);
    assert_eq!(a, records(&folder.path().join("b")));
    let cells = |_: u8| {
        let output = ran(&["report", "a"], folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        (
            std::fs::read(folder.path().join("a/cells.csv")).unwrap(),
            std::fs::read(folder.path().join("a/report.md")).unwrap(),
        )
    };
    assert_eq!(cells(1), cells(2));
}

/// Each has inner loops of its own. Those that the processor lacks are not used.
#[test]
fn the_records_are_the_same_whatever_instructions_are_used() {
    let folder = folder_with("small.toml", &small_sweep(&["bundled:reason-s", "bundled:distill-s"]));
    assert!(run(folder.path(), "all").status.success());
    for set in ["baseline", "avx2", "avx-vnni", "avx512", "avx512-vnni", "avx512-bf16"] {
        let mut command = isocost(&["run", "small.toml", "--out", set], folder.path());
        let output = command.env("ISOCOST_INSTRUCTIONS", set).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains(&format!("ISOCOST_INSTRUCTIONS={set}")), "it is part of the device");
        assert_eq!(records(&folder.path().join(set)), records(&folder.path().join("all")), "{set}");
    }
    let unknown = isocost(&["doctor"], folder.path()).env("ISOCOST_INSTRUCTIONS", "avx9").output().unwrap();
    fails(&unknown, &["ISOCOST_INSTRUCTIONS", "avx9", "avx512-vnni"]);
}

#[test]
fn a_run_killed_again_and_again_ends_with_the_records_of_one_that_was_not() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "whole").status.success());
    let mut kills = 0;
    let [whole, recorded] = ["whole", "killed"].map(|run| folder.path().join(run).join("trajectories.jsonl"));
    let eighth = bytes(&whole) / 8;
    // Whenever an eighth more is recorded, as long as more than one is left.
    while bytes(&recorded) < 6 * eighth {
        let enough = bytes(&recorded) + eighth;
        let mut child = isocost(&["run", "small.toml", "--out", "killed"], folder.path()).spawn().unwrap();
        wait_until(&mut child, || bytes(&recorded) >= enough);
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(run(folder.path(), "killed").status.success());
    assert!(kills > 2, "the run must be killed in its middle for this to mean anything");
    let text = std::fs::read_to_string(folder.path().join("killed/trajectories.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 18 * 4, "none twice, none lost");
    assert_eq!(records(&folder.path().join("killed")), records(&folder.path().join("whole")));
    let sampled = |run: &str| {
        let steps = read_steps(&folder.path().join(run)).unwrap();
        steps.iter().map(|logged| u64::from(logged.step.load.sampled_tokens)).sum::<u64>()
    };
    let recorded =
        |run: &str| records(&folder.path().join(run)).iter().map(Trajectory::sampled_tokens).sum::<u64>();
    assert!(sampled("whole") >= recorded("whole"));
    assert!(sampled("killed") >= recorded("killed"), "the steps of every record survive");
    assert!(folder.path().join("killed/steps.parquet").exists());
}

#[test]
fn a_run_is_verified_cell_by_cell_and_replayed_on_its_surface() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    let small = ["--cells", "5", "--problems", "3", "--repeats", "1", "--time-limit", "3"];
    let output = ran(&[&["verify", "a"][..], &small].concat(), folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Tokens: 5 of 5 cells equal the records"), "{text}");
    let found: Verification =
        serde_json::from_slice(&std::fs::read(folder.path().join("a/verify.json")).unwrap()).unwrap();
    assert!(
        found.cells.iter().all(|c| c.tokens_are_equal() && c.accuracy_agrees() && c.e2e_measured_s > 0.0)
    );
    // How far the seconds are off is for an idle machine to say; that replay takes the scheduler's steps is tested
    // exactly, in models/tests/steps.rs.
    let ratios = found.cells.iter().map(|c| c.e2e_predicted_s.unwrap() / c.e2e_measured_s);
    assert!(ratios.into_iter().all(|ratio| (0.01..100.0).contains(&ratio)), "{text}");
    let report = std::fs::read_to_string(folder.path().join("a/report.md")).unwrap();
    assert!(
        report.contains("## Checked by running cells alone") && report.contains("## Waiting"),
        "{report}"
    );
    let saturated = ["replay", "a", "--saturated", "8", "--itl-limit", "1000"];
    let output = ran(&saturated, folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("saturated, 8 rows"), "{text}{}", stderr(&output));
    let csv = std::fs::read_to_string(folder.path().join("a/latency.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 4 * 3, "two tasks, four budgets, three n");
    assert!(!csv.contains("NaN") && !csv.contains("inf"));
}

#[test]
fn a_record_that_was_changed_is_found_by_running_its_cell_alone() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    let path = folder.path().join("a/trajectories.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, unsealed(&text).replace("\"answer_tokens\":", "\"answer_tokens\":1")).unwrap();
    let small = ["--cells", "1", "--problems", "2", "--repeats", "1", "--time-limit", "1"];
    let output = ran(&[&["verify", "a"][..], &small].concat(), folder.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("0 of 1 cells equal"));
}

#[test]
fn a_shape_is_calibrated_without_its_weights() {
    let folder = folder_with("small.toml", SWEEP);
    let config = isocost_models::bundled::folder("bundled:reason-s").unwrap().join("config.json");
    let config = config.to_str().unwrap();
    let asked = ["calibrate", "--shape", config, "--rows", "4", "--context", "64", "--time-limit", "20"];
    let output = ran(&[&asked[..], &["--out", "s.json"]].concat(), folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(text.contains("Held out") && text.contains("GFLOP/s"), "{text}");
    let surface = Surface::read_all(&folder.path().join("s.json")).unwrap().remove(0);
    assert_eq!(surface.name.dtype, "f32");
    assert!((1..=4).contains(&surface.range.rows), "{}", surface.range.rows);
    assert_eq!(surface.energy, None, "no meter here, or none in this time: absent and not 0");
    let no_gpu = [&asked[..], &["--device", "gpu"]].concat();
    let refused = ran(&no_gpu, folder.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("invalid value 'gpu'"), "{}", stderr(&refused));
}

#[test]
fn one_pass_takes_fewer_tokens_than_cell_by_cell_and_gives_the_same_answers() {
    let folder = folder_with("small.toml", SWEEP);
    let asked = ["economy", "small.toml", "--problems", "3", "--out", "e.json"];
    let output = ran(&asked, folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("answers are the same tokens"),
        "{text}{}",
        stderr(&output)
    );
    let parts: Vec<OnePass> =
        serde_json::from_slice(&std::fs::read(folder.path().join("e.json")).unwrap()).unwrap();
    assert!(parts.len() == 2 && parts.iter().all(|part| part.times().0 > 2.0), "{parts:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    let folder = folder_with("small.toml", SWEEP);
    std::fs::create_dir(folder.path().join("my data")).unwrap();
    let asked = ["run", "small.toml", "--device", "cpu", "--data", "my data", "--out", "a"];
    let mut child = isocost(&asked, folder.path()).spawn().unwrap();
    wait_until(&mut child, || bytes(&folder.path().join("a/trajectories.jsonl")) > 0);
    let id = child.id().to_string();
    while_stopped(&mut child, || assert!(signal("-INT", &id)));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let again = "go on with: isocost run small.toml --device cpu --data 'my data' --out a";
    assert!(stderr(&output).contains(again), "{}", stderr(&output));
    assert!(run(folder.path(), "a").status.success());
    assert_eq!(records(&folder.path().join("a")).len(), 18 * 4);
}

#[test]
fn a_torn_line_is_set_aside_and_sampled_again() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    let path = folder.path().join("a/trajectories.jsonl");
    let before = records(&folder.path().join("a"));
    let text = std::fs::read_to_string(&path).unwrap();
    let torn = format!(
        "{}garbage\n{}",
        &text[..text.find('\n').unwrap() + 1],
        &text[text.find('\n').unwrap() + 1..text.len() - 40]
    );
    std::fs::write(&path, torn).unwrap();
    let output = run(folder.path(), "a");
    assert!(output.status.success() && stderr(&output).contains("2 torn lines"), "{}", stderr(&output));
    assert_eq!(records(&folder.path().join("a")), before);
    assert!(folder.path().join("a/torn.jsonl").exists());
}

#[test]
fn a_run_is_not_mixed_with_another_sweep_model_or_schema() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    std::fs::write(folder.path().join("small.toml"), SWEEP.replace("seed = 5", "seed = 6")).unwrap();
    assert!(fails(&run(folder.path(), "a"), &["a"]).contains("another sweep"));
    std::fs::write(folder.path().join("small.toml"), SWEEP).unwrap();
    let manifest = folder.path().join("a/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let hash = value.pointer("/identity/models/s/weights_sha256/0").unwrap().as_str().unwrap().to_owned();
    std::fs::write(&manifest, text.replace(&hash, "0")).unwrap();
    assert!(fails(&run(folder.path(), "a"), &["a"]).contains("model behind the name `s`"));
    std::fs::write(&manifest, text.replace(&format!("\"schema\": {SCHEMA}"), "\"schema\": 999")).unwrap();
    assert!(fails(&run(folder.path(), "a"), &["a"]).contains("schema"));
}

#[test]
fn two_processes_do_not_write_to_one_run() {
    let folder = folder_with("small.toml", SWEEP);
    let mut first = isocost(&["run", "small.toml", "--out", "a"], folder.path()).spawn().unwrap();
    wait_until(&mut first, || folder.path().join("a/trajectories.jsonl").exists());
    let second = while_stopped(&mut first, || run(folder.path(), "a"));
    fails(&second, &["a", "another process"]);
    assert!(first.wait_with_output().unwrap().status.success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_every_whole_line_and_says_what_to_do() {
    let folder = folder_with("small.toml", SWEEP);
    // A file size limit stands in for a full disk: writes fail in the middle of a line.
    let script =
        format!("trap '' XFSZ; ulimit -f 40; exec {} run small.toml --out a", env!("CARGO_BIN_EXE_isocost"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    // Records and steps grow together; either may be the first that does not fit.
    let message = fails(&output, &[".jsonl"]);
    assert!(message.contains("free some space"), "{message}");
    let text = std::fs::read_to_string(folder.path().join("a/trajectories.jsonl")).unwrap();
    let whole = text.lines().count();
    assert!(whole > 0 && text.ends_with('\n'));
    assert_eq!(records(&folder.path().join("a")).len(), whole);
    assert!(run(folder.path(), "a").status.success());
    assert_eq!(records(&folder.path().join("a")).len(), 18 * 4);
}

#[test]
fn sweeps_with_mistakes_are_refused_before_anything_is_written() {
    let folder = folder_with("small.toml", SWEEP);
    for (from, to, expected) in [
        ("budgets = [0,", "budgets = [-3,", "budget -3"),
        ("budgets = [0, 16", "budgets = [16, 16", "ascend"),
        ("n = [1,", "n = [0, 1,", "n = 0"),
        ("seed = 5", "seed = 5\ncolour = 1", "colour"),
        ("bundled:reason-s", "bundled:reason-xxl", "no bundled model"),
        ("\"chain\"", "\"chess\"", "no task `chess`"),
    ] {
        std::fs::write(folder.path().join("small.toml"), SWEEP.replacen(from, to, 1)).unwrap();
        let output = run(folder.path(), "out");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        let last = message.trim().lines().last().unwrap_or_default();
        assert!(last.starts_with("isocost: ") && last.contains(expected), "{message}");
        assert!(!folder.path().join("out").exists());
    }
    let output = ran(&["run", "nowhere.toml"], folder.path());
    fails(&output, &["nowhere.toml"]);
    fails(&ran(&["report", "nowhere"], folder.path()), &["nowhere"]);
}

#[test]
fn every_record_conforms_to_the_published_schema() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../harness/schema/trajectory.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = std::fs::read_to_string(folder.path().join("a/trajectories.jsonl")).unwrap();
    for line in text.lines() {
        let record = serde_json::from_str(line).unwrap();
        if let Err(error) = validator.validate(&record) {
            panic!("{error}: {line}");
        }
    }
    let mut spoilt: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    spoilt["answers"][0]["outcome"] = "perhaps".into();
    assert!(!validator.is_valid(&spoilt));
}

#[test]
fn claims_name_what_is_missing_and_their_file_obeys_the_schema_and_the_registration() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    let output = ran(&["claims", "a"], folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("registered before sampling"), "{text}");
    assert!(text.contains("missing: a distilled model"), "{text}");
    let file = std::fs::read_to_string(folder.path().join("a/claims.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let schema = serde_json::from_str(include_str!("../../harness/schema/claims.schema.json")).unwrap();
    if let Err(error) = jsonschema::validator_for(&schema).unwrap().validate(&file) {
        panic!("{error}");
    }
    let manifest = folder.path().join("a/manifest.json");
    let other = std::fs::read_to_string(&manifest).unwrap();
    let hash = file["registry_sha256"].as_str().unwrap();
    std::fs::write(&manifest, other.replace(hash, &"0".repeat(64))).unwrap();
    let output = ran(&["claims", "a", "--claim", "log-linear"], folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("CHANGED") && text.contains("log-linear") && !text.contains("unlocks"), "{text}");
    let output = ran(&["claims", "a", "--claim", "no-such"], folder.path());
    assert!(fails(&output, &["no-such"]).contains("log-linear"));
}

#[test]
fn a_claims_plan_counts_problems_and_prices_them_from_a_pilot() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    let plan = |args: &[&str]| {
        let output = ran(&[&["claims", "plan", "small.toml"], args].concat(), folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (assumed, measured) = (plan(&[]), plan(&["--pilot", "a"]));
    assert!(assumed.contains(" at 16") && assumed.contains("distillation: the sweep lacks"), "{assumed}");
    assert!(measured.contains(" at 4") && !measured.contains("Deviations are assumed"), "{measured}");
}

#[test]
fn a_report_is_priced_again_without_sampling_and_an_unknown_price_is_refused_by_name() {
    let folder = folder_with("small.toml", SWEEP);
    assert!(run(folder.path(), "a").status.success());
    let output = ran(&["report", "a", "--price", "reasoning-api-2025"], folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let prices = std::fs::read_to_string(folder.path().join("a/prices.csv")).unwrap();
    assert!(prices.contains(",a test,") && prices.contains(",reasoning-api-2025,"), "{prices}");
    let report = std::fs::read_to_string(folder.path().join("a/report.md")).unwrap();
    assert!(report.contains("## Prices") && report.contains("per million prompt tokens"), "{report}");
    let output = ran(&["report", "a", "--price", "nowhere.toml"], folder.path());
    assert!(fails(&output, &["nowhere.toml"]).contains("h100-rented"));
}
