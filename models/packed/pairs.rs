//! Weights of bf16 on processors that multiply pairs of them (AVX512-BF16): one instruction multiplies two numbers of a column
//! with two activations and adds both to a sum, first the upper ones, then the lower ones, each as a fused multiply-add
//! does it (but that sums below 2^-126 become zero). So these are the bits that [`super::few`] and [`super::many`] compute on
//! other processors, in much less time.

#![allow(
    clippy::needless_range_loop,
    reason = "indices are registers, and closures would be functions without the instructions"
)]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_ps,
    _mm512_rol_epi32, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_si512,
};
use std::mem::transmute;
use std::ops::Range;

use bytemuck::cast_slice;
use rayon::prelude::*;

use super::rows::{by_tiles, tiles, with_rows};
use crate::instructions::Instructions;
use crate::panel::{Encoding, LINE_COLUMNS, PANEL, Words, lanes_at, number_at, set_lanes_at};
use crate::prefetch::{AHEAD, ASKING_ROWS, ask_for, in_order};

/// Numbers of a column that meet all tiles before the next ones do: 32 KiB of a cache.
const PART: usize = 512;
/// Rows of a tile: more would be no faster.
const MOST_ROWS: usize = 16;
/// Lanes of a vector.
const LANES: usize = LINE_COLUMNS;
/// Vectors of a panel.
const VECTORS: usize = PANEL / LANES;
/// Rows of words whose products make a chain.
const CHAIN: usize = Encoding::Bf16.layout().rows();

/// Whether the processor has them.
pub(super) fn are_native() -> bool {
    Instructions::Avx512Bf16.are_used()
}

/// Rows of activations in pairs, in tiles.
pub(super) struct Pairs {
    parts: Vec<Part>,
    /// Rows of each tile, about the same.
    tiles: Vec<usize>,
    rows: usize,
}

/// Some numbers of every row: by tiles, and in a tile interleaved.
struct Part {
    range: Range<usize>,
    /// Those behind the last number of a row, to the end of a block, are zeros.
    pairs: Vec<u32>,
}

impl Pairs {
    /// From row-major `[rows, inner]`, if weights of the encoding and this processor take them.
    pub(super) fn new(x: &[f32], inner: usize, encoding: Encoding) -> Option<Self> {
        if encoding != Encoding::Bf16 || !are_native() {
            return None;
        }
        let rows = x.len() / inner;
        let tiles = tiles(rows, MOST_ROWS);
        let part = if tiles.len() > 1 { PART } else { inner };
        let starts: Vec<usize> = (0..inner).step_by(part).collect();
        let part = |start: &usize| Part::new(x, inner, *start..inner.min(start + part), &tiles);
        Some(Self { parts: starts.par_iter().map(part).collect(), tiles, rows })
    }

    /// The outputs of some panels of `words` rows each, `[panels, rows, PANEL]`, added to zeros.
    pub(super) fn multiply(&self, panels: &[Words], words: usize, sums: &mut [f32]) {
        for part in &self.parts {
            let rows = Encoding::Bf16.layout().rows_of(&part.range);
            for (panel, sums) in panels.chunks_exact(words).zip(sums.chunks_exact_mut(self.rows * PANEL)) {
                self.add(part, &panel[rows.clone()], sums);
            }
        }
    }

    fn add(&self, part: &Part, weights: &[Words], mut sums: &mut [f32]) {
        let mut pairs = &part.pairs[..];
        for &rows in &self.tiles {
            let (tile, of_tile);
            (tile, pairs) = pairs.split_at(rows * weights.len());
            (of_tile, sums) = sums.split_at_mut(rows * PANEL);
            // SAFETY: there are such activations only where there are such instructions.
            with_rows!(rows, R => unsafe { add::<R>(tile, weights, of_tile) }, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        }
    }
}

impl Part {
    fn new(x: &[f32], inner: usize, range: Range<usize>, tiles: &[usize]) -> Self {
        let words = range.len().next_multiple_of(Encoding::Bf16.layout().numbers) / 2;
        let rows = x.len() / inner;
        let mut pairs = vec![0; rows * words];
        for (x, to) in x.chunks_exact(inner).zip(pairs.chunks_exact_mut(words)) {
            // SAFETY: there are such activations only where there are such instructions.
            unsafe { round(&x[range.clone()], to) };
        }
        Self { range, pairs: by_tiles(pairs, tiles) }
    }
}

/// Pairs of a row's numbers, rounded to bf16, the first of each in the upper half. Behind the last number stay zeros.
#[target_feature(enable = "avx512f,avx512bf16")]
fn round(row: &[f32], to: &mut [u32]) {
    for (numbers, to) in row.chunks(2 * LANES).zip(to.chunks_mut(LANES)) {
        let mut both = [0f32; 2 * LANES];
        both[..numbers.len()].copy_from_slice(numbers);
        let mut words = [0u32; LANES];
        // SAFETY: there are as many numbers, and as many words.
        unsafe {
            let [first, second] = [0, LANES].map(|at| both.as_ptr().add(at));
            let pairs = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(second), _mm512_loadu_ps(first));
            _mm512_storeu_si512(
                words.as_mut_ptr().cast(),
                _mm512_rol_epi32::<16>(transmute::<__m512bh, __m512i>(pairs)),
            );
        }
        to.copy_from_slice(&words[..to.len()]);
    }
}

