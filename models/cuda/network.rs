//! The decoder's calculation as a sequence of kernels.

use std::sync::Mutex;

use candle_core::{DType, Device, Result, Tensor};

use super::gpu::{Arg, Blocks, Gpu, address};
use super::graph::Graphs;
use super::inputs::{Inputs, Placed, Sizes};
use super::plan::{Layout, Plan};
use super::product::Finish;
use crate::attention::Span;
use crate::cache::Cache;
use crate::config::{Config, LayerKind};
use crate::rope::Rotation;

/// Widest head that the kernels know.
const WIDEST_HEAD: usize = 256;
/// A layer's weights as the kernels take them: what is multiplied with the same numbers is one matrix.
pub(crate) struct LayerWeights {
    /// How it turns and what it sees.
    pub(crate) kind: LayerKind,
    pub(crate) attention_norm: Tensor,
    /// Query, key and value projections, `[(heads + 2 kv_heads) * head_dim, width]`.
    pub(crate) qkv: Tensor,
    pub(crate) qkv_bias: Option<Tensor>,
    pub(crate) qk_norm: Option<(Tensor, Tensor)>,
    pub(crate) o: Tensor,
    pub(crate) attention_out_norm: Option<Tensor>,
    pub(crate) mlp_norm: Tensor,
    /// `[2 feed_forward, width]`.
    pub(crate) gate_up: Tensor,
    pub(crate) down: Tensor,
    pub(crate) mlp_out_norm: Option<Tensor>,
}

/// Everything but the configuration.
pub(crate) struct Parts {
    pub(crate) embedding: Tensor,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) norm: Tensor,
    pub(crate) head: Tensor,
}

/// How queries and keys are turned.
pub(super) struct Turn {
    /// Radians a position, `[2][dims / 2]`: of short sequences and of long ones.
    pub(super) frequencies: Tensor,
    pub(super) dims: usize,
    pub(super) magnitude: f32,
}

/// A decoder on a GPU.
pub(crate) struct Network {
    pub(super) gpu: Gpu,
    pub(super) config: Config,
    pub(super) dtype: DType,
    parts: Parts,
    pub(super) turns: Vec<Turn>,
    /// What the layers see; each its own plan.
    windows: Vec<Option<usize>>,
    graphs: Mutex<Graphs>,
}

/// Where the calculation happens.
pub(super) struct Buffers {
    pub(super) tokens: usize,
    /// The residual stream.
    x: Tensor,
    h: Tensor,
    pub(super) qkv: Tensor,
    pub(super) attended: Tensor,
    y: Tensor,
    gate_up: Tensor,
    gated: Tensor,
    last: Tensor,
    /// `[rows, vocab]` in `f32`.
    pub(super) logits: Tensor,
    pub(super) partials: Tensor,
    pub(super) scales: Tensor,
}

/// `y` is not yet added to the residual stream, behind a norm if it has one.
#[derive(Clone, Copy)]
struct Owed<'a> {
    behind: Option<&'a Tensor>,
}

pub(super) fn or_none(tensor: Option<&Tensor>) -> Result<Arg> {
    tensor.map_or(Ok(Arg::At(0)), |tensor| address(tensor).map(Arg::At))
}

pub(super) fn at(tensor: &Tensor) -> Result<Arg> {
    address(tensor).map(Arg::At)
}

impl Network {
    /// Whether the kernels can do what a configuration asks for.
    pub(crate) fn fits(config: &Config, dtype: DType) -> bool {
        let is_known = matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
        is_known && config.head_dim <= WIDEST_HEAD && !config.bias.output && !config.bias.mlp
    }

    pub(crate) fn new(config: &Config, dtype: DType, device: &Device, parts: Parts) -> Result<Self> {
        let mut windows: Vec<Option<usize>> = config.layers.iter().map(|layer| layer.window).collect();
        windows.sort_unstable();
        windows.dedup();
        let turns = config.rotations.iter().map(|rotation| Turn::new(rotation, device));
        Ok(Self {
            gpu: Gpu::new(device)?,
            config: config.clone(),
            dtype,
            parts,
            turns: turns.collect::<Result<_>>()?,
            windows,
            graphs: Mutex::default(),
        })
    }

