//! One decoder layer: attention, then the feed-forward block, each added to what came in.

use candle_core::{Result, Tensor};
use candle_nn::ops::rms_norm;

use crate::attention::{Heads, Span, attend};
use crate::cache::Pool;
use crate::config::{Config, LayerKind};
use crate::elementwise::{add, gated};
use crate::linear::Linear;
use crate::load::LoadError;
use crate::rope::Angles;
use crate::weights::Weights;

/// A layer's weights.
pub(super) struct Layer {
    pub(super) kind: LayerKind,
    pub(super) attention_norm: Tensor,
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) o: Linear,
    pub(super) qk_norm: Option<(Tensor, Tensor)>,
    /// Behind attention (Gemma).
    pub(super) attention_out_norm: Option<Tensor>,
    pub(super) mlp_norm: Tensor,
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
    /// Behind the feed-forward block (Gemma).
    pub(super) mlp_out_norm: Option<Tensor>,
}

/// What the layers of one step share.
pub(super) struct Batch<'a> {
    /// Of each of the configuration's rotations.
    pub(super) angles: &'a [Angles],
    /// Where the cache keeps each token.
    pub(super) slots: &'a [u32],
    /// Which tokens belong together.
    pub(super) spans: &'a [Span],
}

type Loaded<T> = std::result::Result<T, LoadError>;

/// Where a layer's weights are.
struct Shelf<'a> {
    config: &'a Config,
    weights: &'a Weights,
    layer: usize,
}

impl Shelf<'_> {
    fn name(&self, name: &str) -> String {
        format!("model.layers.{}.{name}", self.layer)
    }

    fn norm(&self, name: &str, width: usize) -> Loaded<Tensor> {
        norm(self.config, self.weights, &self.name(&format!("{name}.weight")), width)
    }

    fn linear(&self, name: &str, out: usize, input: usize, bias: bool) -> Loaded<Linear> {
        let name = self.name(name);
        let weight = self.weights.matrix(&format!("{name}.weight"), [out, input])?;
        let bias = if bias { Some(self.weights.tensor(&format!("{name}.bias"), &[out])?) } else { None };
        Ok(Linear::new(weight, bias))
    }

    /// Projections that a checkpoint may keep in one matrix: row after row of each. They are separate here, so
    /// that storage makes no difference to the calculation.
    fn linears<const N: usize>(
        &self,
        names: [&str; N],
        fused: &str,
        outs: [usize; N],
        input: usize,
        bias: bool,
    ) -> Loaded<[Linear; N]> {
        let mut loaded = Vec::with_capacity(N);
        let mut from = 0;
        for (name, out) in names.into_iter().zip(outs) {
            loaded.push(if self.config.fused {
                let shape = [outs.iter().sum(), input];
                let name = self.name(&format!("{fused}.weight"));
                let rows = self.weights.rows(&name, shape, from..from + out)?;
                Linear::new(rows, None)
            } else {
                self.linear(name, out, input, bias)?
            });
            from += out;
        }
        Ok(loaded.try_into().unwrap_or_else(|_| unreachable!("one for each name")))
    }
}

/// A norm's weight. Gemma's is what must be added to one.
pub(super) fn norm(c: &Config, weights: &Weights, name: &str, width: usize) -> Loaded<Tensor> {
    let weight = weights.tensor(name, &[width])?;
    match c.gemma {
        None => Ok(weight),
        Some(_) => (weight + 1.0).map_err(|e| LoadError::other(&e)),
    }
}

impl Layer {
    pub(super) fn load(c: &Config, kind: LayerKind, weights: &Weights, layer: usize) -> Loaded<Self> {
        let shelf = Shelf { config: c, weights, layer };
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
        let qkv = shelf.linears(names, "self_attn.qkv_proj", [q, kv, kv], c.width, c.bias.qkv)?;
        let (names, outs) = (["mlp.gate_proj", "mlp.up_proj"], [c.feed_forward; 2]);
        let gate_up = shelf.linears(names, "mlp.gate_up_proj", outs, c.width, c.bias.mlp)?;
        let when = |wanted: bool, name: &str, width: usize| {
            if wanted { shelf.norm(name, width).map(Some) } else { Ok(None) }
        };
        let (q_norm, k_norm) = (
            when(c.qk_norm, "self_attn.q_norm", c.head_dim)?,
            when(c.qk_norm, "self_attn.k_norm", c.head_dim)?,
        );
        let gemma = c.gemma.is_some();
        let mlp_norm = if gemma { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let ([q_proj, k_proj, v_proj], [gate, up]) = (qkv, gate_up);
        Ok(Self {
            kind,
            attention_norm: shelf.norm("input_layernorm", c.width)?,
            q: q_proj,
            k: k_proj,
            v: v_proj,
            o: shelf.linear("self_attn.o_proj", c.width, q, c.bias.output)?,
            qk_norm: q_norm.zip(k_norm),
            attention_out_norm: when(gemma, "post_attention_layernorm", c.width)?,
            mlp_norm: shelf.norm(mlp_norm, c.width)?,
            gate,
            up,
            down: shelf.linear("mlp.down_proj", c.width, c.feed_forward, c.bias.mlp)?,
            mlp_out_norm: when(gemma, "post_feedforward_layernorm", c.width)?,
        })
    }

    /// All its matrices.
    pub(super) fn matrices(&self) -> [&Linear; 7] {
        [&self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down]
    }

    /// `[tokens, width]` to the same.
    pub(super) fn forward(&self, x: &Tensor, c: &Config, cached: &Pool, batch: &Batch) -> Result<Tensor> {
        let eps = c.norm_eps as f32;
        let behind = |norm: &Option<Tensor>, y: Tensor| match norm {
            None => Ok(y),
            Some(norm) => rms_norm(&y, norm, eps),
        };
        let h = rms_norm(x, &self.attention_norm, eps)?;
        let x = add(x, &behind(&self.attention_out_norm, self.attention(&h, c, cached, batch)?)?)?;
        let h = rms_norm(&x, &self.mlp_norm, eps)?;
        let [gate, up] = Linear::forward_all([&self.gate, &self.up], &h)?;
        let h = if c.gemma.is_some() { (gate.gelu()? * up)? } else { gated(&gate, &up)? };
        add(&x, &behind(&self.mlp_out_norm, self.down.forward(&h)?)?)
    }

    fn attention(&self, h: &Tensor, c: &Config, cached: &Pool, batch: &Batch) -> Result<Tensor> {
        let (tokens, eps) = (h.dim(0)?, c.norm_eps as f32);
        let [q, k, v] = Linear::forward_all([&self.q, &self.k, &self.v], h)?;
        let mut q = q.reshape((tokens, c.heads, c.head_dim))?;
        let mut k = k.reshape((tokens, c.kv_heads, c.head_dim))?;
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            q = rms_norm(&q.contiguous()?, q_norm, eps)?;
            k = rms_norm(&k.contiguous()?, k_norm, eps)?;
        }
        if let Some(rotation) = self.kind.rotation {
            (q, k) = (batch.angles[rotation].turn(&q)?, batch.angles[rotation].turn(&k)?);
        }
        cached.write(batch.slots, &k.flatten_from(1)?, &v)?;
        let scale = c.gemma.map_or(c.head_dim as f64, |gemma| gemma.query_scale).sqrt().recip() as f32;
        let (queries, kv, dim, window) = (c.heads, c.kv_heads, c.head_dim, self.kind.window);
        let heads = Heads { queries, kv, dim, scale, window };
        self.o.forward(&attend(&q.flatten_from(1)?, cached, heads, batch.spans)?)
    }
}
