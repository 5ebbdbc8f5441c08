//! A trajectory with exact budgets: its thought is sampled up to each budget, and continued from there.
//!
//! The prompt is made here, with the served model's own template and tokenizer, and sent as token ids. A piece ends at
//! the next budget, which is its `max_tokens`; at each budget the forced answer is asked for as a continuation of its own.
//! The tag that closes a thought is found in the text, since not every server says what it stopped at.

use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Generated, GeneratedAnswer};
use isocost_harness::request_log::Attempt;
use isocost_harness::trajectory::Thought;

use super::said::Said;
use super::stream::{AtTag, Piece};
use super::{RemoteEngine, Wanted, request, without_answer};
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
    /// As counted by the server where a piece was cut, and by their ids where it ended.
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

    /// Thinks until the budget, or the end of the thought.
    fn think_to(&mut self, budget: Budget) -> Result<End, String> {
        let thinking = self.conversation.card.thinking.as_ref();
        let tag = thinking.map_or(AtTag::GoOn, |thinking| AtTag::Stop(&thinking.close));
        let cap = match budget {
            Budget::Tokens(tokens) => tokens,
            Budget::Max => self.room(),
        };
        while self.tokens < cap {
            let left = cap - self.tokens;
            let (piece, said) = self.ask("thought", [&self.prompt[..], &self.ids].concat(), left, tag)?;
            self.first_s = self.first_s.or(piece.first_s[0]);
            self.seconds += piece.seconds;
            let is_cut = !piece.closed && piece.finish.as_deref() == Some("length");
            if is_cut && said.falls_short_of(left) {
                return Err(cut_short(said.sampled, left));
            }
            let tokens = if is_cut { said.sampled } else { said.ids.len() as u32 };
            self.tokens += tokens.min(left);
            self.ids.extend(said.ids);
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
        // At `max` the context ended the thought and no budget did: an answer that is missing, as it is here.
        if self.wanted.settings.policy == Policy::Truncate || budget == Budget::Max {
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
        let (piece, said) = self.ask("answer", prefix, self.wanted.settings.answer_tokens, AtTag::GoOn)?;
        self.first_s = self.first_s.or(piece.first_s[0]);
        self.answers.push(GeneratedAnswer {
            budget,
            forced,
            reasoning_tokens: if budget == Budget::Tokens(0) { 0 } else { self.tokens },
            text: self.text(&said.ids),
            answer_tokens: said.sampled,
            ids: said.ids,
            logprobs: vec![],
            complete: piece.finish.as_deref() == Some("stop"),
            logprob_sum: said.logprob_sum,
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
        tag: AtTag,
    ) -> Result<(Piece, Said), String> {
        let stream = format!("{part} {} {}", self.tokens, self.answers.len());
        let body = request::continuation(self.engine, self.wanted, &stream, most, prefix);
        let about = self.wanted.about(part, Some(self.seconds));
        let (piece, attempt) = self.engine.client.ask("completions", &body, tag, about, self.log)?;
        let said = Said::new(self.conversation, &piece).map_err(|error| error.to_string())?;
        let (completion_tokens, counted_by) = (Some(said.sampled), Some(said.counted_by));
        (self.log)(Attempt { completion_tokens, counted_by, ..attempt });
        Ok((piece, said))
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

/// A server whose own limit is below the budget's: what it cut is not the thought that the budget would have.
fn cut_short(tokens: u32, asked: u32) -> String {
    format!(
        "the server cut a thought after {tokens} of {asked} tokens: let it have a longer context \
         (vllm --max-model-len, llama-server -c), or take smaller budgets"
    )
}
