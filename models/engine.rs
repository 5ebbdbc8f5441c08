//! The local engine: a checkpoint behind the [`Engine`] trait.
//!
//! Text goes in and comes out here; below this file there are only token ids.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

pub use candle_core::{DType, Device};
use isocost_harness::cell::Budget;
use isocost_harness::engine::{Activity, Engine, EngineError, Generated, Job, Settings};
use isocost_harness::model_facts::Lineage;
use isocost_harness::model_shape::ModelShape;
use isocost_harness::step::Step;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cache::{BLOCK, Cache};
use crate::card::Card;
use crate::chat::{ChatError, ChatTemplate, Guard, Message, RenderOptions, ThinkState};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::decoder::Decoder;
use crate::lineage::lineage;
use crate::load::LoadError;
use crate::memory::{self, MemoryPlan};
use crate::scheduler::{self, Markers, Prompt, Scheduler};
use crate::source::Source;
use crate::tokenizer::{Specials, Tokenizer};

/// Most memory that keys and values may take, unless one sequence of the longest kind needs more.
const CACHE_BYTES: usize = 256 << 20;
/// Most memory that keys and values may take at all: a file may claim any context.
const MOST_CACHE_BYTES: usize = 16 << 30;

/// A model on a device, ready to sample.
pub struct LocalEngine {
    decoder: Decoder,
    cache: Cache,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    guard: Guard,
    markers: Markers,
    card: Card,
    most_rows: usize,
    path: PathBuf,
    /// On the hub.
    commit: Option<String>,
    weight_files: Vec<PathBuf>,
    parameters: u64,
    steps: Option<Sender<Step>>,
}

/// What identifies a model in a manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFacts {
    /// Family, as `model_type` names it.
    pub family: String,
    /// All parameters, shared ones once.
    pub parameters: u64,
    /// Type of activations, cache, and weights that are not quantised.
    pub dtype: String,
    /// sha256 of every weight file, in order.
    pub weights_sha256: Vec<String>,
    /// sha256 of the chat template's text.
    pub template_sha256: String,
    /// Text that closes a thought at a budget.
    pub forced_answer: String,
    /// Its tokens.
    pub forced_tokens: u32,
    /// Tokens by which the prompt of a completion that does not think is longer than one that does.
    pub direct_extra_tokens: i64,
    /// Sizes of the decoder.
    pub shape: ModelShape,
    /// The commit of a model from the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_commit: Option<String>,
    /// The name under which it was published.
    pub hub_id: String,
    /// Where it comes from.
    pub lineage: Lineage,
}

impl LocalEngine {
    /// Loads a model onto a device, with at most `most_rows` rows in a batch. Without a `dtype` the model runs in
    /// the type its weights are stored in.
    ///
    /// # Errors
    /// [`LoadError`]: one line with the file and the remedy.
    pub fn load(
        source: &Source,
        device: &Device,
        dtype: Option<DType>,
        most_rows: usize,
    ) -> Result<Self, LoadError> {
        Self::new(source, Checkpoint::open(source, dtype, device)?, device, most_rows)
    }

    /// What a model would take of a device's memory with so many rows of so many tokens.
    ///
    /// # Errors
    /// [`LoadError`] if a weight's description makes no sense.
    pub fn plan_memory(
        checkpoint: &Checkpoint,
        device: &Device,
        (rows, row_tokens): (usize, usize),
    ) -> Result<MemoryPlan, LoadError> {
        let Checkpoint { config, weights, .. } = checkpoint;
        let batch = (rows, row_tokens.min(config.context));
        let free_bytes = memory::free_bytes(device);
        Ok(MemoryPlan::new(config, weights.bytes()?, weights.dtype()?, free_bytes, batch))
    }

