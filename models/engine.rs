//! The local engine: a model folder behind the [`Engine`] trait.
//!
//! Text goes in and comes out here; below this file there are only token ids.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device};
use isocost_harness::cell::Budget;
use isocost_harness::engine::{Activity, Engine, EngineError, Generated, Job, Settings};
use isocost_harness::model_facts::Lineage;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::card::Card;
use crate::chat::{ChatTemplate, Guard, Message, RenderOptions, ThinkState};
use crate::config::Config;
use crate::decoder::Decoder;
use crate::lineage::lineage;
use crate::load::{LoadError, Weights};
use crate::scheduler::{Markers, Prompt, Scheduler};
use crate::tokenizer::{Specials, Tokenizer};

/// Most memory that keys and values may take unless more is asked for.
const CACHE_BYTES: usize = 256 << 20;

/// A model on a device, ready to sample.
pub struct LocalEngine {
    decoder: Decoder,
    cache: Cache,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    guard: Guard,
    markers: Markers,
    open_tag: String,
    most_rows: usize,
    facts: ModelFacts,
}

/// What identifies a model in a manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFacts {
    /// Family, as `model_type` names it.
    pub family: String,
    /// All parameters, shared ones once.
    pub parameters: u64,
    /// Type of weights and cache.
    pub dtype: String,
    /// sha256 of every weight file, in order.
    pub weights_sha256: Vec<String>,
    /// sha256 of the chat template's text.
    pub template_sha256: String,
    /// Text that closes a thought at a budget.
    pub forced_answer: String,
    /// The name under which it was published.
    pub hub_id: String,
    /// Where it comes from.
    pub lineage: Lineage,
}

impl LocalEngine {
    /// Loads a model folder onto a device, with at most `most_rows` rows in a batch.
    ///
    /// # Errors
    /// [`LoadError`]: one line with the file and the remedy.
    pub fn load(folder: &Path, device: &Device, dtype: DType, most_rows: usize) -> Result<Self, LoadError> {
        if !folder.is_dir() {
            return Err(LoadError::read(folder, &"there is no such model folder"));
        }
        let config = Config::read(&folder.join("config.json"))?;
        let weights = Weights::open(folder, dtype, device)?;
        let tokenizer = Tokenizer::from_folder(folder).map_err(|e| LoadError::other(&e))?;
        tokenizer
            .check_fits(config.vocab)
            .map_err(|e| LoadError::malformed(&folder.join("tokenizer.json"), &e))?;
        let template = ChatTemplate::from_folder(folder).map_err(|e| LoadError::other(&e))?;
        let card = card(folder, &template, &tokenizer)?;
        let template = template.with_thinking(card.thinking());
        let markers = markers(&card, &tokenizer, &config, folder)?;
        let facts = ModelFacts {
            family: config.family.clone(),
            parameters: weights.parameters(),
            dtype: format!("{dtype:?}").to_lowercase(),
            weights_sha256: weights.sha256()?,
            template_sha256: template.sha256(),
            forced_answer: card.forced_answer(None).map(|forced| forced.text.clone()).unwrap_or_default(),
            hub_id: card.hub_id.clone(),
            lineage: lineage(folder, &card),
        };
        let tokens = cache_tokens(&config, most_rows, dtype);
        let decoder = Decoder::load(config, &weights, dtype, device)?;
        let cache = Cache::new(decoder.config(), tokens, dtype, device).map_err(|e| LoadError::other(&e))?;
        let guard = tokenizer.guard();
        let open_tag = card.thinking.map(|thinking| thinking.open).unwrap_or_default();
        Ok(Self { decoder, cache, tokenizer, template, guard, markers, open_tag, most_rows, facts })
    }

    /// Loads a model folder onto the CPU in `f32`.
    ///
    /// # Errors
    /// As [`LocalEngine::load`].
    pub fn load_on_cpu(folder: &Path, most_rows: usize) -> Result<Self, LoadError> {
        Self::load(folder, &Device::Cpu, DType::F32, most_rows)
    }

