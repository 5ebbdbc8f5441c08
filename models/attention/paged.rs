//! Attention on the CPU: each token walks the blocks of its own sequence where they lie, one head of keys and values at
//! a time, with all query heads that share it.
//!
//! A block's keys are kept `[dim][BLOCK]`, so the scores of its tokens are the lanes of one vector; its values are kept
//! token by token, so what they add to an output are lanes too. No lane is ever summed with another. The order of every sum
//! follows from positions alone: what a row gets does not depend on its batch.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};
use half::{bf16, f16, slice::HalfFloatSliceExt};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Heads, Span};
use crate::cache::BLOCK;
use crate::lanes::softmax;
use crate::panel::{lanes_at, number_at, set_lanes_at};

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
        let Heads { queries, kv, dim, .. } = self.heads;
        let width = queries / kv * dim;
        let places: Vec<(&Span, usize)> =
            self.spans.iter().flat_map(|span| (1..=span.len).map(move |i| (span, span.start + i))).collect();
        let mut out = vec![0f32; places.len() * queries * dim];
        let arch = Arch::new();
        let longest = places.iter().map(|(_, context)| *context).max().unwrap_or(1);
        let heads = out.par_chunks_exact_mut(width).zip(q.par_chunks_exact(width)).enumerate();
        heads.with_min_len(WORTH_A_TASK.div_ceil(2 * width * longest)).for_each_init(
            Scratch::default,
            |scratch, (at, (out, q))| {
                let (span, context) = places[at / kv];
                let row = Row { heads: self.heads, head: at % kv, blocks: &span.blocks, context };
                arch.dispatch(Attend { row, q, keys, values, scratch, out });
            },
        );
        out
    }
}

/// What a task uses over and over.
#[derive(Default)]
struct Scratch {
    /// For whole blocks: `[shared][tokens]`.
    scores: Vec<f32>,
    /// A head's keys or values of one block, in 32 bits.
    wide: Vec<f32>,
}

/// What one token sees in a head of keys and values.
#[derive(Clone, Copy)]
struct Row<'a> {
    heads: Heads,
    head: usize,
    blocks: &'a [u32],
    /// The sequence's first so many tokens.
    context: usize,
}

/// One token's attention in the query heads that share keys and values.
struct Attend<'a, T> {
    row: Row<'a>,
    /// `[shared][dim]`, as `out`.
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
        let Row { heads: Heads { kv, dim, scale, .. }, head, context, .. } = row;
        let (first, size) = (row.heads.first_seen(context), kv * dim * BLOCK);
        let blocks = first / BLOCK..context.div_ceil(BLOCK);
        let (tokens, base) = (blocks.len() * BLOCK, blocks.start * BLOCK);
        scores.resize(q.len() / dim * tokens, 0.0);
        for (i, block) in row.blocks[blocks.clone()].iter().enumerate() {
            let keys = &keys[*block as usize * size + head * dim * BLOCK..][..dim * BLOCK];
            let keys = T::widen(keys, (1, dim * BLOCK, dim * BLOCK), wide).0;
            for (q, scores) in q.chunks(TOGETHER * dim).zip(scores.chunks_mut(TOGETHER * tokens)) {
                with_heads!(q.len() / dim, H => score_block::<S, H>(simd, q, keys, &mut scores[i * BLOCK..], tokens));
            }
        }
        for scores in scores.chunks_exact_mut(tokens) {
            softmax(&mut scores[first - base..context - base], scale);
        }
        for (i, block) in row.blocks[blocks].iter().enumerate() {
            let start = base + i * BLOCK;
            let seen = first.saturating_sub(start)..BLOCK.min(context - start);
            let values = &values[*block as usize * size + seen.start * kv * dim + head * dim..];
            let (values, stride) = T::widen(values, (seen.len(), dim, kv * dim), wide);
            for (out, scores) in out.chunks_mut(TOGETHER * dim).zip(scores.chunks(TOGETHER * tokens)) {
                let weights = &scores[i * BLOCK + seen.start..];
                with_heads!(out.len() / dim, H => {
                    add_values::<S, H>(simd, out, (weights, tokens), (values, stride), seen.len());
                });
            }
        }
    }
}

/// Query heads that read a vector of keys or values together.
const TOGETHER: usize = 4;

/// Calls for a constant number of heads, at most [`TOGETHER`]: sums are in registers only if the compiler knows how many there are.
macro_rules! with_heads {
    ($heads:expr, $H:ident => $call:expr) => {
        with_heads!(@ $heads, $H, $call, 1 2 3 4)
    };
    (@ $heads:expr, $H:ident, $call:expr, $($n:literal)*) => {
        match $heads {
            $($n => { const $H: usize = $n; $call })*
            _ => unreachable!("heads come in fours"),
        }
    };
}
use with_heads;

/// Sums for one vector of scores, so that a multiply-add need not wait for the one before.
const CHAINS: usize = 4;

