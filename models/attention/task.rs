//! A task of attention on the CPU: each token walks the blocks of its own sequence where they lie, and blocks that several tokens share
//! are read once for all of them.
//!
//! A block's keys are kept `[dim][BLOCK]`, so the scores of its tokens are lanes of a vector; its values are kept token by
//! token, so what they add to an output are lanes too. Some blocks of a head at a time become matrices of `f32` that stay in a first-level
//! cache while all queries meet them ([`super::product`]). The order of every sum follows from positions alone: what a row gets
//! does not depend on its batch.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::Heads;
use super::party::{Party, Row};
use super::product::{Columns, Rows, Sums, multiply};
use super::stored::Stored;
use crate::cache::BLOCK;
use crate::lanes::softmax;
use crate::prefetch::ask_for_all;

/// Blocks that become a matrix together: as many neighbouring lanes that no multiply-add waits for the one before.
const TOGETHER: usize = 4;

/// A party's attention in some heads of keys and values and the query heads that share them.
pub(super) struct Task<'a, T> {
    pub(super) heads: Heads,
    /// Its heads of keys and values.
    pub(super) of: Range<usize>,
    pub(super) party: &'a Party<'a>,
    /// Of all tokens, `[queries][dim]` each.
    pub(super) q: &'a [f32],
    /// `[blocks][kv][dim][BLOCK]`
    pub(super) keys: &'a [T],
    /// `[blocks][BLOCK][kv][dim]`
    pub(super) values: &'a [T],
    pub(super) scratch: &'a mut Scratch,
}

/// What tasks use over and over.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[heads][rows][shared][dim]`
    queries: Vec<f32>,
    /// `[heads][rows][shared][tokens]`, from the first block on that any row sees.
    scores: Vec<f32>,
    /// `[blocks][dim][BLOCK]`
    keys: Vec<f32>,
    /// `[tokens][dim]`, where `dim` is filled up with zeros.
    values: Vec<f32>,
}

impl<T: Stored> WithSimd for Task<'_, T> {
    /// `[heads][rows][shared][dim]`, where `dim` is filled up.
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<f32> {
        let (party, all) = (self.party, 0..self.party.rows.len());
        self.make_room();
        self.gather_queries();
        self.score(simd, party.shared(), all.clone());
        for r in all.clone() {
            self.score(simd, party.own(r), r..r + 1);
        }
        for place in party.own(0).take(TOGETHER) {
            self.ask_for_values(party.rows[0].block(place), self.of.start);
        }
        self.weigh();
        let mut out = vec![0f32; self.of.len() * self.queries() * self.heads.padded()];
        self.add(simd, party.shared(), all.clone(), &mut out);
        for r in all {
            self.add(simd, party.own(r), r..r + 1, &mut out);
        }
        out
    }
}

