//! `score`: grade a stored run again and say what changed.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use isocost_harness::escape::visible;
use isocost_harness::grader::GRADER_VERSION;
use isocost_harness::regrade::{Change, Regrading, regrade};

/// Characters of a text that are shown: its end, where answers stand.
const SHOWN: usize = 400;
/// Ids named in a line.
const NAMED: usize = 5;

/// Grades the run again and prints what changed.
pub(crate) fn score(run: &Path, show_disagreements: bool) -> Result<ExitCode> {
    let done = regrade(run)?;
    let before = done.versions.iter().cloned().collect::<Vec<_>>().join(", ");
    println!("{} answers, graded by version {before}, now by {GRADER_VERSION}", done.answers);
    summary(&done);
    if show_disagreements {
        done.changes.iter().for_each(print);
    }
    if done.torn_lines > 0 {
        eprintln!(
            "{} torn, damaged or doubled lines were set aside in torn.jsonl: go on with the run to sample them again",
            done.torn_lines
        );
    }
    if done.is_written {
        eprintln!(
            "the old grading is kept beside the new; make tables again: isocost report {}",
            run.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(done: &Regrading) {
    if done.changes.is_empty() {
        println!("no outcome changed");
    }
    for ([old, new], changes) in done.by_outcome() {
        let named = changes.iter().take(NAMED).map(|change| visible(&place(change))).collect::<Vec<_>>();
        let more = if changes.len() > NAMED { ", ..." } else { "" };
        println!("{:>7}  {old} -> {new}: {}{more}", changes.len(), named.join(", "));
    }
}

fn place(change: &Change) -> String {
    change.budget.map_or(change.of.clone(), |budget| format!("{} at {budget}", change.of))
}

fn print(change: &Change) {
    let shown =
        |text: &Option<String>| text.as_deref().map_or("nothing".into(), |t| format!("`{}`", visible(t)));
    let [old, new] = &change.extracted;
    println!("\n── {}: {} -> {}", visible(&place(change)), change.outcome[0], change.outcome[1]);
    println!("   gold      `{}`", visible(&change.gold));
    println!(
        "   extracted {} -> {} ({})",
        shown(old),
        shown(new),
        change.rule.as_deref().unwrap_or("no rule")
    );
    let start = change.text.char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
    for line in change.text[start..].lines() {
        println!("   | {}", visible(line));
    }
}
