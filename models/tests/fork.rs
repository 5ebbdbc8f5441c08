//! The claim everything rests on: a forked answer is the answer of a request run alone.

use std::ops::ControlFlow;

use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Activity, Engine, Generated, Job, Sampling, Settings};
use isocost_harness::source::Library;
use isocost_harness::task::Task;
use isocost_harness::trajectory::Thought;
use isocost_models::bundled;
use isocost_models::engine::LocalEngine;

const BUDGETS: [Budget; 7] = [
    Budget::Tokens(0),
    Budget::Tokens(1),
    Budget::Tokens(16),
    Budget::Tokens(33),
    Budget::Tokens(64),
    Budget::Tokens(150),
    Budget::Tokens(300),
];

fn engine(name: &str, rows: usize) -> LocalEngine {
    LocalEngine::load_on_cpu(&bundled::folder(&format!("bundled:{name}")).unwrap(), rows).unwrap()
}

fn settings(budgets: &[Budget]) -> Settings {
    let sampling = Sampling { temperature: 0.8, top_k: None, top_p: None, min_p: None };
    Settings {
        budgets: budgets.to_vec(),
        policy: Policy::ForceAnswer,
        answer_tokens: 24,
        waits: 0,
        sampling,
        seed: 3,
    }
}

fn jobs(task: &str, problems: usize, trajectories: u32) -> Vec<Job> {
    let task = Task::open(task).unwrap();
    let set = task.subset(problems, 1, &Library::default()).unwrap();
    set.problems().iter().map(|problem| task.job(problem, (0..trajectories).collect())).collect()
}

/// Everything but seconds, in a fixed order.
fn sample(engine: &mut LocalEngine, jobs: &[Job], settings: &Settings) -> (Vec<Generated>, Activity) {
    let mut all = Vec::new();
    let activity = engine
        .sample(jobs, settings, &mut |mut generated| {
            generated.prompt_s = 0.0;
            generated.chain_s = 0.0;
            for answer in &mut generated.answers {
                (answer.reasoning_s, answer.answer_s) = (0.0, 0.0);
            }
            all.push(generated);
            ControlFlow::Continue(())
        })
        .unwrap();
    all.sort_by_key(|g| (g.job, g.trajectory));
    (all, activity)
}

#[test]
fn a_forked_answer_equals_token_for_token_the_answer_of_a_request_run_alone() {
    for name in ["reason-l", "reason-s"] {
        let mut engine = engine(name, 16);
        for task in ["countdown-4", "chain"] {
            let jobs = jobs(task, 3, 2);
            let (grid, _) = sample(&mut engine, &jobs, &settings(&BUDGETS));
            let mut forced = 0;
            for budget in BUDGETS {
                let (alone, _) = sample(&mut engine, &jobs, &settings(&[budget]));
                for (grid, alone) in grid.iter().zip(&alone) {
                    let wanted = alone.answers.last().unwrap();
                    let found = grid.answers.iter().find(|a| a.budget == wanted.budget).unwrap();
                    assert_eq!(found.ids, wanted.ids, "{name} {task} budget {budget}");
                    assert_eq!(found.reasoning_tokens, wanted.reasoning_tokens);
                    assert!(grid.reasoning_ids.starts_with(&alone.reasoning_ids));
                    forced += usize::from(found.forced);
                }
            }
            assert!(forced > jobs.len() * 2, "the test must see forced answers");
        }
    }
}

#[test]
fn a_result_does_not_depend_on_what_else_is_in_the_batch() {
    let jobs = jobs("countdown-4", 4, 4);
    let (wide, _) = sample(&mut engine("reason-s", 64), &jobs, &settings(&BUDGETS));
    let (narrow, activity) = sample(&mut engine("reason-s", 1), &jobs, &settings(&BUDGETS));
    assert_eq!(activity.most_rows, 1);
    assert!(wide == narrow, "batches of 64 and of 1 differ");
    let reversed: Vec<Job> = jobs.iter().rev().cloned().collect();
    let (mut other_order, _) = sample(&mut engine("reason-s", 5), &reversed, &settings(&BUDGETS));
    for generated in &mut other_order {
        generated.job = jobs.len() - 1 - generated.job;
    }
    other_order.sort_by_key(|g| (g.job, g.trajectory));
    assert!(wide == other_order, "the order of jobs matters");
}

#[test]
fn a_forced_continuation_goes_on_where_the_thought_would_have_ended() {
    let mut engine = engine("reason-s", 8);
    let cue = engine.conversation().card.wait.as_ref().unwrap().value.clone();
    let cue = engine.conversation().tokenizer.encode_text(&cue).unwrap();
    let jobs = jobs("countdown-3", 8, 1);
    // A series with continuations has random numbers of its own; without any, both think the same up to the first end.
    let sampling = Sampling { temperature: 0.0, top_k: None, top_p: None, min_p: None };
    let settings = Settings { sampling, ..settings(&[Budget::Tokens(300)]) };
    let (plain, _) = sample(&mut engine, &jobs, &settings);
    let (waited, _) = sample(&mut engine, &jobs, &Settings { waits: 2, ..settings });
    let closed = |(plain, _): &(&Generated, &Generated)| plain.thought == Thought::Closed;
    let mut continued = 0;
    for (plain, waited) in plain.iter().zip(&waited).filter(closed) {
        let begun = [&plain.reasoning_ids[..], &cue].concat();
        assert!(waited.reasoning_ids.starts_with(&begun), "{} | {}", plain.reasoning, waited.reasoning);
        continued += usize::from(waited.reasoning_ids.len() > begun.len());
    }
    assert!(continued >= 4, "{continued} of 8 thoughts went on");
}

#[test]
fn a_hard_stop_ends_the_completion_without_an_answer() {
    let mut engine = engine("reason-s", 8);
    let jobs = jobs("countdown-4", 4, 4);
    let (forced, _) = sample(&mut engine, &jobs, &settings(&BUDGETS));
    let (cut, activity) =
        sample(&mut engine, &jobs, &Settings { policy: Policy::Truncate, ..settings(&BUDGETS) });
    for (cut, forced) in cut.iter().zip(&forced) {
        assert_eq!(cut.reasoning_ids, forced.reasoning_ids);
        for (cut, forced) in cut.answers.iter().zip(&forced.answers) {
            assert_eq!((cut.budget, cut.reasoning_tokens), (forced.budget, forced.reasoning_tokens));
            assert!(
                !forced.forced
                    || cut.budget == Budget::Tokens(0)
                    || (cut.answer_tokens == 0 && !cut.complete)
            );
        }
    }
    assert!(activity.sampled_tokens < cut.iter().map(|g| g.reasoning_ids.len() as u64 + 60).sum());
}

#[test]
fn a_sink_that_has_enough_ends_the_call() {
    let mut engine = engine("reason-s", 8);
    let jobs = jobs("chain", 8, 4);
    let mut seen = 0;
    let stop = &mut |_: Generated| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    engine.sample(&jobs, &settings(&BUDGETS), stop).unwrap();
    assert_eq!(seen, 3);
    let (all, _) = sample(&mut engine, &jobs, &settings(&BUDGETS));
    assert_eq!(all.len(), 32, "the cache must be free again");
}
