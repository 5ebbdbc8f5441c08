//! `economy`: the whole grid from one pass, against every cell by itself.

use std::process::ExitCode;

use anyhow::{Result, bail};
use isocost_harness::engine::Job;
use isocost_harness::one_pass::{OnePass, measure, table, total};
use isocost_harness::run_directory::write_whole;
use isocost_harness::sampling::TaskInRun;
use isocost_harness::source::Library;
use isocost_harness::sweep::{ModelEntry, Sweep};
use isocost_models::engine::LocalEngine;

use crate::cli::EconomyArgs;
use crate::{output, workload};

/// Measures a sweep both ways and prints the comparison. Exit code 1 if any answer differs.
pub(crate) fn economy(args: &EconomyArgs, library: &Library) -> Result<ExitCode> {
    let (sweep, models) = (Sweep::open(&args.sweep)?, &args.models);
    if let Some(unknown) = models.iter().find(|name| !sweep.models.iter().any(|m| m.name == **name)) {
        bail!("the sweep has no model `{unknown}`");
    }
    args.out.as_deref().map_or(Ok(()), output::check_writable)?;
    let (tasks, device) = (workload::tasks(&sweep, library)?, args.device.open()?);
    let mut parts = Vec::new();
    for model in sweep.models.iter().filter(|m| models.is_empty() || models.contains(&m.name)) {
        for task in &tasks {
            eprintln!("{} on {}", model.name, task.task.name);
            let mut engine = workload::find(&sweep, model, &tasks, &device)?.load(&device)?;
            parts.push(one(&sweep, model, task, args.problems, &mut engine)?);
        }
    }
    println!("{}", table(&parts).terminal());
    if let Some(out) = &args.out {
        write_whole(out, &(serde_json::to_string_pretty(&parts)? + "\n"))?;
        eprintln!("wrote {}", out.display());
    }
    Ok(if total(&parts).different_answers == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(
    sweep: &Sweep,
    model: &ModelEntry,
    task: &TaskInRun,
    problems: Option<usize>,
    engine: &mut LocalEngine,
) -> Result<OnePass> {
    let problems = task.problems.problems().iter().take(problems.unwrap_or(usize::MAX));
    let jobs: Vec<Job> =
        problems.map(|problem| task.task.job(problem, (0..sweep.trajectories()).collect())).collect();
    let settings = sweep.settings(model, &task.task, 0);
    Ok(measure(engine, (model.name.as_str(), task.task.name.as_str()), &jobs, &settings, &sweep.n)?)
}
