//! A bundled model written as GGUF and read again: the same ids, and greedily the same tokens.

use std::ops::ControlFlow;

use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Engine, Generated, Job, Sampling, Settings};
use isocost_models::bundled;
use isocost_models::engine::LocalEngine;
use isocost_models::export;
use isocost_models::source::Source;

fn job(problem: &str, question: &str) -> Job {
    let (problem, question) = (problem.to_owned(), question.to_owned());
    Job { problem, question, instructions: String::new(), trajectories: vec![0] }
}

fn greedy(engine: &mut LocalEngine, jobs: &[Job]) -> Vec<(Vec<u32>, Vec<u32>)> {
    let settings = Settings {
        budgets: vec![Budget::Tokens(200)],
        policy: Policy::Truncate,
        answer_tokens: 24,
        waits: 0,
        sampling: Sampling { temperature: 0.0, top_k: None, top_p: None, min_p: None },
        seed: 1,
    };
    let mut all: Vec<Generated> = vec![];
    engine
        .sample(jobs, &settings, &mut |generated| {
            all.push(generated);
            ControlFlow::Continue(())
        })
        .unwrap();
    all.sort_by_key(|generated| generated.job);
    let answer = |one: &Generated| one.answers.last().unwrap().ids.clone();
    all.iter().map(|one| (one.reasoning_ids.clone(), answer(one))).collect()
}

#[test]
fn a_bundled_model_written_as_gguf_reads_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reason-s.gguf");
    let bundled = Source::at(&bundled::folder("bundled:reason-s").unwrap());
    export::gguf(&bundled, &file).unwrap();
    let mut ours = LocalEngine::load_on_cpu(&bundled.path, 4).unwrap();
    let mut theirs = LocalEngine::load_on_cpu(&file, 4).unwrap();
    let questions = ["make 46 from 3 7 25", "make 10 from 1 2 5", "start 7 ; + 3 ; - 2"];
    let jobs: Vec<Job> = questions.iter().enumerate().map(|(at, text)| job(&at.to_string(), text)).collect();
    for job in &jobs {
        let ids = |engine: &LocalEngine| engine.conversation().encode(job, true).unwrap();
        assert_eq!(ids(&ours), ids(&theirs), "{}", job.question);
    }
    let said = greedy(&mut ours, &jobs);
    assert_eq!(said, greedy(&mut theirs, &jobs));
    assert!(said.iter().any(|(thought, _)| thought.len() > 8), "{said:?}");
    let read = theirs.conversation();
    for (thought, _) in &said {
        let text = read.tokenizer.decode(thought, isocost_models::tokenizer::Specials::Keep).unwrap();
        assert_eq!(&read.tokenizer.encode_text(&text).unwrap(), thought, "{text}");
    }
}