    /// Loads a model that was opened for `device` onto it.
    ///
    /// # Errors
    /// As [`LocalEngine::load`].
    pub fn new(
        source: &Source,
        checkpoint: Checkpoint,
        device: &Device,
        most_rows: usize,
    ) -> Result<Self, LoadError> {
        let Checkpoint { config, weights, tokenizer, template, card } = checkpoint;
        let markers = markers(&card, &tokenizer, &config, &source.path)?;
        let decoder = Decoder::load(config, &weights)?;
        let tokens = cache_tokens(decoder.config(), most_rows, decoder.dtype());
        let cache = Cache::new(decoder.config(), tokens, decoder.dtype(), device);
        Ok(Self {
            cache: cache.map_err(|e| LoadError::other(&e))?,
            guard: tokenizer.guard(),
            path: source.path.clone(),
            commit: source.commit.clone(),
            weight_files: weights.files(),
            parameters: weights.parameters()?,
            decoder,
            tokenizer,
            template,
            markers,
            card,
            most_rows,
            steps: None,
        })
    }

    /// Loads a model folder or `.gguf` file onto the CPU in the type its weights are stored in.
    ///
    /// # Errors
    /// As [`LocalEngine::load`].
    pub fn load_on_cpu(path: &Path, most_rows: usize) -> Result<Self, LoadError> {
        Self::load(&Source::at(path), &Device::Cpu, None, most_rows)
    }

    /// What identifies the model; reads every weight file to its end.
    ///
    /// # Errors
    /// [`LoadError`] if a file cannot be read.
    pub fn facts(&self) -> Result<ModelFacts, LoadError> {
        let hash = |file: &PathBuf| file_sha256(file).map_err(|e| LoadError::read(file, &e));
        Ok(ModelFacts {
            family: self.config().family.clone(),
            parameters: self.parameters,
            dtype: self.dtype_name(),
            weights_sha256: self.weight_files.iter().map(hash).collect::<Result<_, _>>()?,
            template_sha256: self.template.as_ref().map(ChatTemplate::sha256).unwrap_or_default(),
            forced_answer: self.card.forced_answer(None).map(|f| f.text.clone()).unwrap_or_default(),
            forced_tokens: self.markers.forced.len() as u32,
            direct_extra_tokens: self.direct_extra_tokens(),
            shape: self.config().shape(),
            hub_commit: self.commit.clone(),
            hub_id: self.card.hub_id.clone(),
            lineage: lineage(&self.path, &self.card),
        })
    }

    /// The type of activations: `f32`, `bf16`, `f16`.
    pub fn dtype_name(&self) -> String {
        self.decoder.dtype().as_str().to_owned()
    }

    /// Whether the model's thoughts end with a token that a budget can wait for.
    pub fn thinks(&self) -> bool {
        self.markers.close.is_some()
    }

    /// The decoder's sizes.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    /// The decoder and its cache, for calibration.
    pub fn bench(&mut self) -> (&Decoder, &mut Cache) {
        (&self.decoder, &mut self.cache)
    }

    /// What switching thinking off adds to a prompt; the same for all, since it is the template that does it.
    fn direct_extra_tokens(&self) -> i64 {
        let (problem, instructions, question) = ("1".to_owned(), String::new(), "1".to_owned());
        let job = Job { problem, instructions, question, trajectories: vec![] };
        let tokens = |thinking: bool| self.encode(&job, thinking).map_or(0, |ids| ids.len() as i64);
        tokens(false) - tokens(true)
    }

    /// Tokens of the text that closes a thought at a budget.
    pub(crate) fn forced_tokens(&self) -> usize {
        self.markers.forced.len()
    }

