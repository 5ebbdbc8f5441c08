//! `tasks`: what can be asked, and what it looks like.

use std::path::PathBuf;

use anyhow::{Context, Result};
use isocost_harness::escape::visible;
use isocost_harness::judge::Judge;
use isocost_harness::problem::ProblemSet;
use isocost_harness::source::Library;
use isocost_harness::table::{Column, Table};
use isocost_harness::task::Task;

use crate::fetch::Network;
use crate::log;

/// The files on this machine: the folder given, else the one that `ISOCOST_DATA` names.
pub(crate) fn library(folder: Option<PathBuf>) -> Library<'static> {
    let folder = folder.or_else(|| std::env::var_os("ISOCOST_DATA").map(PathBuf::from));
    Library { folder, fetch: Some(&Network) }
}

/// Lists the built-in tasks.
pub(crate) fn list(library: &Library) -> Result<()> {
    let tasks = Task::names().map(Task::open).collect::<Result<Vec<_>, _>>()?;
    let table = Table {
        caption: format!("{} built-in tasks", tasks.len()),
        columns: vec![
            Column::text("task"),
            Column::number("problems", ""),
            Column::text("judged as"),
            Column::text("from"),
        ],
        rows: tasks.iter().map(|task| row(task, library)).collect(),
        footnotes: vec![
            "–: not in the data folder; taken from the hub's cache or fetched when it is needed".into(),
            "isocost tasks show NAME prints a task's file, isocost tasks preview NAME its prompts".into(),
        ],
    };
    print!("{}", table.terminal());
    Ok(())
}

fn row(task: &Task, library: &Library) -> Vec<String> {
    let is_here = task.sources.iter().any(|source| source.is_at_hand(library));
    let count = is_here.then(|| task.problems(library).ok()).flatten().map(|set| set.problems().len());
    let from = task.sources.first().map_or(String::new(), |source| source.from.to_string());
    let from: String =
        if from.chars().count() > 48 { from.chars().take(47).chain(['…']).collect() } else { from };
    vec![task.name.clone(), count.map_or("–".into(), |count| count.to_string()), judged_as(&task.judge), from]
}

fn judged_as(judge: &Judge) -> String {
    let name = |value: serde_json::Value| value.as_str().unwrap_or_default().replace('_', " ");
    match judge {
        Judge::Answer(conventions) => {
            serde_json::to_value(conventions.answer_type).map(name).unwrap_or_default()
        }
        other => serde_json::to_value(other).map(name).unwrap_or_default(),
    }
}

/// Prints a task as its file would have it, defaults filled in.
pub(crate) fn show(name: &str, library: &Library) -> Result<()> {
    let task = Task::open(name)?;
    print!("{}", toml::to_string(&task).context("writing the task")?);
    if task.sources.iter().any(|source| source.is_at_hand(library)) {
        let set = task.problems(library)?;
        eprintln!("{} problems, sha256 {}", set.problems().len(), set.sha256());
    }
    Ok(())
}

/// Prints some of a task's problems as a model is asked them.
pub(crate) fn preview(name: &str, limit: usize, seed: u64, library: &Library) -> Result<()> {
    let task = Task::open(name)?;
    let problems = subset(&task, Some(limit), seed, library)?;
    for problem in problems.problems() {
        let job = task.job(problem, vec![]);
        let variant =
            problem.variant_of.as_ref().map_or(String::new(), |seed| format!(", variant of {seed}"));
        println!("── {}{}", visible(&problem.id), visible(&variant));
        if !job.instructions.is_empty() {
            println!("[system] {}", shown(&job.instructions));
        }
        println!("{}\n[gold] {}\n", shown(&job.question), shown(&problem.gold));
    }
    Ok(())
}

/// The problems of a task that a run uses; says on stderr if they are a subset.
pub(crate) fn subset(task: &Task, limit: Option<usize>, seed: u64, library: &Library) -> Result<ProblemSet> {
    let all = task.problems(library)?;
    let count = all.problems().len();
    let Some(limit) = limit.filter(|limit| *limit < count) else { return Ok(all) };
    log::say(&format!("{}: {limit} of {count} problems, drawn at random with seed {seed}", task.name));
    Ok(all.subset(limit, seed))
}

/// Lines as they are, whatever else is in them made visible.
fn shown(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}
