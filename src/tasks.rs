//! `tasks`: what can be asked, and what it looks like.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use isocost_harness::escape::visible;
use isocost_harness::judge::Judge;
use isocost_harness::problem::ProblemSet;
use isocost_harness::source::Library;
use isocost_harness::table::{Column, Table};
use isocost_harness::task::{Task, TaskError};

use crate::fetch::Network;
use crate::log;

/// The files on this machine: the folder given, else the one that `ISOCOST_DATA` names.
pub(crate) fn library(folder: Option<PathBuf>) -> Result<Library<'static>> {
    if let Some(missing) = folder.as_ref().filter(|folder| !folder.is_dir()) {
        bail!(
            "--data {}: there is no such folder: name the one that holds the tasks' files",
            missing.display()
        );
    }
    let folder = folder.or_else(|| std::env::var_os("ISOCOST_DATA").map(PathBuf::from));
    Ok(Library { folder, fetch: Some(&Network) })
}

/// Lists the built-in tasks.
pub(crate) fn list(library: &Library) -> Result<()> {
    let tasks = Task::names().map(Task::open).collect::<Result<Vec<_>, _>>()?;
    let (rows, broken): (Vec<_>, Vec<_>) = tasks.iter().map(|task| row(task, library)).unzip();
    let table = Table {
        caption: format!("{} built-in tasks", tasks.len()),
        columns: vec![
            Column::text("task"),
            Column::number("problems", ""),
            Column::text("judged as"),
            Column::text("from"),
        ],
        rows,
        footnotes: [
            "–: not in the data folder; taken from the hub's cache or fetched when it is needed".into(),
            "isocost tasks show NAME prints a task's file, isocost tasks preview NAME its prompts".into(),
        ]
        .into_iter()
        .chain(broken.into_iter().flatten())
        .collect(),
    };
    print!("{}", table.terminal());
    Ok(())
}

/// A task's line, and what is wrong with its problems if they are here and cannot be used.
fn row(task: &Task, library: &Library) -> (Vec<String>, Option<String>) {
    let is_here = task.sources.iter().any(|source| source.is_at_hand(library));
    let (count, broken) = match is_here.then(|| task.problems(library)) {
        None | Some(Err(TaskError::Absent { .. })) => ("–".into(), None),
        Some(Ok(set)) => (set.problems().len().to_string(), None),
        Some(Err(error)) => ("!".into(), Some(format!("!: {}", visible(&error.to_string())))),
    };
    let from = task.sources.first().map_or(String::new(), |source| source.from.to_string());
    let from: String =
        if from.chars().count() > 48 { from.chars().take(47).chain(['…']).collect() } else { from };
    (vec![task.name.clone(), count, judged_as(&task.judge), from], broken)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_data_file_is_not_listed_as_one_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library { folder: Some(folder.path().to_owned()), fetch: None };
        let text = "name = \"t\"\nwhy = \"w\"\nlicence = \"MIT\"\nanswer_tokens = 9\n[judge.answer]\nanswer_type = \"number\"\n\
                    [[sources]]\nfrom = { path = \"t.csv\" }\nfields = { question = \"q\", gold = \"a\" }\n";
        let task = Task::parse("t", text).unwrap();
        let listed = |file: Option<&str>| {
            file.iter().for_each(|text| std::fs::write(folder.path().join("t.csv"), text).unwrap());
            let (row, broken) = row(&task, &library);
            (row[1].clone(), broken)
        };
        assert_eq!(listed(None), ("–".into(), None));
        assert_eq!(listed(Some("q,a\n1+1?,2\n")), ("1".into(), None));
        let (count, broken) = listed(Some("q,b\n1+1?,2\n"));
        let broken = broken.unwrap();
        assert!(count == "!" && broken.contains("t.csv") && broken.contains("row 1"), "{broken}");
    }
}
