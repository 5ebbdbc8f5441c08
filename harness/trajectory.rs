//! The record: one sampled chain with its answer at every budget. The waist of the program.
//!
//! Measuring writes trajectories and concluding reads them; nothing else passes between the two halves.
//! A trajectory sampled to the largest budget holds every smaller budget as a prefix, so one line
//! carries a whole row of the grid. `trajectories.jsonl` has one of these per line, appended and
//! flushed as it is finished; `harness/schema/trajectory.schema.json` describes the line.

use serde::{Deserialize, Serialize};

use crate::cell::Budget;
use crate::outcome::Outcome;

/// Version of the line's form. A run is only resumed by a program that writes the same version.
pub const SCHEMA: u32 = 2;

/// One sampled chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trajectory {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The model's name in the sweep.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// The problem's id.
    pub problem: String,
    /// Number of this trajectory among its problem's, from 0.
    pub trajectory: u32,
    /// Forced continuations (`Wait`) before the thought may end.
    pub waits: u32,
    /// What was asked.
    pub question: String,
    /// What the answers were compared with.
    pub gold: String,
    /// The problem that this one is a variation of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant_of: Option<String>,
    /// Version of the grader, [`crate::grader::GRADER_VERSION`].
    pub grader: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// The thought, without its delimiters.
    pub reasoning: String,
    /// Tokens of the thought.
    pub reasoning_tokens: u32,
    /// How the thought ended.
    pub thought: Thought,
    /// Answers by ascending budget; a natural answer stands last, under budget `max`.
    pub answers: Vec<Answer>,
    /// Seconds; the only part that differs between two runs with one seed.
    pub timing: Timing,
}

/// How a thought ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thought {
    /// The model closed it.
    Closed,
    /// The model ended the whole completion inside the thought.
    Stopped,
    /// It reached the largest budget, or the end of the context.
    Cut,
}

/// What followed the thought when it was cut at one budget, or ended by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Where the thought was cut; `max` for the answer after a thought that was not cut.
    pub budget: Budget,
    /// Whether the end of the thought was forced.
    pub forced: bool,
    /// Reasoning tokens before the answer.
    pub reasoning_tokens: u32,
    /// Tokens sampled for the answer.
    pub answer_tokens: u32,
    /// The answer's text.
    pub text: String,
    /// Whether the answer ended by itself, within its own limit of tokens.
    pub complete: bool,
    /// Mean log-probability of the answer's tokens, in nats; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprob_mean: Option<f64>,
    /// What the grader says.
    pub outcome: Outcome,
    /// What was graded, as found in the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted: Option<String>,
    /// Which rule found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Equal for answers that mean the same; absent where nothing was found to vote with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// Device seconds: each step's wall time, shared among its rows by the tokens they fed.
///
/// Added up over a run they give the time the device was busy, whatever the batches were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Reading the prompt; the same for all trajectories of a problem, spent once.
    pub prompt_s: f64,
    /// The whole thought and, if it was not cut, its answer.
    pub chain_s: f64,
    /// For each answer, in order: seconds of the thought up to where it was cut.
    pub reasoning_s: Vec<f64>,
    /// For each answer, in order: seconds of the answer itself.
    pub answer_s: Vec<f64>,
}

impl Trajectory {
    /// The answer that a request with this budget gets, and its index; `None` if the chain was not
    /// sampled that far.
    pub fn answer_at(&self, budget: Budget) -> Option<(usize, &Answer)> {
        let wanted = answered_under(budget, self.thought, self.reasoning_tokens);
        self.answers.iter().enumerate().find(|(_, answer)| answer.budget == wanted)
    }

    /// Whether every answer has its times; what lacks one is no whole record.
    pub(crate) fn is_timed(&self) -> bool {
        [&self.timing.reasoning_s, &self.timing.answer_s]
            .iter()
            .all(|times| times.len() == self.answers.len())
    }

    /// The trajectory without what differs from run to run.
    pub fn without_timing(&self) -> Self {
        let timing = Timing { prompt_s: 0.0, chain_s: 0.0, reasoning_s: vec![], answer_s: vec![] };
        Self { timing, ..self.clone() }
    }

    /// Tokens sampled for this line: the thought, once, and every answer.
    pub fn sampled_tokens(&self) -> u64 {
        let answers: u64 = self.answers.iter().map(|answer| u64::from(answer.answer_tokens)).sum();
        u64::from(self.reasoning_tokens) + answers
    }
}

/// Under which of its budgets a chain has the answer to a request with `budget`: `max` once it ended by itself.
pub fn answered_under(budget: Budget, thought: Thought, reasoning_tokens: u32) -> Budget {
    match budget {
        Budget::Tokens(cap) if cap == 0 || thought == Thought::Cut || reasoning_tokens >= cap => budget,
        _ => Budget::Max,
    }
}
