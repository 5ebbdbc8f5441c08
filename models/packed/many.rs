//! Many rows of activations: a part of a panel is unpacked once, into a buffer that stays in a first-level cache, and all
//! rows are multiplied with it, a tile of them at a time.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{NullaryFnOnce, Simd};
use rayon::prelude::*;

use super::rows::{add_group, group_sums, interleave, tiles, with_rows};
use crate::panel::{
    Block, Encoding, Kind, Layout, PANEL, Words, each_number, floats, lanes_at, set_lanes_at, with_kind,
};

/// Numbers of a column that are unpacked together, a multiple of every block.
const PART: usize = 256;
/// Vectors of columns of a tile.
const VECTORS: usize = 2;

/// Rows of a tile whose sums, with [`VECTORS`] of weights, fill the registers.
const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 12 } else { 6 }
}

/// Many rows, in tiles.
pub(super) struct Many {
    parts: Vec<Part>,
    /// Rows of each tile, about the same.
    tiles: Vec<usize>,
    rows: usize,
}

/// [`PART`] numbers of every row: by tiles, and in a tile interleaved.
struct Part {
    range: Range<usize>,
    numbers: Vec<f32>,
    /// By tiles as well, for encodings with offsets.
    group_sums: Vec<f32>,
}

impl Many {
    /// From row-major `[rows, inner]`.
    pub(super) fn new<S: Simd>(x: &[f32], inner: usize, encoding: Encoding) -> Self {
        let rows = x.len() / inner;
        let tiles = tiles(rows, most_rows::<S>());
        let starts: Vec<usize> = (0..inner).step_by(PART).collect();
        let part = |start: &usize| Part::new(x, inner, *start..inner.min(start + PART), encoding, &tiles);
        Self { parts: starts.par_iter().map(part).collect(), tiles, rows }
    }

    /// The outputs of some panels, `[panels, rows, PANEL]`, added to zeros. A part of the activations meets all panels while it is in
    /// a second-level cache.
    pub(super) fn multiply<S: Simd>(
        &self,
        simd: S,
        panels: &[Words],
        (encoding, rows): (Encoding, usize),
        sums: &mut [f32],
    ) {
        let layout = encoding.layout();
        let mut unpacked = Unpacked::new(layout, PART);
        for part in &self.parts {
            for (panel, sums) in panels.chunks_exact(rows).zip(sums.chunks_exact_mut(self.rows * PANEL)) {
                let stored = &panel[layout.rows_of(&part.range)];
                if encoding == Encoding::F32 {
                    self.add(simd, part, &Weights { numbers: floats(stored), factors: &[], layout }, sums);
                } else {
                    unpacked.fill(simd, stored, encoding);
                    self.add(simd, part, &unpacked.weights(), sums);
                }
            }
        }
    }

    /// Adds to `sums` (`[rows, PANEL]`) what a part of the numbers contributes.
    fn add<S: Simd>(&self, simd: S, part: &Part, weights: &Weights, mut sums: &mut [f32]) {
        let (mut x, mut of_groups) = (&part.numbers[..], &part.group_sums[..]);
        let groups = part.group_sums.len() / self.rows;
        for &rows in &self.tiles {
            let (tile, sums_of_tile);
            (tile, x) = x.split_at(rows * part.range.len());
            let (group_sums, rest) = of_groups.split_at(rows * groups);
            of_groups = rest;
            (sums_of_tile, sums) = sums.split_at_mut(rows * PANEL);
            with_rows!(rows, R => match weights.layout.factors() {
                0 => add::<S, R, 0>(simd, (tile, group_sums), weights, sums_of_tile),
                1 => add::<S, R, 1>(simd, (tile, group_sums), weights, sums_of_tile),
                _ => add::<S, R, 2>(simd, (tile, group_sums), weights, sums_of_tile),
            }, 1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}

impl Part {
    fn new(x: &[f32], inner: usize, range: Range<usize>, encoding: Encoding, tiles: &[usize]) -> Self {
        let (mut numbers, mut sums) = (vec![0f32; x.len() / inner * range.len()], Vec::new());
        let (mut x, mut to) = (x, &mut numbers[..]);
        for &tile in tiles {
            let (of_tile, to_tile);
            (of_tile, x) = x.split_at(tile * inner);
            (to_tile, to) = to.split_at_mut(tile * range.len());
            with_rows!(tile, R => interleave::<R>(of_tile, inner, &range, encoding, to_tile), 1 2 3 4 5 6 7 8 9 10 11 12);
            sums.extend(group_sums(of_tile, inner, &range, encoding));
        }
        Self { range, numbers, group_sums: sums }
    }
}

/// Blocks of a panel as numbers.
pub(super) struct Unpacked {
    layout: Layout,
    /// `[numbers, PANEL]`, each divided by its place.
    numbers: Vec<f32>,
    /// Of each group `[factors, PANEL]`: its scale, and its offset.
    factors: Vec<f32>,
}

impl Unpacked {
    /// Room for so many numbers of each column.
    pub(super) fn new(layout: Layout, numbers: usize) -> Self {
        let numbers = numbers.next_multiple_of(layout.numbers);
        let factors = vec![0f32; numbers / layout.group * layout.factors() * PANEL];
        Self { layout, numbers: vec![0f32; numbers * PANEL], factors }
    }

    /// Unpacks some blocks of a panel.
    pub(super) fn fill<S: Simd>(&mut self, simd: S, blocks: &[Words], encoding: Encoding) {
        with_kind!(encoding, K => fill::<S, K>(simd, blocks, self));
    }

    /// Number `k` of a column.
    pub(super) fn number(&self, k: usize, column: usize) -> f32 {
        let number = self.numbers[k * PANEL + column] * self.layout.place(k);
        let at = k / self.layout.group * self.layout.factors() * PANEL + column;
        match self.layout.factors() {
            0 => number,
            1 => number * self.factors[at],
            _ => number.mul_add(self.factors[at], self.factors[at + PANEL]),
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights { numbers: &self.numbers, factors: &self.factors, layout: self.layout }
    }
}

/// A function for every kind: they would not fit one's registers together.
#[inline(never)]
fn fill<S: Simd, K: Kind>(simd: S, blocks: &[Words], to: &mut Unpacked) {
    simd.vectorize(Fill::<S, K> { simd, blocks, to, kind: PhantomData });
}

struct Fill<'a, S, K> {
    simd: S,
    blocks: &'a [Words],
    to: &'a mut Unpacked,
    kind: PhantomData<K>,
}

impl<S: Simd, K: Kind> NullaryFnOnce for Fill<'_, S, K> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        for v in 0..PANEL / S::F32_LANES {
            for (i, rows) in self.blocks.chunks_exact(K::LAYOUT.rows()).enumerate() {
                let block = Block::<S, K>::new(self.simd, rows, v);
                let head = block.head();
                for group in 0..K::LAYOUT.groups() {
                    self.fill_group(block, head, v * S::F32_LANES, (i, group));
                }
            }
        }
    }
}

