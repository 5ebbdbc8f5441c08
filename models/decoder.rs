//! The decoder: token ids in, logits out. One implementation for all families.
//!
//! A step feeds any number of new tokens of any number of sequences, each with a length of its own.
//! Everything but attention looks at tokens one by one, so a batch is a flat list of tokens
//! (`[tokens, width]`); only [`crate::attention`] knows which tokens belong together. What sets a family apart is
//! read from [`Config`]; its weights are in [`layer`].

#[cfg(feature = "cuda")]
mod joined;
mod layer;

use std::collections::BTreeSet;
use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};
use isocost_harness::engine::Sampling;
use isocost_harness::roofline::Traffic;

use crate::attention::Span;
use crate::awake::awake;
use crate::cache::{Cache, Sequence};
use crate::config::Config;
use crate::linear::Linear;
use crate::load::LoadError;
use crate::matrix::Matrix;
use crate::rope::Rope;
use crate::sampler::{self, Drawn, Place};
use crate::weights::Weights;
use layer::{Batch, Layer};

/// Weights on a device.
pub struct Decoder {
    config: Config,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Linear,
    ropes: Vec<Rope>,
    dtype: DType,
    /// On the CPU, with weights that its caches hold: reading them twice costs nothing.
    is_small: bool,
    /// The same weights for the kernels of this project, if these can do it.
    #[cfg(feature = "cuda")]
    network: Option<crate::cuda::Network>,
}

/// Bytes of weights that a processor's caches hold.
const SMALL_BYTES: u64 = 16 << 20;

/// By its shape: random weights have no size of their own.
fn is_small(config: &Config, dtype: DType) -> bool {
    let shape = config.shape();
    let numbers = shape.layer_parameters() + shape.head_parameters();
    numbers * dtype.size_in_bytes() as u64 <= SMALL_BYTES
}

/// New tokens of one sequence; their logits are wanted after the last one.
pub struct Feed<'a> {
    /// The sequence; it grows by the tokens.
    pub sequence: &'a mut Sequence,
    /// At least one token.
    pub tokens: &'a [u32],
}

/// What the scheduler needs of a decoder.
pub trait Forward {
    /// Sizes and variations.
    fn config(&self) -> &Config;

    /// One forward pass, and a token at each place, whose row is a feed's: it comes after the feed's last token. Places are in
    /// the order of their rows.
    ///
    /// # Errors
    /// If the cache is full, a position is outside the context, the device fails, or logits are no numbers. The sequences may
    /// have grown.
    fn draw(
        &self,
        cache: &mut Cache,
        feeds: &mut [Feed],
        places: &[Place],
        sampling: &Sampling,
    ) -> Result<Vec<Drawn>>;
}

impl Forward for Decoder {
    fn config(&self) -> &Config {
        self.config()
    }

    fn draw(
        &self,
        cache: &mut Cache,
        feeds: &mut [Feed],
        places: &[Place],
        sampling: &Sampling,
    ) -> Result<Vec<Drawn>> {
        let draw = |logits: Tensor, rows: Range<usize>| {
            sampler::draw_rows(&logits, &sampler::places_of(places, rows), sampling)
        };
        Ok(self.forward(cache, feeds, &draw)?.concat())
    }
}

/// The tokens of a step, one sequence after another.
#[derive(Default)]
struct Tokens {
    ids: Vec<u32>,
    slots: Vec<u32>,
    spans: Vec<Span>,
    /// Number of the first sequence.
    first: usize,
}

impl Tokens {
    /// Numbers of the sequences.
    fn rows(&self) -> Range<usize> {
        self.first..self.first + self.spans.len()
    }

    /// The place of each span's last token.
    fn ends(&self) -> Vec<u32> {
        let ends = self.spans.iter().scan(0, |end, span| {
            *end += span.len as u32;
            Some(*end - 1)
        });
        ends.collect()
    }

    /// Cut between two of at least two sequences, near the middle.
    fn halves(mut self) -> (Self, Self) {
        let (mut spans, mut tokens) = (0, 0);
        while spans + 1 < self.spans.len() && 2 * tokens < self.ids.len() {
            tokens += self.spans[spans].len;
            spans += 1;
        }
        let right = Self {
            ids: self.ids.split_off(tokens),
            slots: self.slots.split_off(tokens),
            spans: self.spans.split_off(spans),
            first: self.first + spans,
        };
        (self, right)
    }
}