    /// One forward pass: `[spans, vocab]` logits in `f32` after each span's last token. They are valid until the next.
    pub(crate) fn logits(&self, cache: &Cache, ids: &[u32], slots: &[u32], spans: &[Span]) -> Result<Tensor> {
        let layouts = self.windows.iter().map(|window| self.layout(*window));
        let plans: Vec<Plan> = layouts.map(|layout| Plan::new(spans, &layout)).collect();
        let far_beyond = self.config.recalculates_at().unwrap_or(usize::MAX);
        let inputs = Inputs { ids, slots, spans, plans: &plans, far_beyond };
        if spans.iter().all(|span| span.len == 1) {
            let mut graphs = self.graphs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            return graphs.run(self, cache, &inputs);
        }
        let mut placed = Placed::new(&self.gpu, Sizes::of(&inputs))?;
        placed.fill(&self.gpu, &inputs)?;
        let buffers = self.buffers(&placed.sizes)?;
        self.run(cache, &placed, &buffers)?;
        Ok(buffers.logits)
    }

    /// What a plan for layers with this window depends on.
    pub(super) fn layout(&self, window: Option<usize>) -> Layout {
        let Config { heads, kv_heads, .. } = self.config;
        Layout { group: heads / kv_heads, kv: kv_heads, window, processors: self.gpu.processors }
    }

    pub(super) fn windows(&self) -> &[Option<usize>] {
        &self.windows
    }

    pub(super) fn buffers(&self, sizes: &Sizes) -> Result<Buffers> {
        let c = &self.config;
        let (tokens, rows) = (sizes.tokens, sizes.rows);
        let tensor = |rows: usize, width: usize| self.gpu.empty((rows, width), self.dtype);
        let (heads, all) = (c.heads * c.head_dim, (c.heads + 2 * c.kv_heads) * c.head_dim);
        let partials = sizes.plans.iter().map(|plan| plan.slots).max().unwrap_or(0);
        Ok(Buffers {
            tokens,
            x: tensor(tokens, c.width)?,
            h: tensor(tokens, c.width)?,
            qkv: tensor(tokens, all)?,
            attended: tensor(tokens, heads)?,
            y: tensor(tokens, c.width)?,
            gate_up: tensor(tokens, 2 * c.feed_forward)?,
            gated: tensor(tokens, c.feed_forward)?,
            last: tensor(rows, c.width)?,
            logits: self.gpu.empty((rows, c.vocab), DType::F32)?,
            partials: self.gpu.empty((partials, heads), DType::F32)?,
            scales: self.gpu.empty((partials, 2 * c.heads), DType::F32)?,
        })
    }

    /// Starts all kernels of a step; nothing is allocated, copied or waited for.
    pub(super) fn run(&self, cache: &Cache, placed: &Placed, b: &Buffers) -> Result<()> {
        let (c, tokens, rows) = (&self.config, placed.sizes.tokens, placed.sizes.rows);
        let scale = if c.gemma.is_some() { (c.width as f32).sqrt() } else { 1.0 };
        self.gather(&self.parts.embedding, placed.addresses.ids, &b.x, (tokens, c.width), scale)?;
        let mut owed = None;
        for (i, layer) in self.parts.layers.iter().enumerate() {
            self.normed_product(&layer.attention_norm, &layer.qkv, b, (&b.qkv, Finish::Store), owed)?;
            self.attention(layer, cache.layer(i), placed, b)?;
            owed = self.residual(&layer.o, &b.attended, layer.attention_out_norm.as_ref(), b)?;
            self.normed_product(&layer.mlp_norm, &layer.gate_up, b, (&b.gated, self.gating()), owed)?;
            owed = self.residual(&layer.down, &b.gated, layer.mlp_out_norm.as_ref(), b)?;
        }
        self.add_norm(b, owed, &self.parts.norm)?;
        // Of sequences with one token each, that one is the last.
        if rows == tokens {
            return self.gpu.product(&self.parts.head, &b.h, &b.logits, rows);
        }
        self.gather(&b.h, placed.addresses.ends, &b.last, (rows, c.width), 1.0)?;
        self.gpu.product(&self.parts.head, &b.last, &b.logits, rows)
    }

