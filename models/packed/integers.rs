//! Weights in blocks are small integers, and activations become integers to meet them ([`super::rounded`]).
//!
//! Integers are added without rounding, so the sum over a group is the same in any order and on any processor. It is then
//! rounded to `f32` and meets the scale of its group, one group after another, and the sum over a block meets the
//! scale of the activations. Integers are taken out of their words so cheaply that every tile of rows does it anew.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::marker::PhantomData;

use pulp::{NullaryFnOnce, Simd};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::dot::Bytes;
use super::dot::{Dot, Halves};
use super::rounded::{Group, MOST_NUMBERS, Rounded};
use super::rows::{tiles, with_rows};
use crate::panel::{
    Block, Encoding, Kind, LINE_COLUMNS, PANEL, Words, each_four, lanes_at, number_at, set_lanes_at,
    with_blocks,
};
use crate::prefetch::{ASKING_ROWS, in_order};

/// Activations that meet some panels before the next ones do: they stay in a second-level cache.
const CACHED: usize = 384 * 1024;

/// Rows of a tile: with a vector of weights, their sums leave registers for these.
const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 4 }
}

/// Vectors of columns side by side: those of a line of memory, as far as sums have registers for them.
const fn vectors<S: Simd>(rows: usize) -> usize {
    let most = if rows == 1 {
        4
    } else if rows < 4 {
        2
    } else {
        1
    };
    let line = LINE_COLUMNS / S::F32_LANES;
    if line < most { line } else { most }
}

/// Rows of activations, in tiles.
pub(super) struct Integers {
    encoding: Encoding,
    parts: Vec<Rounded>,
    /// Rows of each tile, about the same.
    tiles: Vec<usize>,
    rows: usize,
    /// Whether [`Bytes`] multiply them.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "others have no such instructions"))]
    are_bytes: bool,
}

impl Integers {
    /// From row-major `[rows, inner]`, if weights of the encoding are small integers.
    pub(super) fn new<S: Simd>(x: &[f32], inner: usize, encoding: Encoding) -> Option<Self> {
        encoding.is_blocks().then(|| Self::for_tiles(x, inner, encoding, most_rows::<S>(), are_bytes::<S>()))
    }

    fn for_tiles(x: &[f32], inner: usize, encoding: Encoding, most_rows: usize, are_bytes: bool) -> Self {
        let rows = x.len() / inner;
        let tiles = tiles(rows, most_rows);
        let part = (CACHED / rows).next_multiple_of(MOST_NUMBERS);
        let starts: Vec<usize> = (0..inner).step_by(part).collect();
        let part = |start: &usize| {
            let range = *start..inner.min(start + part);
            Rounded::new(x, inner, range, encoding.layout(), are_bytes).by_tiles(&tiles)
        };
        let parts = starts.par_iter().map(part).collect();
        Self { encoding, parts, tiles, rows, are_bytes }
    }

    /// The outputs of some panels of `words` rows each, `[panels, rows, PANEL]`, added to zeros.
    pub(super) fn multiply<S: Simd>(&self, simd: S, panels: &[Words], words: usize, sums: &mut [f32]) {
        for part in &self.parts {
            let rows = self.encoding.layout().rows_of(&part.range);
            for (panel, sums) in panels.chunks_exact(words).zip(sums.chunks_exact_mut(self.rows * PANEL)) {
                let panel = &panel[rows.clone()];
                #[cfg(target_arch = "x86_64")]
                if self.are_bytes {
                    with_blocks!(self.encoding, K => self.add::<S, Bytes, K>(simd, part, panel, sums));
                    continue;
                }
                with_blocks!(self.encoding, K => self.add::<S, Halves, K>(simd, part, panel, sums));
            }
        }
    }

