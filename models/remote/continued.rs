//! A trajectory with exact budgets: its thought is sampled up to each budget, and continued from there.
//!
//! The prompt is made here, with the served model's own template and tokenizer, and sent as token ids. A piece ends at
//! the next budget, which is its `max_tokens`; at each budget the forced answer is asked for as a continuation of its own.
//! The tag that closes a thought is found in the text, since not every server says what it stopped at.

use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Generated, GeneratedAnswer};
use isocost_harness::request_log::Attempt;
use isocost_harness::trajectory::Thought;
use serde_json::Value;

use super::stream::Piece;
use super::{RemoteEngine, Wanted, without_answer};
use crate::conversation::Conversation;
use crate::tokenizer::Specials;

/// A thought under way.
struct Chain<'a> {
    engine: &'a RemoteEngine,
    conversation: &'a Conversation,
    wanted: &'a Wanted<'a>,
    log: &'a dyn Fn(Attempt),
    prompt: Vec<u32>,
    ids: Vec<u32>,
    /// Tokens as counted by the server where a piece was cut, and by the tokenizer where it ended.
    tokens: u32,
    waits: u32,
    first_s: Option<f64>,
    seconds: f64,
    answers: Vec<GeneratedAnswer>,
}

/// How a piece of a thought ended.
enum End {
    Budget,
    Closed,
    Stopped,
}

pub(super) fn sample(
    engine: &RemoteEngine,
    conversation: &Conversation,
    wanted: &Wanted,
    log: &dyn Fn(Attempt),
) -> Result<Generated, String> {
    let encode = |thinking| conversation.encode(wanted.job, thinking).map_err(|error| error.to_string());
    let (prompt, direct) = (encode(true)?, encode(false)?);
    let waits = wanted.settings.waits;
    let (ids, answers) = (vec![], vec![]);
    let mut chain = Chain {
        engine,
        conversation,
        wanted,
        log,
        prompt,
        ids,
        tokens: 0,
        waits,
        first_s: None,
        seconds: 0.0,
        answers,
    };
    let mut thought = Thought::Cut;
    for &budget in &wanted.settings.budgets {
        if budget == Budget::Tokens(0) {
            chain.answer(budget, true, direct.clone())?;
            continue;
        }
        match chain.think_to(budget)? {
            End::Budget => chain.cut(budget)?,
            End::Closed => {
                chain.close()?;
                thought = Thought::Closed;
                break;
            }
            End::Stopped => {
                chain.answers.push(without_answer(Budget::Max, true, chain.tokens, chain.seconds));
                thought = Thought::Stopped;
                break;
            }
        }
    }
    Ok(chain.into_generated(thought, direct.len()))
}

