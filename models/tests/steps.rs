//! What the scheduler reports of its steps, and what replay makes of it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Activity, Engine, Generated, Job, Sampling, Settings};
use isocost_harness::problem::Problem;
use isocost_harness::replay::{Cost, Course, Dialect, Request, Serving, replay};
use isocost_harness::sampling::record;
use isocost_harness::source::Library;
use isocost_harness::step::{Load, Step, StepKind};
use isocost_harness::sweep::ModelEntry;
use isocost_harness::task::Task;
use isocost_models::bundled;
use isocost_models::calibrate::{Bench, Grid};
use isocost_models::engine::LocalEngine;
use isocost_models::scheduler::{Markers, Prompt, Scheduler};

fn engine() -> LocalEngine {
    LocalEngine::load_on_cpu(&bundled::folder("bundled:reason-s").unwrap(), 8).unwrap()
}

fn sampling() -> Sampling {
    Sampling { temperature: 0.8, top_k: None, top_p: None, min_p: None }
}

fn settings(budgets: &[u32]) -> Settings {
    Settings {
        budgets: budgets.iter().copied().map(Budget::Tokens).collect(),
        policy: Policy::ForceAnswer,
        answer_tokens: 16,
        waits: 0,
        sampling: sampling(),
        seed: 3,
    }
}

fn problems(count: usize) -> Vec<Problem> {
    Task::open("chain").unwrap().subset(count, 1, &Library::default()).unwrap().problems().to_vec()
}

fn job(problem: &Problem, trajectories: u32) -> Job {
    Job {
        problem: problem.id.clone(),
        instructions: String::new(),
        question: problem.question.clone(),
        trajectories: (0..trajectories).collect(),
    }
}

fn sample(
    engine: &mut LocalEngine,
    jobs: &[Job],
    settings: &Settings,
) -> (Vec<Generated>, Vec<Step>, Activity) {
    let (sender, steps) = mpsc::channel();
    engine.report_steps(sender);
    let mut generated = Vec::new();
    let activity = engine.sample(jobs, settings, &mut |one| {
        generated.push(one);
        std::thread::sleep(Duration::from_millis(2));
        ControlFlow::Continue(())
    });
    (generated, steps.try_iter().collect(), activity.unwrap())
}

/// For two trajectories.
fn prompt() -> Prompt {
    let (problem, trajectories) = ("p".into(), vec![0, 1]);
    Prompt { problem, thinking: vec![1, 2, 3], direct: vec![1], trajectories }
}

#[test]
fn the_handing_over_that_steps_wait_for_is_no_part_of_them() {
    let mut engine = engine();
    let (decoder, cache) = engine.bench();
    let (markers, settings) = (Markers::default(), settings(&[16]));
    let mut step_s = 0.0;
    let mut add = |step: Step| step_s += step.seconds;
    let scheduler = Scheduler::new(decoder, cache, &markers, &settings, 4).observed(&mut add);
    let slowly = &mut |_: Generated| {
        std::thread::sleep(Duration::from_millis(20));
        ControlFlow::Continue(())
    };
    let activity = scheduler.run(&[prompt()], slowly).unwrap();
    assert!(activity.handing_over_s >= 2.0 * 0.02, "two records, 20 milliseconds each");
    assert!(step_s <= activity.wall_s - activity.handing_over_s, "{step_s} of {activity:?}");
}