    /// From text to ids and back.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// A conversation's tokens up to the model's first one.
    pub(crate) fn encode(&self, job: &Job, thinking: bool) -> Result<Vec<u32>, EngineError> {
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

    fn prompt(&self, job: &Job, settings: &Settings) -> Result<Prompt, EngineError> {
        let prompt = Prompt {
            problem: job.problem.clone(),
            thinking: self.encode(job, true)?,
            direct: self.encode(job, false)?,
            trajectories: job.trajectories.clone(),
        };
        self.check_fits(&prompt, settings)?;
        Ok(prompt)
    }

    /// The longest completion of a prompt must fit the context.
    pub(crate) fn check_fits(&self, prompt: &Prompt, settings: &Settings) -> Result<(), EngineError> {
        let longest = match settings.budgets.last() {
            Some(Budget::Tokens(tokens)) => *tokens as usize,
            _ => 0,
        };
        let tail = longest + self.markers.forced.len() + settings.answer_tokens as usize;
        let needed = prompt.thinking.len().max(prompt.direct.len()) + tail;
        let context = self.config().context;
        if needed > context {
            return Err(EngineError::ContextOverflow { problem: prompt.problem.clone(), needed, context });
        }
        Ok(())
    }

    /// Samples all trajectories of prompts that are tokens already, and writes their texts.
    pub(crate) fn sample_prompts(
        &mut self,
        prompts: &[Prompt],
        settings: &Settings,
        sink: &mut dyn FnMut(Generated) -> ControlFlow<()>,
    ) -> Result<Activity, EngineError> {
        let halvings = self.make_room(prompts, settings)?;
        let (tokenizer, steps) = (&self.tokenizer, &self.steps);
        let activity =
            Scheduler::new(&self.decoder, &mut self.cache, &self.markers, settings, self.most_rows)
                .observed(&mut |step| {
                    // Nobody listening any more is no reason to stop.
                    let _ = steps.as_ref().map(|to| to.send(step));
                })
                .run(prompts, &mut |mut generated| {
                    Self::write_texts(tokenizer, &mut generated);
                    sink(generated)
                })
                .map_err(|e| EngineError::Device(e.to_string()))?;
        // What was too much once would be again.
        self.most_rows = (self.most_rows >> activity.halvings.min(63)).max(1);
        Ok(Activity { halvings: activity.halvings + halvings, ..activity })
    }

    /// Enlarges the cache to what `most_rows` of these trajectories can come to need, as far as memory allows.
    /// Returns how often the batch had to be halved for it.
    fn make_room(&mut self, prompts: &[Prompt], settings: &Settings) -> Result<u64, EngineError> {
        let (config, dtype) = (self.decoder.config().clone(), self.decoder.dtype());
        let device = self.decoder.device().clone();
        let wanted = scheduler::blocks_wanted(prompts, settings, &self.markers, self.most_rows, &config);
        let have = self.cache.total_blocks();
        let block_bytes = (BLOCK * config.kv_bytes_per_token(dtype.size_in_bytes())) as u64;
        let free = memory::usable(memory::free_bytes(&device)) / block_bytes.max(1);
        let mut blocks = wanted.min(have + free as usize);
        let fail = |e: candle_core::Error| EngineError::Device(e.to_string());
        let mut halvings = 0;
        while blocks > have {
            // The old cache goes first: both may not fit together.
            self.cache = Cache::new(&config, BLOCK, dtype, &device).map_err(fail)?;
            match Cache::new(&config, blocks * BLOCK, dtype, &device) {
                Ok(cache) => {
                    self.cache = cache;
                    break;
                }
                Err(error) if memory::is_out_of_memory(&error) && blocks > 1 => {
                    (blocks, halvings) = (blocks / 2, halvings + 1)
                }
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(halvings)
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
        self.sample_prompts(&prompts, settings, sink)
    }

    fn report_steps(&mut self, to: Sender<Step>) {
        self.steps = Some(to);
    }

    fn prompt_tokens(&self, job: &Job) -> Result<usize, EngineError> {
        self.encode(job, true).map(|ids| ids.len())
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
        forced: ids(card.forced_answer(None).map_or("", |forced| &forced.text))?,
        wait: ids(card.wait.as_ref().map_or("", |wait| &wait.value))?,
    })
}

/// Room for a full batch of the longest sequences, as far as [`CACHE_BYTES`] allow.
pub(crate) fn cache_tokens(config: &Config, most_rows: usize, dtype: DType) -> usize {
    let per_token = config.kv_bytes_per_token(dtype.size_in_bytes());
    let one = config.context.min(MOST_CACHE_BYTES / per_token);
    (CACHE_BYTES / per_token).min((most_rows + 1) * config.context).max(one)
}

/// Lower-case hexadecimal sha256 of a file.
fn file_sha256(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}
