//! Carrying a sweep out: what is missing is sampled, judged and recorded, one trajectory at a time.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::mpsc;

use crate::activity::ActivityNote;
use crate::engine::{Engine, EngineError, Generated, GeneratedAnswer, Job, Settings};
use crate::grader::GRADER_VERSION;
use crate::judge::Judge;
use crate::problem::{Problem, ProblemSet};
use crate::request_log::append_attempts;
use crate::run_directory::RunDirectory;
use crate::run_error::RunError;
use crate::step_log::StepLog;
use crate::sweep::{ModelEntry, Sweep};
use crate::task::Task;
use crate::trajectory::{Answer, SCHEMA, Timing, Trajectory};

/// Why sampling stopped early.
#[derive(Debug, thiserror::Error)]
pub enum SamplingError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The run directory failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A task with the problems that a run uses of it.
pub struct TaskInRun {
    /// The task.
    pub task: Task,
    /// Its problems.
    pub problems: ProblemSet,
}

/// Told of every record as it is written; answers whether to go on.
pub type Observer<'a> = dyn FnMut(&Trajectory) -> ControlFlow<()> + Send + 'a;

/// Samples whatever the run lacks of one model on one task.
///
/// Returns `Break` if the observer asked to stop.
///
/// # Errors
/// [`SamplingError`]; what was recorded stays.
pub fn sample_task(
    engine: &mut dyn Engine,
    run: &mut RunDirectory,
    sweep: &Sweep,
    model: &ModelEntry,
    task: &TaskInRun,
    observer: &mut Observer,
) -> Result<ControlFlow<()>, SamplingError> {
    for waits in sweep.series(model) {
        let settings = sweep.settings(model, &task.task, waits);
        if sample_series(engine, run, sweep, model, task, &settings, observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn sample_series(
    engine: &mut dyn Engine,
    run: &mut RunDirectory,
    sweep: &Sweep,
    model: &ModelEntry,
    task: &TaskInRun,
    settings: &Settings,
    observer: &mut Observer,
) -> Result<ControlFlow<()>, SamplingError> {
    let jobs = missing(run, sweep, model, task, settings.waits);
    if jobs.is_empty() {
        return Ok(ControlFlow::Continue(()));
    }
    let problems: HashMap<&str, &Problem> =
        task.problems.problems().iter().map(|p| (p.id.as_str(), p)).collect();
    let run_path = &run.path().to_owned();
    let mut log = StepLog::open(run_path)?;
    let (sender, steps) = mpsc::channel();
    engine.report_steps(sender);
    let (sender, attempts) = mpsc::channel();
    engine.report_attempts(sender);
    // Owns the receivers, since another thread may hand records over.
    let mut log_reports = move || {
        log.append(&model.name, &task.task.name, settings.waits, steps.try_iter())?;
        append_attempts(run_path, &model.name, &task.task.name, attempts.try_iter())
    };
    let (mut failed, mut stopped) = (None, false);
    let result = engine.sample(&jobs, settings, &mut |generated| {
        let problem = problems[jobs[generated.job].problem.as_str()];
        let record = record(model, &task.task, problem, settings.waits, generated);
        if let Err(error) = run.append(&record).and_then(|()| log_reports()) {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        let flow = observer(&record);
        stopped = flow.is_break();
        flow
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    log_reports()?;
    let (model, task) = (model.name.clone(), task.task.name.clone());
    run.note_activity(&ActivityNote { model, task, waits: settings.waits, activity: result? })?;
    Ok(if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

/// Jobs for the trajectories that are not recorded yet.
fn missing(run: &RunDirectory, sweep: &Sweep, model: &ModelEntry, task: &TaskInRun, waits: u32) -> Vec<Job> {
    let is_missing = |problem: &Problem, trajectory: &u32| {
        let key = (model.name.clone(), task.task.name.clone(), waits, problem.id.clone(), *trajectory);
        !run.is_done(&key)
    };
    let job = |problem: &Problem| {
        task.task.job(problem, (0..sweep.trajectories()).filter(|t| is_missing(problem, t)).collect())
    };
    task.problems.problems().iter().map(job).filter(|job| !job.trajectories.is_empty()).collect()
}

/// The record of what was generated: judged, and with its names.
pub fn record(
    model: &ModelEntry,
    task: &Task,
    problem: &Problem,
    waits: u32,
    generated: Generated,
) -> Trajectory {
    let timing = Timing {
        prompt_s: generated.prompt_s,
        chain_s: generated.chain_s,
        reasoning_s: generated.answers.iter().map(|answer| answer.reasoning_s).collect(),
        answer_s: generated.answers.iter().map(|answer| answer.answer_s).collect(),
    };
    Trajectory {
        schema: SCHEMA,
        model: model.name.clone(),
        task: task.name.clone(),
        problem: problem.id.clone(),
        trajectory: generated.trajectory,
        waits,
        question: problem.question.clone(),
        gold: problem.gold.clone(),
        variant_of: problem.variant_of.clone(),
        grader: GRADER_VERSION.into(),
        prompt_tokens: generated.prompt_tokens,
        reasoning_tokens: generated.reasoning_tokens,
        reasoning: generated.reasoning,
        thought: generated.thought,
        answers: generated.answers.into_iter().map(|a| judged(&task.judge, problem, a)).collect(),
        timing,
    }
}

fn judged(judge: &Judge, problem: &Problem, answer: GeneratedAnswer) -> Answer {
    let finding = judge.judge(&problem.gold, &answer.text, answer.complete);
    let tokens = f64::from(answer.answer_tokens);
    Answer {
        budget: answer.budget,
        forced: answer.forced,
        reasoning_tokens: answer.reasoning_tokens,
        answer_tokens: answer.answer_tokens,
        text: answer.text,
        complete: answer.complete,
        logprob_mean: answer.logprob_sum.filter(|_| answer.answer_tokens > 0).map(|sum| sum / tokens),
        outcome: finding.outcome,
        extracted: finding.extracted,
        rule: finding.rule,
        class: finding.class,
    }
}