/// Adds to `sums` (`[R, PANEL]`) the products of some rows of pairs, `[pairs, R]`. A function for every number of rows: they would not fit
/// one's registers together.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
fn add<const R: usize>(pairs: &[u32], weights: &[Words], sums: &mut [f32]) {
    assert!(pairs.len() == weights.len() * R && sums.len() == R * PANEL);
    for (i, rows) in weights.chunks_exact(CHAIN).enumerate() {
        for v in 0..VECTORS {
            let products = products::<R>(pairs, rows, i * CHAIN, v);
            for r in 0..R {
                let place = r * PANEL + v * LANES;
                let sum = lanes_at(sums, place, LANES);
                set_lanes_at(sums, place, LANES, _mm512_add_ps(sum, products[r]));
            }
        }
    }
}

/// A chain for each row and column of vector `v`, of the words from the `first` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
fn products<const R: usize>(pairs: &[u32], rows: &[Words], first: usize, v: usize) -> [__m512; R] {
    let mut products = [_mm512_setzero_ps(); R];
    let (words, layout): (&[u32], _) = (cast_slice(rows), Encoding::Bf16.layout());
    for word in 0..CHAIN {
        in_order();
        if R >= ASKING_ROWS {
            ask_for(words.as_ptr().wrapping_add(layout.place(word + AHEAD, v * LANES)));
        }
        let weights: __m512i = lanes_at(words, layout.place(word, v * LANES), LANES);
        for r in 0..R {
            let pair = _mm512_set1_epi32(number_at(pairs, (first + word) * R + r) as i32);
            // SAFETY: vectors of 512 bits all.
            let [w, x] = unsafe { transmute::<[__m512i; 2], [__m512bh; 2]>([weights, pair]) };
            products[r] = _mm512_dpbf16_ps(products[r], w, x);
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Simd, WithSimd};

    use super::super::few::{Few, most_rows};
    use super::super::many::Many;
    use super::*;
    use crate::panel::pack;

    /// As processors without the instruction do it.
    struct OneByOne<'a> {
        x: &'a [f32],
        inner: usize,
        panels: &'a [Words],
        words: usize,
        encoding: Encoding,
    }

    impl WithSimd for OneByOne<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let (encoding, rows) = (self.encoding, self.x.len() / self.inner);
            let mut sums = vec![0f32; self.panels.len() / self.words * rows * PANEL];
            if rows <= most_rows::<S>() {
                let few = Few::new::<S>(self.x, self.inner, encoding);
                let each = self.panels.chunks_exact(self.words).zip(sums.chunks_exact_mut(rows * PANEL));
                each.for_each(|(panel, sums)| few.multiply(simd, panel, encoding, sums));
            } else {
                let many = Many::new::<S>(self.x, self.inner, encoding);
                many.multiply(simd, self.panels, (encoding, self.words), &mut sums);
            }
            sums
        }
    }

    #[test]
    fn pairs_give_the_bits_that_one_product_after_another_gives() {
        if !are_native() {
            println!("skipped: this processor does not multiply pairs of bf16");
            return;
        }
        let number = |i: usize, phase: f32| (i as f32 * 0.37 + phase).sin();
        for (rows, inner) in [(1, 64), (2, 25), (5, 300), (13, 96), (16, 64), (40, 897), (3, 512), (30, 1024)]
        {
            let x: Vec<f32> = (0..rows * inner).map(|i| number(i, 0.3)).collect();
            let upper = |i: usize| ((number(i, 1.1).to_bits() >> 16) as u16).to_le_bytes();
            let stored: Vec<u8> = (0..64 * inner).flat_map(upper).collect();
            let encoding = Encoding::Bf16;
            let (panels, words) = (pack(&stored, encoding, 64), encoding.rows(inner));
            let mut sums = vec![0f32; 2 * rows * PANEL];
            Pairs::new(&x, inner, encoding).unwrap().multiply(&panels, words, &mut sums);
            let slow = Arch::new().dispatch(OneByOne { x: &x, inner, panels: &panels, words, encoding });
            assert_eq!(sums, slow, "{rows}x{inner}");
        }
    }
}