    fn add<S: Simd, D: Dot<S>, K: Kind>(&self, simd: S, part: &Rounded, weights: &[Words], sums: &mut [f32]) {
        let mut first = 0;
        for &rows in &self.tiles {
            let tile = Tile { simd, part, first, weights };
            let sums = &mut sums[first * PANEL..][..rows * PANEL];
            with_rows!(rows, R => match vectors::<S>(R) {
                4 => tile.add::<D, K, R, 4>(sums),
                2 => tile.add::<D, K, R, 2>(sums),
                _ => tile.add::<D, K, R, 1>(sums),
            }, 1 2 3 4 5 6 7 8);
            first += rows;
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn are_bytes<S: Simd>() -> bool {
    Bytes::are_native::<S>()
}

#[cfg(not(target_arch = "x86_64"))]
fn are_bytes<S: Simd>() -> bool {
    false
}

/// Some rows of activations, and what they meet of a panel.
struct Tile<'a, S> {
    simd: S,
    part: &'a Rounded,
    /// The first row.
    first: usize,
    weights: &'a [Words],
}

impl<S: Simd> Tile<'_, S> {
    /// Adds to `sums` (`[R, PANEL]`). A function for every kind and number of rows: they would not fit one's registers together.
    #[inline(never)]
    fn add<D: Dot<S>, K: Kind, const R: usize, const V: usize>(&self, sums: &mut [f32]) {
        if const { R > most_rows::<S>() || V != vectors::<S>(R) } {
            unreachable!("no tile is like this: that saves the compiler the work");
        }
        assert!(sums.len() == R * PANEL);
        let blocks = self.weights.len() / K::LAYOUT.rows();
        let [first, second] = &self.part.fours;
        D::run(
            self.simd,
            Multiply::<S, D, K, R, V> {
                simd: self.simd,
                fours: [first, second]
                    .map(|fours| self.of_rows::<R, _>(fours, blocks * K::LAYOUT.numbers / 4)),
                groups: self.of_rows::<R, _>(&self.part.groups, blocks * K::LAYOUT.groups()),
                scales: self.of_rows::<R, _>(&self.part.scales, blocks),
                weights: self.weights,
                sums,
                kinds: PhantomData,
            },
        );
    }

    fn of_rows<'b, const R: usize, T>(&self, of_all: &'b [T], of_a_row: usize) -> &'b [T] {
        &of_all[self.first * of_a_row..][..R * of_a_row]
    }
}

/// `R` interleaved rows times `V` of columns at a time.
struct Multiply<'a, S, D, K, const R: usize, const V: usize> {
    simd: S,
    fours: [&'a [u32]; 2],
    groups: &'a [Group],
    scales: &'a [f32],
    weights: &'a [Words],
    sums: &'a mut [f32],
    kinds: PhantomData<(D, K)>,
}

impl<S: Simd, D: Dot<S>, K: Kind, const R: usize, const V: usize> NullaryFnOnce
    for Multiply<'_, S, D, K, R, V>
{
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        for (i, rows) in self.weights.chunks_exact(K::LAYOUT.rows()).enumerate() {
            for first in (0..PANEL / S::F32_LANES).step_by(V) {
                self.add_block(rows, i, first);
            }
        }
    }
}

