//! `verify`: cells of a run, alone and for real, against what the run and the surface say.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use isocost_harness::activity;
use isocost_harness::calibration_report::summary;
use isocost_harness::energy::joules_of_all;
use isocost_harness::engine::Settings;
use isocost_harness::latency_rows::{Asked, all_asked, dialect, requests};
use isocost_harness::manifest::{Identity, Manifest, read_manifest};
use isocost_harness::replay::{Latency, Serving, replay};
use isocost_harness::run_directory::{check_unpublished, read_records, write_whole};
use isocost_harness::sampling::TaskInRun;
use isocost_harness::source::Library;
use isocost_harness::step_log::for_each_step;
use isocost_harness::surface::Surface;
use isocost_harness::sweep::ModelEntry;
use isocost_harness::trajectory::Trajectory;
use isocost_harness::verification::{CellCheck, Recorded, Verification, choose, compare, run_alone};
use isocost_harness::verification_report;
use isocost_models::calibrate::Grid;
use isocost_models::contention::Contention;
use isocost_models::engine::{Device, LocalEngine};
use isocost_models::meter::Watch;

use crate::cli::VerifyArgs;
use crate::{calibrate, energy, report, workload};

/// What of a model's facts decides which tokens it samples.
const DECISIVE: [&str; 3] = ["weights_sha256", "template_sha256", "shape"];

/// A run being checked.
struct Run<'a> {
    manifest: &'a Manifest,
    records: &'a [Trajectory],
    tasks: &'a [TaskInRun],
    args: &'a VerifyArgs,
    device: &'a Device,
}

