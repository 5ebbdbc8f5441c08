//! A trajectory under way: its thought so far and the rows that still work on it.

use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Generated, Settings};
use isocost_harness::trajectory::Thought;

use super::row::{Answer, Progress};
use super::{Markers, Prompt};
use crate::cache::BLOCK;
use crate::sampler::{Drawn, Streams};

/// A trajectory under way.
pub(super) struct Chain {
    pub(super) job: usize,
    number: u32,
    prompt_tokens: usize,
    pub(super) streams: Streams,
    pub(super) reasoning: Vec<u32>,
    /// Of each reasoning token; a forced one has none.
    logprobs: Vec<Option<f64>>,
    thought: Thought,
    /// Continuations still to be forced.
    waits: u32,
    /// Most reasoning tokens.
    cap: usize,
    pub(super) answers: Vec<Answer>,
    /// Rows that are not finished.
    pub(super) open: usize,
    pub(super) prompt_s: f64,
    pub(super) chain_s: f64,
    pub(super) reserved_blocks: usize,
}

impl Chain {
    pub(super) fn new(job: usize, number: u32, prompt: &Prompt, settings: &Settings, context: usize) -> Self {
        let zero = settings.budgets.first() == Some(&Budget::Tokens(0));
        let thinks = settings.budgets.iter().any(|budget| *budget != Budget::Tokens(0));
        let cap = match settings.budgets.last() {
            Some(Budget::Tokens(tokens)) => *tokens as usize,
            // The closing token and the answer must still fit.
            _ => context.saturating_sub(prompt.thinking.len() + settings.answer_tokens as usize + 1),
        };
        Self {
            job,
            number,
            prompt_tokens: if thinks { prompt.thinking.len() } else { prompt.direct.len() },
            streams: Streams::new(settings.seed, &prompt.problem, settings.waits, number),
            reasoning: vec![],
            logprobs: vec![],
            thought: Thought::Cut,
            waits: settings.waits,
            cap,
            answers: vec![],
            open: usize::from(zero) + usize::from(thinks),
            prompt_s: 0.0,
            chain_s: 0.0,
            reserved_blocks: 0,
        }
    }

    /// Blocks that this chain and all its forked answers can come to need. Where sequences beyond
    /// `recalculates_at` are calculated anew, what crosses it shares nothing with what does not.
    pub(super) fn blocks_needed(
        &self,
        prompt: &Prompt,
        settings: &Settings,
        markers: &Markers,
        recalculates_at: Option<usize>,
    ) -> usize {
        let tail = markers.forced.len() + settings.answer_tokens as usize + 1;
        let longest = prompt.thinking.len() + self.cap + markers.wait.len() + tail;
        let own = longest / BLOCK + 2 + settings.budgets.len() * (tail / BLOCK + 2);
        let Some(limit) = recalculates_at.filter(|limit| longest > *limit) else { return own };
        let crosses = |budget: &&Budget| {
            let cut = match budget {
                Budget::Tokens(tokens) => prompt.thinking.len() + *tokens as usize,
                Budget::Max => prompt.thinking.len() + self.cap,
            };
            cut <= limit && cut + tail > limit
        };
        let crossing = settings.budgets.iter().filter(crosses).count();
        own + (1 + crossing) * (limit / BLOCK + 1)
    }

    /// Takes the next token of the thought. What is to be fed after it is added to `next`.
    pub(super) fn think(
        &mut self,
        drawn: Drawn,
        markers: &Markers,
        settings: &Settings,
        next: &mut Vec<u32>,
    ) -> Progress {
        let token = drawn.token;
        if Some(token) == markers.close {
            return self.close(token, markers, settings, next);
        }
        if markers.end.contains(&token) {
            self.thought = Thought::Stopped;
            return Progress::Ended(Some(Answer::natural(self.reasoning.len(), self.chain_s).missing()));
        }
        self.reasoning.push(token);
        self.logprobs.push(Some(drawn.logprob));
        next.push(token);
        self.after_more(settings)
    }

