//! The decoder's calculation as a sequence of kernels.

use std::sync::Mutex;

use candle_core::{DType, Device, Result, Tensor};

use super::gpu::{Arg, Blocks, Gpu, address};
use super::graph::Graphs;
use super::inputs::{Inputs, Placed, PlanAddresses, PlanSizes, Sizes};
use super::plan::{Layout, Plan};
use super::product::Finish;
use crate::attention::Span;
use crate::cache::{Cache, Pool};
use crate::config::{Config, LayerKind};
use crate::rope::Rotation;

/// Widest head that the kernels know.
const WIDEST_HEAD: usize = 256;
/// Heads for which there are tiles.
const TILED_HEADS: [usize; 5] = [64, 80, 96, 128, 256];
/// Most query rows of a tile.
const LARGEST_TILE: usize = 64;

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
struct Turn {
    /// Radians a position, `[2][dims / 2]`: of short sequences and of long ones.
    frequencies: Tensor,
    dims: usize,
    magnitude: f32,
}

/// A decoder on a GPU.
pub(crate) struct Network {
    pub(super) gpu: Gpu,
    config: Config,
    dtype: DType,
    parts: Parts,
    turns: Vec<Turn>,
    /// What the layers see; each its own plan.
    windows: Vec<Option<usize>>,
    graphs: Mutex<Graphs>,
}

/// Where the calculation happens.
pub(super) struct Buffers {
    tokens: usize,
    /// The residual stream.
    x: Tensor,
    h: Tensor,
    qkv: Tensor,
    attended: Tensor,
    y: Tensor,
    gate_up: Tensor,
    gated: Tensor,
    last: Tensor,
    /// `[rows, vocab]` in `f32`.
    pub(super) logits: Tensor,
    partials: Tensor,
    scales: Tensor,
}

/// `y` is not yet added to the residual stream, behind a norm if it has one.
#[derive(Clone, Copy)]
struct Owed<'a> {
    behind: Option<&'a Tensor>,
}

fn or_none(tensor: Option<&Tensor>) -> Result<Arg> {
    tensor.map_or(Ok(Arg::At(0)), |tensor| address(tensor).map(Arg::At))
}