/// Checks a run, prints and stores what was found. Exit code 1 if any token differs.
pub(crate) fn verify(args: &VerifyArgs, library: &Library) -> Result<ExitCode> {
    let path = &args.run;
    check_unpublished(path)?;
    let (manifest, records) = (read_manifest(path)?, read_records(path)?);
    let tasks = workload::tasks(&manifest.identity.sweep, library)?;
    let device = args.device.open()?;
    let run = Run { manifest: &manifest, records: &records, tasks: &tasks, args, device: &device };
    let chosen = choose(&run.recorded_cells(), args.cells);
    if chosen.is_empty() {
        bail!("{}: has no complete problem yet: go on with the run first", path.display());
    }
    run.check_same(path, &chosen)?;
    let mut watch = energy::start_meters(&device);
    let (mut surfaces, mut verification) = (Vec::new(), Verification::default());
    for model in &manifest.identity.sweep.models {
        let cells: Vec<&Asked> = chosen.iter().filter(|asked| asked.model == model.name).collect();
        if cells.is_empty() {
            continue;
        }
        let contention = Contention::start();
        let (surface, checks) = run.check_model(model, &cells, &mut watch)?;
        verification.conditions.extend(
            contention.share().map(|share| format!("{}: {}", model.name, activity::contention(share))),
        );
        let fit = summary(&surface).swap_remove(1);
        verification.conditions.push(format!("{} on {}: {fit}", model.name, surface.name.device));
        verification.conditions.extend(against_the_run(path, &model.name, &surface)?);
        verification.cells.extend(checks);
        surfaces.push(surface);
    }
    println!("{}", verification_report::table(&verification).terminal());
    write_whole(&path.join("surface.json"), &Surface::write_all(&surfaces))?;
    write_whole(&path.join("verify.json"), &(serde_json::to_string_pretty(&verification)? + "\n"))?;
    report::write(path, &[])?;
    let equal = verification.cells.iter().all(CellCheck::tokens_are_equal);
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The surface against every step of the run itself, which may have met another machine.
fn against_the_run(path: &Path, model: &str, surface: &Surface) -> Result<Option<String>> {
    let (mut steps, mut measured_s, mut predicted_s) = (0u64, 0.0, 0.0);
    for_each_step(path, |logged| {
        if logged.model == model {
            steps += 1;
            measured_s += logged.step.seconds;
            predicted_s += surface.cost.seconds(&logged.step.load);
        }
    })?;
    let off = 100.0 * (predicted_s / measured_s - 1.0);
    let text = format!(
        "{model}: the {steps} steps of the run itself took {measured_s:.2} s; this surface says {predicted_s:.2} s ({off:+.1} %)."
    );
    Ok((steps > 0).then_some(text))
}

fn changed(run: &Path, what: &str) -> Result<()> {
    bail!(
        "{}: {what} when it was run: put that back, or run the sweep anew into another --out",
        run.display()
    )
}

impl Run<'_> {
    /// Cells of which something is recorded.
    fn recorded_cells(&self) -> Vec<Asked> {
        let has_records =
            |asked: &Asked| !requests(asked, self.records, dialect(self.manifest, &asked.model)).is_empty();
        all_asked(self.manifest).into_iter().filter(has_records).collect()
    }

    /// Other problems or another model would be compared with records that are not theirs.
    fn check_same(&self, path: &Path, chosen: &[Asked]) -> Result<()> {
        let Identity { sweep, problems_sha256, .. } = &self.manifest.identity;
        for TaskInRun { task, problems } in self.tasks {
            if problems_sha256.get(&task.name).is_none_or(|then| then != problems.sha256()) {
                return changed(path, &format!("the problems of {} are not what they were", task.name));
            }
        }
        let mut checked = sweep.models.iter().filter(|m| chosen.iter().any(|asked| asked.model == m.name));
        checked.try_for_each(|model| self.check_same_model(path, model))
    }

    fn check_same_model(&self, path: &Path, model: &ModelEntry) -> Result<()> {
        let Identity { sweep, models, .. } = &self.manifest.identity;
        let now = workload::find(sweep, model, self.tasks, self.device)?.facts()?;
        let then = models.get(&model.name);
        let differs = |key: &&str| then.and_then(|facts| facts.get(key)) != now.get(key);
        DECISIVE.into_iter().find(differs).map_or(Ok(()), |key| {
            changed(path, &format!("model {} is not what it was (its {key} differs)", model.name))
        })
    }

    /// Calibrates a model and runs its cells at once, so that both meet the same machine.
    fn check_model(
        &self,
        model: &ModelEntry,
        cells: &[&Asked],
        watch: &mut Watch,
    ) -> Result<(Surface, Vec<CellCheck>)> {
        let sweep = &self.manifest.identity.sweep;
        let mut engine = workload::find(sweep, model, self.tasks, self.device)?.load(self.device)?;
        let (rows, sampling) = (sweep.rows, sweep.sampling.clone());
        let grid = Grid::up_to(rows, self.longest(model), sampling, self.args.time_limit);
        let surface = calibrate::of_engine(&mut engine, &model.source, &grid, watch)?;
        let check = |asked: &&Asked| self.check_cell(&mut engine, model, asked, &surface, watch);
        let checks = cells.iter().map(check).collect::<Result<_>>()?;
        Ok((surface, checks))
    }

    /// Most tokens of a sequence of this model.
    fn longest(&self, model: &ModelEntry) -> usize {
        let of_model = self.records.iter().filter(|record| record.model == model.name);
        let tokens = |r: &Trajectory| {
            let answer = r.answers.iter().map(|a| a.answer_tokens).max().unwrap_or(0);
            [r.prompt_tokens, r.reasoning_tokens, answer].map(|tokens| tokens as usize).into_iter().sum()
        };
        of_model.map(tokens).max().unwrap_or(0) + 32
    }

    fn check_cell(
        &self,
        engine: &mut LocalEngine,
        model: &ModelEntry,
        asked: &Asked,
        surface: &Surface,
        watch: &mut Watch,
    ) -> Result<CellCheck> {
        let sweep = &self.manifest.identity.sweep;
        let task = self.tasks.iter().find(|task| task.task.name == asked.task);
        let task = task.with_context(|| format!("the sweep has no task {}", asked.task))?;
        eprintln!("{} on {}: budget {}, n = {}", asked.model, asked.task, asked.budget, asked.n);
        let recorded = self.recorded(asked, task);
        let predicted = self.predict(asked, &recorded, surface);
        let settings = Settings { budgets: vec![asked.budget], ..sweep.settings(model, &task.task, 0) };
        watch.cut();
        let alone = run_alone(engine, model, &task.task, &settings, &recorded, self.args.repeats)?;
        let windows = watch.cut();
        let measured_j = joules_of_all(&windows).map(|joules| joules / alone.runs as f64);
        let (e2e_s, joules) = predicted.unzip();
        Ok(compare(asked, &recorded, &alone, e2e_s, (joules.flatten(), measured_j)))
    }

    /// The first n trajectories of the first problems that have them.
    fn recorded<'a>(&'a self, asked: &Asked, task: &'a TaskInRun) -> Vec<Recorded<'a>> {
        let of_problem = |problem: &'a isocost_harness::problem::Problem| {
            let is_asked = |t: &&Trajectory| {
                (t.model == asked.model && t.task == asked.task && t.waits == 0) && t.problem == problem.id
            };
            let mut trajectories: Vec<&Trajectory> = self.records.iter().filter(is_asked).collect();
            trajectories.sort_by_key(|t| t.trajectory);
            trajectories.truncate(asked.n as usize);
            Recorded { problem, trajectories }
        };
        let all = task.problems.problems().iter().map(of_problem);
        all.filter(|r| r.trajectories.len() == asked.n as usize).take(self.args.problems).collect()
    }

    /// Mean seconds and joules of a request, from the records and the surface alone.
    fn predict(&self, asked: &Asked, recorded: &[Recorded], surface: &Surface) -> Option<(f64, Option<f64>)> {
        let records: Vec<Trajectory> =
            recorded.iter().flat_map(|r| r.trajectories.iter().map(|t| (*t).clone())).collect();
        let requests = requests(asked, &records, dialect(self.manifest, &asked.model));
        let rows = self.manifest.identity.sweep.rows as u32;
        let replayed = replay(&requests, Serving::OneUser { rows }, surface);
        Latency::of(&replayed).map(|latency| (latency.device_s_mean, latency.joules_mean))
    }
}
