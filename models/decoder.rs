//! The decoder: token ids in, logits out. One implementation for all families.
//!
//! A step feeds any number of new tokens of any number of sequences, each with a length of its own.
//! Everything but attention looks at tokens one by one, so a batch is a flat list of tokens
//! (`[tokens, width]`); only [`crate::attention`] knows which tokens belong together.

use candle_core::{D, DType, Device, Result, Tensor};

use crate::attention::{Heads, Span, attend};
use crate::cache::{Cache, Sequence, write_rows};
use crate::config::Config;
use crate::linear::Linear;
use crate::load::{LoadError, Weights};
use crate::rope::Rope;

/// Weights on a device.
pub struct Decoder {
    config: Config,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Linear,
    rope: Rope,
    dtype: DType,
}

struct Layer {
    attention_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    qk_norm: Option<(Tensor, Tensor)>,
    mlp_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
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

    /// One forward pass. Returns `[feeds, vocab]` logits in `f32`, after each feed's last token.
    ///
    /// # Errors
    /// If the cache is full, a position is outside the context, or the device fails. The sequences may have grown.
    fn step(&self, cache: &mut Cache, feeds: &mut [Feed]) -> Result<Tensor>;
}

impl Forward for Decoder {
    fn config(&self) -> &Config {
        self.config()
    }

    fn step(&self, cache: &mut Cache, feeds: &mut [Feed]) -> Result<Tensor> {
        self.step(cache, feeds)
    }
}

impl Decoder {
    /// Loads the weights of a family onto a device.
    ///
    /// # Errors
    /// [`LoadError`] if a weight is missing or shaped otherwise than `config` says.
    pub fn load(
        config: Config,
        weights: &Weights,
        dtype: DType,
        device: &Device,
    ) -> std::result::Result<Self, LoadError> {
        let c = &config;
        let embedding = weights.get("model.embed_tokens.weight", &[c.vocab, c.width])?;
        let head =
            if c.tied { embedding.clone() } else { weights.get("lm_head.weight", &[c.vocab, c.width])? };
        let layers =
            (0..c.layers).map(|i| Layer::load(c, weights, i)).collect::<std::result::Result<_, _>>()?;
        let norm = weights.get("model.norm.weight", &[c.width])?;
        let rope = Rope::new(c, device).map_err(|e| LoadError::malformed("config.json".as_ref(), &e))?;
        let head = Linear::new(head, None).map_err(|e| LoadError::other(&e))?;
        Ok(Self { embedding, layers, norm, head, rope, dtype, config })
    }

    /// Sizes and variations.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The type of weights and cache.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.embedding.device()
    }

    /// One forward pass. Returns `[feeds, vocab]` logits in `f32`, after each feed's last token.
    ///
    /// # Errors
    /// If the cache is full, a position is outside the context, or the device fails.
    pub fn step(&self, cache: &mut Cache, feeds: &mut [Feed]) -> Result<Tensor> {
        let (mut ids, mut positions, mut slots, mut spans, mut last) =
            (vec![], vec![], vec![], vec![], vec![]);
        for feed in feeds {
            let start = feed.sequence.len();
            slots.extend(cache.extend(feed.sequence, feed.tokens.len())?);
            ids.extend_from_slice(feed.tokens);
            positions.extend(start as u32..feed.sequence.len() as u32);
            spans.push(Span { blocks: feed.sequence.blocks().to_vec(), start, len: feed.tokens.len() });
            last.push(ids.len() as u32 - 1);
        }
        let hidden = self.hidden(cache, &ids, &positions, &slots, &spans)?;
        let last = hidden.index_select(&Tensor::new(last, self.device())?, 0)?;
        self.head.forward(&last)?.to_dtype(DType::F32)
    }

    /// `[tokens, width]` after the final norm.
    fn hidden(
        &self,
        cache: &Cache,
        ids: &[u32],
        positions: &[u32],
        slots: &[u32],
        spans: &[Span],
    ) -> Result<Tensor> {
        let ids = Tensor::new(ids, self.device())?;
        let (cos, sin) = self.rope.at(&Tensor::new(positions, self.device())?)?;
        let rotation = (cos.to_dtype(self.dtype)?, sin.to_dtype(self.dtype)?);
        let mut x = self.embedding.index_select(&ids, 0)?;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &self.config, &rotation, cache.layer(i), slots, spans)?;
        }
        candle_nn::ops::rms_norm(&x, &self.norm, self.config.norm_eps as f32)
    }
}