    /// What identifies the model.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// The decoder's sizes.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    fn encode(&self, job: &Job, thinking: bool) -> Result<Vec<u32>, EngineError> {
        let fail = |message: String| EngineError::Prompt { problem: job.problem.clone(), message };
        let mut messages = vec![Message::user(&job.question)];
        if !job.instructions.is_empty() {
            messages.insert(0, Message::system(&job.instructions));
        }
        let mut prompt = self
            .template
            .prompt(&messages, thinking, &self.guard, &RenderOptions::default())
            .map_err(|e| fail(e.to_string()))?;
        // A model that opens its thought itself would do so now: its first reasoning token follows the tag.
        if thinking && prompt.state() == ThinkState::ModelOpens {
            prompt.push(&self.open_tag);
        }
        self.tokenizer.encode_prompt(&prompt).map_err(|e| fail(e.to_string()))
    }

    fn prompt(&self, job: &Job, settings: &Settings) -> Result<Prompt, EngineError> {
        let thinking = self.encode(job, true)?;
        let longest = match settings.budgets.last() {
            Some(Budget::Tokens(tokens)) => *tokens as usize,
            _ => 0,
        };
        let needed = thinking.len() + longest + self.markers.forced.len() + settings.answer_tokens as usize;
        let context = self.config().context;
        if needed > context {
            return Err(EngineError::ContextOverflow { problem: job.problem.clone(), needed, context });
        }
        Ok(Prompt {
            problem: job.problem.clone(),
            thinking,
            direct: self.encode(job, false)?,
            trajectories: job.trajectories.clone(),
        })
    }

    fn write_texts(tokenizer: &Tokenizer, generated: &mut Generated) {
        // Ids the model sampled always decode; bytes that are not text become U+FFFD.
        let text = |ids: &[u32]| tokenizer.decode(ids, Specials::Keep).unwrap_or_default();
        generated.reasoning = text(&generated.reasoning_ids);
        for answer in &mut generated.answers {
            answer.text = text(&answer.ids);
        }
    }
}

impl Engine for LocalEngine {
    fn sample(
        &mut self,
        jobs: &[Job],
        settings: &Settings,
        sink: &mut dyn FnMut(Generated) -> ControlFlow<()>,
    ) -> Result<Activity, EngineError> {
        let prompts = jobs.iter().map(|job| self.prompt(job, settings)).collect::<Result<Vec<_>, _>>()?;
        let tokenizer = &self.tokenizer;
        Scheduler::new(&self.decoder, &mut self.cache, &self.markers, settings, self.most_rows)
            .run(&prompts, &mut |mut generated| {
                Self::write_texts(tokenizer, &mut generated);
                sink(generated)
            })
            .map_err(|e| EngineError::Device(e.to_string()))
    }

    fn prompt_tokens(&self, job: &Job) -> Result<usize, EngineError> {
        self.encode(job, true).map(|ids| ids.len())
    }
}

/// The folder's own `card.toml`, or what its template and vocabulary show.
fn card(folder: &Path, template: &ChatTemplate, tokenizer: &Tokenizer) -> Result<Card, LoadError> {
    let path = folder.join("card.toml");
    if path.is_file() {
        return Card::from_file(&path).map_err(|e| LoadError::malformed(&path, &e));
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    Ok(Card::for_model(&name).unwrap_or_else(|_| Card::derive(&name, Some(template), tokenizer)))
}

fn markers(card: &Card, tokenizer: &Tokenizer, config: &Config, folder: &Path) -> Result<Markers, LoadError> {
    let path = folder.join("tokenizer.json");
    let ids = |text: &str| tokenizer.encode_text(text).map_err(|e| LoadError::malformed(&path, &e));
    let close = card.thinking.as_ref().map(|thinking| &thinking.close);
    let mut end = [tokenizer.eos_ids(), &config.eos].concat();
    end.sort_unstable();
    end.dedup();
    Ok(Markers {
        close: close.and_then(|tag| tokenizer.token_id(tag)),
        end,
        forced: ids(card.forced_answer(None).map_or("", |forced| &forced.text))?,
        wait: ids(card.wait.as_ref().map_or("", |wait| &wait.value))?,
    })
}

/// Room for a full batch of the longest sequences, as far as [`CACHE_BYTES`] allow.
fn cache_tokens(config: &Config, most_rows: usize, dtype: DType) -> usize {
    let affordable = CACHE_BYTES / config.kv_bytes_per_token(dtype.size_in_bytes());
    affordable.min((most_rows + 1) * config.context).max(config.context)
}

/// Lower-case hexadecimal sha256 of a file.
pub(crate) fn file_sha256(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}
