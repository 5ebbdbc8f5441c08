//! A trajectory in one chat request: what the model says by itself, and nothing that would have to be forced.
//!
//! The thought comes in a field of its own (`reasoning_content`) or between tags. Where the server does not say how many
//! tokens it has, its share of the pieces does.

use isocost_harness::cell::Budget;
use isocost_harness::engine::{Generated, GeneratedAnswer};
use isocost_harness::request_log::Attempt;
use isocost_harness::trajectory::Thought;
use serde_json::json;

use super::stream::Piece;
use super::{RemoteEngine, Wanted, without_answer};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

pub(super) fn sample(
    engine: &RemoteEngine,
    wanted: &Wanted,
    log: &dyn Fn(Attempt),
) -> Result<Generated, String> {
    let settings = wanted.settings;
    let longest = match settings.budgets.last() {
        Some(Budget::Tokens(tokens)) => Some(tokens + settings.answer_tokens),
        _ => None,
    };
    let mut body = engine.body(wanted, "chat", longest);
    let mut messages = vec![json!({ "role": "user", "content": wanted.job.question })];
    if !wanted.job.instructions.is_empty() {
        messages.insert(0, json!({ "role": "system", "content": wanted.job.instructions }));
    }
    body["messages"] = messages.into();
    let piece = engine.client.ask("chat/completions", &body, None, wanted.about("chat", None), log)?;
    let split = split(&piece);
    let tokens = tokens(engine, wanted, &piece, &split)?;
    Ok(generated(wanted, &piece, split, &tokens))
}

/// Thought and answer, and whether the thought ended.
fn split(piece: &Piece) -> (String, String, bool) {
    if !piece.reasoning.is_empty() {
        return (piece.reasoning.clone(), piece.text.clone(), !piece.text.is_empty());
    }
    let text = piece.text.trim_start();
    let opened = text.strip_prefix(OPEN);
    match (opened.unwrap_or(text).split_once(CLOSE), opened) {
        (Some((thought, answer)), _) => (thought.to_owned(), answer.to_owned(), true),
        (None, Some(thought)) => (thought.to_owned(), String::new(), false),
        (None, None) => (String::new(), piece.text.clone(), true),
    }
}

/// Tokens of prompt, thought and answer.
struct Tokens {
    prompt: u32,
    thought: u32,
    answer: u32,
}

/// As the server counts, else as the tokenizer does. Where the server counts thought and answer only together, they are
/// shared out by pieces.
fn tokens(
    engine: &RemoteEngine,
    wanted: &Wanted,
    piece: &Piece,
    (thought, answer, _): &(String, String, bool),
) -> Result<Tokens, String> {
    let Some(usage) = &piece.usage else {
        let remedy = "the server counts no tokens: name the served model's `tokenizer` in the sweep";
        let conversation = engine.conversation.as_ref().ok_or(remedy)?;
        let count = |text: &str| conversation.tokenizer.encode_text(text).map(|ids| ids.len() as u32);
        return Ok(Tokens {
            prompt: conversation.encode(wanted.job, true).map_err(|e| e.to_string())?.len() as u32,
            thought: count(thought).map_err(|e| e.to_string())?,
            answer: count(answer).map_err(|e| e.to_string())?,
        });
    };
    let share = match piece.counts {
        [0, _] => thought.len() as f64 / (thought.len() + answer.len()).max(1) as f64,
        [of_thought, of_answer] => f64::from(of_thought) / f64::from(of_thought + of_answer),
    };
    let all = usage.completion_tokens;
    let thought = usage.reasoning_tokens().unwrap_or((f64::from(all) * share).round() as u32).min(all);
    Ok(Tokens { prompt: usage.prompt_tokens, thought, answer: all - thought })
}

fn generated(
    wanted: &Wanted,
    piece: &Piece,
    (reasoning, answer, is_closed): (String, String, bool),
    tokens: &Tokens,
) -> Generated {
    let (reasoning_tokens, answer_tokens) = (tokens.thought, tokens.answer);
    let is_cut = piece.finish.as_deref() == Some("length");
    let thought = match (is_closed, is_cut) {
        (true, _) => Thought::Closed,
        (false, true) => Thought::Cut,
        (false, false) => Thought::Stopped,
    };
    // The cap on the whole leaves an answer more room than it has elsewhere.
    let is_complete = !is_cut && answer_tokens <= wanted.settings.answer_tokens;
    let reasoning_s = if reasoning_tokens == 0 { 0.0 } else { piece.first_s[1].unwrap_or(piece.seconds) };
    let reached = |budget: &&Budget| match budget {
        Budget::Tokens(cap) => *cap > 0 && reasoning_tokens >= *cap,
        Budget::Max => thought == Thought::Cut,
    };
    let cut = wanted.settings.budgets.iter().filter(reached);
    let mut answers: Vec<GeneratedAnswer> = cut
        .map(|budget| match budget {
            Budget::Tokens(cap) => {
                let seconds = reasoning_s * f64::from(*cap) / f64::from(reasoning_tokens.max(1));
                without_answer(*budget, false, *cap, seconds)
            }
            Budget::Max => without_answer(*budget, false, reasoning_tokens, reasoning_s),
        })
        .collect();
    if thought != Thought::Cut {
        answers.push(GeneratedAnswer {
            text: answer,
            answer_tokens,
            answer_s: (piece.seconds - reasoning_s).max(0.0),
            ..without_answer(Budget::Max, is_complete, reasoning_tokens, reasoning_s)
        });
    }
    Generated {
        job: wanted.number,
        trajectory: wanted.trajectory,
        prompt_tokens: tokens.prompt,
        prompt_s: piece.first_s[0].unwrap_or(0.0),
        reasoning,
        reasoning_tokens,
        reasoning_ids: vec![],
        reasoning_logprobs: vec![],
        thought,
        chain_s: piece.seconds,
        answers,
    }
}
