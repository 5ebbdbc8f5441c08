//! A trajectory in one chat request: what the model says by itself, and nothing that would have to be forced.
//!
//! The thought comes in a field of its own or between tags, the first of which may stand in the prompt, where it is not
//! seen. Where the server does not say how many tokens the thought has, the tokenizer does, and without one its pieces.

use isocost_harness::cell::Budget;
use isocost_harness::engine::{Generated, GeneratedAnswer};
use isocost_harness::request_log::{Attempt, Counter};
use isocost_harness::trajectory::Thought;
use serde_json::json;

use super::stream::{AtTag, Piece};
use super::{RemoteEngine, Wanted, request, without_answer};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";
/// Tokens of a completion that are no text: two tags and the end.
const MARKS: u32 = 3;

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
    let mut body = request::body(engine, wanted, "chat", longest);
    let mut messages = vec![json!({ "role": "user", "content": wanted.job.question })];
    if !wanted.job.instructions.is_empty()
        && engine.conversation.as_ref().is_none_or(|c| c.reads_instructions(wanted.job))
    {
        messages.insert(0, json!({ "role": "system", "content": wanted.job.instructions }));
    }
    body["messages"] = messages.into();
    let about = wanted.about("chat", None);
    let (piece, attempt) = engine.client.ask("chat/completions", &body, AtTag::Split(CLOSE), about, log)?;
    let split = split(&piece);
    let tokens = tokens(engine, wanted, &piece, &split)?;
    let counted_by = Some(if piece.usage.is_some() { Counter::Usage } else { Counter::Tokenizer });
    log(Attempt { completion_tokens: Some(tokens.thought + tokens.answer), counted_by, ..attempt });
    Ok(generated(wanted, &piece, split, &tokens))
}

/// Thought and answer, and whether the thought ended. A text that was cut and has no tags is taken for a thought: its first
/// tag may have stood in the prompt.
fn split(piece: &Piece) -> (String, String, bool) {
    let without_tag = |text: &str| text.trim_start().strip_prefix(OPEN).unwrap_or(text).to_owned();
    if !piece.reasoning.is_empty() || piece.closed {
        (without_tag(&piece.reasoning), piece.text.clone(), piece.closed || !piece.text.trim().is_empty())
    } else if is_open(&piece.text) || is_cut(piece) {
        (without_tag(&piece.text), String::new(), false)
    } else {
        (String::new(), piece.text.clone(), true)
    }
}

fn is_open(text: &str) -> bool {
    text.trim_start().starts_with(OPEN)
}

/// Tokens of prompt, thought and answer.
struct Tokens {
    prompt: u32,
    thought: u32,
    answer: u32,
}

/// As the server counts, else as the tokenizer does.
fn tokens(
    engine: &RemoteEngine,
    wanted: &Wanted,
    piece: &Piece,
    (thought, answer, _): &(String, String, bool),
) -> Result<Tokens, String> {
    let tokenizer = engine.conversation.as_ref().map(|conversation| &conversation.tokenizer);
    let count = |text: &str| {
        let ids = tokenizer.map(|tokenizer| tokenizer.encode_text(text)).transpose();
        ids.map(|ids| ids.map(|ids| ids.len() as u32)).map_err(|error| error.to_string())
    };
    let (of_thought, of_answer) = (count(thought)?, count(answer)?);
    if let Some(usage) = &piece.usage {
        let all = usage.completion_tokens;
        let thought =
            usage.reasoning_tokens().or(of_thought).unwrap_or_else(|| by_pieces(piece, all)).min(all);
        return Ok(Tokens { prompt: usage.prompt_tokens, thought, answer: all - thought });
    }
    let remedy = "the server counts no tokens: name the served model's `tokenizer` in the sweep";
    let conversation = engine.conversation.as_ref().ok_or(remedy)?;
    Ok(Tokens {
        prompt: conversation.encode(wanted.job, true).map_err(|error| error.to_string())?.len() as u32,
        thought: of_thought.unwrap_or(0),
        answer: of_answer.unwrap_or(0),
    })
}

/// Tokens of the thought among `all`. Most servers send a piece for each token, but none for tags and the end; of others
/// the thought's share of the pieces is taken.
fn by_pieces(piece: &Piece, all: u32) -> u32 {
    let [of_thought, of_answer] = piece.counts;
    let of_thought = of_thought.saturating_sub(u32::from(is_open(&piece.reasoning)));
    let pieces = of_thought + of_answer;
    if pieces + MARKS >= all {
        return of_thought;
    }
    (f64::from(all) * f64::from(of_thought) / f64::from(pieces.max(1))).round() as u32
}

fn generated(
    wanted: &Wanted,
    piece: &Piece,
    (reasoning, answer, is_closed): (String, String, bool),
    tokens: &Tokens,
) -> Generated {
    let thought = thought_of(piece, is_closed);
    let reasoning_s = if tokens.thought == 0 { 0.0 } else { piece.first_s[1].unwrap_or(piece.seconds) };
    let mut answers = cut_answers(wanted, thought, tokens.thought, reasoning_s);
    if thought != Thought::Cut {
        // The cap on the whole leaves an answer more room than it has elsewhere.
        let is_complete = !is_cut(piece) && tokens.answer <= wanted.settings.answer_tokens;
        answers.push(GeneratedAnswer {
            text: answer,
            answer_tokens: tokens.answer,
            answer_s: (piece.seconds - reasoning_s).max(0.0),
            ..without_answer(Budget::Max, is_complete, tokens.thought, reasoning_s)
        });
    }
    Generated {
        job: wanted.number,
        trajectory: wanted.trajectory,
        prompt_tokens: tokens.prompt,
        prompt_s: piece.first_s[0].unwrap_or(0.0),
        reasoning,
        reasoning_tokens: tokens.thought,
        reasoning_ids: vec![],
        reasoning_logprobs: vec![],
        thought,
        chain_s: piece.seconds,
        answers,
    }
}

fn is_cut(piece: &Piece) -> bool {
    piece.finish.as_deref() == Some("length")
}

fn thought_of(piece: &Piece, is_closed: bool) -> Thought {
    match (is_closed, is_cut(piece)) {
        (true, _) => Thought::Closed,
        (false, true) => Thought::Cut,
        (false, false) => Thought::Stopped,
    }
}

/// Completions that end where a budget cuts the thought. When it got there is not told, but how long all of it took.
fn cut_answers(wanted: &Wanted, thought: Thought, tokens: u32, seconds: f64) -> Vec<GeneratedAnswer> {
    let at = |budget: &Budget| match *budget {
        Budget::Tokens(cap) if cap > 0 && tokens >= cap => {
            let share = f64::from(cap) / f64::from(tokens);
            Some(without_answer(*budget, false, cap, seconds * share))
        }
        Budget::Max if thought == Thought::Cut => Some(without_answer(*budget, false, tokens, seconds)),
        _ => None,
    };
    wanted.settings.budgets.iter().filter_map(at).collect()
}