impl Layer {
    fn load(c: &Config, weights: &Weights, layer: usize) -> std::result::Result<Self, LoadError> {
        let get = |name: &str, shape: &[usize]| weights.get(&format!("model.layers.{layer}.{name}"), shape);
        let linear = |name: &str, out: usize, input: usize, bias: bool| {
            let weight = get(&format!("{name}.weight"), &[out, input])?;
            let bias = if bias { Some(get(&format!("{name}.bias"), &[out])?) } else { None };
            Linear::new(weight, bias).map_err(|e| LoadError::other(&e))
        };
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let qk_norm = if c.qk_norm {
            let norm = |name: &str| get(&format!("self_attn.{name}.weight"), &[c.head_dim]);
            Some((norm("q_norm")?, norm("k_norm")?))
        } else {
            None
        };
        Ok(Self {
            attention_norm: get("input_layernorm.weight", &[c.width])?,
            q: linear("self_attn.q_proj", q, c.width, c.qkv_bias)?,
            k: linear("self_attn.k_proj", kv, c.width, c.qkv_bias)?,
            v: linear("self_attn.v_proj", kv, c.width, c.qkv_bias)?,
            o: linear("self_attn.o_proj", c.width, q, false)?,
            qk_norm,
            mlp_norm: get("post_attention_layernorm.weight", &[c.width])?,
            gate: linear("mlp.gate_proj", c.feed_forward, c.width, false)?,
            up: linear("mlp.up_proj", c.feed_forward, c.width, false)?,
            down: linear("mlp.down_proj", c.width, c.feed_forward, false)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        c: &Config,
        rotation: &(Tensor, Tensor),
        (keys, values): &(Tensor, Tensor),
        slots: &[u32],
        spans: &[Span],
    ) -> Result<Tensor> {
        let eps = c.norm_eps as f32;
        let tokens = x.dim(0)?;
        let h = candle_nn::ops::rms_norm(x, &self.attention_norm, eps)?;
        let project =
            |linear: &Linear, heads: usize| linear.forward(&h)?.reshape((tokens, heads, c.head_dim));
        let (mut q, mut k) = (project(&self.q, c.heads)?, project(&self.k, c.kv_heads)?);
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            q = candle_nn::ops::rms_norm(&q.contiguous()?, q_norm, eps)?;
            k = candle_nn::ops::rms_norm(&k.contiguous()?, k_norm, eps)?;
        }
        write_rows(keys, slots, &rotate(&k, rotation)?)?;
        write_rows(values, slots, &project(&self.v, c.kv_heads)?.flatten_from(1)?)?;
        let heads = Heads { queries: c.heads, kv: c.kv_heads, dim: c.head_dim };
        let attended = attend(&rotate(&q, rotation)?, keys, values, heads, spans)?;
        let x = (x + self.o.forward(&attended)?)?;
        let h = candle_nn::ops::rms_norm(&x, &self.mlp_norm, eps)?;
        let h = (candle_nn::ops::silu(&self.gate.forward(&h)?)? * self.up.forward(&h)?)?;
        &x + self.down.forward(&h)?
    }
}

/// Rotates `[tokens, heads, head_dim]` and flattens it to `[tokens, heads * head_dim]`.
fn rotate(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
    candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?.contiguous()?, cos, sin)?
        .squeeze(0)?
        .flatten_from(D::Minus2)
}
