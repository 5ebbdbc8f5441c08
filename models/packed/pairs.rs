//! Coarse weights on processors that multiply pairs of bf16 (AVX512-BF16): one instruction multiplies two numbers of a column
//! with two activations and adds both to a sum, first the upper ones, then the lower ones, each as a fused multiply-add
//! does it (but that sums below 2^-126 become zero). So these are the bits that [`super::few`] and [`super::many`] compute on
//! other processors, in much less time. Weights in blocks are small integers, which bf16 holds exactly: 4, 5 and 6 of
//! their bits are looked up in a table, for two numbers at once. That is so cheap that every tile of rows does it anew.

#![allow(
    clippy::needless_range_loop,
    reason = "indices are registers, and closures would be functions without the instructions"
)]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_permutex2var_epi16, _mm512_permutexvar_epi16, _mm512_rol_epi32, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_srli_epi16, _mm512_storeu_si512,
};
use std::mem::transmute;
use std::ops::Range;

use pulp::x86::V4;
use pulp::{f32x16, u32x16};
use rayon::prelude::*;

use super::rows::{add_group, group_sums, tiles, with_rows};
use crate::panel::{Block, Encoding, Kind, PANEL, Words, lanes_at, number_at, set_lanes_at, with_kind};
use crate::prefetch::ask_for_all;

/// Numbers of a column that meet all tiles before the next ones do: 16 KiB of a first-level cache at most.
const PART: usize = 256;
/// Rows of a tile: with two vectors of weights, their sums leave registers for these.
const MOST_ROWS: usize = 12;
/// Rows of words from those that are multiplied to those that are asked for: a page.
const AHEAD: usize = 32;
/// Lanes of a vector.
const LANES: usize = 16;
/// Vectors of a panel.
const VECTORS: usize = PANEL / LANES;

/// What the scales of a vector's columns have in common.
type Head = [f32x16; 2];

/// Whether the processor has them.
pub(super) fn are_native() -> bool {
    V4::try_new().is_some() && is_x86_feature_detected!("avx512bf16")
}

/// Rows of activations in pairs, in tiles.
pub(super) struct Pairs {
    simd: V4,
    encoding: Encoding,
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
    /// For encodings with offsets, of each group.
    group_sums: Vec<f32>,
}

impl Pairs {
    /// From row-major `[rows, inner]`, if weights of the encoding and this processor take them.
    pub(super) fn new(x: &[f32], inner: usize, encoding: Encoding) -> Option<Self> {
        let simd = V4::try_new().filter(|_| encoding.is_coarse() && are_native())?;
        let rows = x.len() / inner;
        let tiles = tiles(rows, MOST_ROWS);
        let part = if tiles.len() > 1 { PART } else { inner };
        let starts: Vec<usize> = (0..inner).step_by(part).collect();
        let part = |start: &usize| Part::new(x, inner, *start..inner.min(start + part), encoding, &tiles);
        Some(Self { simd, encoding, parts: starts.par_iter().map(part).collect(), tiles, rows })
    }

    /// The outputs of some panels of `words` rows each, `[panels, rows, PANEL]`, added to zeros.
    pub(super) fn multiply(&self, panels: &[Words], words: usize, sums: &mut [f32]) {
        for part in &self.parts {
            let rows = self.encoding.layout().rows_of(&part.range);
            for (panel, sums) in panels.chunks_exact(words).zip(sums.chunks_exact_mut(self.rows * PANEL)) {
                with_kind!(self.encoding, K => self.add::<K>(part, &panel[rows.clone()], sums));
            }
        }
    }