    /// What to do once the thought has grown.
    fn after_more(&mut self, settings: &Settings) -> Progress {
        let length = self.reasoning.len();
        let budget = Budget::Tokens(length as u32);
        let (is_budget, is_full) = (settings.budgets.contains(&budget), length >= self.cap);
        if is_budget && settings.policy == Policy::Truncate {
            self.answers.push(Answer::truncated(budget, length, self.chain_s));
        }
        if is_full && settings.budgets.last() == Some(&Budget::Max) {
            // The context ended the thought and no budget did: an answer that is missing, under either policy.
            self.answers.push(Answer::truncated(Budget::Max, length, self.chain_s));
        }
        match (is_budget && settings.policy == Policy::ForceAnswer, is_full) {
            (true, true) => Progress::Cut { budget },
            (false, true) => Progress::Ended(None),
            (true, false) => Progress::Fork { budget },
            (false, false) => Progress::Feed,
        }
    }

    fn close(&mut self, token: u32, markers: &Markers, settings: &Settings, next: &mut Vec<u32>) -> Progress {
        if self.waits == 0 {
            self.thought = Thought::Closed;
            next.push(token);
            return Progress::Closed;
        }
        // The closing token is dropped, as in s1 (Muennighoff et al. 2025), and the cue counts as thought.
        self.waits -= 1;
        let room = self.cap - self.reasoning.len();
        let cue = &markers.wait[..markers.wait.len().min(room)];
        next.extend(cue);
        self.reasoning.extend(cue);
        self.logprobs.resize(self.reasoning.len(), None);
        self.after_more(settings)
    }

    pub(super) fn into_generated(mut self) -> Generated {
        self.answers.sort_by_key(Answer::budget);
        Generated {
            job: self.job,
            trajectory: self.number,
            prompt_tokens: self.prompt_tokens as u32,
            prompt_s: self.prompt_s,
            reasoning: String::new(),
            reasoning_tokens: self.reasoning.len() as u32,
            reasoning_ids: self.reasoning,
            reasoning_logprobs: self.logprobs,
            thought: self.thought,
            chain_s: self.chain_s,
            answers: self.answers.into_iter().map(Answer::into_generated).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isocost_harness::engine::Sampling;

    /// A thought that no token ends, in a context with room for 8 tokens of it.
    fn endless(policy: Policy, budgets: &[Budget]) -> Generated {
        let sampling = Sampling { temperature: 1.0, top_k: None, top_p: None, min_p: None };
        let budgets = budgets.to_vec();
        let settings = Settings { budgets, policy, answer_tokens: 4, waits: 0, sampling, seed: 1 };
        let (thinking, trajectories) = (vec![1, 2, 3], vec![0]);
        let prompt = Prompt { problem: "p".into(), thinking, direct: vec![1], trajectories };
        let mut chain = Chain::new(0, 0, &prompt, &settings, 16);
        let drawn = Drawn { token: 5, logprob: -1.0 };
        for _ in 0..100 {
            let progress = chain.think(drawn, &Markers::default(), &settings, &mut vec![]);
            if matches!(progress, Progress::Ended(_) | Progress::Cut { .. }) {
                break;
            }
        }
        chain.into_generated()
    }

    #[test]
    fn a_thought_that_fills_the_context_has_an_answer_at_max_and_it_is_missing() {
        for policy in [Policy::ForceAnswer, Policy::Truncate] {
            for budgets in [&[Budget::Max][..], &[Budget::Tokens(8), Budget::Max]] {
                let generated = endless(policy, budgets);
                let last = generated.answers.last().unwrap();
                assert_eq!((generated.thought, generated.reasoning_tokens), (Thought::Cut, 8));
                assert_eq!((last.budget, last.reasoning_tokens), (Budget::Max, 8), "{policy:?} {budgets:?}");
                assert!(!last.complete && last.answer_tokens == 0 && !last.forced);
            }
        }
    }
}
