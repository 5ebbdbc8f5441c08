//! `plan`: what a sweep would cost, before anything is spent.

use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use isocost_harness::cell::Budget;
use isocost_harness::engine::{Engine, Job};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};

use crate::workload;

/// Problems and trajectories of each that the pilot samples.
const PILOT: (usize, u32) = (8, 4);

/// What one model would sample on one task.
struct Prediction {
    trajectories: u64,
    tokens_at_most: Option<u64>,
    /// Tokens and seconds, from the pilot.
    expected: Option<(f64, f64)>,
}

/// Prints the plan to stdout.
pub(crate) fn plan(sweep: &str, no_pilot: bool, limit: Option<usize>, library: &Library) -> Result<ExitCode> {
    let sweep = workload::sweep(sweep, limit)?;
    let tasks = workload::tasks(&sweep, library)?;
    println!("{}: {} cells", sweep.name, sweep.cells().len());
    println!(
        "{:14} {:14} {:>12} {:>14} {:>14} {:>9}",
        "model", "task", "trajectories", "tokens at most", "tokens", "seconds"
    );
    let (mut tokens, mut seconds) = (0.0, 0.0);
    for model in &sweep.models {
        for task in &tasks {
            let prediction = predict(&sweep, model, task, no_pilot)?;
            print_line(model, task, &prediction);
            tokens += prediction.expected.map_or(0.0, |(t, _)| t);
            seconds += prediction.expected.map_or(0.0, |(_, s)| s);
        }
    }
    if !no_pilot {
        println!(
            "together about {tokens:.0} tokens in {seconds:.0} s, from a pilot of {} trajectories each",
            PILOT.0 as u32 * PILOT.1
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn predict(sweep: &Sweep, model: &ModelEntry, task: &TaskInRun, no_pilot: bool) -> Result<Prediction> {
    let series = sweep.series(model).len() as u64;
    let trajectories = task.problems.problems().len() as u64 * u64::from(sweep.trajectories()) * series;
    let answers = sweep.budgets(model).len() as u64 * u64::from(task.task.answer_tokens);
    let tokens_at_most = match sweep.budgets(model).last() {
        Some(Budget::Tokens(longest)) => Some(trajectories * (u64::from(*longest) + answers)),
        _ => None,
    };
    let expected = if no_pilot { None } else { Some(pilot(sweep, model, task, trajectories)?) };
    Ok(Prediction { trajectories, tokens_at_most, expected })
}

/// Tokens and seconds of all trajectories, scaled up from a few.
fn pilot(sweep: &Sweep, model: &ModelEntry, task: &TaskInRun, trajectories: u64) -> Result<(f64, f64)> {
    let mut engine = workload::load(sweep, model)?;
    let problems = task.problems.problems().iter().take(PILOT.0);
    let jobs: Vec<Job> = problems.map(|problem| task.task.job(problem, (0..PILOT.1).collect())).collect();
    let settings = sweep.settings(model, &task.task, 0);
    let activity = engine.sample(&jobs, &settings, &mut |_| ControlFlow::Continue(()))?;
    let scale = trajectories as f64 / (jobs.len() as f64 * f64::from(PILOT.1));
    Ok((activity.sampled_tokens as f64 * scale, activity.wall_s * scale))
}

fn print_line(model: &ModelEntry, task: &TaskInRun, prediction: &Prediction) {
    let at_most = prediction.tokens_at_most.map_or("context".into(), |tokens| tokens.to_string());
    let (tokens, seconds) = match prediction.expected {
        Some((tokens, seconds)) => (format!("{tokens:.0}"), format!("{seconds:.1}")),
        None => ("-".into(), "-".into()),
    };
    let (model, task) = (&model.name, &task.task.name);
    println!("{model:14} {task:14} {:>12} {at_most:>14} {tokens:>14} {seconds:>9}", prediction.trajectories);
}
