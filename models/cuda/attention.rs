//! Attention's kernels: keys and values are placed in the cache, items of the plan attended to, partial sums merged.

use candle_core::{DType, Result};

use super::gpu::{Arg, Blocks};
use super::inputs::{Placed, PlanAddresses, PlanSizes};
use super::network::{Buffers, LayerWeights, Network, at, or_none};
use crate::cache::Pool;

/// Heads for which there are tiles.
const TILED_HEADS: [usize; 5] = [64, 80, 96, 128, 256];
/// Most query rows of a tile.
const LARGEST_TILE: usize = 64;

impl Network {
    pub(super) fn attention(
        &self,
        layer: &LayerWeights,
        pool: &Pool,
        placed: &Placed,
        b: &Buffers,
    ) -> Result<()> {
        self.place(layer, pool, placed, b)?;
        let plan = self.windows().iter().position(|window| *window == layer.kind.window).unwrap_or(0);
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
