//! Large weight matrices, multiplied where they lie.
//!
//! A decoding step is bound by reading the weights. So they are read once for all rows of the batch, in
//! the type they are stored in, and widened to `f32` in registers. An output is the dot product of a row
//! of `x` and a row of weights, summed in vector lanes that are added up at the end: the order of
//! summation depends on the processor's vector width and on nothing else, so what a row gives does not
//! depend on its batch.
//!
//! Weights are taken as words of 32 bits: one `f32`, or two 16-bit numbers of which the lower half is the
//! first. For the latter `x` is split into its even and its odd places, and no lane ever has to move.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::words::{Bf16, F16, F32, Word};

/// Rows of `x` whose sums are kept in registers together.
const ROWS: usize = 4;
/// Rows of weights, that is output columns, in registers together.
const COLUMNS: usize = 4;
/// Words that are multiplied before the next rows' turn: with [`GROUP`] rows of `x` they fit a
/// second-level cache, and with [`COLUMNS`] rows of weights a first-level one.
const WORDS: usize = 1024;
/// Rows of `x` that meet a few rows of weights in one go.
const GROUP: usize = 48;
/// Tasks for each thread, so that one that is slowed down holds nobody up.
const TASKS: usize = 4;

/// How numbers lie in words of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    F32,
    F16,
    Bf16,
}

/// `x W^T`: `[tokens, inner]` times `[out, inner]` to `[tokens, out]`, all row-major.
///
/// `inner` must be a multiple of the numbers in a word.
pub(crate) fn multiply(x: &[f32], weights: &[u32], packing: Packing, inner: usize) -> Vec<f32> {
    match packing {
        Packing::F32 => multiply_words::<F32>(x, weights, inner),
        Packing::F16 => multiply_words::<F16>(x, weights, inner),
        Packing::Bf16 => multiply_words::<Bf16>(x, weights, inner),
    }
}

fn multiply_words<W: Word>(x: &[f32], weights: &[u32], inner: usize) -> Vec<f32> {
    let words = inner / W::VALUES;
    let (tokens, out) = (x.len() / inner, weights.len() / words);
    let x = split::<W>(x, inner);
    let per_task = out.div_ceil(rayon::current_num_threads() * TASKS).next_multiple_of(COLUMNS);
    // A task owns whole columns of the output, so they are written as rows and turned around at the end.
    let mut columns = vec![0f32; tokens * out];
    let arch = Arch::new();
    columns
        .par_chunks_mut(per_task * tokens)
        .zip(weights.par_chunks(per_task * words))
        .for_each(|(y, w)| arch.dispatch(Product::<W> { x: &x, w, y, words, tokens, word: PhantomData }));
    if tokens == 1 { columns } else { transpose(&columns, out, tokens) }
}

/// `[row][value of a word][word]`.
fn split<W: Word>(x: &[f32], inner: usize) -> Vec<f32> {
    let words = inner / W::VALUES;
    let mut places = vec![0f32; x.len()];
    for (x, places) in x.chunks_exact(inner).zip(places.chunks_exact_mut(inner)) {
        for (value, places) in places.chunks_exact_mut(words).enumerate() {
            for (place, x) in places.iter_mut().zip(x.chunks_exact(W::VALUES)) {
                *place = x[value];
            }
        }
    }
    places
}

fn transpose(columns: &[f32], out: usize, tokens: usize) -> Vec<f32> {
    let mut y = vec![0f32; columns.len()];
    y.par_chunks_exact_mut(out).enumerate().for_each(|(token, y)| {
        for (to, column) in y.iter_mut().zip(columns.chunks_exact(tokens)) {
            *to = column[token];
        }
    });
    y
}

/// All rows of `x` times some rows of weights.
struct Product<'a, W> {
    x: &'a [f32],
    w: &'a [u32],
    /// `[columns, tokens]`, zeros.
    y: &'a mut [f32],
    words: usize,
    tokens: usize,
    word: PhantomData<W>,
}

impl<W: Word> WithSimd for Product<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let columns = self.w.len() / self.words;
        for start in (0..self.words).step_by(WORDS) {
            let part = start..self.words.min(start + WORDS);
            for first in (0..self.tokens).step_by(GROUP) {
                let rows = first..self.tokens.min(first + GROUP);
                for column in (0..columns).step_by(COLUMNS) {
                    self.rows(simd, &part, rows.clone(), column);
                }
            }
        }
    }
}

