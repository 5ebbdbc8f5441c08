//! `generate`: completions of one prompt, for trying a model by hand.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use isocost_harness::cell::Budget;
use isocost_harness::engine::{Generated, GeneratedAnswer, Sampling};
use isocost_harness::escape::json;
use isocost_harness::model_facts::Kind;
use isocost_harness::trajectory::Thought;
use isocost_models::checkpoint::Checkpoint;
use isocost_models::device;
use isocost_models::engine::{DType, LocalEngine};
use isocost_models::facts;
use isocost_models::generate::{Ask, Completions, Request};
use serde::Serialize;

use crate::cli::{GenerateArgs, Output};
use crate::progress::Downloads;

/// Everything that `-o json` prints.
#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    family: &'a str,
    dtype: String,
    device: String,
    seed: u64,
    sampling: &'a Sampling,
    prompt_ids: &'a [u32],
    completions: Vec<Completion<'a>>,
    timing: Timing,
}

#[derive(Serialize)]
struct Completion<'a> {
    reasoning: Part<'a>,
    /// Absent where the completion ended inside the thought.
    answer: Option<Part<'a>>,
    /// `stop`: the model ended it; `length`: a limit did.
    finish_reason: &'static str,
    /// Whether the end of the thought was forced at the budget.
    forced: bool,
    reasoning_s: f64,
    /// Absent without an answer.
    answer_s: Option<f64>,
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
    ids: &'a [u32],
    /// Natural logarithms of the probabilities that the model gave these tokens.
    logprobs: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Timing {
    load_s: f64,
    prompt_s: f64,
    wall_s: f64,
    sampled_tokens: u64,
    sampled_tokens_per_s: f64,
}

