//! Attention on the CPU: each token walks the blocks of its own sequence where they lie.
//!
//! A block's keys are kept `[dim][BLOCK]`, so the scores of its tokens are the lanes of one vector; its values are kept
//! token by token, so what they add to an output are lanes too. No lane is ever summed with another. The order of every sum
//! follows from positions alone: what a row gets does not depend on its batch.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};
use half::{bf16, f16, slice::HalfFloatSliceExt};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Heads, Span};
use crate::cache::BLOCK;
use crate::lanes::softmax;

/// Multiply-adds below which a task of its own costs more than it saves.
const WORTH_A_TASK: usize = 1 << 17;
/// The operation over queries, keys and values.
pub(super) struct Paged<'a> {
    pub(super) heads: Heads,
    pub(super) spans: &'a [Span],
}

impl CustomOp3 for Paged<'_> {
    fn name(&self) -> &'static str {
        "paged-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        keys: &CpuStorage,
        _: &Layout,
        values: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let q = &q.as_slice::<f32>()?[lq.start_offset()..];
        let out = match (keys, values) {
            (CpuStorage::F32(k), CpuStorage::F32(v)) => self.run(q, k, v),
            (CpuStorage::F16(k), CpuStorage::F16(v)) => self.run(q, k, v),
            (CpuStorage::BF16(k), CpuStorage::BF16(v)) => self.run(q, k, v),
            _ => candle_core::bail!("the cache must be f32, f16 or bf16"),
        };
        Ok((CpuStorage::F32(out), lq.shape().clone()))
    }
}

impl Paged<'_> {
    fn run<T: Stored>(&self, q: &[f32], keys: &[T], values: &[T]) -> Vec<f32> {
        let width = self.heads.queries * self.heads.dim;
        let places: Vec<(&Span, usize)> =
            self.spans.iter().flat_map(|span| (1..=span.len).map(move |i| (span, span.start + i))).collect();
        let mut out = vec![0f32; places.len() * width];
        let arch = Arch::new();
        let longest = places.iter().map(|(_, context)| *context).max().unwrap_or(1);
        let rows = out.par_chunks_exact_mut(width).zip(q.par_chunks_exact(width)).zip(&places);
        rows.with_min_len(WORTH_A_TASK.div_ceil(2 * width * longest)).for_each_init(
            Scratch::default,
            |scratch, ((out, q), (span, context))| {
                let row = Row { heads: self.heads, blocks: &span.blocks, context: *context };
                arch.dispatch(Attend { row, q, keys, values, scratch, out });
            },
        );
        out
    }
}

/// What a task uses over and over.
#[derive(Default)]
struct Scratch {
    /// For whole blocks: `[queries][tokens]`.
    scores: Vec<f32>,
    /// Keys or values of one block, in 32 bits.
    wide: Vec<f32>,
}

/// What one token sees.
#[derive(Clone, Copy)]
struct Row<'a> {
    heads: Heads,
    blocks: &'a [u32],
    /// The sequence's first so many tokens.
    context: usize,
}

/// One token's attention.
struct Attend<'a, T> {
    row: Row<'a>,
    q: &'a [f32],
    keys: &'a [T],
    values: &'a [T],
    scratch: &'a mut Scratch,
    /// Zeros.
    out: &'a mut [f32],
}

