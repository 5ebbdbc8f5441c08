//! Every command in the documents is run, in order, or at least understood where it cannot be.
//!
//! A document's `sh` blocks are run by bash in a folder of their own from which the repository's `harness`, `models` and
//! `scripts` can be reached, without a network and without a home. What is listed in [`NOT_RUN`] is only parsed, by the
//! program itself, which answers with its help; what is listed in [`INSTEAD`] is run smaller than it is written.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// What a line must contain not to be run, and why.
const NOT_RUN: [(&str, &str); 13] = [
    ("cargo test", "runs this test"),
    ("cargo install", "builds the program, minutes in release"),
    ("cargo build", "builds the program, minutes in release"),
    ("cargo bench", "wants an idle machine, and minutes"),
    ("git clone", "needs a network"),
    ("docker ", "needs a daemon and a network"),
    ("cuda", "needs a toolkit or a GPU"),
    ("s3://", "needs an object store"),
    ("scripts/gpu.sh", "needs a GPU"),
    ("hub:", "needs a network"),
    (" ./", "needs a checkpoint of gigabytes, but for ./my-model"),
    ("-m config.json", "needs a model's configuration"),
    ("isocost publish", "wants the repository's own clone, with nothing changed in it"),
];

/// What is run instead of what is written, since a debug build and a few seconds are all there is.
const INSTEAD: [(&str, &str); 8] = [
    ("cargo run --release -- run quickstart", "isocost run quickstart --limit 1"),
    ("isocost run quickstart --limit 3 ", "isocost run brittleness --limit 3 "),
    ("isocost run quickstart --limit 4 ", "isocost run brittleness --limit 4 "),
    ("isocost economy quickstart ", "isocost economy brittleness "),
    (
        "isocost run quickstart --out results/runs/study",
        "isocost run brittleness --limit 2 --out results/runs/study",
    ),
    ("isocost run study --out", "isocost run brittleness --limit 2 --out"),
    ("isocost plan quickstart --limit 4", "isocost plan brittleness --limit 1"),
    // Two runs beside other tests differ in seconds by as much as the machine lets them.
    ("seconds>1.5 ci", "seconds>100 ci"),
];

/// The `sh` blocks of a document, indented ones too.
fn blocks(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match line.trim_start() {
            "```sh" => (is_inside, _) = (true, found.push(String::new())),
            "```" => is_inside = false,
            _ if is_inside => found.last_mut().unwrap().extend([line, "\n"]),
            _ => {}
        }
    }
    found
}

fn is_run(line: &str) -> bool {
    line.contains("./my-model") || !NOT_RUN.iter().any(|(words, _)| line.contains(words))
}

/// A block as it is run: smaller, and without what cannot be run, which is parsed here.
fn script(block: &str) -> String {
    let smaller =
        |line: &str| INSTEAD.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
    let (run, not_run): (Vec<&str>, Vec<&str>) = block.lines().partition(|line| is_run(line));
    not_run.into_iter().for_each(understood);
    run.into_iter().map(|line| smaller(line) + "\n").collect()
}

/// Every call of the program in a line is one that it understands: the help that is asked for last comes only if
/// everything before it could be parsed.
fn understood(line: &str) {
    let code = line.split(" # ").next().unwrap_or_default().replace("cargo run --release --", "isocost");
    for call in code.split("&&").map(str::trim).filter_map(|call| call.strip_prefix("isocost ")) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_isocost"));
        let output = program.args(words(call)).arg("--help").output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A line's words as the shell splits them, as far as documents need it.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let part = |(at, part): (usize, &str)| -> Vec<String> {
        if at % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
    };
    quoted.flat_map(part).collect()
}

/// A folder like a clone's, but for what runs leave there.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["harness", "models", "scripts"] {
        std::os::unix::fs::symlink(Path::new(REPOSITORY).join(part), folder.path().join(part)).unwrap();
    }
    folder
}

/// Runs a document from its beginning to its end.
fn follow(document: &str) {
    let text = std::fs::read_to_string(Path::new(REPOSITORY).join(document)).unwrap();
    let folder = workplace();
    let program = Path::new(env!("CARGO_BIN_EXE_isocost")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let blocks = blocks(&text);
    assert!(!blocks.is_empty(), "{document} has no commands");
    for block in blocks {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &script(&block)]).current_dir(folder.path());
        bash.env("PATH", &path).env("HF_HUB_OFFLINE", "1").env_remove("HF_TOKEN").env_remove("ISOCOST_DATA");
        bash.env("HOME", folder.path().join("home"));
        let output = bash.output().expect("bash runs the documents");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{document}:\n{block}\nsays\n{said}");
    }
}

#[test]
fn the_readme_does_what_it_says() {
    follow("README.md");
}

#[test]
fn the_tutorial_leads_from_a_clone_to_the_study() {
    follow("docs/tutorial.md");
}

#[test]
fn the_recipes_for_contributors_work() {
    follow("CONTRIBUTING.md");
}

#[test]
fn commands_elsewhere_are_understood() {
    for document in [
        "METHODOLOGY.md",
        "CHANGELOG.md",
        "harness/tasks/README.md",
        "models/bundled/README.md",
        "scripts/cluster/README.md",
    ] {
        let text = std::fs::read_to_string(Path::new(REPOSITORY).join(document)).unwrap();
        let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        quoted.for_each(understood);
        blocks(&text).iter().flat_map(|block| block.lines()).for_each(understood);
    }
}

#[test]
fn a_command_that_does_not_exist_would_be_found() {
    for wrong in ["isocost run hub:A/B --no-such", "isocost nonsense hub:A/B", "x && isocost bench -b none"] {
        assert!(std::panic::catch_unwind(|| understood(wrong)).is_err(), "{wrong}");
    }
}
