//! The course of a completion: which tokens it feeds, step by step.
//!
//! A trajectory says how long its thought and its answers were. From that alone follows what a request with a
//! given budget feeds to the model in each of its steps, which is all that its cost depends on.

use crate::cell::Budget;
use crate::trajectory::{Thought, Trajectory};

/// Facts of a model that the record does not repeat on every line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Tokens that are fed to close a thought by force.
    pub forced_tokens: u32,
    /// Tokens by which the prompt of a completion that does not think is longer than one that does.
    pub direct_extra_tokens: i64,
}

/// What one completion feeds after its prompt, and when its answer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Steps that feed one token of the thought each.
    pub thinking_steps: u32,
    /// Tokens of the step that closes the thought; its logits give the first token of the answer.
    pub closing_tokens: Option<u32>,
    /// Steps that feed one token of the answer each; the last token is not fed.
    pub answer_steps: u32,
    /// Whether an answer was sampled at all.
    pub answers: bool,
}

impl Course {
    /// The course of a request with `budget` that samples what `trajectory` holds; `None` if it was not sampled
    /// that far.
    ///
    /// Tokens of a forced continuation (`Wait`) are fed in one step and counted here as a step each.
    pub fn of(trajectory: &Trajectory, budget: Budget, dialect: Dialect) -> Option<Self> {
        let (_, answer) = trajectory.answer_at(budget)?;
        let (thought, answered) = (answer.reasoning_tokens, answer.answer_tokens);
        let course = Self {
            prompt_tokens: trajectory.prompt_tokens,
            answer_steps: answered.saturating_sub(1),
            answers: answered > 0,
            ..Self::default()
        };
        // The last token of a thought that is cut is fed with what closes it, or not at all.
        let cut = Self { thinking_steps: thought.saturating_sub(1), ..course };
        let whole = Self { thinking_steps: thought, ..course };
        if budget == Budget::Tokens(0) {
            let prompt = i64::from(trajectory.prompt_tokens).saturating_add(dialect.direct_extra_tokens);
            return Some(Self { prompt_tokens: u32::try_from(prompt).unwrap_or(1).max(1), ..course });
        }
        Some(match (answer.forced, answer.budget, trajectory.thought) {
            (true, ..) => Self { closing_tokens: Some(dialect.forced_tokens.saturating_add(1)), ..cut },
            (false, Budget::Tokens(_), _) | (_, _, Thought::Cut) => cut,
            (false, Budget::Max, Thought::Stopped) => whole,
            (false, Budget::Max, Thought::Closed) => Self { closing_tokens: Some(1), ..whole },
        })
    }
}
