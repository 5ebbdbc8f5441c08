//! What leaves a run: tables, comparisons and publications, as a person makes them.

mod program;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use program::{fails, ran, stderr, stdout, succeeds, unsealed};
use serde_json::Value;

const SWEEP: &str = r#"
name = "small"
why = "a test"
seed = 5
budgets = [0, 16, 200]
n = [1, 2, 4]
strategies = ["first", "maj", "verifier", "pass"]
rows = 8
sampling = { temperature = 0.8 }
models = [{ name = "s_1%", source = "bundled:reason-s" }]
tasks = [{ name = "countdown-3", problems = 10 }]
price = { device = "a test", usd_per_device_hour = 1.0, source = "made up", date = "2026-01-01" }
"#;

/// A folder with the runs `a`, and `b` of a larger model on fewer of the same problems; made once.
fn made() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let larger = SWEEP.replace("bundled:reason-s", "bundled:reason-m").replace("s_1%", "m");
        for (name, sweep) in [("a", SWEEP), ("b", &larger)] {
            std::fs::write(folder.path().join("small.toml"), sweep).unwrap();
            succeeds(&ran(&["run", "small.toml", "--out", name], folder.path()));
        }
        folder
    });
    made.path()
}

/// A folder with a copy of run `a`, made by a build that can be had again, and a README with the markers.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&made().join("a"), &folder.path().join("a"));
    edit(&folder.path().join("a/manifest.json"), |text| {
        text.replace("\"git_tree\": \"dirty\"", "\"git_tree\": \"clean\"")
    });
    let readme = "# Ours\n\n<!-- isocost:leading-table -->\n<!-- /isocost:leading-table -->\n\nThe rest.\n";
    std::fs::write(folder.path().join("README.md"), readme).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place)
        } else {
            _ = std::fs::copy(entry.path(), place).unwrap()
        }
    }
}

fn edit(path: &Path, change: impl Fn(String) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, change(text)).unwrap();
}

fn table(output: &str) -> String {
    let found = ran(&["table", "a", "-o", output], made());
    succeeds(&found);
    stdout(&found)
}

fn validator(schema: &str) -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
}

#[test]
fn every_table_says_its_conditions_and_units() {
    for output in ["text", "md", "latex"] {
        let text = table(output).replace("{-}", "-");
        for part in [
            "Conditions: ",
            "device: ",
            "temperature 0.8",
            "seed: 5",
            "2026-01-01",
            "commit: ",
            "f32",
            "device s",
        ] {
            assert!(text.contains(part), "{output} lacks {part}: {text}");
        }
    }
    assert!(table("latex").contains(r"s\_1\%") && table("latex").contains(r"\bottomrule"));
    assert!(table("md").contains(r"s\_1% on countdown-3"));
}

