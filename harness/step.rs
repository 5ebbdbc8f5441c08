//! A step: one forward pass over a batch, with the work on the host that belongs to it.
//!
//! What a step costs does not depend on the words, only on how much there is to do, its [`Load`]. So
//! steps are what a device is measured by ([`crate::surface`]), and what a request is priced by
//! ([`crate::replay`]). An engine reports each one as it happens; a run keeps them in [`crate::step_log`].

use serde::{Deserialize, Serialize};

/// What a step has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Sequences in the batch.
    pub rows: u32,
    /// New tokens, summed over rows.
    pub fed_tokens: u32,
    /// Tokens whose keys and values are in the cache after the step, summed over rows: what is read at least.
    pub context_tokens: u64,
    /// Pairs of a new token and a token it attends to, itself included: what is multiplied.
    pub attended_tokens: u64,
    /// Sequences forked since the step before.
    pub forks: u32,
    /// Tokens sampled since the step before, those of fresh forks included.
    pub sampled_tokens: u32,
}

impl Load {
    /// Adds a row that feeds `fed` tokens to a sequence of `before`. A record may claim any number of them: what is beyond all
    /// counts stays at the last.
    pub fn add_row(&mut self, before: u64, fed: u32) {
        let new = u64::from(fed);
        let (context, attended) = (before.saturating_add(new), before.saturating_mul(new));
        self.rows += 1;
        self.fed_tokens = self.fed_tokens.saturating_add(fed);
        self.context_tokens = self.context_tokens.saturating_add(context);
        let attended = attended.saturating_add(new * (new + 1) / 2);
        self.attended_tokens = self.attended_tokens.saturating_add(attended);
    }

    /// The load of the same rows so many steps later, if each feeds one token a step.
    pub fn grown(self, steps: u64) -> Self {
        let grown = u64::from(self.rows) * steps;
        Self {
            context_tokens: self.context_tokens.saturating_add(grown),
            attended_tokens: self.attended_tokens.saturating_add(grown),
            ..self
        }
    }
}

/// What the rows of a step are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// All rows read prompts.
    Prefill,
    /// All rows sample.
    #[default]
    Decode,
    /// Both.
    Mixed,
}

impl StepKind {
    /// The kind of a step with so many rows of each sort.
    pub fn of(prompts: usize, samplers: usize) -> Self {
        match (prompts, samplers) {
            (0, _) => Self::Decode,
            (_, 0) => Self::Prefill,
            _ => Self::Mixed,
        }
    }

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Mixed => "mixed",
        }
    }
}

/// A step with what it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What its rows are.
    pub kind: StepKind,
    /// What it had to do.
    pub load: Load,
    /// Seconds since the end of the step before: forking, forward pass, sampling. Handing records over (grading,
    /// writing) is not in it.
    pub seconds: f64,
    /// Seconds of the forward pass alone, from before the batch is fed until its tokens are drawn and on the host.
    pub forward_s: f64,
    /// Joules, where a window of equal steps was long enough to measure them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_claims_more_tokens_than_can_be_counted_is_no_overflow() {
        let mut load = Load::default();
        (0..3).for_each(|_| load.add_row(u64::MAX, u32::MAX));
        assert_eq!((load.rows, load.fed_tokens, load.attended_tokens), (3, u32::MAX, u64::MAX));
        assert_eq!(load.grown(u64::from(u32::MAX)).context_tokens, u64::MAX);
    }

    #[test]
    fn every_new_token_attends_to_what_was_there_and_to_the_new_ones_up_to_itself() {
        let mut load = Load::default();
        load.add_row(10, 3);
        load.add_row(4, 1);
        assert_eq!((load.rows, load.fed_tokens, load.context_tokens), (2, 4, 18));
        assert_eq!(load.attended_tokens, (11 + 12 + 13) + 5);
    }
}