/// Loads the model, continues the prompt, prints.
pub(crate) fn generate(args: &GenerateArgs) -> Result<ExitCode> {
    let source = Downloads::resolve(&args.model)?;
    let on = args.device.open()?;
    let started = Instant::now();
    let checkpoint = Checkpoint::open(&source, args.dtype.map(DType::from), &on)?;
    // One row at least; how many tokens it has is checked against the context with the prompt.
    let memory = LocalEngine::plan_memory(&checkpoint, &on, (1, 1))?;
    if memory.batch() == 0 {
        bail!("{}: does not fit ({memory}): take a smaller model or another --device", args.model);
    }
    let thinks = facts::of_files(&source, &checkpoint)?.lineage.kind != Some(Kind::Direct);
    let mut engine = LocalEngine::new(checkpoint, &on, args.n as usize + 1)?;
    let load_s = started.elapsed().as_secs_f64();
    let request = request(args, thinks);
    let completions = engine.generate(&request)?;
    warn_of_unknown(args, &engine);
    let timing = timing(load_s, &completions);
    match args.output {
        Output::Json => {
            let document = Document {
                model: &args.model,
                family: &engine.config().family,
                dtype: engine.stored_as(),
                device: device::describe(&on),
                seed: args.seed,
                sampling: &request.sampling,
                prompt_ids: &completions.prompt_ids,
                completions: completions.generated.iter().map(completion).collect(),
                timing,
            };
            println!("{}", json(&serde_json::to_string(&document)?));
        }
        Output::Text => {
            for one in &completions.generated {
                print(&engine, one, args.logprobs)?;
            }
            eprintln!("{}", summary(&engine, &device::describe(&on), &completions, &timing));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A word that the model has no token for is lost on it, silently otherwise.
fn warn_of_unknown(args: &GenerateArgs, engine: &LocalEngine) {
    let text = args.prompt.as_deref().unwrap_or_default();
    let mut unknown = engine.conversation().tokenizer.unknown_parts(text);
    unknown.dedup();
    if !unknown.is_empty() {
        eprintln!(
            "the model's tokenizer does not know {}: it reads an unknown token there",
            unknown.join(" ")
        );
    }
}

/// A model that was not taught to think does so only if it is told to.
fn request(args: &GenerateArgs, thinks: bool) -> Request {
    let ask = match (&args.prompt, &args.token_ids) {
        (Some(text), _) if args.raw => Ask::Text(text.clone()),
        (Some(text), _) => Ask::Chat(text.clone()),
        (None, ids) => Ask::Ids(ids.clone()),
    };
    let (temperature, top_k, top_p) = (args.temperature, args.top_k, args.top_p);
    Request {
        ask,
        budget: args.budget.or((!thinks).then_some(Budget::Tokens(0))),
        n: args.n,
        max_tokens: args.max_tokens,
        sampling: Sampling { temperature, top_k, top_p, min_p: None },
        seed: args.seed,
    }
}

/// The answer, if the completion came to one.
fn answer(one: &Generated) -> Option<&GeneratedAnswer> {
    one.answers.last().filter(|answer| answer.answer_tokens > 0 || answer.complete)
}

fn finish_reason(one: &Generated) -> &'static str {
    let stopped = one.thought == Thought::Stopped || answer(one).is_some_and(|answer| answer.complete);
    if stopped { "stop" } else { "length" }
}

fn completion(one: &Generated) -> Completion<'_> {
    let answered = answer(one);
    Completion {
        reasoning: Part {
            text: &one.reasoning,
            ids: &one.reasoning_ids,
            logprobs: one.reasoning_logprobs.clone(),
        },
        answer: answered.map(|answer| Part {
            text: &answer.text,
            ids: &answer.ids,
            logprobs: answer.logprobs.iter().copied().map(Some).collect(),
        }),
        finish_reason: finish_reason(one),
        forced: answered.is_some_and(|answer| answer.forced && answer.reasoning_tokens > 0),
        reasoning_s: answered.map_or(one.chain_s, |answer| answer.reasoning_s),
        answer_s: answered.map(|answer| answer.answer_s),
    }
}

fn timing(load_s: f64, completions: &Completions) -> Timing {
    let activity = &completions.activity;
    Timing {
        load_s,
        prompt_s: completions.generated.first().map_or(0.0, |one| one.prompt_s),
        wall_s: activity.wall_s,
        sampled_tokens: activity.sampled_tokens,
        sampled_tokens_per_s: activity.sampled_tokens as f64 / activity.wall_s.max(1e-9),
    }
}

/// One completion: the thought in tags, the answer behind it, and with `--logprobs` a line for each token.
fn print(engine: &LocalEngine, one: &Generated, logprobs: bool) -> Result<()> {
    let done = completion(one);
    if !done.reasoning.ids.is_empty() {
        println!("<think>\n{}\n</think>", done.reasoning.text.trim());
    }
    if let Some(answer) = &done.answer {
        println!("{}", answer.text.trim());
    }
    if logprobs {
        for part in [Some(&done.reasoning), done.answer.as_ref()].into_iter().flatten() {
            for (id, logprob) in part.ids.iter().zip(&part.logprobs) {
                let logprob = logprob.map_or("-".to_owned(), |logprob| format!("{logprob:.4}"));
                println!("{id:>8} {logprob:>9}  {:?}", engine.token_text(*id)?);
            }
        }
    }
    Ok(())
}

fn summary(engine: &LocalEngine, device: &str, completions: &Completions, timing: &Timing) -> String {
    let each: Vec<String> = completions.generated.iter().map(describe).collect();
    format!(
        "{} in {} on {device}, loaded in {:.2} s; prompt of {} tokens in {:.2} s; {}; {:.1} tokens/s",
        engine.config().family,
        engine.stored_as(),
        timing.load_s,
        completions.prompt_ids.len(),
        timing.prompt_s,
        each.join(", "),
        timing.sampled_tokens_per_s
    )
}

fn describe(one: &Generated) -> String {
    let answer = answer(one).map_or(0, |answer| answer.answer_tokens);
    format!("{} + {answer} tokens ({})", one.reasoning_ids.len(), finish_reason(one))
}