#[test]
fn cells_as_json_obey_their_schema_and_equal_the_csv_and_the_parquet() {
    let cells: Value = serde_json::from_str(&table("json")).unwrap();
    let validator = validator(include_str!("../../harness/schema/cells.schema.json"));
    if let Err(error) = validator.validate(&cells) {
        panic!("{error} at {}", error.instance_path);
    }
    let csv = table("csv");
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (cell, line) in cells["cells"].as_array().unwrap().iter().zip(lines.by_ref()) {
        for (name, entry) in names.iter().zip(line.split(',')) {
            let same = match cell.get(name) {
                None => entry.is_empty(),
                Some(Value::Number(number)) => number.as_f64() == entry.parse().ok(),
                Some(value) => text(value) == entry,
            };
            assert!(same, "{name}: {entry} is not {:?}", cell.get(name));
        }
    }
    assert_eq!(lines.count(), 0);
    let parquet = std::fs::read(made().join("a/cells.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    assert_eq!(ran(&["table", "a", "-o", "parquet"], made()).stdout, parquet);
}

#[test]
fn a_card_has_front_matter_whose_texts_are_quoted_and_a_block_of_results() {
    let card = table("card");
    let matter = card.strip_prefix("---\n").unwrap().split("---\n").next().unwrap();
    assert!(
        matter.contains("- config_name: \"cells\"\n") && matter.contains("data_files: \"cells.parquet\"\n"),
        "{matter}"
    );
    assert!(matter.contains("- config_name: \"trajectories\"\n"), "{matter}");
    assert!(card.contains("model-index:\n") && card.contains("name: \"s_1%\"\n"), "{card}");
    assert!(card.contains("type: \"accuracy\"\n"));
}

#[test]
fn a_run_against_itself_has_no_difference_and_passes_every_gate() {
    let gates = ["--fail-on", "accuracy<0", "--fail-on", "seconds>1.000001", "--fail-on", "usd>1 ci"];
    let output = ran(&[&["compare", "a", "a", "-o", "json"][..], &gates].concat(), made());
    succeeds(&output);
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let validator = validator(include_str!("../../harness/schema/comparison.schema.json"));
    if let Err(error) = validator.validate(&found) {
        panic!("{error} at {}", error.instance_path);
    }
    assert_eq!(found[0]["differences"].as_array().unwrap().len(), 0, "{}", found[0]["differences"]);
    for cell in found[0]["cells"].as_array().unwrap() {
        assert_eq!((&cell["pairing"]["paired"], &cell["pairing"]["shared"]), (&true.into(), &10.into()));
        assert_eq!(cell["changes"][0]["change"]["value"], 0.0);
    }
}

#[test]
fn other_models_are_compared_with_what_differs_said_first() {
    let output = ran(&["compare", "a", "b"], made());
    succeeds(&output);
    let text = stdout(&output);
    let begin = text.lines().next().unwrap();
    assert_eq!(begin, "What differs: a (base) and b (other)");
    for part in [
        "model s_1% weights_sha256",
        "model s_1% parameters",
        "is compared with m",
        "Paired by problem, on 10",
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    let tables = text.lines().filter(|line| line.starts_with([' ', '─']));
    let widest = tables.map(|line| line.chars().count()).max().unwrap();
    assert!(ran(&["compare", "a", "b", "-o", "md"], made()).status.success());
    assert!(text.contains("Cost, other over base") && widest <= 100, "{widest}");
}

#[test]
fn a_gate_that_fails_exits_with_1_and_a_wrong_one_with_2() {
    let gated = |gate: &str| ran(&["compare", "a", "b", "--fail-on", gate], made());
    let failed = gated("seconds>0.001 ci");
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(stderr(&failed).contains("gate failed: seconds>0.001 ci: countdown-3"), "{}", stderr(&failed));
    assert_eq!(gated("seconds>1000 ci").status.code(), Some(0));
    for (gate, said) in [("wisdom<1", "accuracy"), ("accuracy", "accuracy<-2 ci"), ("tokens<zero", "number")]
    {
        let wrong = gated(gate);
        assert_eq!(wrong.status.code(), Some(2));
        assert!(stderr(&wrong).contains(said), "{}", stderr(&wrong));
    }
    fails(&gated("joules>1"), &["joules>1", "none of the"]);
    assert!(stdout(&gated("joules>1")).contains("What differs"), "the comparison is printed first");
    fails(&ran(&["compare", "a", "b", "--pair", "nope=m"], made()), &["no model `nope`", "s_1%"]);
    fails(&ran(&["compare", "a", "b", "--pair", "s_1%=nope"], made()), &["no model `nope`", "but m"]);
    fails(&ran(&["compare", "a", "b", "--only", "budget=7"], made()), &["shares no cell", "--only"]);
    fails(&ran(&["compare", "a", "nowhere"], made()), &["nowhere", "manifest.json"]);
}

#[test]
fn a_published_run_is_whole_listed_and_leads_the_readme() {
    let folder = workplace();
    let output = ran(&["publish", "a", "--name", "first"], folder.path());
    succeeds(&output);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let published: Value = serde_json::from_str(&read("results/first/published.json")).unwrap();
    for file in
        ["cells.parquet", "cells.tex", "trajectories.jsonl", "report.html", "README.md", "manifest.json"]
    {
        assert!(published["files"].get(file).is_some(), "{file} is not published");
    }
    let page = read("results/index.html");
    assert!(
        page.contains("first/report.html")
            && page.contains("default-src 'none'")
            && !page.contains("<script")
    );
    let readme = read("README.md");
    assert!(
        readme.contains("<!-- generated by: isocost publish a --name first -->")
            && readme.contains("| accuracy")
    );
    for picture in published["pictures"].as_array().unwrap() {
        let picture = picture.as_str().unwrap();
        assert!(readme.contains(&format!("<img src=\"results/first/{picture}\"")), "{picture}: {readme}");
        assert!(folder.path().join("results/first").join(picture).is_file(), "{picture}");
    }
    assert_eq!(published["pictures"].as_array().map(Vec::len), Some(2));
    assert!(readme.starts_with("# Ours\n") && readme.ends_with("\nThe rest.\n"));
    assert!(read("results/README.md").contains("## first"));

    succeeds(&ran(
        &["publish", "a", "--name", "second", "--without-trajectories", "--keep-readme"],
        folder.path(),
    ));
    assert!(!folder.path().join("results/second/trajectories.jsonl").exists());
    assert_eq!(read("README.md"), readme);
    assert!(read("results/index.html").contains("second/report.html"));
    let before = read("results/index.html");
    succeeds(&ran(&["publish"], folder.path()));
    assert_eq!(read("results/index.html"), before);
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_unicode_leads_the_readme_as_far_as_it_can_be_shown() {
    use std::os::unix::ffi::OsStrExt;
    let folder = workplace();
    let name = std::ffi::OsStr::from_bytes(b"a \xff");
    std::fs::rename(folder.path().join("a"), folder.path().join(name)).unwrap();
    let mut publish = program::isocost(&["publish", "--name", "first"], folder.path());
    succeeds(&publish.arg(name).output().unwrap());
    let readme = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
    assert!(readme.contains("isocost publish --name first 'a "), "{readme}");
}

#[test]
fn what_was_published_and_then_changed_by_hand_is_refused() {
    let folder = workplace();
    succeeds(&ran(&["publish", "a"], folder.path()));
    edit(&folder.path().join("results/a/cells.csv"), |text| text.replacen("0.", "1.", 1));
    fails(&ran(&["publish"], folder.path()), &["results/a/cells.csv", "publish the run again"]);
    succeeds(&ran(&["publish", "a"], folder.path()));
    std::fs::create_dir(folder.path().join("results/mine")).unwrap();
    fails(&ran(&["publish", "a", "--name", "mine"], folder.path()), &["results/mine", "--name"]);
}

/// Changes a workplace's run and publishes it.
fn after(path: &str, change: impl Fn(String) -> String) -> Output {
    let folder = workplace();
    edit(&folder.path().join(path), change);
    let output = ran(&["publish", "a"], folder.path());
    assert!(!folder.path().join("results/a").exists(), "something was published");
    output
}

#[test]
fn a_run_that_is_not_fit_is_refused_with_the_remedy() {
    let dirty =
        after("a/manifest.json", |text| text.replace("\"git_tree\": \"clean\"", "\"git_tree\": \"dirty\""));
    fails(&dirty, &["git_tree is dirty", "commit, build, and run it anew"]);
    let other = after("a/manifest.json", |text| text.replacen("\"schema\": 2", "\"schema\": 1", 1));
    fails(&other, &["schema"]);
    let records = "a/trajectories.jsonl";
    fails(
        &after(records, |text| unsealed(&text).replacen("\"waits\":0", "\"waits\":0,\"more\":1", 1)),
        &["line 1", "more"],
    );
    fails(
        &after(records, |text| text.replacen("\"waits\":0", "\"waits\":1", 1)),
        &["line 1", "does not fit its checksum"],
    );
    fails(&after(records, |text| text.clone() + text.lines().next().unwrap() + "\n"), &["second time"]);
    let last = |text: String| text.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n";
    fails(&after(records, last), &["9 of 10 problems are complete", "go on with it"]);
    let unmarked = workplace();
    std::fs::write(unmarked.path().join("README.md"), "# Ours\n").unwrap();
    let output = ran(&["publish", "a"], unmarked.path());
    fails(&output, &["README.md", "<!-- isocost:leading-table -->"]);
}

#[test]
fn a_shard_is_not_published_as_a_whole_run() {
    let shard = after("a/manifest.json", |text| {
        text.replacen("\"identity\": {", "\"identity\": { \"shard\": \"1/2\",", 1)
    });
    fails(&shard, &["a: is shard 1/2 of a run", "merge all shards"]);
}

#[test]
fn a_run_that_lacks_whole_problems_or_has_others_is_not_published() {
    let records = "a/trajectories.jsonl";
    let without_a_problem = |text: String| {
        let problem = text.split("\"problem\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let kept = text.lines().filter(|line| !line.contains(&format!("\"problem\":\"{problem}\"")));
        kept.map(|line| line.to_owned() + "\n").collect()
    };
    fails(&after(records, without_a_problem), &["9 of 10 problems are complete", "go on with it"]);
    fails(&after(records, |_| String::new()), &["0 of 10 problems are complete"]);
    let other =
        after("a/manifest.json", |text| text.replacen("\"countdown-3\": \"", "\"countdown-3\": \"0", 1));
    fails(&other, &["task countdown-3", "another hash"]);
}

/// The example of the program's own help stays true.
#[test]
fn help_shows_examples_of_each_command() {
    for command in ["table", "compare", "publish"] {
        let output = ran(&[command, "--help"], &PathBuf::from("."));
        assert!(stdout(&output).contains("Examples:\n  isocost "), "{}", stdout(&output));
    }
}
