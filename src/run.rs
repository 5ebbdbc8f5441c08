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
use isocost_harness::shard::Shard;
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::trajectory::Trajectory;
use isocost_models::device::{self, DeviceChoice};
use isocost_models::engine::Device;
use isocost_models::memory::MemoryPlan;
use serde_json::json;

use crate::energy::EnergyLog;
use crate::progress::{ModelProgress, Progress};
use crate::so_far::SoFar;
use crate::workload::Planned;
use crate::{log, report, worker, workload};

/// Carries a sweep out and reports on it.
pub(crate) fn run(
    name: &str,
    out: Option<PathBuf>,
    limit: Option<usize>,
    library: &Library,
    devices: &[DeviceChoice],
    shard: Option<Shard>,
) -> Result<ExitCode> {
    let sweep = workload::sweep(name, limit)?;
    let mut tasks = workload::tasks(&sweep, library)?;
    worker::check(devices)?;
    let device = devices[0].open()?;
    let models = find_all(&sweep, &tasks, &device)?;
    let facts = models.iter().map(|(model, found)| Ok((model.name.clone(), found.facts()?)));
    let facts = facts.collect::<Result<BTreeMap<_, _>>>()?;
    let manifest = workload::manifest(&sweep, &tasks, facts, described(devices, &device), shard);
    if let Some(shard) = shard {
        tasks.iter_mut().for_each(|task| task.problems = shard.part(&task.problems));
    }
    let out = out.unwrap_or_else(|| workload::default_directory(&sweep, shard));
    let mut run = RunDirectory::open(&out, &manifest)?;
    let progress = Progress::new(&sweep, &tasks);
    greet(&progress, &sweep, &run);
    // What an earlier session recorded counts in what is shown.
    let earlier = if run.is_empty() { vec![] } else { read_records(run.path())? };
    let interrupted = interrupt_flag()?;
    let is_alone = devices.len() == 1;
    let mut energy = if is_alone {
        EnergyLog::start(run.path())
    } else {
        eprintln!("energy is not measured with several devices: what each one used cannot be told apart");
        EnergyLog::without_meters(run.path())
    };
    let mut unmetered = EnergyLog::without_meters(run.path());
    for (model, found) in models {
        // One at a time: each was promised all of the device's memory.
        // The meters of this machine do not see a server.
        let (is_here, rows) = (found.is_here(), found.memory().map_or(sweep.rows, MemoryPlan::batch));
        let mut engine: Box<dyn Engine> = match found.for_worker().filter(|_| !is_alone) {
            Some(load) => Box::new(worker::crew(devices, &load)?),
            None => found.engine(&device)?,
        };
        let rows = rows * devices.len();
        let line = model_line(&mut *engine, rows, (&sweep, &model, &tasks), &earlier, &progress);
        let watched = (if is_here { &mut energy } else { &mut unmetered }, &*interrupted);
        if sample_model(&mut *engine, &mut run, &sweep, &model, &tasks, line, watched)?.is_break() {
            let done = run.len();
            progress.say(&format!(
                "stopped with {done} trajectories recorded; go on with: isocost run {name}{}{} --out {}",
                limit.map_or(String::new(), |limit| format!(" --limit {limit}")),
                shard.map_or(String::new(), |shard| format!(" --shard {shard}")),
                out.display()
            ));
            return Ok(ExitCode::FAILURE);
        }
    }
    if let Some(shard) = shard {
        progress.say(&format!(
            "shard {shard} is done: {} trajectories; once all are: isocost merge {} ... --out DIR",
            run.len(),
            out.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    drop(run);
    report::report(&out, &[])?;
    Ok(ExitCode::SUCCESS)
}

/// One device with its hardware, or the list that was asked for.
fn described(devices: &[DeviceChoice], first: &Device) -> String {
    match devices {
        [_] => device::describe(first),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("{} workers: {} ({})", several.len(), names.join(", "), device::describe(first))
        }
    }
}

/// Finds all models and says what they take, before the first is loaded.
fn find_all(sweep: &Sweep, tasks: &[TaskInRun], device: &Device) -> Result<Vec<(ModelEntry, Planned)>> {
    let find = |model: &ModelEntry| Ok((model.clone(), workload::find(sweep, model, tasks, device)?));
    let found = sweep.models.iter().map(find).collect::<Result<Vec<_>>>()?;
    let device = device::describe(device);
    log::event("device", json!({ "device": device }), || format!("device: {device}"));
    for (model, found) in &found {
        let fields = found.memory().map_or(json!({ "model": model.name }), |memory| {
            json!({ "model": model.name, "weights_bytes": memory.weights_bytes, "row_bytes": memory.row_bytes(),
                "free_bytes": memory.free_bytes, "rows": memory.batch() })
        });
        log::event("memory", fields, || format!("{}: {}", model.name, found.takes()));
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
    engine: &mut dyn Engine,
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
