//! The text side of a model: how a problem becomes tokens, and tokens become text.
//!
//! It needs no weights, so that every prompt of a sweep is known to be possible, and to fit the context, before the first
//! model is loaded.

use std::path::{Path, PathBuf};

use isocost_harness::cell::Budget;
use isocost_harness::engine::{EngineError, Generated, Job, Settings};

use crate::card::Card;
use crate::chat::{ChatError, ChatTemplate, Guard, Message, RenderOptions, ThinkState};
use crate::config::Config;
use crate::load::LoadError;
use crate::scheduler::{Markers, Prompt};
use crate::tokenizer::{Specials, Tokenizer};

/// How one model is spoken to.
pub struct Conversation {
    /// From text to ids and back.
    pub tokenizer: Tokenizer,
    /// From a conversation to text; a base model has none.
    pub template: Option<ChatTemplate>,
    /// How it thinks and what ends its thoughts.
    pub card: Card,
    guard: Guard,
    markers: Markers,
    context: usize,
    path: PathBuf,
}

impl Conversation {
    /// Puts together what the model at `path` says about itself.
    ///
    /// # Errors
    /// [`LoadError`] if the tokenizer has more tokens than the model, or cannot write what closes a thought.
    pub(crate) fn new(
        path: &Path,
        config: &Config,
        tokenizer: Tokenizer,
        template: Option<ChatTemplate>,
        card: Card,
    ) -> Result<Self, LoadError> {
        let tokens = if path.is_file() { path.to_owned() } else { path.join("tokenizer.json") };
        tokenizer.check_fits(config.vocab).map_err(|e| LoadError::malformed(&tokens, &e))?;
        Ok(Self {
            template: template.map(|template| template.with_thinking(card.thinking())),
            guard: tokenizer.guard(),
            markers: markers(&card, &tokenizer, config, path)?,
            tokenizer,
            card,
            context: config.context,
            path: path.to_owned(),
        })
    }

    /// Most tokens of a prompt with its completion.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The prompts of some jobs.
    ///
    /// # Errors
    /// [`EngineError`] if one cannot be made, or its longest completion does not fit the context.
    pub fn prompts(&self, jobs: &[Job], settings: &Settings) -> Result<Vec<Prompt>, EngineError> {
        let prompt = |job: &Job| {
            let prompt = Prompt {
                problem: job.problem.clone(),
                thinking: self.encode(job, true)?,
                direct: self.encode(job, false)?,
                trajectories: job.trajectories.clone(),
            };
            self.check_fits(&prompt, settings)?;
            Ok(prompt)
        };
        jobs.iter().map(prompt).collect()
    }

    /// The longest completion of a prompt must fit the context.
    pub(crate) fn check_fits(&self, prompt: &Prompt, settings: &Settings) -> Result<(), EngineError> {
        let longest = match settings.budgets.last() {
            Some(Budget::Tokens(tokens)) => *tokens as usize,
            _ => 0,
        };
        let tail = longest + self.markers.forced.len() + settings.answer_tokens as usize;
        let needed = prompt.thinking.len().max(prompt.direct.len()) + tail;
        let context = self.context;
        if needed > context {
            return Err(EngineError::ContextOverflow { problem: prompt.problem.clone(), needed, context });
        }
        Ok(())
    }

    /// A job's tokens up to the model's first one.
    ///
    /// # Errors
    /// [`EngineError`] if the model has no template, or its template refuses.
    pub fn encode(&self, job: &Job, thinking: bool) -> Result<Vec<u32>, EngineError> {
        let fail = |message: String| EngineError::Prompt { problem: job.problem.clone(), message };
        let no_template = || fail(ChatError::NoTemplate(self.path.clone()).to_string());
        let template = self.template.as_ref().ok_or_else(no_template)?;
        let mut messages = vec![Message::user(&job.question)];
        if !job.instructions.is_empty() {
            messages.insert(0, Message::system(&job.instructions));
        }
        let mut prompt = template
            .prompt(&messages, thinking, &self.guard, &RenderOptions::default())
            .map_err(|e| fail(e.to_string()))?;
        // A model that opens its thought itself would do so now: its first reasoning token follows the tag.
        if thinking && prompt.state() == ThinkState::ModelOpens {
            prompt.push(self.card.thinking.as_ref().map_or("", |thinking| &thinking.open));
        }
        self.tokenizer.encode_prompt(&prompt).map_err(|e| fail(e.to_string()))
    }

    /// Whether a job's instructions come to stand in its prompt. A template may leave them out, but llama-server then puts them
    /// into the question.
    pub(crate) fn reads_instructions(&self, job: &Job) -> bool {
        let without = Job { instructions: String::new(), ..job.clone() };
        self.encode(job, true).ok() != self.encode(&without, true).ok()
    }

    /// Writes the texts of what was generated.
    pub(crate) fn write_texts(&self, generated: &mut Generated) {
        // Ids the model sampled always decode; bytes that are not text become U+FFFD.
        let text = |ids: &[u32]| self.tokenizer.decode(ids, Specials::Keep).unwrap_or_default();
        generated.reasoning = text(&generated.reasoning_ids);
        for answer in &mut generated.answers {
            answer.text = text(&answer.ids);
        }
    }

    /// Whether the model's thoughts end with a token that a budget can wait for.
    pub fn thinks(&self) -> bool {
        self.markers.close.is_some()
    }

    /// Token ids with a meaning to the scheduler.
    pub(crate) fn markers(&self) -> &Markers {
        &self.markers
    }

    /// Tokens of the text that closes a thought at a budget.
    pub fn forced_tokens(&self) -> usize {
        self.markers.forced.len()
    }

    /// What switching thinking off adds to a prompt; the same for all, since it is the template that does it. None if there is no
    /// template, or it refuses one of both.
    pub fn direct_extra_tokens(&self) -> Option<i64> {
        let (problem, instructions, question) = ("1".to_owned(), String::new(), "1".to_owned());
        let job = Job { problem, instructions, question, trajectories: vec![] };
        let tokens = |thinking: bool| self.encode(&job, thinking).ok().map(|ids| ids.len() as i64);
        Some(tokens(false)? - tokens(true)?)
    }
}

fn markers(card: &Card, tokenizer: &Tokenizer, config: &Config, path: &Path) -> Result<Markers, LoadError> {
    let ids = |text: &str| tokenizer.encode_text(text).map_err(|e| LoadError::malformed(path, &e));
    let close = card.thinking.as_ref().map(|thinking| &thinking.close);
    let mut end = [tokenizer.eos_ids(), &config.eos].concat();
    end.sort_unstable();
    end.dedup();
    Ok(Markers {
        close: close.and_then(|tag| tokenizer.token_id(tag)),
        end,
        forced: ids(card.forced_answer().map_or("", |forced| &forced.text))?,
        wait: ids(card.wait.as_ref().map_or("", |wait| &wait.value))?,
    })
}