impl Chain<'_> {
    fn text(&self, ids: &[u32]) -> String {
        self.conversation.tokenizer.decode(ids, Specials::Keep).unwrap_or_default()
    }

    fn ids_of(&self, piece: &Piece) -> Result<Vec<u32>, String> {
        if !piece.ids.is_empty() && !piece.closed {
            return Ok(piece.ids.clone());
        }
        self.conversation.tokenizer.encode_text(&piece.text).map_err(|error| error.to_string())
    }

    /// Thinks until the budget, or the end of the thought.
    fn think_to(&mut self, budget: Budget) -> Result<End, String> {
        let tag = self.conversation.card.thinking.as_ref().map(|thinking| thinking.close.as_str());
        let cap = match budget {
            Budget::Tokens(tokens) => tokens,
            Budget::Max => self.room(),
        };
        while self.tokens < cap {
            let left = cap - self.tokens;
            let piece = self.ask("thought", [&self.prompt[..], &self.ids].concat(), left, tag)?;
            let ids = self.ids_of(&piece)?;
            self.first_s = self.first_s.or(piece.first_s[0]);
            self.seconds += piece.seconds;
            let is_cut = !piece.closed && piece.finish.as_deref() == Some("length");
            let counted = piece.usage.as_ref().map(|usage| usage.completion_tokens);
            self.tokens += match counted {
                Some(tokens) if is_cut => tokens.min(left),
                _ => (ids.len() as u32).min(left),
            };
            self.ids.extend(ids);
            match (is_cut, piece.closed, self.waits) {
                (true, ..) => return Ok(End::Budget),
                (_, true, 0) => return Ok(End::Closed),
                (_, true, _) => self.wait(cap),
                _ => return Ok(End::Stopped),
            }
        }
        Ok(End::Budget)
    }

    /// The closing tag is dropped and the cue to go on counts as thought.
    fn wait(&mut self, cap: u32) {
        self.waits -= 1;
        let cue = &self.conversation.markers().wait;
        let cue = &cue[..cue.len().min((cap - self.tokens) as usize)];
        self.tokens += cue.len() as u32;
        self.ids.extend(cue);
    }

    /// Tokens that the context leaves for a thought.
    fn room(&self) -> u32 {
        let taken = self.prompt.len() + self.wanted.settings.answer_tokens as usize + 1;
        self.conversation.context().saturating_sub(taken) as u32
    }

    /// What the policy says to do at a budget.
    fn cut(&mut self, budget: Budget) -> Result<(), String> {
        if self.wanted.settings.policy == Policy::Truncate {
            self.answers.push(without_answer(budget, false, self.tokens, self.seconds));
            return Ok(());
        }
        let forced = &self.conversation.markers().forced;
        self.answer(budget, true, [&self.prompt[..], &self.ids, forced].concat())
    }

    /// The model's own answer.
    fn close(&mut self) -> Result<(), String> {
        let close: Vec<u32> = self.conversation.markers().close.into_iter().collect();
        self.answer(Budget::Max, false, [&self.prompt[..], &self.ids, &close].concat())
    }

    fn answer(&mut self, budget: Budget, forced: bool, prefix: Vec<u32>) -> Result<(), String> {
        let piece = self.ask("answer", prefix, self.wanted.settings.answer_tokens, None)?;
        let ids = self.ids_of(&piece)?;
        let complete = piece.finish.as_deref() == Some("stop");
        let counted = piece.usage.as_ref().map(|usage| usage.completion_tokens);
        self.first_s = self.first_s.or(piece.first_s[0]);
        self.answers.push(GeneratedAnswer {
            budget,
            forced,
            reasoning_tokens: if budget == Budget::Tokens(0) { 0 } else { self.tokens },
            text: self.text(&ids),
            answer_tokens: counted.unwrap_or(ids.len() as u32 + u32::from(complete)),
            ids,
            logprobs: vec![],
            complete,
            logprob_sum: None,
            reasoning_s: if budget == Budget::Tokens(0) { 0.0 } else { self.seconds },
            answer_s: piece.seconds,
        });
        Ok(())
    }

    fn ask(
        &self,
        part: &'static str,
        prefix: Vec<u32>,
        most: u32,
        tag: Option<&str>,
    ) -> Result<Piece, String> {
        let stream = format!("{part} {} {}", self.tokens, self.answers.len());
        let mut body = self.engine.body(self.wanted, &stream, Some(most));
        body["prompt"] = Value::from(prefix);
        let about = self.wanted.about(part, Some(self.seconds));
        self.engine.client.ask("completions", &body, tag, about, self.log)
    }

    fn into_generated(mut self, thought: Thought, direct: usize) -> Generated {
        self.answers.sort_by_key(|answer| answer.budget);
        let natural_s = self.answers.last().filter(|a| a.budget == Budget::Max).map_or(0.0, |a| a.answer_s);
        let thinks = self.wanted.settings.budgets.iter().any(|budget| *budget != Budget::Tokens(0));
        Generated {
            job: self.wanted.number,
            trajectory: self.wanted.trajectory,
            prompt_tokens: if thinks { self.prompt.len() } else { direct } as u32,
            prompt_s: self.first_s.unwrap_or(0.0),
            reasoning: self.text(&self.ids),
            reasoning_tokens: self.tokens,
            reasoning_ids: self.ids,
            reasoning_logprobs: vec![],
            thought,
            chain_s: self.seconds + natural_s,
            answers: self.answers,
        }
    }
}
