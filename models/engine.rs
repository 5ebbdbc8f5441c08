//! The local engine: a checkpoint behind the [`Engine`] trait.
//!
//! Text goes in and comes out here; below this file there are only token ids.

use std::path::Path;
use std::sync::mpsc::Sender;

pub use candle_core::{DType, Device};
use isocost_harness::engine::{Activity, Engine, EngineError, Job, Settings, Sink};
use isocost_harness::step::Step;

use crate::cache::Cache;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::contention::Contention;
use crate::conversation::Conversation;
use crate::decoder::Decoder;
use crate::load::LoadError;
use crate::memory::{self, MemoryPlan};
use crate::overlap::overlapped;
use crate::scheduler::{self, Prompt, Scheduler};
use crate::source::Source;

/// Most memory that keys and values may take, unless one sequence of the longest kind needs more.
const CACHE_BYTES: usize = 256 << 20;
/// Most memory that keys and values may take at all: a file may claim any context.
const MOST_CACHE_BYTES: usize = 16 << 30;

/// A model on a device, ready to sample.
pub struct LocalEngine {
    decoder: Decoder,
    cache: Cache,
    conversation: Conversation,
    most_rows: usize,
    /// Who hears of every step.
    listeners: Vec<Sender<Step>>,
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
        Self::new(Checkpoint::open(source, dtype, device)?, device, most_rows)
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
        let (free_bytes, dtype) = (memory::free_bytes(device), weights.dtype()?);
        let activations = if device.is_cpu() { DType::F32 } else { dtype };
        Ok(MemoryPlan::new(config, weights.bytes()?, (dtype, activations), free_bytes, batch))
    }

    /// Loads a model that was opened for `device` onto it.
    ///
    /// # Errors
    /// As [`LocalEngine::load`].
    pub fn new(checkpoint: Checkpoint, device: &Device, most_rows: usize) -> Result<Self, LoadError> {
        let Checkpoint { config, weights, conversation } = checkpoint;
        let decoder = Decoder::load(config, &weights)?;
        let tokens = cache_tokens(decoder.config(), most_rows, decoder.dtype());
        let cache = Cache::new(decoder.config(), tokens, decoder.dtype(), device);
        let cache = cache.map_err(|e| LoadError::other(&e))?;
        Ok(Self { decoder, cache, conversation, most_rows, listeners: Vec::new() })
    }

    /// Loads a model folder or `.gguf` file onto the CPU in the type its weights are stored in.
    ///
    /// # Errors
    /// As [`LocalEngine::load`].
    pub fn load_on_cpu(path: &Path, most_rows: usize) -> Result<Self, LoadError> {
        Self::load(&Source::at(path), &Device::Cpu, None, most_rows)
    }

    /// How the layers' weights are stored: `f32`, `bf16`, `q4k+q6k`.
    pub fn stored_as(&self) -> String {
        self.decoder.stored_as()
    }

    /// How the model is spoken to.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The decoder's sizes.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    /// The decoder and its cache, for calibration.
    pub fn bench(&mut self) -> (&Decoder, &mut Cache) {
        (&self.decoder, &mut self.cache)
    }

    /// Samples all trajectories of prompts that are tokens already, and writes their texts.
    pub(crate) fn sample_prompts(
        &mut self,
        prompts: &[Prompt],
        settings: &Settings,
        sink: &mut Sink,
    ) -> Result<Activity, EngineError> {
        let halvings = self.make_room(prompts, settings)?;
        let watch = Contention::start();
        let Self { decoder, cache, conversation, most_rows, listeners } = self;
        let activity = overlapped(
            |give, enough| {
                // Nobody listening any more is no reason to stop.
                let mut report = |step| listeners.retain(|to| to.send(step).is_ok());
                decoder.awake(|| {
                    Scheduler::new(decoder, cache, conversation.markers(), settings, *most_rows)
                        .observed(&mut report)
                        .until(enough)
                        .run(prompts, give)
                })
            },
            |mut generated| {
                conversation.write_texts(&mut generated);
                sink(generated)
            },
        )
        .map_err(|e| EngineError::Device(e.to_string()))?;
        // What was too much once would be again.
        self.most_rows = (self.most_rows >> activity.halvings.min(63)).max(1);
        let others_s = watch.share().map(|share| share * activity.wall_s);
        Ok(Activity { halvings: activity.halvings + halvings, others_s, ..activity })
    }

    /// Enlarges the cache to what `most_rows` of these trajectories can come to need, as far as memory allows.
    /// Returns how often the batch had to be halved for it.
    fn make_room(&mut self, prompts: &[Prompt], settings: &Settings) -> Result<u64, EngineError> {
        let (markers, config) = (self.conversation.markers(), self.decoder.config());
        let wanted = scheduler::blocks_wanted(prompts, settings, markers, self.most_rows, config);
        memory::enlarge(&mut self.cache, wanted, &self.decoder)
            .map_err(|error| EngineError::Device(error.to_string()))
    }
}

impl Engine for LocalEngine {
    fn sample(
        &mut self,
        jobs: &[Job],
        settings: &Settings,
        sink: &mut Sink,
    ) -> Result<Activity, EngineError> {
        let prompts = self.conversation.prompts(jobs, settings)?;
        self.sample_prompts(&prompts, settings, sink)
    }

    fn report_steps(&mut self, to: Sender<Step>) {
        self.listeners.push(to);
    }

    fn prompt_tokens(&self, job: &Job) -> Result<usize, EngineError> {
        self.conversation.encode(job, true).map(|ids| ids.len())
    }
}

/// Room for a full batch of the longest sequences, as far as [`CACHE_BYTES`] allow.
fn cache_tokens(config: &Config, most_rows: usize, dtype: DType) -> usize {
    let per_token = config.kv_bytes_per_token(dtype.size_in_bytes());
    let one = config.context.min(MOST_CACHE_BYTES / per_token);
    (CACHE_BYTES / per_token).min(most_rows.saturating_add(1).saturating_mul(config.context)).max(one)
}