#[test]
fn sampling_ends_after_the_step_that_runs_once_enough_is_said() {
    let mut engine = engine();
    let (decoder, cache) = engine.bench();
    let (markers, settings) = (Markers::default(), settings(&[400]));
    let (enough, mut steps) = (AtomicBool::new(false), 0);
    let mut count = |_| {
        steps += 1;
        enough.store(steps == 5, Ordering::Relaxed);
    };
    let scheduler = Scheduler::new(decoder, cache, &markers, &settings, 4).observed(&mut count);
    let activity = scheduler.until(&enough).run(&[prompt()], &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(activity.steps, 6);
    assert_eq!(cache.free_blocks(), cache.total_blocks());
}

#[test]
fn steps_account_for_every_token_and_every_second_but_those_of_the_handing_over() {
    let jobs: Vec<Job> = problems(3).iter().map(|p| job(p, 4)).collect();
    let (_, steps, activity) = sample(&mut engine(), &jobs, &settings(&[0, 16, 48]));
    let sum = |of: &dyn Fn(&Step) -> f64| steps.iter().map(of).sum::<f64>();
    assert_eq!(steps.len() as u64, activity.steps);
    assert_eq!(sum(&|s| s.load.rows.into()), activity.row_steps as f64);
    assert_eq!(sum(&|s| s.load.fed_tokens.into()), activity.fed_tokens as f64);
    assert_eq!(sum(&|s| s.load.sampled_tokens.into()), activity.sampled_tokens as f64);
    assert!((sum(&|s| s.forward_s) - activity.device_s).abs() < 1e-9);
    let worked = activity.wall_s - activity.handing_over_s;
    assert!((sum(&|s| s.seconds) / worked - 1.0).abs() < 0.02, "{} {worked}", sum(&|s| s.seconds));
    assert_eq!(steps[0].kind, StepKind::Prefill);
    assert!(
        steps.iter().any(|s| s.kind == StepKind::Decode) && steps.iter().any(|s| s.kind == StepKind::Mixed)
    );
}

#[test]
fn chains_that_end_with_their_first_token_are_handed_over() {
    let jobs = [job(&problems(1)[0], 3)];
    let (generated, steps, activity) =
        sample(&mut engine(), &jobs, &Settings { answer_tokens: 1, ..settings(&[0]) });
    assert_eq!((generated.len(), steps.len(), activity.sampled_tokens), (3, 1, 3));
}

/// One part of a load as the cost.
struct Part(fn(&Load) -> f64);

impl Cost for Part {
    fn seconds(&self, load: &Load) -> f64 {
        (self.0)(load)
    }
}

#[test]
fn replay_walks_exactly_the_steps_that_the_scheduler_takes() {
    let mut engine = engine();
    let conversation = engine.conversation();
    let dialect = Dialect {
        forced_tokens: conversation.forced_tokens() as u32,
        direct_extra_tokens: conversation.direct_extra_tokens().unwrap(),
    };
    let model = ModelEntry {
        name: "m".into(),
        source: "bundled:reason-s".into(),
        server: None,
        budgets: None,
        facts: None,
    };
    let task = Task::open("chain").unwrap();
    let parts: [fn(&Load) -> f64; 7] = [
        |_| 1.0,
        |load| load.rows.into(),
        |load| load.fed_tokens.into(),
        |load| load.context_tokens as f64,
        |load| load.attended_tokens as f64,
        |load| load.forks.into(),
        |load| load.sampled_tokens.into(),
    ];
    // Budgets below, among and above the natural lengths; more completions than the batch has rows.
    for (budget, n) in [(0, 3), (1, 2), (24, 8), (60, 12), (400, 4)] {
        for problem in &problems(3) {
            let settings = settings(&[budget]);
            let (mut generated, steps, _) = sample(&mut engine, &[job(problem, n)], &settings);
            generated.sort_by_key(|one| one.trajectory);
            // A grid's record counts the prompt of those that think.
            let extra = if budget == 0 { dialect.direct_extra_tokens } else { 0 };
            let courses = generated.into_iter().map(|one| {
                let mut made = record(&model, &task, problem, 0, one);
                made.prompt_tokens = (i64::from(made.prompt_tokens) - extra) as u32;
                Course::of(&made, Budget::Tokens(budget), dialect).unwrap()
            });
            let request = Request { completions: courses.collect() };
            for (at, part) in parts.iter().enumerate() {
                let walked: f64 = steps.iter().map(|step| part(&step.load)).sum();
                let replayed =
                    replay(std::slice::from_ref(&request), Serving::OneUser { rows: 8 }, &Part(*part));
                assert_eq!(replayed.device_s, walked, "part {at} at budget {budget}, n {n}");
            }
        }
    }
}

#[test]
fn calibration_measures_prompts_forks_cuts_and_answers_at_every_width_and_context() {
    let mut engine = engine();
    let grid = Grid {
        rows: vec![1, 4],
        contexts: vec![8, 40],
        sampling: sampling(),
        time_limit: Duration::from_secs(20),
        tight: 10.0,
    };
    let (decoder, cache) = engine.bench();
    let free = cache.free_blocks();
    let points = Bench::new(decoder, cache, &grid).measure(&mut |_| {}).unwrap();
    assert_eq!(cache.free_blocks(), free, "nothing is left in the cache");
    let has = |kind: StepKind, rows: u32, fed: u32, forks: u32| {
        points.iter().any(|p| {
            let load = &p.step.load;
            (p.step.kind, load.rows, load.fed_tokens, load.forks) == (kind, rows, fed, forks)
        })
    };
    for prompt in [8, 40] {
        assert!(has(StepKind::Prefill, 1, prompt, 0));
    }
    for rows in [1, 4] {
        assert!(has(StepKind::Decode, rows, rows, rows), "the first step after the forks");
        assert!(has(StepKind::Decode, rows, rows, 0), "a plain step");
        assert!(has(StepKind::Decode, rows, rows * 5, 0), "the step that closes the thoughts");
    }
    assert!(points.iter().all(|p| p.repeats >= 5 && p.step.seconds >= p.step.forward_s));
}
