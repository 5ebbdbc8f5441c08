//! A small sweep over a served model, and what came of it.

// Each test crate uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

use isocost_harness::request_log::{LoggedAttempt, read_attempts};

use crate::program::isocost;

/// Planted in the environment; looked for everywhere else.
pub(crate) const KEY: &str = "sk-planted-0123456789";

pub(crate) fn sweep(urls: &[&str], lines: &str, budgets: &str) -> String {
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

pub(crate) const CONTINUED: &str = "tokenizer = \"bundled:reason-s\"";
pub(crate) const CONTINUED_CHAT: &str = "tokenizer = \"bundled:reason-s\"\nchat = true";
pub(crate) const BUDGETS: &str = "budgets = [0, 4, 8, 20]";

/// Runs it.
pub(crate) fn run(folder: &Path) -> Output {
    command(folder).output().unwrap()
}

/// The run, not started yet.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = isocost(&["run", "served.toml", "--out", "out"], folder);
    command.env("PLANTED_KEY", KEY).env("NO_PROXY", "127.0.0.1");
    command
}

/// Runs the sweep; the key must be nowhere, whatever came of it.
pub(crate) fn watched(folder: &Path) -> Output {
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

pub(crate) fn attempts(folder: &Path) -> Vec<LoggedAttempt> {
    read_attempts(&folder.join("out")).unwrap()
}

/// The run's report.
pub(crate) fn report(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("out/report.md")).unwrap()
}
