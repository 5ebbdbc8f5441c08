//! Completions of one prompt, for trying a model by hand.
//!
//! The same scheduler, sampler and cache as a sweep's, so what is seen here is what is measured there.

use std::ops::ControlFlow;

use isocost_harness::cell::{Budget, Policy};
use isocost_harness::engine::{Activity, EngineError, Generated, Job, Sampling, Settings};

use crate::engine::LocalEngine;
use crate::scheduler::Prompt;
use crate::tokenizer::{Specials, TokenizerError};

/// What a model is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A user's message, wrapped in the model's chat template.
    Chat(String),
    /// Text to continue, without a template.
    Text(String),
    /// Tokens to continue.
    Ids(Vec<u32>),
}

/// How to continue it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the model is given.
    pub ask: Ask,
    /// Cap on the thought; at it the thought is closed and an answer is forced.
    pub budget: Option<Budget>,
    /// Completions.
    pub n: u32,
    /// Most tokens of an answer, and of a thought without a budget; by default 1,024, or what the context has room for.
    pub max_tokens: Option<u32>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Seed of the random draws.
    pub seed: u64,
}

/// Completions of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Completions {
    /// The prompt as the model saw it.
    pub prompt_ids: Vec<u32>,
    /// One for each trajectory, in order.
    pub generated: Vec<Generated>,
    /// What the device did.
    pub activity: Activity,
}

impl LocalEngine {
    /// Continues a prompt.
    ///
    /// # Errors
    /// [`EngineError`] if the prompt cannot be made, does not fit, or the device fails.
    pub fn generate(&mut self, request: &Request) -> Result<Completions, EngineError> {
        let prompt = self.prompt_of(request)?;
        let settings = self.settings(request, &prompt);
        self.conversation().check_fits(&prompt, &settings)?;
        let thinks = settings.budgets != [Budget::Tokens(0)];
        let prompt_ids = if thinks { prompt.thinking.clone() } else { prompt.direct.clone() };
        let mut generated = Vec::new();
        let activity = self.sample_prompts(&[prompt], &settings, &mut |one| {
            generated.push(one);
            ControlFlow::Continue(())
        })?;
        generated.sort_by_key(|one| one.trajectory);
        Ok(Completions { prompt_ids, generated, activity })
    }

    /// The text of one token.
    ///
    /// # Errors
    /// [`TokenizerError`] if the tokenizer fails.
    pub fn token_text(&self, id: u32) -> Result<String, TokenizerError> {
        self.conversation().tokenizer.decode(&[id], Specials::Keep)
    }

    fn settings(&self, request: &Request, prompt: &Prompt) -> Settings {
        let max_tokens = request.max_tokens.unwrap_or_else(|| self.room(request, prompt).clamp(1, 1024));
        let may_think = match request.ask {
            Ask::Chat(_) => self.conversation().thinks() && request.budget != Some(Budget::Tokens(0)),
            Ask::Text(_) | Ask::Ids(_) => request.budget.is_some_and(|budget| budget != Budget::Tokens(0)),
        };
        let (budget, policy) = match request.budget {
            _ if !may_think => (Budget::Tokens(0), Policy::ForceAnswer),
            Some(budget) => (budget, Policy::ForceAnswer),
            None => (Budget::Tokens(max_tokens), Policy::Truncate),
        };
        Settings {
            budgets: vec![budget],
            policy,
            answer_tokens: max_tokens,
            waits: 0,
            sampling: request.sampling.clone(),
            seed: request.seed,
        }
    }

    /// Tokens for each of thought and answer that the context has room for.
    fn room(&self, request: &Request, prompt: &Prompt) -> u32 {
        let taken = prompt.thinking.len().max(prompt.direct.len()) + self.conversation().forced_tokens();
        let left = self.config().context.saturating_sub(taken);
        let room = match request.budget {
            Some(Budget::Tokens(budget)) => left.saturating_sub(budget as usize),
            _ => left / 2,
        };
        u32::try_from(room).unwrap_or(u32::MAX)
    }

    fn prompt_of(&self, request: &Request) -> Result<Prompt, EngineError> {
        let fail = |message: String| EngineError::Prompt { problem: "prompt".into(), message };
        let (thinking, direct) = match &request.ask {
            Ask::Chat(text) => {
                let (instructions, trajectories) = (String::new(), vec![]);
                let job =
                    Job { problem: "prompt".into(), instructions, question: text.clone(), trajectories };
                (self.conversation().encode(&job, true)?, self.conversation().encode(&job, false)?)
            }
            Ask::Text(text) => {
                let ids =
                    self.conversation().tokenizer.encode_document(text).map_err(|e| fail(e.to_string()))?;
                (ids.clone(), ids)
            }
            Ask::Ids(ids) => (ids.clone(), ids.clone()),
        };
        let vocab = self.config().vocab;
        if let Some(id) = thinking.iter().chain(&direct).find(|id| **id as usize >= vocab) {
            return Err(fail(format!("token {id} is not in the vocabulary of {vocab}")));
        }
        if thinking.is_empty() || direct.is_empty() {
            return Err(fail("it has no token".into()));
        }
        let trajectories = (0..request.n).collect();
        Ok(Prompt { problem: "prompt".into(), thinking, direct, trajectories })
    }
}
