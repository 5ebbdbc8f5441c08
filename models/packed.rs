//! A matrix of weights on the CPU, and its product with activations.
//!
//! A decoding step is bound by reading the weights. So they are read once for all rows of the batch, as they are stored
//! ([`crate::panel`]). Activations are `f32`. To meet bf16 they are rounded to bf16, and to meet blocks to integers of 16 bits, which costs
//! less than these weights' own rounding did.
//!
//! Matrix libraries choose their order of summation by the shape of the product: a row's last bits would depend on how
//! many other rows share the batch, and once in a long while a sampled token with them. Here every output is a sum, in order, over
//! groups of the inner dimension, of one chain of fused multiply-adds or of exact products of integers, whatever the batch, the
//! number of threads and the instruction set are.

mod dot;
mod few;
mod integers;
mod many;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod rounded;
mod rows;
mod sizes;

use bytemuck::cast_slice;
use candle_core::{CpuStorage, Storage, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::instructions::arch;
use crate::panel::{Encoding, PANEL, Words, pack, unpack_column};
use crate::slab::Slab;
use few::Few;
use integers::Integers;
use many::Many;
#[cfg(target_arch = "x86_64")]
use pairs::Pairs;
pub(crate) use rows::with_rows;
use sizes::Sizes;

/// Rows of activations that meet a task's panels in one go: a part of them fits a second-level cache.
const GROUP: usize = 384;
/// Sums of a task, at most: they stay in a second-level cache with the activations.
const MOST_SUMS: usize = GROUP * 4 * PANEL;
/// Multiply-adds below which a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 1 << 18;

/// `[out, inner]` weights in panels.
#[derive(Debug)]
pub struct Packed {
    panels: Slab<Words>,
    encoding: Encoding,
    inner: usize,
    out: usize,
}

impl Packed {
    /// Packs row-major weights, `[out, inner]` in the bytes of their encoding.
    pub(crate) fn new(weights: &[u8], encoding: Encoding, out: usize, inner: usize) -> Self {
        Self { panels: pack(weights, encoding, out), encoding, inner, out }
    }

    /// A square of zeros.
    pub(crate) fn zeros(encoding: Encoding, side: usize) -> Self {
        let rows = encoding.rows(side) * side.div_ceil(PANEL);
        Self { panels: Slab::zeros(rows), encoding, inner: side, out: side }
    }

    /// Packs a tensor on the CPU, if its numbers are of a type that can be.
    pub(crate) fn from_tensor(weights: &Tensor) -> candle_core::Result<Option<Self>> {
        let (out, inner) = weights.dims2()?;
        let Some(encoding) = Encoding::of_numbers(weights.dtype()) else { return Ok(None) };
        let weights = weights.contiguous()?;
        let (storage, layout) = weights.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { return Ok(None) };
        let bytes: &[u8] = match storage {
            CpuStorage::F32(numbers) => cast_slice(&numbers[layout.start_offset()..][..out * inner]),
            CpuStorage::F16(numbers) => cast_slice(&numbers[layout.start_offset()..][..out * inner]),
            CpuStorage::BF16(numbers) => cast_slice(&numbers[layout.start_offset()..][..out * inner]),
            _ => return Ok(None),
        };
        Ok(Some(Self::new(bytes, encoding, out, inner)))
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        size_of_val(&self.panels[..]) as u64
    }

    /// How its numbers are stored.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Output columns.
    pub(crate) fn out(&self) -> usize {
        self.out
    }

    /// Numbers in a row.
    pub(crate) fn inner(&self) -> usize {
        self.inner
    }

    /// The rows `ids` as numbers, one after another.
    pub(crate) fn rows(&self, ids: &[u32]) -> Vec<f32> {
        let (mut rows, words) = (vec![0f32; ids.len() * self.inner], self.rows_of_a_panel());
        rows.par_chunks_exact_mut(self.inner).zip(ids).for_each(|(row, id)| {
            let id = *id as usize;
            unpack_column(&self.panels[id / PANEL * words..][..words], self.encoding, id % PANEL, row);
        });
        rows
    }

    /// `x W^T` of matrices with the same `inner`, side by side: row-major `[tokens, inner]` to `[tokens, out]` of the first one,
    /// then of the next. Threads that are done with one go on with the next one at once.
    pub(crate) fn multiply(weights: &[&Self], x: &[f32]) -> Vec<f32> {
        arch().dispatch(Product { weights, x })
    }

    fn rows_of_a_panel(&self) -> usize {
        self.encoding.rows(self.inner)
    }
}

/// All rows of activations times all panels.
struct Product<'a> {
    weights: &'a [&'a Packed],
    x: &'a [f32],
}

impl WithSimd for Product<'_> {
    type Output = Vec<f32>;

    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let inner = self.weights[0].inner;
        let (tokens, out) =
            (self.x.len() / inner, self.weights.iter().map(|weights| weights.out).sum::<usize>());
        let mut y = Vec::with_capacity(tokens * out);
        for (group, x) in self.x.chunks(GROUP * inner).enumerate() {
            let activations = self.activations::<S>(x);
            let tasks = self.tasks(&activations, y.as_mut_ptr(), group * GROUP, x.len() / inner);
            if x.len() * out < 2 * WORTH_A_THREAD {
                tasks.iter().for_each(|task| task.run(simd));
            } else {
                tasks.par_iter().with_max_len(1).for_each(|task| task.run(simd));
            }
        }
        // SAFETY: every group of rows has met every panel of every matrix, and each writes all its outputs.
        unsafe { y.set_len(tokens * out) };
        y
    }
}