impl<T: Stored> Task<'_, T> {
    /// Queries of a head of keys and values.
    #[inline(always)]
    fn queries(&self) -> usize {
        self.party.rows.len() * self.heads.sharing()
    }

    fn make_room(&mut self) {
        let (queries, tokens, padded) = (self.queries(), self.party.tokens(), self.heads.padded());
        let Scratch { scores, keys, values, .. } = &mut *self.scratch;
        scores.resize(self.of.len() * queries * tokens, 0.0);
        keys.resize(TOGETHER * self.heads.dim * BLOCK, 0.0);
        values.resize(TOGETHER * BLOCK * padded, 0.0);
    }

    fn gather_queries(&mut self) {
        let width = self.heads.sharing() * self.heads.dim;
        self.scratch.queries.clear();
        for head in self.of.clone() {
            for row in &self.party.rows {
                let of_row = &self.q[(row.at * self.heads.kv + head) * width..][..width];
                self.scratch.queries.extend_from_slice(of_row);
            }
        }
    }

    /// A head's keys of a block.
    #[inline(always)]
    fn keys(&self, block: usize, head: usize) -> &[T] {
        let Heads { kv, dim, .. } = self.heads;
        &self.keys[(block * kv + head) * dim * BLOCK..][..dim * BLOCK]
    }

    /// A head's values of a block: `dim` of each token, [`Task::stride`] apart.
    #[inline(always)]
    fn values(&self, block: usize, head: usize) -> &[T] {
        let start = (block * BLOCK * self.heads.kv + head) * self.heads.dim;
        &self.values[start..][..(BLOCK - 1) * self.stride() + self.heads.dim]
    }

    /// From a token's values to the next one's.
    #[inline(always)]
    fn stride(&self) -> usize {
        self.heads.kv * self.heads.dim
    }

    /// What is visited after some blocks of a head: the same blocks of the next one, or the next blocks of the first. Where these lie the
    /// processor cannot guess.
    #[inline(always)]
    fn next(&self, places: &Range<usize>, place: usize, head: usize) -> Option<(usize, usize)> {
        let next = if head + 1 < self.of.end { (place, head + 1) } else { (place + TOGETHER, self.of.start) };
        (next.0 < places.end).then_some(next)
    }

    #[inline(always)]
    fn ask_for_values(&self, block: usize, head: usize) {
        let values = self.values(block, head);
        for token in values.chunks(self.stride()) {
            ask_for_all(token.as_ptr(), self.heads.dim);
        }
    }

    /// The queries of some rows meet the keys of the blocks at some places of theirs.
    #[inline(always)]
    fn score<S: Simd>(&mut self, simd: S, places: Range<usize>, rows: Range<usize>) {
        let (party, dim, tokens) = (self.party, self.heads.dim, self.party.tokens());
        let (sharing, queries, first) = (self.heads.sharing(), self.queries(), &party.rows[rows.start]);
        let mut scratch = std::mem::take(&mut *self.scratch);
        for start in places.clone().step_by(TOGETHER) {
            let together = start..places.end.min(start + TOGETHER);
            for (h, head) in self.of.clone().enumerate() {
                let mut blocks = [&[][..]; TOGETHER];
                let wide = scratch.keys.chunks_exact_mut(dim * BLOCK);
                for ((place, wide), block) in together.clone().zip(wide).zip(&mut blocks) {
                    if let Some((place, head)) = self.next(&places, place, head) {
                        ask_for_all(self.keys(first.block(place), head).as_ptr(), dim * BLOCK);
                    }
                    *block = T::rows::<S>(self.keys(first.block(place), head), (BLOCK, BLOCK), wide).0;
                }
                let from = h * queries + rows.start * sharing;
                let x = Rows { numbers: &scratch.queries[from * dim..], stride: dim };
                let (blocks, width) = (&blocks[..together.len()], together.len() * BLOCK);
                let keys = Columns { blocks, stride: BLOCK, depth: dim, are_beside: true, width };
                let at = from * tokens + (start - party.base()) * BLOCK;
                let scores = Sums { numbers: &mut scratch.scores[at..], stride: tokens, are_new: true };
                multiply(simd, rows.len() * sharing, x, keys, scores);
            }
        }
        *self.scratch = scratch;
    }

    /// From scores to weights: none for what a row does not see.
    #[inline(always)]
    fn weigh(&mut self) {
        let (sharing, tokens) = (self.heads.sharing(), self.party.tokens());
        let scores = self.scratch.scores.chunks_exact_mut(sharing * tokens);
        for (row, scores) in self.party.rows.iter().cycle().zip(scores) {
            let seen = row.seen_from(self.party.base());
            for scores in scores.chunks_exact_mut(tokens) {
                scores[..seen.start].fill(0.0);
                softmax(&mut scores[seen.clone()], self.heads.scale);
                scores[seen.end..].fill(0.0);
            }
        }
    }

    /// The values of the blocks at some places are added to the outputs of some rows that have these blocks.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, places: Range<usize>, rows: Range<usize>, out: &mut [f32]) {
        let (party, dim, tokens) = (self.party, self.heads.dim, self.party.tokens());
        let (sharing, queries, first) = (self.heads.sharing(), self.queries(), &party.rows[rows.start]);
        let padded = self.heads.padded();
        // Behind the last token lies what an earlier sequence left there.
        let last = party.rows[rows.clone()].iter().map(Row::context).max().unwrap_or(0);
        let mut scratch = std::mem::take(&mut *self.scratch);
        for start in places.clone().step_by(TOGETHER) {
            let together = start..places.end.min(start + TOGETHER);
            for (h, head) in self.of.clone().enumerate() {
                let (mut blocks, mut stride) = ([&[][..]; TOGETHER], 0);
                let wide = scratch.values.chunks_exact_mut(BLOCK * padded);
                for ((place, wide), block) in together.clone().zip(wide).zip(&mut blocks) {
                    if let Some((place, head)) = self.next(&places, place, head) {
                        self.ask_for_values(first.block(place), head);
                    }
                    let stored = self.values(first.block(place), head);
                    (*block, stride) = T::rows::<S>(stored, (dim, self.stride()), wide);
                }
                let from = h * queries + rows.start * sharing;
                let at = from * tokens + (start - party.base()) * BLOCK;
                let weights = Rows { numbers: &scratch.scores[at..], stride: tokens };
                let (blocks, depth) =
                    (&blocks[..together.len()], (together.end * BLOCK).min(last) - start * BLOCK);
                let values = Columns { blocks, stride, depth, are_beside: false, width: padded };
                let out = Sums { numbers: &mut out[from * padded..], stride: padded, are_new: false };
                multiply(simd, rows.len() * sharing, weights, values, out);
            }
        }
        *self.scratch = scratch;
    }
}
