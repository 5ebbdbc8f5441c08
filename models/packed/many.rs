//! Many rows of activations and plain numbers: a part of a panel is unpacked once, into a buffer that stays in a first-level cache, and all
//! rows are multiplied with it, a tile of them at a time.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{NullaryFnOnce, Simd};
use rayon::prelude::*;

use super::rows::{interleave, met, tiles, with_rows};
use crate::panel::{Block, Encoding, Kind, PANEL, Words, floats, lanes_at, set_lanes_at, with_kind};

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
        let mut unpacked = vec![0f32; PART * PANEL];
        for part in &self.parts {
            for (panel, sums) in panels.chunks_exact(rows).zip(sums.chunks_exact_mut(self.rows * PANEL)) {
                let stored = &panel[encoding.layout().rows_of(&part.range)];
                if encoding == Encoding::F32 {
                    self.add(simd, part, floats(stored), sums);
                } else {
                    with_kind!(encoding, K => unpack::<S, K>(simd, stored, &mut unpacked), F16 Bf16);
                    self.add(simd, part, &unpacked, sums);
                }
            }
        }
    }

    /// Adds to `sums` (`[rows, PANEL]`) what a part of the numbers contributes.
    fn add<S: Simd>(&self, simd: S, part: &Part, weights: &[f32], mut sums: &mut [f32]) {
        let mut x = &part.numbers[..];
        for &rows in &self.tiles {
            let (tile, sums_of_tile);
            (tile, x) = x.split_at(rows * part.range.len());
            (sums_of_tile, sums) = sums.split_at_mut(rows * PANEL);
            with_rows!(rows, R => add::<S, R>(simd, tile, weights, sums_of_tile), 1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}

impl Part {
    fn new(x: &[f32], inner: usize, range: Range<usize>, encoding: Encoding, tiles: &[usize]) -> Self {
        let mut numbers = vec![0f32; x.len() / inner * range.len()];
        let (mut x, mut to) = (x, &mut numbers[..]);
        let each = |x| met(x, encoding);
        for &tile in tiles {
            let (of_tile, to_tile);
            (of_tile, x) = x.split_at(tile * inner);
            (to_tile, to) = to.split_at_mut(tile * range.len());
            with_rows!(tile, R => interleave::<_, _, R>(of_tile, inner, &range, to_tile, each), 1 2 3 4 5 6 7 8 9 10 11 12);
        }
        Self { range, numbers }
    }
}

/// Writes a part of a panel as `[numbers, PANEL]`. A function for every kind: they would not fit one's registers together.
#[inline(never)]
fn unpack<S: Simd, K: Kind>(simd: S, stored: &[Words], to: &mut [f32]) {
    simd.vectorize(Unpack::<S, K> { simd, stored, to, kind: PhantomData });
}

struct Unpack<'a, S, K> {
    simd: S,
    stored: &'a [Words],
    to: &'a mut [f32],
    kind: PhantomData<K>,
}

impl<S: Simd, K: Kind> NullaryFnOnce for Unpack<'_, S, K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let blocks = self.stored.chunks_exact(K::LAYOUT.rows());
        for (rows, to) in blocks.zip(self.to.chunks_exact_mut(K::LAYOUT.numbers * PANEL)) {
            for v in 0..PANEL / S::F32_LANES {
                let (block, column) = (Block::<S, K>::new(self.simd, rows, v), v * S::F32_LANES);
                for word in 0..K::LAYOUT.rows() {
                    set_lanes_at(to, 2 * word * PANEL + column, S::F32_LANES, block.number::<0>(word));
                    set_lanes_at(to, (2 * word + 1) * PANEL + column, S::F32_LANES, block.number::<1>(word));
                }
            }
        }
    }
}

/// One tile: `R` rows times [`VECTORS`] of columns at a time. A function for every number of rows: they would not fit one's
/// registers together.
#[inline(never)]
fn add<S: Simd, const R: usize>(simd: S, x: &[f32], w: &[f32], sums: &mut [f32]) {
    if const { R > most_rows::<S>() } {
        unreachable!("tiles are smaller: this saves the compiler the work");
    }
    simd.vectorize(Add::<S, R> { simd, x, w, sums });
}

struct Add<'a, S, const R: usize> {
    simd: S,
    x: &'a [f32],
    w: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Simd, const R: usize> NullaryFnOnce for Add<'_, S, R> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let of_a_chain = Encoding::F32.layout().numbers;
        for column in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
            for (at, x) in self.x.chunks(of_a_chain * R).enumerate() {
                self.add_chain(x, at * of_a_chain, column);
            }
        }
    }
}

impl<S: Simd, const R: usize> Add<'_, S, R> {
    /// A chain of multiply-adds for each row and column, of the numbers from the `first` on.
    #[inline(always)]
    fn add_chain(&mut self, x: &[f32], first: usize, column: usize) {
        let (simd, lanes) = (self.simd, S::F32_LANES);
        let mut products = [[simd.splat_f32s(0.0); VECTORS]; R];
        for (k, x) in x.as_chunks::<R>().0.iter().enumerate() {
            let mut w = [simd.splat_f32s(0.0); VECTORS];
            for v in 0..VECTORS {
                w[v] = lanes_at(self.w, (first + k) * PANEL + column + v * lanes, lanes);
            }
            for r in 0..R {
                let x = simd.splat_f32s(x[r]);
                for v in 0..VECTORS {
                    products[r][v] = simd.mul_add_f32s(x, w[v], products[r][v]);
                }
            }
        }
        for v in 0..VECTORS {
            for r in 0..R {
                let place = r * PANEL + column + v * lanes;
                let sum = lanes_at(self.sums, place, lanes);
                set_lanes_at(self.sums, place, lanes, simd.add_f32s(sum, products[r][v]));
            }
        }
    }
}
