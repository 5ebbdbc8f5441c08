//! A trajectory as conclusions see it: outcomes, tokens and seconds, no texts.

mod line;

use crate::cell::Budget;
use crate::outcome::Outcome;
use crate::trajectory::{Thought, answered_under};

pub(crate) use line::Observed;

/// One trajectory without its texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Its number among its problem's.
    pub trajectory: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the thought.
    pub reasoning_tokens: u32,
    /// How the thought ended.
    pub thought: Thought,
    /// Device seconds of reading the prompt.
    pub prompt_s: f64,
    /// Answers as in the record.
    pub answers: Box<[ObservedAnswer]>,
}

/// One answer without its text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObservedAnswer {
    /// Where the thought was cut; `max` if it was not.
    pub budget: Budget,
    /// Reasoning tokens before it.
    pub reasoning_tokens: u32,
    /// Its own tokens.
    pub answer_tokens: u32,
    /// What the grader says.
    pub outcome: Outcome,
    /// Hash of the class of equal answers; absent where nothing was found to vote with.
    pub class: Option<u64>,
    /// Mean log-probability of its tokens, in nats.
    pub logprob_mean: Option<f64>,
    /// Device seconds of the thought up to the cut.
    pub reasoning_s: f64,
    /// Device seconds of the answer.
    pub answer_s: f64,
}

impl Observation {
    /// The answer that a request with this budget gets; absent if the chain was not sampled that far.
    pub fn answer_at(&self, budget: Budget) -> Option<&ObservedAnswer> {
        let wanted = answered_under(budget, self.thought, self.reasoning_tokens);
        self.answers.iter().find(|answer| answer.budget == wanted)
    }

    /// Tokens sampled for this line: the thought, once, and every answer.
    pub fn sampled_tokens(&self) -> u64 {
        let answers: u64 = self.answers.iter().map(|answer| u64::from(answer.answer_tokens)).sum();
        u64::from(self.reasoning_tokens) + answers
    }

    /// Device seconds that it took without the prompt: the thought, once, and every answer.
    pub fn device_s(&self) -> f64 {
        let thought = self.answers.iter().map(|answer| answer.reasoning_s).fold(0.0, f64::max);
        thought + self.answers.iter().map(|answer| answer.answer_s).sum::<f64>()
    }
}