impl Product<'_> {
    /// A group of rows as each encoding of the weights wants it.
    fn activations<S: Simd>(&self, x: &[f32]) -> Vec<(Encoding, Activations)> {
        let mut all: Vec<(Encoding, Activations)> = Vec::new();
        for weights in self.weights {
            if all.iter().all(|(encoding, _)| *encoding != weights.encoding) {
                all.push((weights.encoding, Activations::new::<S>(x, weights.inner, weights.encoding)));
            }
        }
        all
    }

    /// A few panels each, of one matrix after the other.
    fn tasks<'a>(
        &'a self,
        activations: &'a [(Encoding, Activations)],
        start: *mut f32,
        row: usize,
        rows: usize,
    ) -> Vec<Task<'a>> {
        let tokens = self.x.len() / self.weights[0].inner;
        let (mut sizes, mut tasks, mut before) = (self.sizes(rows), Vec::new(), 0);
        for weights in self.weights {
            let (_, x) = activations
                .iter()
                .find(|(encoding, _)| *encoding == weights.encoding)
                .expect("all are there");
            // SAFETY: the outputs of the matrices before end here.
            let output = Output { start: unsafe { start.add(tokens * before) }, out: weights.out };
            let (words, mut column, mut rest) = (weights.rows_of_a_panel(), 0, &weights.panels[..]);
            while !rest.is_empty() {
                let size = sizes.next(rest.len() / words);
                let panels;
                (panels, rest) = rest.split_at(size * words);
                tasks.push(Task { weights, x, rows, panels, place: Place { row, column }, output });
                column += size * PANEL;
            }
            before += weights.out;
        }
        tasks
    }

    fn sizes(&self, rows: usize) -> Sizes {
        let panels = self.weights.iter().map(|weights| weights.out.div_ceil(PANEL)).sum();
        Sizes::new(panels, rayon::current_num_threads(), MOST_SUMS / (rows * PANEL))
    }
}

/// The first output of a task.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
}

/// Row-major `[tokens, out]` of which tasks write disjoint parts.
#[derive(Clone, Copy)]
struct Output {
    start: *mut f32,
    out: usize,
}

// SAFETY: tasks have panels of their own, so no two of them write the same column.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// Writes sums as far as there are columns for them.
    fn write(&self, row: usize, column: usize, sums: &[f32]) {
        let width = sums.len().min(self.out.saturating_sub(column));
        // SAFETY: the row is one of the activations' rows, and the width ends at the row's last column.
        unsafe {
            let to = self.start.add(row * self.out + column);
            std::ptr::copy_nonoverlapping(sums.as_ptr(), to, width);
        }
    }
}

/// A group of rows, as its inner loop wants it.
enum Activations {
    Few(Few),
    Many(Many),
    Integers(Integers),
    #[cfg(target_arch = "x86_64")]
    Pairs(Pairs),
}

impl Activations {
    fn new<S: Simd>(x: &[f32], inner: usize, encoding: Encoding) -> Self {
        if let Some(integers) = Integers::new::<S>(x, inner, encoding) {
            return Self::Integers(integers);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(pairs) = Pairs::new(x, inner, encoding) {
            return Self::Pairs(pairs);
        }
        if x.len() / inner <= few::most_rows::<S>() {
            Self::Few(Few::new::<S>(x, inner, encoding))
        } else {
            Self::Many(Many::new::<S>(x, inner, encoding))
        }
    }
}

/// A group of rows times a few panels.
struct Task<'a> {
    weights: &'a Packed,
    x: &'a Activations,
    rows: usize,
    panels: &'a [Words],
    place: Place,
    output: Output,
}

impl Task<'_> {
    fn run<S: Simd>(&self, simd: S) {
        let (rows, encoding) = (self.weights.rows_of_a_panel(), self.weights.encoding);
        let mut sums = vec![0f32; self.panels.len() / rows * self.rows * PANEL];
        match self.x {
            Activations::Few(x) => {
                for (panel, sums) in
                    self.panels.chunks_exact(rows).zip(sums.chunks_exact_mut(self.rows * PANEL))
                {
                    x.multiply(simd, panel, encoding, sums);
                }
            }
            Activations::Many(x) => x.multiply(simd, self.panels, (encoding, rows), &mut sums),
            Activations::Integers(x) => x.multiply(simd, self.panels, rows, &mut sums),
            #[cfg(target_arch = "x86_64")]
            Activations::Pairs(x) => x.multiply(self.panels, rows, &mut sums),
        }
        for (panel, sums) in sums.chunks_exact(self.rows * PANEL).enumerate() {
            for (row, sums) in sums.chunks_exact(PANEL).enumerate() {
                self.output.write(self.place.row + row, self.place.column + panel * PANEL, sums);
            }
        }
    }
}