impl<W: Word> Product<'_, W> {
    #[inline(always)]
    fn rows<S: Simd>(&mut self, simd: S, part: &Range<usize>, rows: Range<usize>, column: usize) {
        let whole = rows.start + rows.len() / ROWS * ROWS;
        for row in (rows.start..whole).step_by(ROWS) {
            self.tile::<S, ROWS>(simd, part, row, column);
        }
        for row in whole..rows.end {
            self.tile::<S, 1>(simd, part, row, column);
        }
    }

    /// Adds to `R` by [`COLUMNS`] outputs what the words of `part` contribute. Where there are fewer columns,
    /// the last one is multiplied again and not added.
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&mut self, simd: S, part: &Range<usize>, row: usize, column: usize) {
        let columns = COLUMNS.min(self.w.len() / self.words - column);
        let mut x = [[&[][..]; 2]; R];
        for (r, x) in x.iter_mut().enumerate() {
            for (v, x) in x.iter_mut().enumerate().take(W::VALUES) {
                *x = &self.x[((row + r) * W::VALUES + v) * self.words..][part.clone()];
            }
        }
        let mut w = [&[][..]; COLUMNS];
        for (c, w) in w.iter_mut().enumerate() {
            *w = &self.w[(column + c.min(columns - 1)) * self.words..][part.clone()];
        }
        let sums = dots::<W, S, R>(simd, &x, &w, part.len());
        for (r, sums) in sums.iter().enumerate() {
            for (c, sums) in sums.iter().enumerate().take(columns) {
                self.y[(column + c) * self.tokens + row + r] += simd.reduce_sum_f32s(*sums);
            }
        }
    }
}

/// The lanes' sums of `R` by [`COLUMNS`] dot products over `words` words.
#[inline(always)]
fn dots<W: Word, S: Simd, const R: usize>(
    simd: S,
    x: &[[&[f32]; 2]; R],
    w: &[&[u32]; COLUMNS],
    words: usize,
) -> [[S::f32s; COLUMNS]; R] {
    let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; R];
    let whole = words / S::F32_LANES * S::F32_LANES;
    for at in (0..whole).step_by(S::F32_LANES) {
        for c in 0..COLUMNS {
            let values = W::widen(simd, lanes_at(w[c], at, S::F32_LANES));
            for r in 0..R {
                for v in 0..W::VALUES {
                    let x: S::f32s = lanes_at(x[r][v], at, S::F32_LANES);
                    sums[r][c] = simd.mul_add_f32s(x, values[v], sums[r][c]);
                }
            }
        }
    }
    if whole < words {
        for c in 0..COLUMNS {
            let values = W::widen(simd, simd.partial_load_u32s(&w[c][whole..]));
            for r in 0..R {
                for v in 0..W::VALUES {
                    let x = simd.partial_load_f32s(&x[r][v][whole..]);
                    sums[r][c] = simd.mul_add_f32s(x, values[v], sums[r][c]);
                }
            }
        }
    }
    sums
}

/// A vector of `lanes` numbers from `at` on. The check is compiled away in optimised builds: the loop over
/// tiles is where all the time goes.
#[inline(always)]
fn lanes_at<T, V: Copy>(from: &[T], at: usize, lanes: usize) -> V {
    debug_assert!(at + lanes <= from.len() && size_of::<V>() == lanes * size_of::<T>());
    // SAFETY: every caller steps through slices of `words` numbers in whole vectors up to `words`.
    unsafe { from.as_ptr().add(at).cast::<V>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn values(count: usize, phase: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
    }

    /// A weight matrix in every packing: its words, and what they stand for.
    fn packed(weights: &[f32]) -> [(Packing, Vec<u32>, Vec<f32>); 3] {
        let halves: Vec<f16> = weights.iter().map(|w| f16::from_f32(*w)).collect();
        let brains: Vec<bf16> = weights.iter().map(|w| bf16::from_f32(*w)).collect();
        let pair = |bits: Vec<u16>| -> Vec<u32> {
            bits.chunks_exact(2).map(|b| u32::from(b[0]) | u32::from(b[1]) << 16).collect()
        };
        [
            (Packing::F32, weights.iter().map(|w| w.to_bits()).collect(), weights.to_vec()),
            (
                Packing::F16,
                pair(halves.iter().map(|h| h.to_bits()).collect()),
                halves.iter().map(|h| h.to_f32()).collect(),
            ),
            (
                Packing::Bf16,
                pair(brains.iter().map(|b| b.to_bits()).collect()),
                brains.iter().map(|b| b.to_f32()).collect(),
            ),
        ]
    }

    fn multiply_slowly(x: &[f32], weights: &[f32], inner: usize) -> Vec<f64> {
        let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        x.chunks_exact(inner).flat_map(|x| weights.chunks_exact(inner).map(move |w| dot(x, w))).collect()
    }

    #[test]
    fn every_packing_and_shape_gives_the_sum_of_products() {
        for (tokens, inner, out) in [(1, 64, 121), (3, 22, 10), (53, 2100, 9), (5, 4098, 17), (4, 2, 4)] {
            let (x, weights) = (values(tokens * inner, 0.3), values(out * inner, 1.1));
            for (packing, words, meant) in packed(&weights) {
                let (fast, slow) = (multiply(&x, &words, packing, inner), multiply_slowly(&x, &meant, inner));
                let tolerance = 1e-6 * inner as f64;
                for (a, b) in fast.iter().zip(&slow) {
                    assert!((f64::from(*a) - b).abs() < tolerance, "{packing:?} {inner}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_to_the_last_bit_in_every_batch() {
        let (x, weights) = (values(51 * 300, 0.3), values(31 * 300, 1.1));
        for (packing, words, _) in packed(&weights) {
            let together = multiply(&x, &words, packing, 300);
            for (x, together) in x.chunks_exact(300).zip(together.chunks_exact(31)) {
                assert_eq!(multiply(x, &words, packing, 300), together, "{packing:?}");
            }
        }
    }
}