/// Queries, `[H][dim]`, times the keys of a block, `[dim][BLOCK]`; scores are `tokens` apart.
#[inline(always)]
fn score_block<S: Simd, const H: usize>(simd: S, q: &[f32], keys: &[f32], scores: &mut [f32], tokens: usize) {
    let dim = q.len() / H;
    for v in (0..BLOCK).step_by(S::F32_LANES) {
        let mut sums = [[simd.splat_f32s(0.0); CHAINS]; H];
        for d in (0..dim).step_by(CHAINS) {
            for c in 0..CHAINS {
                // A loop of another length would send all sums to memory.
                if d + c == dim {
                    break;
                }
                let keys = lanes_at(keys, (d + c) * BLOCK + v, S::F32_LANES);
                for h in 0..H {
                    sums[h][c] =
                        simd.mul_add_f32s(simd.splat_f32s(number_at(q, h * dim + d + c)), keys, sums[h][c]);
                }
            }
        }
        for h in 0..H {
            let sum =
                simd.add_f32s(simd.add_f32s(sums[h][0], sums[h][1]), simd.add_f32s(sums[h][2], sums[h][3]));
            set_lanes_at(scores, h * tokens + v, S::F32_LANES, sum);
        }
    }
}

/// Adds to `out`, `[H][dim]`, the rows of `values`, one every `stride` numbers, weighted with each head's `weights`,
/// which are `tokens` apart.
#[inline(always)]
fn add_values<S: Simd, const H: usize>(
    simd: S,
    out: &mut [f32],
    (weights, tokens): (&[f32], usize),
    (values, stride): (&[f32], usize),
    seen: usize,
) {
    let (dim, lanes) = (out.len() / H, S::F32_LANES);
    let (pairs, whole) = (dim / (2 * lanes) * (2 * lanes), dim / lanes * lanes);
    for v in (0..pairs).step_by(2 * lanes) {
        add_vectors::<S, H, 2>(simd, out, (weights, tokens), (values, stride), seen, v);
    }
    for v in (pairs..whole).step_by(lanes) {
        add_vectors::<S, H, 1>(simd, out, (weights, tokens), (values, stride), seen, v);
    }
    for (h, out) in out.chunks_exact_mut(dim).enumerate() {
        for (v, out) in out.iter_mut().enumerate().skip(whole) {
            let terms = (0..seen).map(|t| (weights[h * tokens + t], values[t * stride + v]));
            *out = terms.fold(*out, |sum, (weight, value)| weight.mul_add(value, sum));
        }
    }
}

/// The same for `V` vectors from `v` on: as many chains of multiply-adds need not wait for each other.
#[inline(always)]
fn add_vectors<S: Simd, const H: usize, const V: usize>(
    simd: S,
    out: &mut [f32],
    (weights, tokens): (&[f32], usize),
    (values, stride): (&[f32], usize),
    seen: usize,
    v: usize,
) {
    let (dim, lanes) = (out.len() / H, S::F32_LANES);
    let mut sums = [[simd.splat_f32s(0.0); V]; H];
    for h in 0..H {
        for i in 0..V {
            sums[h][i] = lanes_at(out, h * dim + v + i * lanes, lanes);
        }
    }
    for t in 0..seen {
        let mut row = [simd.splat_f32s(0.0); V];
        for i in 0..V {
            row[i] = lanes_at(values, t * stride + v + i * lanes, lanes);
        }
        for h in 0..H {
            let weight = simd.splat_f32s(number_at(weights, h * tokens + t));
            for i in 0..V {
                sums[h][i] = simd.mul_add_f32s(weight, row[i], sums[h][i]);
            }
        }
    }
    for h in 0..H {
        for i in 0..V {
            set_lanes_at(out, h * dim + v + i * lanes, lanes, sums[h][i]);
        }
    }
}

/// A type that the cache keeps numbers in.
trait Stored: Copy + Sync {
    /// Rows of numbers in 32 bits, and how far apart these are: `rows` of `width`, stored every `stride`. They are in `wide` if they
    /// must be converted.
    fn widen<'a>(
        stored: &'a [Self],
        rows: (usize, usize, usize),
        wide: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize);
}

impl Stored for f32 {
    #[inline(always)]
    fn widen<'a>(stored: &'a [Self], rows: (usize, usize, usize), _: &'a mut Vec<f32>) -> (&'a [f32], usize) {
        (stored, rows.2)
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn widen<'a>(
        stored: &'a [Self],
        rows: (usize, usize, usize),
        wide: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize) {
        widen_rows(stored, rows, wide, |from, to| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = f32::from_bits(u32::from(from.to_bits()) << 16);
            }
        })
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn widen<'a>(
        stored: &'a [Self],
        rows: (usize, usize, usize),
        wide: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize) {
        widen_rows(stored, rows, wide, |from, to| from.convert_to_f32_slice(to))
    }
}

#[inline(always)]
fn widen_rows<'a, T>(
    stored: &[T],
    (rows, width, stride): (usize, usize, usize),
    wide: &'a mut Vec<f32>,
    convert: impl Fn(&[T], &mut [f32]),
) -> (&'a [f32], usize) {
    wide.resize(rows * width, 0.0);
    for (from, to) in stored.chunks(stride).zip(wide.chunks_exact_mut(width)) {
        convert(&from[..width], to);
    }
    (wide, width)
}