impl Decoder {
    /// Loads the weights of a family onto their device.
    ///
    /// # Errors
    /// [`LoadError`] if a weight is missing, shaped otherwise than `config` says, or left over.
    pub fn load(config: Config, weights: &Weights) -> std::result::Result<Self, LoadError> {
        let c = &config;
        let embedding = weights.matrix("model.embed_tokens.weight", [c.vocab, c.width])?;
        let head =
            if c.tied { embedding.clone() } else { weights.matrix("lm_head.weight", [c.vocab, c.width])? };
        #[cfg_attr(not(feature = "cuda"), expect(unused_mut))]
        let mut layers = c
            .layers
            .iter()
            .enumerate()
            .map(|(i, kind)| Layer::load(c, *kind, weights, i))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let norm = layer::norm(c, weights, "model.norm.weight", c.width)?;
        weights.check_all_asked(c.tied)?;
        let device = embedding.device();
        let ropes = c.rotations.iter().map(|rotation| Rope::new(rotation, &device)).collect();
        let dtype = weights.dtype()?;
        let head = Linear::new(head, None);
        let is_small = device.is_cpu() && is_small(&config, dtype);
        #[cfg(feature = "cuda")]
        let network = joined::network(&config, dtype, &embedding, &mut layers, &norm, &head)
            .map_err(|e| LoadError::other(&e))?;
        Ok(Self {
            embedding,
            layers,
            norm,
            head,
            ropes,
            dtype,
            config,
            is_small,
            #[cfg(feature = "cuda")]
            network,
        })
    }

    /// The same decoder with the library's operations alone, which is slow on a GPU and what kernels are tested against.
    #[must_use]
    pub fn with_plain_operations(self) -> Self {
        #[cfg(feature = "cuda")]
        let this = Self { network: None, ..self };
        #[cfg(not(feature = "cuda"))]
        let this = self;
        this
    }

    /// Sizes and variations.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The type of the cache, and of activations but on the CPU, where they are `f32`.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Bytes that a step must move: all weights but the embedding's, of which it reads its tokens' rows, and keys and values.
    pub fn traffic(&self) -> Traffic {
        let matrices = self.layers.iter().flat_map(Layer::matrices).chain([&self.head]);
        Traffic {
            weights_bytes: matrices.map(Linear::bytes).sum(),
            kv_bytes_per_token: self.config.kv_bytes_per_token(self.dtype.size_in_bytes()) as u64,
        }
    }

    /// How the weights of the layers are stored, each kind once: `bf16`, `q4k+q6k`.
    pub fn stored_as(&self) -> String {
        let kinds: BTreeSet<String> =
            self.layers.iter().flat_map(Layer::matrices).map(Linear::stored_as).collect();
        kinds.into_iter().collect::<Vec<_>>().join("+")
    }

    /// Some matrix of a layer.
    pub(crate) fn a_matrix(&self) -> &Matrix {
        self.layers.first().map_or(&self.embedding, |layer| layer.matrices()[0].weight())
    }

    /// The type of what goes from layer to layer.
    pub(crate) fn activations(&self) -> DType {
        if self.device().is_cpu() { DType::F32 } else { self.dtype }
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.norm.device()
    }

    /// One forward pass. Returns `[feeds, vocab]` logits in `f32`, after each feed's last token.
    ///
    /// # Errors
    /// If the cache is full, a token is not in the vocabulary, or the device fails.
    pub fn step(&self, cache: &mut Cache, feeds: &mut [Feed]) -> Result<Tensor> {
        Tensor::cat(&self.forward(cache, feeds, &|logits, _| Ok(logits))?, 0)
    }

    /// One forward pass, and what is made of the logits after each feed's last token, `[feeds, vocab]` in `f32`: of all of them, or of
    /// parts, each by the thread that calculated it.
    fn forward<T: Send>(
        &self,
        cache: &mut Cache,
        feeds: &mut [Feed],
        make: &(impl Fn(Tensor, Range<usize>) -> Result<T> + Sync),
    ) -> Result<Vec<T>> {
        let tokens = self.place(cache, feeds)?;
        #[cfg(feature = "cuda")]
        if let Some(network) = &self.network {
            let logits = network.logits(cache, &tokens.ids, &tokens.slots, &tokens.spans)?;
            return Ok(vec![make(logits, tokens.rows())?]);
        }
        let cache = &*cache;
        let make = |part: Tokens| make(self.last_logits(cache, &part)?, part.rows());
        if !self.device().is_cpu() {
            return Ok(vec![make(tokens)?]);
        }
        let threads = if self.is_small { rayon::current_num_threads() } else { 1 };
        awake(|| in_parts(tokens, threads, &make))
    }

