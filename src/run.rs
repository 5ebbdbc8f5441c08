//! `run`: sweep, models, records, tables.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use anyhow::Result;
use isocost_harness::engine::Engine;
use isocost_harness::run_directory::{RunDirectory, read_records};
use isocost_harness::sampling::{TaskInRun, sample_task};
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::trajectory::Trajectory;
use isocost_models::device::{self, DeviceChoice};
use isocost_models::engine::{Device, LocalEngine};
use serde_json::json;

use crate::energy::EnergyLog;
use crate::progress::{ModelProgress, Progress};
use crate::so_far::SoFar;
use crate::workload::Planned;
use crate::{log, report, workload};

/// Carries a sweep out and reports on it.
pub(crate) fn run(
    name: &str,
    out: Option<PathBuf>,
    limit: Option<usize>,
    library: &Library,
    device: DeviceChoice,
) -> Result<ExitCode> {
    let sweep = workload::sweep(name, limit)?;
    let tasks = workload::tasks(&sweep, library)?;
    let device = device.open()?;
    let models = find_all(&sweep, &tasks, &device)?;
    let facts = models.iter().map(|(model, found)| Ok((model.name.clone(), found.facts()?)));
    let manifest = workload::manifest(&sweep, &tasks, facts.collect::<Result<BTreeMap<_, _>>>()?, &device);
    let out = out.unwrap_or_else(|| workload::default_directory(&sweep));
    let mut run = RunDirectory::open(&out, &manifest)?;
    let progress = Progress::new(&sweep, &tasks);
    greet(&progress, &sweep, &run);
    // What an earlier session recorded counts in what is shown.
    let earlier = if run.is_empty() { vec![] } else { read_records(run.path())? };
    let interrupted = interrupt_flag()?;
    let mut energy = EnergyLog::start(run.path());
    for (model, found) in models {
        // One at a time: each was promised all of the device's memory.
        let rows = found.memory.batch();
        let mut engine = found.load(&device)?;
        let line = model_line(&mut engine, rows, (&sweep, &model, &tasks), &earlier, &progress);
        let watched = (&mut energy, &*interrupted);
        if sample_model(&mut engine, &mut run, &sweep, &model, &tasks, line, watched)?.is_break() {
            let done = run.len();
            progress.say(&format!(
                "stopped with {done} trajectories recorded; go on with: isocost run {name}{} --out {}",
                limit.map_or(String::new(), |limit| format!(" --limit {limit}")),
                out.display()
            ));
            return Ok(ExitCode::FAILURE);
        }
    }
    drop(run);
    report::report(&out, &[])?;
    Ok(ExitCode::SUCCESS)
}

/// Finds all models and says what they take, before the first is loaded.
fn find_all(sweep: &Sweep, tasks: &[TaskInRun], device: &Device) -> Result<Vec<(ModelEntry, Planned)>> {
    let find = |model: &ModelEntry| Ok((model.clone(), workload::find(sweep, model, tasks, device)?));
    let found = sweep.models.iter().map(find).collect::<Result<Vec<_>>>()?;
    let device = device::describe(device);
    log::event("device", json!({ "device": device }), || format!("device: {device}"));
    for (model, found) in &found {
        let fields = json!({ "model": model.name, "weights_bytes": found.memory.weights_bytes,
            "row_bytes": found.memory.row_bytes(), "free_bytes": found.memory.free_bytes, "rows": found.memory.batch() });
        log::event("memory", fields, || format!("{}: {}", model.name, found.memory));
    }
    Ok(found)
}

fn greet(progress: &Progress, sweep: &Sweep, run: &RunDirectory) {
    let total = sweep.trajectories() as usize;
    progress.say(&format!(
        "{}: {} cells, {total} trajectories a problem, into {}",
        sweep.name,
        sweep.cells().len(),
        run.path().display()
    ));
    if !run.is_empty() {
        progress.say(&format!("going on: {} trajectories are recorded already", run.len()));
    }
    if run.torn_lines() > 0 {
        progress.say(&format!(
            "{} torn lines were set aside in torn.jsonl and are sampled again",
            run.torn_lines()
        ));
    }
}

/// Set once Ctrl-C is pressed; a second press ends the program at once.
fn interrupt_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    Ok(flag)
}

fn sample_model(
    engine: &mut LocalEngine,
    run: &mut RunDirectory,
    sweep: &Sweep,
    model: &ModelEntry,
    tasks: &[TaskInRun],
    mut line: ModelProgress,
    (energy, interrupted): (&mut EnergyLog, &AtomicBool),
) -> Result<ControlFlow<()>> {
    for task in tasks {
        energy.begin();
        let mut unwritten = Ok(());
        let flow = sample_task(engine, run, sweep, model, task, &mut |record| {
            line.record(record);
            unwritten = energy.tick(&model.name, &task.task.name);
            if unwritten.is_err() || interrupted.load(Ordering::SeqCst) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        unwritten?;
        energy.end(&model.name, &task.task.name)?;
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The line of a model, which hears of the engine's steps; `earlier` records are counted first.
fn model_line(
    engine: &mut dyn Engine,
    rows: usize,
    (sweep, model, tasks): (&Sweep, &ModelEntry, &[TaskInRun]),
    earlier: &[Trajectory],
    progress: &Progress,
) -> ModelProgress {
    let problems: usize = tasks.iter().map(|task| task.problems.problems().len()).sum();
    let total = problems * sweep.trajectories() as usize * sweep.series(model).len();
    let (sender, steps) = mpsc::channel();
    engine.report_steps(sender);
    let mut so_far = SoFar::new(&model.name, total as u64, rows, sweep.all_prices().next(), steps);
    earlier.iter().filter(|record| record.model == model.name).for_each(|record| so_far.recall(record));
    progress.model(so_far)
}