impl<S: Simd, K: Kind> Fill<'_, S, K> {
    #[inline(always)]
    fn fill_group(
        &mut self,
        block: Block<S, K>,
        head: [S::f32s; 2],
        column: usize,
        (i, group): (usize, usize),
    ) {
        let at = i * K::LAYOUT.groups() + group;
        for word in 0..K::LAYOUT.words_of_a_group() {
            let words = block.words(group, word);
            let k = at * K::LAYOUT.group + word * K::LAYOUT.numbers_of_a_word();
            each_number!(K::LAYOUT, I => {
                set_lanes_at(&mut self.to.numbers, (k + I) * PANEL + column, S::F32_LANES, block.number::<I>(words));
            });
        }
        if K::LAYOUT.factors() > 0 {
            let factors = block.scale(head, group);
            for f in 0..K::LAYOUT.factors() {
                let to = (at * K::LAYOUT.factors() + f) * PANEL + column;
                set_lanes_at(&mut self.to.factors, to, S::F32_LANES, factors[f]);
            }
        }
    }
}

/// Numbers of a part of a panel, as [`Unpacked`] has them.
struct Weights<'a> {
    numbers: &'a [f32],
    factors: &'a [f32],
    layout: Layout,
}

/// One tile: `R` rows times [`VECTORS`] of columns at a time, with `F` factors of each group. A function for every number of rows: they
/// would not fit one's registers together.
#[inline(never)]
fn add<S: Simd, const R: usize, const F: usize>(
    simd: S,
    (x, group_sums): (&[f32], &[f32]),
    w: &Weights,
    sums: &mut [f32],
) {
    if const { R > most_rows::<S>() } {
        unreachable!("tiles are smaller: this saves the compiler the work");
    }
    simd.vectorize(Add::<S, R, F> { simd, x, group_sums, w, sums });
}

struct Add<'a, S, const R: usize, const F: usize> {
    simd: S,
    x: &'a [f32],
    group_sums: &'a [f32],
    w: &'a Weights<'a>,
    sums: &'a mut [f32],
}

impl<S: Simd, const R: usize, const F: usize> NullaryFnOnce for Add<'_, S, R, F> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        for column in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
            for (at, x) in self.x.chunks(self.w.layout.group * R).enumerate() {
                self.add_group(x, at, column);
            }
        }
    }
}

impl<S: Simd, const R: usize, const F: usize> Add<'_, S, R, F> {
    /// A chain of multiply-adds for each row and column, which then meets the group's scale.
    #[inline(always)]
    fn add_group(&mut self, x: &[f32], at: usize, column: usize) {
        let (simd, lanes) = (self.simd, S::F32_LANES);
        let mut products = [[simd.splat_f32s(0.0); VECTORS]; R];
        for (k, x) in x.as_chunks::<R>().0.iter().enumerate() {
            let mut w = [simd.splat_f32s(0.0); VECTORS];
            for v in 0..VECTORS {
                w[v] = lanes_at(
                    self.w.numbers,
                    (at * self.w.layout.group + k) * PANEL + column + v * lanes,
                    lanes,
                );
            }
            for r in 0..R {
                let x = simd.splat_f32s(x[r]);
                for v in 0..VECTORS {
                    products[r][v] = simd.mul_add_f32s(x, w[v], products[r][v]);
                }
            }
        }
        for v in 0..VECTORS {
            let mut factors = [simd.splat_f32s(0.0); 2];
            for f in 0..F {
                factors[f] = lanes_at(self.w.factors, (at * F + f) * PANEL + column + v * lanes, lanes);
            }
            for r in 0..R {
                let place = r * PANEL + column + v * lanes;
                let sum = lanes_at(self.sums, place, lanes);
                let group_sum = || self.group_sums[at * R + r];
                let sum = add_group(simd, F, (sum, products[r][v]), factors, group_sum);
                set_lanes_at(self.sums, place, lanes, sum);
            }
        }
    }
}
