//! `run`: sweep, models, records, tables.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use isocost_harness::run_directory::RunDirectory;
use isocost_harness::sampling::{TaskInRun, sample_task};
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_models::device::{self, DeviceChoice};
use isocost_models::engine::{Device, LocalEngine};

use crate::energy::EnergyLog;
use crate::progress::{ModelProgress, Progress};
use crate::workload::Planned;
use crate::{report, workload};

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
    let progress = Progress::new();
    greet(&progress, &sweep, &run);
    let interrupted = interrupt_flag()?;
    let mut energy = EnergyLog::start(run.path());
    for (model, found) in models {
        // One at a time: each was promised all of the device's memory.
        let mut engine = found.load(&device)?;
        let watched = (&mut energy, &*interrupted);
        if sample_model(&mut engine, &mut run, &sweep, &model, &tasks, &progress, watched)?.is_break() {
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
    eprintln!("device: {}", device::describe(device));
    found.iter().for_each(|(model, found)| eprintln!("{}: {}", model.name, found.memory));
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
    progress: &Progress,
    (energy, interrupted): (&mut EnergyLog, &AtomicBool),
) -> Result<ControlFlow<()>> {
    let mut bar = model_bar(run, sweep, model, tasks, progress);
    for task in tasks {
        energy.begin();
        let mut unwritten = Ok(());
        let flow = sample_task(engine, run, sweep, model, task, &mut |record| {
            bar.record(record);
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
    bar.finish();
    Ok(ControlFlow::Continue(()))
}

fn model_bar(
    run: &RunDirectory,
    sweep: &Sweep,
    model: &ModelEntry,
    tasks: &[TaskInRun],
    progress: &Progress,
) -> ModelProgress {
    let problems: usize = tasks.iter().map(|task| task.problems.problems().len()).sum();
    let total = problems * sweep.trajectories() as usize * sweep.series(model).len();
    let done = run.recorded_of(&model.name);
    progress.model(&model.name, done as u64, total as u64)
}
