//! `run`: sweep, models, records, tables.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use anyhow::{Result, bail};
use isocost_harness::engine::{Engine, EngineError};
use isocost_harness::manifest::Manifest;
use isocost_harness::run_directory::{RunDirectory, read_records};
use isocost_harness::sampling::{SamplingError, TaskInRun, sample_task};
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_harness::trajectory::Trajectory;
use isocost_models::device::{self, DeviceChoice};
use isocost_models::engine::Device;
use isocost_models::memory::MemoryPlan;
use serde_json::json;

use crate::cli::RunArgs;
use crate::energy::EnergyLog;
use crate::progress::{ModelProgress, Progress};
use crate::so_far::SoFar;
use crate::store::WorkingCopies;
use crate::workload::Planned;
use crate::{command_line, log, report, worker, workload};

/// A sweep being carried out.
struct Sampling<'a> {
    args: &'a RunArgs,
    sweep: Sweep,
    tasks: Vec<TaskInRun>,
    device: Device,
    progress: Progress,
    interrupted: Arc<AtomicBool>,
    /// What servers would not do, however often they were asked: a line for each task.
    lacking: RefCell<Vec<String>>,
    /// Where the run is in a store.
    copies: &'a WorkingCopies,
}

/// Carries a sweep out and reports on it.
pub(crate) fn run(args: &RunArgs, library: &Library, copies: &WorkingCopies) -> Result<ExitCode> {
    let sweep = workload::sweep(&args.sweep, args.limit)?;
    let mut tasks = workload::tasks(&sweep, library)?;
    worker::check(&args.device)?;
    let device = args.device[0].open()?;
    let models = find_all(&sweep, &tasks, &device)?;
    let manifest = manifest(args, &sweep, &tasks, &models, &device)?;
    if let Some(shard) = args.shard {
        tasks.iter_mut().for_each(|task| task.problems = shard.part(&task.problems));
    }
    let out = args.out.clone().unwrap_or_else(|| workload::default_directory(&sweep, args.shard));
    let mut run = RunDirectory::open(&out, &manifest)?;
    let progress = Progress::new(&sweep, &tasks);
    greet(&progress, &sweep, &run);
    let (interrupted, lacking) = (interrupt_flag()?, RefCell::default());
    let sampling = Sampling { args, sweep, tasks, device, progress, interrupted, lacking, copies };
    let flow = sampling.models(models, &mut run)?;
    let done = run.len();
    drop(run);
    sampling.conclude(flow, done, &out)
}

fn manifest(
    args: &RunArgs,
    sweep: &Sweep,
    tasks: &[TaskInRun],
    models: &[(ModelEntry, Planned)],
    device: &Device,
) -> Result<Manifest> {
    let facts = models.iter().map(|(model, found)| Ok((model.name.clone(), found.facts()?)));
    let facts = facts.collect::<Result<BTreeMap<_, _>>>()?;
    Ok(workload::manifest(sweep, tasks, facts, described(&args.device, device), args.shard))
}

