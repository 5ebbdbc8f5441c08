//! `grade`: JSON lines on stdin, verdicts on stdout.

use std::io::{BufReader, BufWriter, ErrorKind, stdin};
use std::process::ExitCode;

use anyhow::{Context, Result};
use isocost_harness::grade_lines::grade_lines;
use isocost_harness::judge::Judge;
use isocost_harness::task::Task;

use crate::output;

/// Grades every line; `task` gives the conventions of lines that name none.
pub(crate) fn grade(task: Option<&str>) -> Result<ExitCode> {
    let judge_of = |name: &str| Task::open(name).map(|task| task.judge).map_err(|error| error.to_string());
    let judge = |named: Option<&str>| named.or(task).map_or(Ok(Judge::default()), judge_of);
    if let Some(name) = task {
        Task::open(name)?;
    }
    let input = BufReader::new(stdin().lock());
    let graded = grade_lines(input, BufWriter::new(output::opened()), judge);
    let counts = match graded {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => output::could_not(&error),
        graded => graded.context("grading stdin")?,
    };
    eprintln!(
        "{} lines: {} correct, {} wrong, {} without an answer, {} truncated, {} in error",
        counts.lines, counts.correct, counts.wrong, counts.no_answer, counts.truncated, counts.error
    );
    Ok(ExitCode::from(u8::from(counts.error > 0)))
}