    fn gating(&self) -> Finish {
        if self.config.gemma.is_some() { Finish::Gelu } else { Finish::Silu }
    }

    /// `weight` times the normed residual stream, to which what is owed is added first.
    fn normed_product(
        &self,
        norm: &Tensor,
        weight: &Tensor,
        b: &Buffers,
        (out, finish): (&Tensor, Finish),
        owed: Option<Owed>,
    ) -> Result<()> {
        let tokens = b.tokens;
        if owed.is_none() && Gpu::can_norm(weight, tokens) {
            let norm = (norm, self.config.norm_eps);
            return self.gpu.small_product(weight, (&b.x, Some(norm)), (out, finish), tokens);
        }
        self.add_norm(b, owed, norm)?;
        if finish == Finish::Store {
            return self.gpu.product(weight, &b.h, out, tokens);
        }
        if Gpu::is_small(weight, tokens) {
            return self.gpu.small_product(weight, (&b.h, None), (out, finish), tokens);
        }
        self.gpu.product(weight, &b.h, &b.gate_up, tokens)?;
        self.gate(b, finish)
    }

    /// Adds `weight` times `from` to the residual stream, behind a norm if it has one; or leaves it in `y`, and says so.
    fn residual<'a>(
        &self,
        weight: &Tensor,
        from: &Tensor,
        behind: Option<&'a Tensor>,
        b: &Buffers,
    ) -> Result<Option<Owed<'a>>> {
        if behind.is_none() && Gpu::is_small(weight, b.tokens) {
            self.gpu.small_product(weight, (from, None), (&b.x, Finish::Add), b.tokens)?;
            return Ok(None);
        }
        self.gpu.product(weight, from, &b.y, b.tokens)?;
        Ok(Some(Owed { behind }))
    }

    pub(super) fn name(&self, kernel: &str) -> String {
        format!("{kernel}_{}", self.dtype.as_str())
    }

    fn gather(
        &self,
        table: &Tensor,
        ids: u64,
        out: &Tensor,
        shape: (usize, usize),
        scale: f32,
    ) -> Result<()> {
        let args = [at(table)?, Arg::At(ids), at(out)?, Arg::Number(shape.1 as u32), Arg::Real(scale)];
        self.gpu.launch(&self.name("gather"), Blocks::of([shape.0, 1], 256), &args)
    }

    /// Adds `y` to the residual stream if it is owed, and norms it.
    fn add_norm(&self, b: &Buffers, owed: Option<Owed>, norm: &Tensor) -> Result<()> {
        let args = [
            at(&b.x)?,
            or_none(owed.map(|_| &b.y))?,
            or_none(owed.and_then(|owed| owed.behind))?,
            at(norm)?,
            at(&b.h)?,
            Arg::Number(self.config.width as u32),
            Arg::Real(self.config.norm_eps as f32),
        ];
        let threads = self.config.width.div_ceil(4).next_multiple_of(32).clamp(32, 512);
        self.gpu.follow(&self.name("add_norm"), Blocks::of([b.tokens, 1], threads), &args)
    }

    fn gate(&self, b: &Buffers, finish: Finish) -> Result<()> {
        let inner = self.config.feed_forward;
        let is_gelu = u32::from(finish == Finish::Gelu);
        let args = [at(&b.gate_up)?, at(&b.gated)?, Arg::Number(inner as u32), Arg::Number(is_gelu)];
        self.gpu.follow(&self.name("gate"), Blocks::of([b.tokens, inner.div_ceil(256)], 256), &args)
    }
}

impl Turn {
    fn new(rotation: &Rotation, device: &Device) -> Result<Self> {
        let frequencies = [false, true].map(|far| rotation.scaling.frequencies(rotation, far)).concat();
        let magnitude = rotation.scaling.magnitude() as f32;
        Ok(Self { frequencies: Tensor::new(frequencies, device)?, dims: rotation.dims, magnitude })
    }
}
