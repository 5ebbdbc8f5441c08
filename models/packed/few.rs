//! A few rows of activations: weights are multiplied as they come out of their words, so that reading them from memory never
//! pauses.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::marker::PhantomData;

use pulp::{NullaryFnOnce, Simd};

use super::rows::{interleave, with_rows};
use crate::panel::{Encoding, Kind, PANEL, Sink, Words, set_lanes_at, unpack, with_kind};

/// Vectors of columns side by side: with two of them, memory is read in order.
const VECTORS: usize = 2;

/// Rows of a tile whose sums leave registers for unpacking.
const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 4 }
}

/// Rows for which it is cheaper to unpack weights for each tile than to keep what was unpacked.
pub(super) const fn most_rows<S: Simd>() -> usize {
    2 * tile_rows::<S>()
}

/// A few rows in tiles, interleaved. Behind the last number of a row stand zeros for those that fill up a block.
pub(super) struct Few {
    tiles: Vec<Tile>,
}

struct Tile {
    numbers: Vec<f32>,
    rows: usize,
}

impl Few {
    /// From row-major `[rows, inner]`, for weights of an encoding.
    pub(super) fn new<S: Simd>(x: &[f32], inner: usize, encoding: Encoding) -> Self {
        let rows = x.len() / inner;
        let of_a_tile = rows.div_ceil(rows.div_ceil(tile_rows::<S>()));
        let padded = inner.next_multiple_of(encoding.layout().numbers);
        let tiles = x.chunks(of_a_tile * inner).map(|x| Tile::new(x, inner, padded)).collect();
        Self { tiles }
    }

    /// The outputs of one panel, row-major `[rows, PANEL]`.
    pub(super) fn multiply<S: Simd>(
        &self,
        simd: S,
        panel: &[Words],
        encoding: Encoding,
        mut sums: &mut [f32],
    ) {
        for Tile { numbers, rows } in &self.tiles {
            let of_tile;
            (of_tile, sums) = sums.split_at_mut(rows * PANEL);
            with_kind!(encoding, K => {
                with_rows!(*rows, R => multiply::<S, K, R>(simd, numbers, panel, of_tile), 1 2 3 4 5 6 7 8)
            });
        }
    }
}

impl Tile {
    fn new(x: &[f32], inner: usize, padded: usize) -> Self {
        let rows = x.len() / inner;
        let mut numbers = vec![0f32; rows * padded];
        with_rows!(rows, R => interleave::<R>(x, inner, &(0..inner), &mut numbers), 1 2 3 4 5 6 7 8);
        Self { numbers, rows }
    }
}

/// A function for every kind of blocks and number of rows: they would not fit one's registers together.
#[inline(never)]
fn multiply<S: Simd, K: Kind, const R: usize>(simd: S, x: &[f32], panel: &[Words], sums: &mut [f32]) {
    assert!(x.len() >= panel.len() / K::LAYOUT.rows() * K::LAYOUT.numbers * R);
    simd.vectorize(Multiply::<S, K, R> { simd, x, panel, sums, kind: PhantomData });
}

struct Multiply<'a, S, K, const R: usize> {
    simd: S,
    x: &'a [f32],
    panel: &'a [Words],
    sums: &'a mut [f32],
    kind: PhantomData<K>,
}

impl<S: Simd, K: Kind, const R: usize> NullaryFnOnce for Multiply<'_, S, K, R> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (simd, lanes) = (self.simd, S::F32_LANES);
        for first in (0..PANEL / lanes).step_by(VECTORS) {
            let mut sinks = [Accumulate { simd, x: self.x, sums: [simd.splat_f32s(0.0); R] }; VECTORS];
            unpack::<S, K, _, VECTORS>(simd, self.panel, first, &mut sinks);
            for r in 0..R {
                for v in 0..VECTORS {
                    set_lanes_at(self.sums, r * PANEL + (first + v) * lanes, lanes, sinks[v].sums[r]);
                }
            }
        }
    }
}

/// Sums of products for a vector of columns.
#[derive(Clone, Copy)]
struct Accumulate<'a, S: Simd, const R: usize> {
    simd: S,
    x: &'a [f32],
    sums: [S::f32s; R],
}

impl<S: Simd, const R: usize> Sink<S> for Accumulate<'_, S, R> {
    #[inline(always)]
    fn take(&mut self, k: usize, numbers: S::f32s) {
        for r in 0..R {
            debug_assert!(k * R + r < self.x.len());
            // SAFETY: there is a number of each row for every one of the panel's blocks, which `multiply` asserts.
            let x = self.simd.splat_f32s(unsafe { *self.x.get_unchecked(k * R + r) });
            self.sums[r] = self.simd.mul_add_f32s(x, numbers, self.sums[r]);
        }
    }
}
