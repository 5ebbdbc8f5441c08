//! Many rows of activations: a part of a panel is unpacked once, into a buffer that stays in a first-level cache, and all
//! rows are multiplied with it, a tile of them at a time.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{NullaryFnOnce, Simd};
use rayon::prelude::*;

use super::rows::{interleave, with_rows};
use crate::panel::{Encoding, Kind, PANEL, Sink, Words, floats, lanes_at, set_lanes_at, unpack, with_kind};

/// Numbers of a column that are unpacked together, a multiple of every block.
const PART: usize = 256;
/// Vectors of columns of a tile.
const VECTORS: usize = 2;

/// Rows of a tile whose sums, with [`VECTORS`] of weights, fill the registers.
const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 12 } else { 6 }
}

/// Many rows: by parts of [`PART`] numbers, in a part by tiles of rows, and in a tile interleaved.
pub(super) struct Many {
    numbers: Vec<f32>,
    /// Rows of each tile, about the same.
    tiles: Vec<usize>,
    rows: usize,
    inner: usize,
}

impl Many {
    /// From row-major `[rows, inner]`.
    pub(super) fn new<S: Simd>(x: &[f32], inner: usize) -> Self {
        let rows = x.len() / inner;
        let count = rows.div_ceil(most_rows::<S>());
        let tiles: Vec<usize> = (0..count).map(|i| (rows + i) / count).collect();
        let mut numbers = vec![0f32; x.len()];
        numbers.par_chunks_mut(PART * rows).zip(parts(inner)).for_each(|(mut numbers, part)| {
            let mut x = x;
            for &tile in &tiles {
                let to;
                (to, numbers) = numbers.split_at_mut(tile * part.len());
                with_rows!(tile, R => interleave::<R>(x, inner, &part, to), 1 2 3 4 5 6 7 8 9 10 11 12);
                x = &x[tile * inner..];
            }
        });
        Self { numbers, tiles, rows, inner }
    }

    /// The outputs of some panels, `[panels, rows, PANEL]`. A part of the activations meets all panels while it is in
    /// a second-level cache.
    pub(super) fn multiply<S: Simd>(&self, simd: S, panels: &[Words], encoding: Encoding, sums: &mut [f32]) {
        let (layout, rows) = (encoding.layout(), encoding.rows(self.inner));
        let mut buffer = vec![0f32; PART * PANEL];
        for part in parts(self.inner) {
            let blocks = part.start / layout.numbers..part.end.div_ceil(layout.numbers);
            let blocks = blocks.start * layout.rows()..blocks.end * layout.rows();
            for (panel, sums) in panels.chunks_exact(rows).zip(sums.chunks_exact_mut(self.rows * PANEL)) {
                let stored = &panel[blocks.clone()];
                if encoding == Encoding::F32 {
                    self.add(simd, &part, floats(stored), sums);
                } else {
                    with_kind!(encoding, K => fill::<S, K>(simd, stored, &mut buffer));
                    self.add(simd, &part, &buffer, sums);
                }
            }
        }
    }

    /// Adds to `sums` (`[rows, PANEL]`) what the numbers of `part` contribute, times `weights` (`[part, PANEL]`).
    fn add<S: Simd>(&self, simd: S, part: &Range<usize>, weights: &[f32], mut sums: &mut [f32]) {
        let mut x = &self.numbers[part.start * self.rows..part.end * self.rows];
        for &tile in &self.tiles {
            let (x_of_tile, sums_of_tile);
            (x_of_tile, x) = x.split_at(tile * part.len());
            (sums_of_tile, sums) = sums.split_at_mut(tile * PANEL);
            with_rows!(tile, R => add::<S, R>(simd, x_of_tile, weights, sums_of_tile), 1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}

fn parts(inner: usize) -> Vec<Range<usize>> {
    (0..inner).step_by(PART).map(|start| start..inner.min(start + PART)).collect()
}

/// Unpacks some blocks of a panel, row-major `[numbers, PANEL]`.
#[inline(never)]
pub(super) fn fill<S: Simd, K: Kind>(simd: S, blocks: &[Words], out: &mut [f32]) {
    simd.vectorize(Fill::<S, K> { simd, blocks, out, kind: PhantomData });
}

struct Fill<'a, S, K> {
    simd: S,
    blocks: &'a [Words],
    out: &'a mut [f32],
    kind: PhantomData<K>,
}

impl<S: Simd, K: Kind> NullaryFnOnce for Fill<'_, S, K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for v in 0..PANEL / S::F32_LANES {
            let mut sink = [Store { out: self.out, column: v * S::F32_LANES }];
            unpack::<S, K, _, 1>(self.simd, self.blocks, v, &mut sink);
        }
    }
}

/// Numbers of a vector of columns, kept.
struct Store<'a> {
    out: &'a mut [f32],
    column: usize,
}

impl<S: Simd> Sink<S> for Store<'_> {
    #[inline(always)]
    fn take(&mut self, k: usize, numbers: S::f32s) {
        set_lanes_at(self.out, k * PANEL + self.column, S::F32_LANES, numbers);
    }
}

/// One tile: `R` rows times [`VECTORS`] of columns at a time. A function for every number of rows: they would not fit one's
/// registers together.
#[inline(never)]
fn add<S: Simd, const R: usize>(simd: S, x: &[f32], w: &[f32], sums: &mut [f32]) {
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
    fn call(self) {
        let (simd, lanes) = (self.simd, S::F32_LANES);
        for column in (0..PANEL).step_by(VECTORS * lanes) {
            let at = |r: usize, v: usize| r * PANEL + column + v * lanes;
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; R];
            for r in 0..R {
                for v in 0..VECTORS {
                    sums[r][v] = lanes_at(self.sums, at(r, v), lanes);
                }
            }
            for (k, x) in self.x.as_chunks::<R>().0.iter().enumerate() {
                let mut w = [simd.splat_f32s(0.0); VECTORS];
                for v in 0..VECTORS {
                    w[v] = lanes_at(self.w, at(k, v), lanes);
                }
                for r in 0..R {
                    let x = simd.splat_f32s(x[r]);
                    for v in 0..VECTORS {
                        sums[r][v] = simd.mul_add_f32s(x, w[v], sums[r][v]);
                    }
                }
            }
            for r in 0..R {
                for v in 0..VECTORS {
                    set_lanes_at(self.sums, at(r, v), lanes, sums[r][v]);
                }
            }
        }
    }
}