fn at(tensor: &Tensor) -> Result<Arg> {
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

    fn name(&self, kernel: &str) -> String {
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

    fn attention(&self, layer: &LayerWeights, pool: &Pool, placed: &Placed, b: &Buffers) -> Result<()> {
        self.place(layer, pool, placed, b)?;
        let plan = self.windows.iter().position(|window| *window == layer.kind.window).unwrap_or(0);
        let (sizes, plan) = (&placed.sizes.plans[plan], &placed.addresses.plans[plan]);
        for tile in 0..2 {
            self.attend(tile, layer, pool, (sizes, plan), placed.addresses.contexts, b)?;
        }
        if sizes.slots > 0 {
            let dim = Arg::Number(self.config.head_dim as u32);
            let (starts, slots) = (Arg::At(plan.starts), Arg::At(plan.slots));
            let args = [at(&b.partials)?, at(&b.scales)?, starts, slots, at(&b.attended)?, dim];
            let blocks = Blocks::of([b.tokens, self.config.heads], 128);
            self.gpu.follow(&self.name("merge"), blocks, &args)?;
        }
        Ok(())
    }

    fn place(&self, layer: &LayerWeights, pool: &Pool, placed: &Placed, b: &Buffers) -> Result<()> {
        let c = &self.config;
        let turn = layer.kind.rotation.map(|rotation| &self.turns[rotation]);
        let (q_norm, k_norm) = layer.qk_norm.as_ref().map_or((None, None), |(q, k)| (Some(q), Some(k)));
        let args = [
            at(&b.qkv)?,
            or_none(layer.qkv_bias.as_ref())?,
            or_none(q_norm)?,
            or_none(k_norm)?,
            or_none(turn.map(|turn| &turn.frequencies))?,
            Arg::At(placed.addresses.positions),
            Arg::At(placed.addresses.slots),
            at(pool.keys())?,
            at(pool.values())?,
            Arg::Number(c.heads as u32),
            Arg::Number(c.kv_heads as u32),
            Arg::Number(c.head_dim as u32),
            Arg::Number(turn.map_or(0, |turn| turn.dims) as u32),
            Arg::Real(turn.map_or(1.0, |turn| turn.magnitude)),
            Arg::Real(c.norm_eps as f32),
        ];
        let grid = [placed.sizes.tokens, (c.heads + 2 * c.kv_heads).div_ceil(4)];
        self.gpu.follow(&self.name("place"), Blocks::of(grid, 128), &args)
    }

    /// The items of the small (0) or the large tile (1).
    fn attend(
        &self,
        tile: usize,
        layer: &LayerWeights,
        pool: &Pool,
        (sizes, plan): (&PlanSizes, &PlanAddresses),
        contexts: u64,
        b: &Buffers,
    ) -> Result<()> {
        let c = &self.config;
        if sizes.items[tile] == 0 {
            return Ok(());
        }
        let scale = c.gemma.map_or(c.head_dim as f64, |gemma| gemma.query_scale).sqrt().recip();
        let mut args = vec![
            at(&b.qkv)?,
            Arg::Number(((c.heads + 2 * c.kv_heads) * c.head_dim) as u32),
            at(pool.keys())?,
            at(pool.values())?,
            Arg::At(plan.tokens),
            Arg::At(contexts),
            Arg::At(plan.tables),
            Arg::At(plan.items[tile]),
            Arg::At(plan.counts[tile]),
            at(&b.attended)?,
            at(&b.partials)?,
            at(&b.scales)?,
            Arg::Number(c.kv_heads as u32),
            Arg::Number((c.heads / c.kv_heads) as u32),
            // Kernels take powers of two.
            Arg::Real((scale * std::f64::consts::LOG2_E) as f32),
            Arg::Number(layer.kind.window.map_or(u32::MAX, |window| window as u32)),
        ];
        let shared_bytes = shared_bytes(tile, c.head_dim);
        let blocks = Blocks { grid: [sizes.items[tile], c.kv_heads], threads: 128, shared_bytes };
        if self.has_tiles(shared_bytes) {
            let rows = [16, LARGEST_TILE][tile];
            return self.gpu.follow(&self.name(&format!("attend_{rows}_{}", c.head_dim)), blocks, &args);
        }
        args.push(Arg::Number(c.head_dim as u32));
        self.gpu.follow(&self.name("attend_rows"), Blocks { shared_bytes: 0, ..blocks }, &args)
    }

    /// Whether tensor cores can do it.
    fn has_tiles(&self, shared_bytes: usize) -> bool {
        let c = &self.config;
        self.dtype != DType::F32
            && TILED_HEADS.contains(&c.head_dim)
            && c.heads / c.kv_heads <= LARGEST_TILE
            && shared_bytes <= self.gpu.most_shared_bytes
    }
}

/// Size of `Tile` in `attention.cu`: queries, two stages of 64 keys and values, and each part's maxima and weights.
fn shared_bytes(tile: usize, dim: usize) -> usize {
    let rows = [16, LARGEST_TILE][tile];
    let (queries, keys, values) = (rows * (dim + 8), 2 * 64 * dim, 2 * 64 * (dim + 8));
    2 * (queries + keys + values) + 2 * 4 * LARGEST_TILE
}

impl Turn {
    fn new(rotation: &Rotation, device: &Device) -> Result<Self> {
        let frequencies = [false, true].map(|far| rotation.scaling.frequencies(rotation, far)).concat();
        let magnitude = rotation.scaling.magnitude() as f32;
        Ok(Self { frequencies: Tensor::new(frequencies, device)?, dims: rotation.dims, magnitude })
    }
}
