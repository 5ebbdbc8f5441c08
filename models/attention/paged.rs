//! Attention on the CPU: each token walks the blocks of its own sequence where they lie, one head of keys and values at
//! a time, with all query heads that share it. Blocks that several tokens share are read once for all of them ([`super::party`]).
//!
//! A block's keys are kept `[dim][BLOCK]`, so the scores of its tokens are the lanes of one vector; its values are kept
//! token by token, so what they add to an output are lanes too. No lane is ever summed with another. The order of every sum
//! follows from positions alone: what a row gets does not depend on its batch.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use std::ops::Range;

use super::party::{Party, Row};
use super::stored::Stored;
use super::{Heads, Span};
use crate::cache::BLOCK;
use crate::lanes::softmax;
use crate::panel::{lanes_at, number_at, set_lanes_at};
use crate::prefetch::{LINE, ask_for};

/// Multiply-adds below which a task of its own costs more than it saves.
const WORTH_A_TASK: usize = 1 << 17;
/// Rows that are attended for together, at most.
const MOST_ROWS: usize = 16;
/// Numbers that fit a second-level cache beside a block.
const MOST_SCORES: usize = 1 << 16;

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
        let (width, parties) = (queries / kv * dim, self.parties());
        let tasks: Vec<(&Party, usize)> =
            parties.iter().flat_map(|party| (0..kv).map(move |head| (party, head))).collect();
        let work = parties.iter().map(|party| party.rows.len() * party.tokens()).max().unwrap_or(1);
        let (arch, heads) = (Arch::new(), self.heads);
        let tasks = tasks.into_par_iter().with_min_len(WORTH_A_TASK.div_ceil(2 * width * work));
        let done = tasks.map_init(Scratch::default, |scratch, (party, head)| {
            (party, head, arch.dispatch(Attend { heads, head, party, q, keys, values, scratch }))
        });
        let mut out = vec![0f32; q.len()];
        for (party, head, of_party) in done.collect::<Vec<_>>() {
            for (row, of_row) in party.rows.iter().zip(of_party.chunks_exact(width)) {
                out[(row.at * kv + head) * width..][..width].copy_from_slice(of_row);
            }
        }
        out
    }

    /// All tokens, those together that share blocks.
    fn parties(&self) -> Vec<Party<'_>> {
        let contexts = |span: &Span| (span.start + 1)..=(span.start + span.len);
        let places = self.spans.iter().flat_map(|span| contexts(span).map(move |context| (span, context)));
        let rows: Vec<Row> = places
            .enumerate()
            .map(|(at, (span, context))| Row::new(self.heads, at, &span.blocks, context))
            .collect();
        let scores = rows.iter().map(Row::tokens).max().unwrap_or(1) * self.heads.queries / self.heads.kv;
        // As many as leave every thread something to do, and whose scores stay in a cache.
        let tasks = rows.len() * self.heads.kv / (2 * rayon::current_num_threads());
        Party::of(rows, MOST_ROWS.min(MOST_SCORES / scores).min(tasks).max(1))
    }
}

/// What a task uses over and over.
#[derive(Default)]
struct Scratch {
    /// `[rows][shared][tokens]`, where each row's tokens begin with its first visible block.
    scores: Vec<f32>,
    /// A head's keys or values of one block, in 32 bits.
    wide: Vec<f32>,
}

/// A party's attention in the query heads that share a head of keys and values.
struct Attend<'a, T> {
    heads: Heads,
    head: usize,
    party: &'a Party<'a>,
    /// Of all tokens, `[queries][dim]` each.
    q: &'a [f32],
    keys: &'a [T],
    values: &'a [T],
    scratch: &'a mut Scratch,
}

impl<T: Stored> WithSimd for Attend<'_, T> {
    /// `[rows][shared][dim]`.
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<f32> {
        let (shared, tokens) = (self.heads.queries / self.heads.kv, self.party.tokens());
        let party = self.party;
        self.scratch.scores.resize(party.rows.len() * shared * tokens, 0.0);
        self.score(simd, party.shared(), 0..party.rows.len(), tokens);
        for r in 0..party.rows.len() {
            self.score(simd, party.own(r), r..r + 1, tokens);
        }
        for place in party.own(0).take(AHEAD) {
            fetch(
                &self.values
                    [(party.rows[0].block(place) * BLOCK * self.heads.kv + self.head) * self.heads.dim..],
                self.heads.dim,
                BLOCK,
                self.heads.kv * self.heads.dim,
            );
        }
        let scores = self.scratch.scores.chunks_exact_mut(shared * tokens);
        for (row, scores) in party.rows.iter().zip(scores) {
            for scores in scores.chunks_exact_mut(tokens) {
                softmax(&mut scores[row.seen()], self.heads.scale);
            }
        }
        let mut out = vec![0f32; party.rows.len() * shared * self.heads.dim];
        self.add(simd, party.shared(), 0..party.rows.len(), tokens, &mut out);
        for r in 0..party.rows.len() {
            self.add(simd, party.own(r), r..r + 1, tokens, &mut out);
        }
        out
    }
}

