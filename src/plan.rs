//! `plan`: what a sweep would cost, before anything is spent.

use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use isocost_harness::cell::Budget;
use isocost_harness::engine::{Engine, Job};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::task::Task;
use isocost_models::device::{self, DeviceChoice};
use isocost_models::engine::Device;

use crate::workload::{self, Planned};

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
pub(crate) fn plan(
    sweep: &str,
    no_pilot: bool,
    limit: Option<usize>,
    library: &Library,
    device: DeviceChoice,
) -> Result<ExitCode> {
    let sweep = workload::sweep(sweep, limit)?;
    let tasks = workload::tasks(&sweep, library)?;
    let device = device.open()?;
    println!("{}: {} cells, on {}", sweep.name, sweep.cells().len(), device::describe(&device));
    let models = if no_pilot { vec![] } else { memory(&sweep, &tasks, &device)? };
    println!(
        "{:14} {:14} {:>12} {:>14} {:>14} {:>9}",
        "model", "task", "trajectories", "tokens at most", "tokens", "seconds"
    );
    let (mut tokens, mut seconds) = (0.0, 0.0);
    let mut models = models.into_iter();
    for model in &sweep.models {
        let mut engine = models.next().map(|found| found.engine(&device)).transpose()?;
        for task in &tasks {
            let engine = engine.as_mut().map(|engine| &mut **engine as &mut dyn Engine);
            let prediction = predict(&sweep, model, task, engine)?;
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

/// Prints what each model takes of the device's memory.
fn memory(sweep: &Sweep, tasks: &[TaskInRun], device: &Device) -> Result<Vec<Planned>> {
    let find = |model: &ModelEntry| {
        let found = workload::find(sweep, model, tasks, device)?;
        println!("{:14} {}", model.name, found.takes());
        Ok(found)
    };
    let found = sweep.models.iter().map(find).collect();
    println!();
    found
}

fn predict(
    sweep: &Sweep,
    model: &ModelEntry,
    task: &TaskInRun,
    engine: Option<&mut dyn Engine>,
) -> Result<Prediction> {
    let series = sweep.series(model).len() as u64;
    let trajectories = task.problems.problems().len() as u64 * u64::from(sweep.trajectories()) * series;
    let tokens_at_most = tokens_at_most(sweep, model, &task.task).map(|tokens| trajectories * tokens);
    let expected = engine.map(|engine| pilot(engine, sweep, model, task, trajectories)).transpose()?;
    Ok(Prediction { trajectories, tokens_at_most, expected })
}

/// Most tokens of one trajectory: the longest thought, and an answer at every budget. Absent where the context is the limit.
pub(crate) fn tokens_at_most(sweep: &Sweep, model: &ModelEntry, task: &Task) -> Option<u64> {
    let budgets = sweep.budgets(model);
    let answers = budgets.len() as u64 * u64::from(task.answer_tokens);
    match budgets.last() {
        Some(Budget::Tokens(longest)) => Some(u64::from(*longest) + answers),
        _ => None,
    }
}

/// Tokens and seconds of all trajectories, scaled up from a few.
fn pilot(
    engine: &mut dyn Engine,
    sweep: &Sweep,
    model: &ModelEntry,
    task: &TaskInRun,
    trajectories: u64,
) -> Result<(f64, f64)> {
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