impl Sampling<'_> {
    /// Every model, one at a time: each was promised all of the device's memory.
    fn models(&self, models: Vec<(ModelEntry, Planned)>, run: &mut RunDirectory) -> Result<ControlFlow<()>> {
        // What an earlier session recorded counts in what is shown.
        let earlier = if run.is_empty() { vec![] } else { read_records(run.path())? };
        let mut energy = self.energy(run.path());
        // The meters of this machine do not see a server.
        let mut unmetered = EnergyLog::without_meters(run.path());
        for (model, found) in models {
            // A server is one, however many devices there are here.
            let here = |memory: &MemoryPlan| memory.batch().saturating_mul(self.args.device.len());
            let rows = found.memory().map_or(self.sweep.rows, here);
            let is_here = found.is_here();
            let mut engine = self.engine(found)?;
            let energy = if is_here { &mut energy } else { &mut unmetered };
            let line = self.line(&mut *engine, rows, &model, &earlier);
            if self.model(&mut *engine, run, &model, line, energy)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn energy(&self, run: &Path) -> EnergyLog {
        if self.args.device.len() == 1 {
            return EnergyLog::start(run, &self.device);
        }
        log::say("energy is not measured with several devices: what each one used cannot be told apart");
        EnergyLog::without_meters(run)
    }

    fn engine(&self, found: Planned) -> Result<Box<dyn Engine>> {
        let devices = &self.args.device;
        match found.for_worker().filter(|_| devices.len() > 1) {
            Some(load) => Ok(Box::new(worker::crew(devices, &load)?)),
            None => found.engine(&self.device),
        }
    }

    fn model(
        &self,
        engine: &mut dyn Engine,
        run: &mut RunDirectory,
        model: &ModelEntry,
        mut line: ModelProgress,
        energy: &mut EnergyLog,
    ) -> Result<ControlFlow<()>> {
        let (interrupted, copies) = (&self.interrupted, self.copies);
        for task in &self.tasks {
            energy.begin();
            let (mut unwritten, mut recorded) = (Ok(()), 0);
            let sampled = sample_task(engine, run, &self.sweep, model, task, &mut |record| {
                recorded += 1;
                line.record(record);
                unwritten = energy.tick(&model.name, &task.task.name);
                if unwritten.is_err() || is_stopped(interrupted, copies) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            let lacks = matches!(&sampled, Err(SamplingError::Engine(EngineError::Server { .. })));
            let flow = self.noted(&model.name, &task.task.name, sampled)?;
            unwritten?;
            energy.end(&model.name, &task.task.name)?;
            if flow.is_break() {
                return Ok(flow);
            }
            // A server that does nothing at all is not asked for the other tasks.
            if lacks && recorded == 0 {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What a server would not do is noted, and the run goes on; every other failure ends it.
    fn noted(
        &self,
        model: &str,
        task: &str,
        sampled: Result<ControlFlow<()>, SamplingError>,
    ) -> Result<ControlFlow<()>> {
        match sampled {
            Err(SamplingError::Engine(failure @ EngineError::Server { .. })) => {
                self.lacking.borrow_mut().push(format!("{model} on {task}: {failure}"));
                Ok(if is_stopped(&self.interrupted, self.copies) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            }
            done => Ok(done?),
        }
    }

    /// The line of a model, which hears of the engine's steps; `earlier` records are counted first.
    fn line(
        &self,
        engine: &mut dyn Engine,
        rows: usize,
        model: &ModelEntry,
        earlier: &[Trajectory],
    ) -> ModelProgress {
        let problems: usize = self.tasks.iter().map(|task| task.problems.problems().len()).sum();
        let total = problems * self.sweep.trajectories() as usize * self.sweep.series(model).len();
        let (sender, steps) = mpsc::channel();
        engine.report_steps(sender);
        let price = self.sweep.all_prices().next();
        let mut so_far = SoFar::new(&model.name, total as u64, rows, price, steps);
        earlier.iter().filter(|record| record.model == model.name).for_each(|record| so_far.recall(record));
        self.progress.model(so_far)
    }

    /// Says what comes next, or reports where all is there.
    fn conclude(&self, flow: ControlFlow<()>, done: usize, out: &Path) -> Result<ExitCode> {
        let args = self.args;
        let lacking = self.lacking.take();
        if done == 0 && !lacking.is_empty() {
            bail!(lacking.join("; "));
        }
        lacking.iter().for_each(|line| self.progress.say(line));
        let code = if lacking.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        if flow.is_break() {
            let again = command_line::again(out, args.out.is_some());
            self.progress.say(&format!("stopped with {done} trajectories recorded; go on with: {again}"));
            return Ok(ExitCode::FAILURE);
        }
        if let Some(shard) = args.shard {
            let merge = format!("isocost merge {} ... --out DIR", out.display());
            let is_done = format!("shard {shard} is done: {done} trajectories; once all are: {merge}");
            if lacking.is_empty() {
                self.progress.say(&is_done);
            }
            return Ok(code);
        }
        report::report(out, &[])?;
        Ok(code)
    }
}

/// Whether nothing more is to be sampled: somebody asked for that, or the run's place in a store is lost.
fn is_stopped(interrupted: &AtomicBool, copies: &WorkingCopies) -> bool {
    interrupted.load(Ordering::SeqCst) || copies.is_lost()
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