impl<S: Simd, D: Dot<S>, K: Kind, const R: usize, const V: usize> Multiply<'_, S, D, K, R, V> {
    /// Adds what block `i` contributes to some columns.
    #[inline(always)]
    fn add_block(&mut self, rows: &[Words], i: usize, first: usize) {
        let (simd, lanes) = (self.simd, S::F32_LANES);
        let mut blocks = [Block::<S, K>::new(simd, rows, first); V];
        let mut heads = [blocks[0].head(); V];
        for v in 1..V {
            blocks[v] = Block::new(simd, rows, first + v);
            heads[v] = blocks[v].head();
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for group in 0..K::LAYOUT.groups() {
            in_order();
            if R >= ASKING_ROWS {
                let of_a_group = K::LAYOUT.rows().div_ceil(K::LAYOUT.groups());
                for row in group * of_a_group..(group + 1) * of_a_group {
                    blocks[0].ask_ahead(row);
                }
            }
            self.add_group(&blocks, &heads, (group, i * K::LAYOUT.groups() + group), &mut sums);
        }
        for v in 0..V {
            for r in 0..R {
                let place = r * PANEL + (first + v) * lanes;
                let scale = simd.splat_f32s(number_at(self.scales, i * R + r));
                let sum = simd.mul_add_f32s(sums[r][v], scale, lanes_at(self.sums, place, lanes));
                set_lanes_at(self.sums, place, lanes, sum);
            }
        }
    }

    /// Adds a group's products, times its scale, and its offset. It is number `at` of the activations' groups.
    #[inline(always)]
    fn add_group(
        &self,
        blocks: &[Block<S, K>; V],
        heads: &[[S::f32s; 2]; V],
        (group, at): (usize, usize),
        sums: &mut [[S::f32s; V]; R],
    ) {
        let simd = self.simd;
        let products = self.products(blocks, group, at);
        for v in 0..V {
            let [scale, offset] = blocks[v].scale(heads[v], group);
            for r in 0..R {
                sums[r][v] = simd.mul_add_f32s(D::total(simd, products[r][v]), scale, sums[r][v]);
                if K::LAYOUT.has_offsets() {
                    let sum = simd.splat_f32s(number_at(self.groups, at * R + r).sum);
                    sums[r][v] = simd.mul_add_f32s(sum, offset, sums[r][v]);
                }
            }
        }
    }

    /// The sums of a group's products, for each row and column.
    #[inline(always)]
    fn products(&self, blocks: &[Block<S, K>; V], group: usize, at: usize) -> [[D::Sum; V]; R] {
        let simd = self.simd;
        let mut products = [[D::start(simd, 0); V]; R];
        if K::LAYOUT.zero() > 0 {
            for r in 0..R {
                products[r] = [D::start(simd, number_at(self.groups, at * R + r).start); V];
            }
        }
        each_four!(K::LAYOUT, I => {
            let mut weights = [D::weights(simd, blocks[0].four::<I>(group)); V];
            for v in 1..V {
                weights[v] = D::weights(simd, blocks[v].four::<I>(group));
            }
            let first = (at * K::LAYOUT.group / 4 + I) * R;
            for r in 0..R {
                let [a, b] = [number_at(self.fours[0], first + r), number_at(self.fours[1], first + r)];
                let x = [simd.splat_u32s(a), simd.splat_u32s(b)];
                for v in 0..V {
                    products[r][v] = D::add(products[r][v], weights[v], x);
                }
            }
        });
        products
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};
    use pulp::{Arch, WithSimd};

    use super::super::rounded::LARGEST;
    use super::*;
    use crate::panel::pack;
    use crate::slab::Slab;

    /// Panels of 64 columns, and activations for them.
    struct Case {
        x: Vec<f32>,
        inner: usize,
        panels: Slab<Words>,
        encoding: Encoding,
    }

    impl Case {
        fn new(rows: usize, inner: usize, kind: GgmlDType) -> Self {
            let numbers = |count: usize, phase: f32| (0..count).map(move |i| (i as f32 * 0.37 + phase).sin());
            let encoding = Encoding::of_blocks(kind).unwrap();
            let w = Tensor::from_iter(numbers(64 * inner, 1.1), &Device::Cpu).unwrap();
            let blocks = QTensor::quantize(&w.reshape((64, inner)).unwrap(), kind).unwrap();
            let panels = pack(&blocks.data().unwrap(), encoding, 64);
            Self { x: numbers(rows * inner, 0.3).collect(), inner, panels, encoding }
        }

        fn product<S: Simd>(&self, simd: S, are_bytes: bool) -> Vec<f32> {
            let most_rows = most_rows::<S>();
            let x = Integers::for_tiles(&self.x, self.inner, self.encoding, most_rows, are_bytes);
            let mut sums = vec![0f32; 2 * x.rows * PANEL];
            x.multiply(simd, &self.panels, self.encoding.rows(self.inner), &mut sums);
            sums
        }

        /// An output as the module's documentation says it.
        fn output(&self, panel: usize, row: usize, column: usize) -> f32 {
            let words = self.encoding.rows(self.inner);
            let panel = &self.panels[panel * words..][..words];
            with_blocks!(self.encoding, K => output::<K>(&self.x[row * self.inner..][..self.inner], panel, column))
        }
    }

    fn output<K: Kind>(x: &[f32], panel: &[Words], column: usize) -> f32 {
        let blocks = panel.chunks_exact(K::LAYOUT.rows()).zip(x.chunks(K::LAYOUT.numbers));
        blocks.fold(0f32, |sum, (rows, x)| {
            let block = Block::<pulp::Scalar, K>::new(pulp::Scalar::new(), rows, column);
            let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            let integers = x.iter().map(|x| (x * (LARGEST / largest)).round_ties_even() as i64);
            let integers: Vec<i64> =
                integers.chain(std::iter::repeat_n(0, K::LAYOUT.numbers - x.len())).collect();
            let groups = integers.chunks(K::LAYOUT.group).enumerate();
            let of_block = groups.fold(0f32, |sum, (group, x)| add_group::<K>(block, group, x, sum));
            of_block.mul_add(largest / LARGEST, sum)
        })
    }

    fn add_group<K: Kind>(block: Block<pulp::Scalar, K>, group: usize, x: &[i64], sum: f32) -> f32 {
        let mut exact = 0;
        each_four!(K::LAYOUT, I => {
            for (byte, x) in block.four::<I>(group).to_le_bytes().iter().zip(&x[4 * I..]) {
                exact += (i64::from(*byte) - i64::from(K::LAYOUT.zero())) * x;
            }
        });
        let [scale, offset] = block.scale(block.head(), group);
        let sum = (exact as f32).mul_add(scale, sum);
        if K::LAYOUT.has_offsets() { (x.iter().sum::<i64>() as f32).mul_add(offset, sum) } else { sum }
    }

    impl WithSimd for &Case {
        type Output = Vec<Vec<f32>>;

        /// All ways of this processor's longest vectors.
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            [true, false]
                .into_iter()
                .filter(|bytes| !bytes || are_bytes::<S>())
                .map(|bytes| self.product(simd, bytes))
                .collect()
        }
    }

    #[test]
    fn all_processors_give_the_bits_of_exact_sums() {
        use GgmlDType::{Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
        for kind in [Q4_0, Q5_0, Q8_0, Q4K, Q5K, Q6K] {
            // The last are in two parts.
            let shapes = [(1, 32), (2, 96), (1, 256), (3, 512), (5, 768), (8, 256), (13, 512), (400, 1280)];
            for (rows, inner) in shapes.into_iter().filter(|(_, inner)| inner % kind.block_size() == 0) {
                let case = Case::new(rows, inner, kind);
                let mut ways = Arch::new().dispatch(&case);
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    ways.extend((&case).with_simd(simd));
                }
                ways.push(case.product(pulp::Scalar::new(), false));
                for (i, expected) in ways[0].iter().enumerate() {
                    let (panel, row, column) = (i / PANEL / rows, i / PANEL % rows, i % PANEL);
                    assert_eq!(*expected, case.output(panel, row, column), "{kind:?} {rows}x{inner}");
                }
                assert!(ways.iter().all(|way| way == &ways[0]), "{kind:?} {rows}x{inner}");
            }
        }
    }

    #[test]
    fn what_is_no_number_makes_none_and_nothing_stays_nothing() {
        for (number, is_right) in [
            (f32::NAN, f32::is_nan as fn(f32) -> bool),
            (f32::INFINITY, f32::is_nan),
            (0.0, |sum| sum == 0.0),
            (1e-35, |sum| sum == 0.0),
        ] {
            let mut case = Case::new(1, 256, GgmlDType::Q4K);
            case.x.fill(0.0);
            case.x[7] = number;
            assert!(Arch::new().dispatch(&case).concat().iter().all(|sum| is_right(*sum)), "{number}");
        }
    }
}
