//! A row of the batch: one sequence and what it is for.

use isocost_harness::cell::Budget;
use isocost_harness::engine::GeneratedAnswer;

use crate::cache::Sequence;
use crate::sampler::{Branch, Drawn};

/// A sequence, the tokens to feed it next, and its role.
pub(super) struct Row {
    pub(super) role: Role,
    pub(super) sequence: Sequence,
    pub(super) pending: Vec<u32>,
    /// Tokens sampled on this row's random stream.
    pub(super) sampled: usize,
    /// That stream, once it was drawn from.
    pub(super) numbers: Option<Box<Branch>>,
    /// Blocks promised to this row itself; those of a chain are promised to the chain.
    pub(super) reserved_blocks: usize,
}

/// What a row is for.
pub(super) enum Role {
    /// Reads the prompt of completions that think.
    ThinkingPrompt { job: usize, chains: Vec<usize> },
    /// Reads the prompt of completions that do not.
    DirectPrompt { chains: Vec<usize> },
    /// Thinks and, once the thought is closed, answers.
    Chain { chain: usize, answer: Option<Answer> },
    /// Answers after a forced end of the thought.
    Answer { chain: usize, answer: Answer },
}

/// An answer under way.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    budget: Budget,
    forced: bool,
    reasoning_tokens: usize,
    reasoning_s: f64,
    ids: Vec<u32>,
    logprobs: Vec<f64>,
    sampled: u32,
    complete: bool,
    logprob_sum: f64,
    pub(super) seconds: f64,
}

/// What a chain does after a token was drawn.
pub(super) enum Progress {
    /// It goes on.
    Feed,
    /// A budget is reached: answer on a fork, and go on.
    Fork { budget: Budget },
    /// The last budget is reached: answer here.
    Cut { budget: Budget },
    /// The model closed its thought.
    Closed,
    /// Nothing more will come.
    Ended(Option<Answer>),
}

impl Row {
    pub(super) fn new(role: Role, sequence: Sequence, pending: Vec<u32>) -> Self {
        Self { role, sequence, pending, sampled: 0, numbers: None, reserved_blocks: 0 }
    }
}

impl Role {
    /// The chains that a prompt is read for.
    pub(super) fn chains(&self) -> &[usize] {
        match self {
            Self::ThinkingPrompt { chains, .. } | Self::DirectPrompt { chains } => chains,
            Self::Chain { .. } | Self::Answer { .. } => &[],
        }
    }

    /// The chain that a sampling row belongs to.
    pub(super) fn chain(&self) -> usize {
        match self {
            Self::Chain { chain, .. } | Self::Answer { chain, .. } => *chain,
            Self::ThinkingPrompt { .. } | Self::DirectPrompt { .. } => {
                unreachable!("a prompt samples nothing")
            }
        }
    }

    /// The answer under way, if there is one.
    pub(super) fn answer(&mut self) -> Option<&mut Answer> {
        match self {
            Self::Chain { answer, .. } => answer.as_mut(),
            Self::Answer { answer, .. } => Some(answer),
            Self::ThinkingPrompt { .. } | Self::DirectPrompt { .. } => None,
        }
    }

    /// The budget whose random stream this row draws from; `None` for the chain's own.
    pub(super) fn forced_at(&self) -> Option<Budget> {
        match self {
            Self::Answer { answer, .. } => Some(answer.budget),
            Self::DirectPrompt { .. } => Some(Budget::Tokens(0)),
            _ => None,
        }
    }

    /// Tokens that are drawn after a step: the next one, or the first one of each chain that starts from a prompt.
    pub(super) fn draws(&self) -> usize {
        match self {
            Self::ThinkingPrompt { chains, .. } | Self::DirectPrompt { chains } => chains.len(),
            Self::Chain { .. } | Self::Answer { .. } => 1,
        }
    }
}

impl Answer {
    pub(super) fn forced(budget: Budget, reasoning_tokens: usize, reasoning_s: f64) -> Self {
        Self { forced: true, ..Self::natural(reasoning_tokens, reasoning_s) }.at(budget)
    }

    pub(super) fn natural(reasoning_tokens: usize, reasoning_s: f64) -> Self {
        Self {
            budget: Budget::Max,
            forced: false,
            reasoning_tokens,
            reasoning_s,
            ids: vec![],
            logprobs: vec![],
            sampled: 0,
            complete: false,
            logprob_sum: 0.0,
            seconds: 0.0,
        }
    }

    fn at(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Nothing is answered: the completion ends where the budget does.
    pub(super) fn truncated(budget: Budget, reasoning_tokens: usize, reasoning_s: f64) -> Self {
        Self { budget, ..Self::natural(reasoning_tokens, reasoning_s) }
    }

    /// The model ended the completion before it began to answer.
    pub(super) fn missing(self) -> Self {
        Self { complete: true, ..self }
    }

    /// Takes a token; returns whether another one is wanted.
    pub(super) fn take(&mut self, drawn: Drawn, end: &[u32], most: u32) -> bool {
        self.sampled += 1;
        self.logprob_sum += drawn.logprob;
        self.complete = end.contains(&drawn.token);
        if !self.complete {
            self.ids.push(drawn.token);
            self.logprobs.push(drawn.logprob);
        }
        !self.complete && self.sampled < most
    }

    pub(super) fn into_generated(self) -> GeneratedAnswer {
        GeneratedAnswer {
            budget: self.budget,
            forced: self.forced,
            reasoning_tokens: self.reasoning_tokens as u32,
            text: String::new(),
            ids: self.ids,
            logprobs: self.logprobs,
            answer_tokens: self.sampled,
            complete: self.complete,
            logprob_sum: Some(self.logprob_sum),
            reasoning_s: self.reasoning_s,
            answer_s: self.seconds,
        }
    }

    pub(super) fn budget(&self) -> Budget {
        self.budget
    }
}
