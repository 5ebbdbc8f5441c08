//! Attention on the CPU, in tasks: some tokens, whose sequences begin with the same blocks, in some heads.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};
use rayon::prelude::*;

use std::ops::Range;

use super::party::{Party, Row};
use super::stored::Stored;
use super::task::{Scratch, Task};
use super::{Heads, Span};
use crate::instructions::arch;

/// Multiply-adds below which a task of its own costs more than it saves.
const WORTH_A_TASK: usize = 1 << 17;
/// Rows that are attended for together, at most.
const MOST_ROWS: usize = 16;
/// Numbers that fit a second-level cache beside some blocks.
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
        let parties = self.parties();
        let of_a_task = self.heads_of_a_task(&parties);
        let ranges = (0..kv).step_by(of_a_task).map(|first| first..kv.min(first + of_a_task));
        let tasks: Vec<(&Party, Range<usize>)> =
            parties.iter().flat_map(|party| ranges.clone().map(move |of| (party, of))).collect();
        let tokens = parties.iter().map(|party| party.rows.len() * party.tokens()).max().unwrap_or(1);
        let work = 2 * queries / kv * dim * of_a_task * tokens;
        let (arch, heads) = (arch(), self.heads);
        let tasks = tasks.into_par_iter().with_min_len(WORTH_A_TASK.div_ceil(work));
        let done = tasks.map_init(Scratch::default, |scratch, (party, of)| {
            (party, of.start, arch.dispatch(Task { heads, of, party, q, keys, values, scratch }))
        });
        let mut out = vec![0f32; q.len()];
        for (party, first, of_task) in done.collect::<Vec<_>>() {
            self.place(party, first, &of_task, &mut out);
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
        let scores = rows.iter().map(Row::tokens).max().unwrap_or(1) * self.heads.sharing();
        // As many as leave every thread something to do, and whose scores stay in a cache.
        let tasks = rows.len() * self.heads.kv / (2 * rayon::current_num_threads());
        Party::of(rows, MOST_ROWS.min(MOST_SCORES / scores).min(tasks).max(1))
    }

    /// As many as leave every thread something to do, and whose scores stay in a cache: heads of a block lie side by side, and
    /// memory is read fastest in order.
    fn heads_of_a_task(&self, parties: &[Party]) -> usize {
        let scores = parties.iter().map(|party| party.rows.len() * party.tokens()).max().unwrap_or(1);
        let tasks = parties.len() * self.heads.kv / (2 * rayon::current_num_threads());
        (MOST_SCORES / (scores * self.heads.sharing())).min(tasks).clamp(1, self.heads.kv)
    }

    /// Puts what a task gave, `[heads][rows][shared][dim]`, where it belongs.
    fn place(&self, party: &Party, first: usize, of_task: &[f32], out: &mut [f32]) {
        let (Heads { kv, dim, .. }, sharing) = (self.heads, self.heads.sharing());
        let of_heads = of_task.chunks_exact(party.rows.len() * sharing * self.heads.padded());
        for (head, of_head) in (first..).zip(of_heads) {
            let of_rows = of_head.chunks_exact(sharing * self.heads.padded());
            for (row, of_row) in party.rows.iter().zip(of_rows) {
                let out = &mut out[(row.at * kv + head) * sharing * dim..][..sharing * dim];
                for (to, from) in out.chunks_exact_mut(dim).zip(of_row.chunks_exact(self.heads.padded())) {
                    to.copy_from_slice(&from[..dim]);
                }
            }
        }
    }
}
