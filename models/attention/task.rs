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

/// Blocks of a head that become a matrix together.
struct Visit {
    head: usize,
    places: Range<usize>,
    /// Where no block is any more.
    end: usize,
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

    /// All heads of the first blocks, then of the next ones.
    fn visits(&self, places: Range<usize>) -> impl Iterator<Item = Visit> + use<T> {
        let (heads, end) = (self.of.clone(), places.end);
        let together = move |start: usize| start..end.min(start + TOGETHER);
        places.step_by(TOGETHER).flat_map(move |start| {
            heads.clone().map(move |head| Visit { head, places: together(start), end })
        })
    }

    /// What is visited after a block, as a place and a head: the same block of the next head, or the first head of the block that then takes
    /// its part. Where these lie the processor cannot guess.
    #[inline(always)]
    fn next(&self, visit: &Visit, place: usize) -> Option<(usize, usize)> {
        if visit.head + 1 < self.of.end {
            return Some((place, visit.head + 1));
        }
        (place + TOGETHER < visit.end).then_some((place + TOGETHER, self.of.start))
    }

    /// The first of a visited head's queries, among those of all heads and rows, that some rows have.
    #[inline(always)]
    fn first_query(&self, visit: &Visit, rows: &Range<usize>) -> usize {
        (visit.head - self.of.start) * self.queries() + rows.start * self.heads.sharing()
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
        let (dim, tokens, base) = (self.heads.dim, self.party.tokens(), self.party.base());
        let (row, queries) = (&self.party.rows[rows.start], rows.len() * self.heads.sharing());
        let mut scratch = std::mem::take(&mut *self.scratch);
        for visit in self.visits(places) {
            let blocks = &self.wide_keys::<S>(&visit, row, &mut scratch.keys)[..visit.places.len()];
            let first = self.first_query(&visit, &rows);
            let x = Rows { numbers: &scratch.queries[first * dim..], stride: dim };
            let width = blocks.len() * BLOCK;
            let keys = Columns { blocks, stride: BLOCK, depth: dim, are_beside: true, width };
            let at = first * tokens + (visit.places.start - base) * BLOCK;
            let scores = Sums { numbers: &mut scratch.scores[at..], stride: tokens, are_new: true };
            multiply(simd, queries, x, keys, scores);
        }
        *self.scratch = scratch;
    }

    /// The visited keys in 32 bits; those of the next visit are asked for.
    #[inline(always)]
    fn wide_keys<'s, S: Simd>(
        &'s self,
        visit: &Visit,
        row: &Row,
        wide: &'s mut [f32],
    ) -> [&'s [f32]; TOGETHER] {
        let size = self.heads.dim * BLOCK;
        let mut blocks = [&[][..]; TOGETHER];
        for ((place, wide), block) in visit.places.clone().zip(wide.chunks_exact_mut(size)).zip(&mut blocks) {
            if let Some((place, head)) = self.next(visit, place) {
                ask_for_all(self.keys(row.block(place), head).as_ptr(), size);
            }
            let stored = self.keys(row.block(place), visit.head);
            (*block, _) = T::rows::<S>(stored, (BLOCK, BLOCK), wide);
        }
        blocks
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
        let (tokens, base, width) = (self.party.tokens(), self.party.base(), self.heads.padded());
        let (row, queries) = (&self.party.rows[rows.start], rows.len() * self.heads.sharing());
        // Behind the last token lies what an earlier sequence left there.
        let last = self.party.rows[rows.clone()].iter().map(Row::context).max().unwrap_or(0);
        let mut scratch = std::mem::take(&mut *self.scratch);
        for visit in self.visits(places) {
            let (blocks, stride) = self.wide_values::<S>(&visit, row, &mut scratch.values);
            let blocks = &blocks[..visit.places.len()];
            let first = self.first_query(&visit, &rows);
            let at = first * tokens + (visit.places.start - base) * BLOCK;
            let weights = Rows { numbers: &scratch.scores[at..], stride: tokens };
            let depth = (visit.places.end * BLOCK).min(last) - visit.places.start * BLOCK;
            let values = Columns { blocks, stride, depth, are_beside: false, width };
            let out = Sums { numbers: &mut out[first * width..], stride: width, are_new: false };
            multiply(simd, queries, weights, values, out);
        }
        *self.scratch = scratch;
    }

    /// The visited values in 32 bits, and how far apart those of two tokens are; those of the next visit are asked for.
    #[inline(always)]
    fn wide_values<'s, S: Simd>(
        &'s self,
        visit: &Visit,
        row: &Row,
        wide: &'s mut [f32],
    ) -> ([&'s [f32]; TOGETHER], usize) {
        let (size, shape) = (BLOCK * self.heads.padded(), (self.heads.dim, self.stride()));
        let (mut blocks, mut stride) = ([&[][..]; TOGETHER], 0);
        for ((place, wide), block) in visit.places.clone().zip(wide.chunks_exact_mut(size)).zip(&mut blocks) {
            if let Some((place, head)) = self.next(visit, place) {
                self.ask_for_values(row.block(place), head);
            }
            let stored = self.values(row.block(place), visit.head);
            (*block, stride) = T::rows::<S>(stored, shape, wide);
        }
        (blocks, stride)
    }
}