impl<T: Stored> WithSimd for Attend<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { row, q, keys, values, scratch: Scratch { scores, wide }, out } = self;
        let Row { heads: Heads { queries, kv, dim, scale, .. }, context, .. } = row;
        let (first, size, shared) = (row.heads.first_seen(context), kv * dim * BLOCK, queries / kv);
        let blocks = first / BLOCK..context.div_ceil(BLOCK);
        let (tokens, base) = (blocks.len() * BLOCK, blocks.start * BLOCK);
        scores.resize(queries * tokens, 0.0);
        for (i, block) in row.blocks[blocks.clone()].iter().enumerate() {
            let keys = T::widen(&keys[*block as usize * size..][..size], wide);
            for head in 0..queries {
                let keys = &keys[head / shared * dim * BLOCK..][..dim * BLOCK];
                let scores = &mut scores[head * tokens + i * BLOCK..][..BLOCK];
                score_block(simd, &q[head * dim..][..dim], keys, scores);
            }
        }
        for scores in scores.chunks_exact_mut(tokens) {
            softmax(&mut scores[first - base..context - base], scale);
        }
        for (i, block) in row.blocks[blocks].iter().enumerate() {
            let start = base + i * BLOCK;
            let seen = first.saturating_sub(start)..BLOCK.min(context - start);
            let values = &T::widen(&values[*block as usize * size..][..size], wide)[seen.start * kv * dim..];
            for head in 0..queries {
                let weights = &scores[head * tokens + i * BLOCK..][seen.clone()];
                let values = &values[head / shared * dim..];
                add_values(simd, &mut out[head * dim..][..dim], weights, values, kv * dim);
            }
        }
    }
}

/// Sums for one vector of scores, so that a multiply-add need not wait for the one before.
const CHAINS: usize = 4;

/// A query times the keys of a block, `[dim][BLOCK]`.
#[inline(always)]
fn score_block<S: Simd>(simd: S, q: &[f32], keys: &[f32], scores: &mut [f32]) {
    let (keys, _) = S::as_simd_f32s(keys);
    let (scores, _) = S::as_mut_simd_f32s(scores);
    let step = BLOCK / S::F32_LANES;
    for (v, score) in scores.iter_mut().enumerate() {
        let mut sums = [simd.splat_f32s(0.0); CHAINS];
        for (q, keys) in q.chunks(CHAINS).zip(keys.chunks(CHAINS * step)) {
            for c in 0..q.len() {
                sums[c] = simd.mul_add_f32s(simd.splat_f32s(q[c]), keys[c * step + v], sums[c]);
            }
        }
        *score = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
    }
}

/// Adds to `out` the rows of `values`, one every `stride` numbers, weighted with `weights`.
#[inline(always)]
fn add_values<S: Simd>(simd: S, out: &mut [f32], weights: &[f32], values: &[f32], stride: usize) {
    let dim = out.len();
    let (vectors, rest) = S::as_mut_simd_f32s(out);
    for (v, out) in vectors.iter_mut().enumerate() {
        let mut sum = *out;
        for (weight, values) in weights.iter().zip(values.chunks(stride)) {
            let (values, _) = S::as_simd_f32s(values);
            sum = simd.mul_add_f32s(simd.splat_f32s(*weight), values[v], sum);
        }
        *out = sum;
    }
    if !rest.is_empty() {
        let (from, width) = (dim - rest.len(), rest.len());
        let mut sum = simd.partial_load_f32s(rest);
        for (weight, values) in weights.iter().zip(values.chunks(stride)) {
            let values = simd.partial_load_f32s(&values[from..from + width]);
            sum = simd.mul_add_f32s(simd.splat_f32s(*weight), values, sum);
        }
        simd.partial_store_f32s(rest, sum);
    }
}

/// A type that the cache keeps numbers in.
trait Stored: Copy + Sync {
    /// The numbers in 32 bits, in `wide` if they must be converted.
    fn widen<'a>(stored: &'a [Self], wide: &'a mut Vec<f32>) -> &'a [f32];
}

impl Stored for f32 {
    #[inline(always)]
    fn widen<'a>(stored: &'a [Self], _: &'a mut Vec<f32>) -> &'a [f32] {
        stored
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn widen<'a>(stored: &'a [Self], wide: &'a mut Vec<f32>) -> &'a [f32] {
        wide.resize(stored.len(), 0.0);
        for (to, from) in wide.iter_mut().zip(stored) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
        wide
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn widen<'a>(stored: &'a [Self], wide: &'a mut Vec<f32>) -> &'a [f32] {
        wide.resize(stored.len(), 0.0);
        stored.convert_to_f32_slice(wide);
        wide
    }
}