impl<T: Stored> Attend<'_, T> {
    /// The keys of the blocks at some places meet the queries of the rows that share these blocks.
    #[inline(always)]
    fn score<S: Simd>(&mut self, simd: S, places: Range<usize>, rows: Range<usize>, tokens: usize) {
        let Heads { queries, kv, dim, .. } = self.heads;
        let Scratch { scores, wide } = &mut *self.scratch;
        let (party, head) = (self.party, self.head);
        let first = &party.rows[rows.start];
        let keys_at = |place| &self.keys[(first.block(place) * kv + head) * dim * BLOCK..][..dim * BLOCK];
        for place in places.clone() {
            if place + AHEAD < places.end {
                fetch(keys_at(place + AHEAD), dim * BLOCK, 1, 0);
            }
            let keys = keys_at(place);
            let keys = T::widen(keys, (1, dim * BLOCK, dim * BLOCK), wide).0;
            for r in rows.clone() {
                let row = &self.party.rows[r];
                if place < row.base() {
                    continue;
                }
                let q = &self.q[(row.at * kv + self.head) * (queries / kv * dim)..][..queries / kv * dim];
                let scores = &mut scores[r * queries / kv * tokens..][..queries / kv * tokens];
                let at = (place - row.base()) * BLOCK;
                for (q, scores) in q.chunks(TOGETHER * dim).zip(scores.chunks_mut(TOGETHER * tokens)) {
                    with_heads!(q.len() / dim, H => score_block::<S, H>(simd, q, keys, &mut scores[at..], tokens));
                }
            }
        }
    }

    /// The values of the blocks at some places are added to the outputs of the rows that share these blocks.
    #[inline(always)]
    fn add<S: Simd>(
        &mut self,
        simd: S,
        places: Range<usize>,
        rows: Range<usize>,
        tokens: usize,
        out: &mut [f32],
    ) {
        let Heads { queries, kv, dim, .. } = self.heads;
        let Scratch { scores, wide } = &mut *self.scratch;
        let (first, width) = (&self.party.rows[rows.start], queries / kv);
        let values_at =
            |place, token| &self.values[((first.block(place) * BLOCK + token) * kv + self.head) * dim..];
        for place in places.clone() {
            if place + AHEAD < places.end {
                fetch(values_at(place + AHEAD, 0), dim, BLOCK, kv * dim);
            }
            let all = if rows.len() == 1 { first.seen_of(place) } else { 0..BLOCK };
            let values = values_at(place, all.start);
            let (values, stride) = T::widen(values, (all.len(), dim, kv * dim), wide);
            for r in rows.clone() {
                let row = &self.party.rows[r];
                if place < row.base() {
                    continue;
                }
                let seen = row.seen_of(place);
                let values = &values[(seen.start - all.start) * stride..];
                let at = (place - row.base()) * BLOCK + seen.start;
                let scores = &scores[r * width * tokens..][..width * tokens];
                let out = &mut out[r * width * dim..][..width * dim];
                for (out, scores) in out.chunks_mut(TOGETHER * dim).zip(scores.chunks(TOGETHER * tokens)) {
                    with_heads!(out.len() / dim, H => {
                        add_values::<S, H>(simd, out, (&scores[at..], tokens), (values, stride), seen.len());
                    });
                }
            }
        }
    }
}

/// Blocks of a sequence lie anywhere, so the processor cannot guess the next: it is asked for so many visits before.
const AHEAD: usize = 3;
/// Asks for `rows` of `width` numbers, `stride` apart, without waiting for them.
#[inline(always)]
fn fetch<T>(numbers: &[T], width: usize, rows: usize, stride: usize) {
    for row in 0..rows {
        for number in (0..width).step_by(LINE / size_of::<T>()) {
            ask_for(numbers.as_ptr().wrapping_add(row * stride + number));
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