    fn add<K: Kind>(&self, part: &Part, weights: &[Words], mut sums: &mut [f32]) {
        if const { !K::ENCODING.is_coarse() } {
            unreachable!("only coarse weights meet pairs");
        }
        let (mut pairs, mut of_groups) = (&part.pairs[..], &part.group_sums[..]);
        let (in_a_row, groups) = (pairs.len() / self.rows, of_groups.len() / self.rows);
        for &rows in &self.tiles {
            let (tile, group_sums, of_tile);
            (tile, pairs) = pairs.split_at(rows * in_a_row);
            (group_sums, of_groups) = of_groups.split_at(rows * groups);
            (of_tile, sums) = sums.split_at_mut(rows * PANEL);
            let tile = Tile { simd: self.simd, pairs: tile, group_sums, weights };
            // SAFETY: there are such activations only where there are such instructions.
            with_rows!(rows, R => unsafe { tile.add::<K, R>(of_tile) }, 1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}

impl Part {
    fn new(x: &[f32], inner: usize, range: Range<usize>, encoding: Encoding, tiles: &[usize]) -> Self {
        let words = range.len().next_multiple_of(encoding.layout().numbers) / 2;
        let rows = x.len() / inner;
        let (mut in_rows, mut pairs) = (vec![0; rows * words], vec![0; rows * words]);
        for (x, to) in x.chunks_exact(inner).zip(in_rows.chunks_exact_mut(words)) {
            // SAFETY: there are such activations only where there are such instructions.
            unsafe { round(&x[range.clone()], to) };
        }
        let (mut from, mut to, mut x, mut sums) = (&in_rows[..], &mut pairs[..], x, Vec::new());
        for &rows in tiles {
            let (of_tile, from_tile, to_tile);
            (of_tile, x) = x.split_at(rows * inner);
            (from_tile, from) = from.split_at(rows * words);
            (to_tile, to) = to.split_at_mut(rows * words);
            with_rows!(rows, R => interleave::<R>(from_tile, to_tile), 1 2 3 4 5 6 7 8 9 10 11 12);
            sums.extend(group_sums(of_tile, inner, &range, encoding));
        }
        Self { range, pairs, group_sums: sums }
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

/// From rows of pairs to `[pairs, R]`.
fn interleave<const R: usize>(from: &[u32], to: &mut [u32]) {
    let mut rows = [&[][..]; R];
    for (row, from) in rows.iter_mut().zip(from.chunks_exact(from.len() / R)) {
        *row = from;
    }
    for (k, to) in to.as_chunks_mut::<R>().0.iter_mut().enumerate() {
        for r in 0..R {
            to[r] = rows[r][k];
        }
    }
}

/// Some rows of activations, and what they meet of a panel.
struct Tile<'a> {
    simd: V4,
    /// `[numbers / 2, R]`.
    pairs: &'a [u32],
    /// `[groups, R]`, for encodings with offsets.
    group_sums: &'a [f32],
    weights: &'a [Words],
}

impl Tile<'_> {
    /// Adds to `sums` (`[R, PANEL]`). A function for every kind and number of rows: they would not fit one's registers together.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
    fn add<K: Kind, const R: usize>(&self, sums: &mut [f32]) {
        let groups = self.weights.len() / K::LAYOUT.rows() * K::LAYOUT.groups();
        assert!(self.pairs.len() == groups * K::LAYOUT.group / 2 * R && sums.len() == R * PANEL);
        let table = table::<K>();
        for (i, rows) in self.weights.chunks_exact(K::LAYOUT.rows()).enumerate() {
            let mut blocks = [Block::new(self.simd, rows, 0); VECTORS];
            let mut heads = [blocks[0].head(); VECTORS];
            for v in 1..VECTORS {
                blocks[v] = Block::new(self.simd, rows, v);
                heads[v] = blocks[v].head();
            }
            for group in 0..K::LAYOUT.groups() {
                // With a row or two, bf16 is read as fast as memory gives it, and hints take turns from it.
                if !(matches!(K::ENCODING, Encoding::Bf16) && R < 3) {
                    ask_ahead::<K>(rows, group);
                }
                let at = i * K::LAYOUT.groups() + group;
                let products = self.products::<K, R>(&blocks, group, at, table);
                self.add_products::<K, R>((&blocks, &heads), (group, at), products, sums);
            }
        }
    }

    /// A chain for each row and column.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
    fn products<K: Kind, const R: usize>(
        &self,
        blocks: &[Block<V4, K>; VECTORS],
        group: usize,
        at: usize,
        table: [__m512i; 2],
    ) -> [[__m512; VECTORS]; R] {
        let mut products = [[_mm512_setzero_ps(); VECTORS]; R];
        for word in 0..K::LAYOUT.words_of_a_group() {
            let mut words = [table; VECTORS];
            for v in 0..VECTORS {
                // SAFETY: two vectors of 512 bits both.
                words[v] = unsafe { transmute::<[u32x16; 2], [__m512i; 2]>(blocks[v].words(group, word)) };
            }
            let first = (at * K::LAYOUT.group + word * K::LAYOUT.numbers_of_a_word()) / 2;
            for j in 0..K::LAYOUT.numbers_of_a_word() / 2 {
                let mut weights = [table[0]; VECTORS];
                for v in 0..VECTORS {
                    weights[v] = taken::<K>(words[v], j, table);
                }
                for r in 0..R {
                    let pair = _mm512_set1_epi32(number_at(self.pairs, (first + j) * R + r) as i32);
                    for v in 0..VECTORS {
                        // SAFETY: vectors of 512 bits all.
                        let [w, x] = unsafe { transmute::<[__m512i; 2], [__m512bh; 2]>([weights[v], pair]) };
                        products[r][v] = _mm512_dpbf16_ps(products[r][v], w, x);
                    }
                }
            }
        }
        products
    }

    /// Adds a group's products, times its scale, to the sums, and its offset.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
    fn add_products<K: Kind, const R: usize>(
        &self,
        (blocks, heads): (&[Block<V4, K>; VECTORS], &[Head; VECTORS]),
        (group, at): (usize, usize),
        products: [[__m512; VECTORS]; R],
        sums: &mut [f32],
    ) {
        for v in 0..VECTORS {
            let scale = blocks[v].scale(heads[v], group);
            for r in 0..R {
                let place = r * PANEL + v * LANES;
                // SAFETY: vectors of 512 bits both.
                let products = unsafe { transmute::<__m512, f32x16>(products[r][v]) };
                let sum = lanes_at(sums, place, LANES);
                let group_sum = || number_at(self.group_sums, at * R + r);
                let sum = add_group(self.simd, K::LAYOUT.factors(), (sum, products), scale, group_sum);
                set_lanes_at(sums, place, LANES, sum);
            }
        }
    }
}

/// Pair `j` of a word, as bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn taken<K: Kind>(words: [__m512i; 2], j: usize, [low, high]: [__m512i; 2]) -> __m512i {
    if K::ENCODING == Encoding::Bf16 {
        return words[0];
    }
    let (word, bit) = K::LAYOUT.place_of(2 * j + 1);
    let bits = match bit {
        0 => words[word],
        4 => _mm512_srli_epi16::<4>(words[word]),
        8 => _mm512_srli_epi16::<8>(words[word]),
        _ => _mm512_srli_epi16::<12>(words[word]),
    };
    // Bits above those of a number do not count, or find the same again.
    if K::LAYOUT.bits() > 5 {
        _mm512_permutex2var_epi16(low, bits, high)
    } else {
        _mm512_permutexvar_epi16(bits, low)
    }
}

/// What up to six bits stand for, as bf16.
#[inline]
#[target_feature(enable = "avx512f")]
fn table<K: Kind>() -> [__m512i; 2] {
    let number = |i: usize| (i % (1 << K::LAYOUT.bits().min(6))) as f32 - K::LAYOUT.zero() as f32;
    let entries: [u16; 64] = std::array::from_fn(|i| (number(i).to_bits() >> 16) as u16);
    let (low, high) = entries.split_at(32);
    // SAFETY: there are as many entries.
    unsafe { [_mm512_loadu_si512(low.as_ptr().cast()), _mm512_loadu_si512(high.as_ptr().cast())] }
}

/// Asks for as many rows as a group has, a page further on; behind a panel lies the next.
#[inline(always)]
fn ask_ahead<K: Kind>(block: &[Words], group: usize) {
    let of_a_group = K::LAYOUT.rows() / K::LAYOUT.groups();
    ask_for_all(block.as_ptr().wrapping_add(group * of_a_group + AHEAD), of_a_group);
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
        for (rows, inner) in [(1, 64), (2, 25), (5, 300), (13, 96), (40, 897), (3, 512), (30, 1024)] {
            let x: Vec<f32> = (0..rows * inner).map(|i| number(i, 0.3)).collect();
            for (encoding, stored) in stored(inner, |i| number(i, 1.1)) {
                let (panels, words) = (pack(&stored, encoding, 64), encoding.rows(inner));
                let mut sums = vec![0f32; 2 * rows * PANEL];
                Pairs::new(&x, inner, encoding).unwrap().multiply(&panels, words, &mut sums);
                let slow = Arch::new().dispatch(OneByOne { x: &x, inner, panels: &panels, words, encoding });
                assert_eq!(sums, slow, "{encoding:?} {rows}x{inner}");
            }
        }
    }

    /// 64 columns of every coarse encoding that such rows fit.
    fn stored(inner: usize, number: impl Fn(usize) -> f32) -> Vec<(Encoding, Vec<u8>)> {
        use candle_core::quantized::{GgmlDType, QTensor};
        let numbers: Vec<f32> = (0..64 * inner).map(number).collect();
        let upper = |x: &f32| (x.to_bits() >> 16) as u16;
        let mut all = vec![(Encoding::Bf16, numbers.iter().flat_map(|x| upper(x).to_le_bytes()).collect())];
        let tensor = candle_core::Tensor::from_vec(numbers, (64, inner), &candle_core::Device::Cpu).unwrap();
        for kind in [GgmlDType::Q4_0, GgmlDType::Q5_0, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K] {
            if inner.is_multiple_of(kind.block_size()) {
                let blocks = QTensor::quantize(&tensor, kind).unwrap().data().unwrap().into_owned();
                all.push((Encoding::of_blocks(kind).unwrap(), blocks));
            }
        }
        all
    }
}