    /// Does what has many steps in it, on whatever thread; on the CPU others stay awake from one step to the next.
    pub(crate) fn awake<T: Send>(&self, steps: impl FnOnce() -> T + Send) -> T {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(device) = self.device() {
            // Should it fail, so will the first operation, which says why.
            let _ = device.cuda_stream().context().bind_to_thread();
        }
        // An only thread may be needed by whoever waits for what the steps give.
        let has_helpers = self.device().is_cpu() && rayon::current_num_threads() > 1;
        if has_helpers { awake(steps) } else { steps() }
    }

    /// `[spans, vocab]` logits after each span's last token.
    fn last_logits(&self, cache: &Cache, tokens: &Tokens) -> Result<Tensor> {
        let ends = Tensor::new(tokens.ends(), self.device())?;
        let hidden = self.hidden(cache, tokens)?.index_select(&ends, 0)?;
        self.head.forward(&hidden)?.to_dtype(DType::F32)
    }

    /// One forward pass. Returns `[tokens, vocab]` logits in `f32`, after every token of every feed.
    ///
    /// # Errors
    /// As [`Decoder::step`].
    pub fn step_with_all_logits(&self, cache: &mut Cache, feeds: &mut [Feed]) -> Result<Tensor> {
        let tokens = self.place(cache, feeds)?;
        let hidden = self.hidden(cache, &tokens)?;
        let fed: usize = feeds.iter().map(|feed| feed.tokens.len()).sum();
        let recalculated = hidden.dim(0)? - fed;
        if recalculated > 0 {
            candle_core::bail!("{recalculated} tokens were calculated anew: feed this sequence by itself")
        }
        self.head.forward(&hidden)?.to_dtype(DType::F32)
    }

    /// Makes room for the feeds' tokens.
    fn place(&self, cache: &mut Cache, feeds: &mut [Feed]) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        for feed in feeds {
            let mut new = feed.tokens.to_vec();
            if self.must_start_anew(feed) {
                new = [feed.sequence.tokens(), feed.tokens].concat();
                cache.truncate(feed.sequence, 0)?;
            }
            let start = feed.sequence.len();
            tokens.slots.extend(cache.extend(feed.sequence, &new)?);
            tokens.spans.push(Span { blocks: feed.sequence.blocks().to_vec(), start, len: new.len() });
            tokens.ids.append(&mut new);
        }
        Ok(tokens)
    }

    /// LongRoPE turns every token of a sequence that outgrew the original context otherwise: what is cached
    /// of it was calculated for a shorter one, or for a longer one that was truncated since.
    fn must_start_anew(&self, feed: &Feed) -> bool {
        let Some(limit) = self.config.recalculates_at() else { return false };
        let was_long = feed.sequence.longest() > limit;
        let is_long = feed.sequence.len() + feed.tokens.len() > limit;
        !feed.sequence.is_empty() && was_long != is_long
    }

    /// `[tokens, width]` after the final norm.
    fn hidden(&self, cache: &Cache, tokens: &Tokens) -> Result<Tensor> {
        let ids = Tensor::new(tokens.ids.as_slice(), self.device())?;
        let angles = self.ropes.iter().map(|rope| rope.at(&tokens.spans, self.activations()));
        let angles = angles.collect::<Result<Vec<_>>>()?;
        let batch = Batch { angles: &angles, slots: &tokens.slots, spans: &tokens.spans };
        let mut x = self.embedding.rows(&ids)?.to_dtype(self.activations())?;
        if self.config.gemma.is_some() {
            x = (x * (self.config.width as f64).sqrt())?;
        }
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &self.config, cache.layer(i), &batch)?;
        }
        candle_nn::ops::rms_norm(&x, &self.norm, self.config.norm_eps as f32)
    }
}

/// Does something with each part of the tokens, by a thread of its own: a small model's operations are too short to be shared. A token's
/// result does not depend on its batch, so parts change nothing.
fn in_parts<T: Send>(
    tokens: Tokens,
    threads: usize,
    make: &(impl Fn(Tokens) -> Result<T> + Sync),
) -> Result<Vec<T>> {
    if threads < 2 || tokens.spans.len() < 2 {
        return Ok(vec![make(tokens)?]);
    }
    let (left, right) = tokens.halves();
    let (left, right) =
        rayon::join(|| in_parts(left, threads / 2, make), || in_parts(right, threads - threads / 2, make));
    let mut all = left?;
    all.append(&mut right?);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_small_if_its_numbers_fit_a_cache_whatever_its_weights_are() {
        let folder = crate::bundled::folder("bundled:reason-l").unwrap();
        let config = Config::read(&folder.join("config.json")).unwrap();
        assert!(is_small(&config, DType::F32));
        let large = Config { width: 1024, feed_forward: 3072, ..config };
        assert!(!is_small(&large, DType::BF16));
    }
}
