//! The products of attention: rows of numbers times blocks of the cache, whose columns are lanes.
//!
//! Scores are queries times keys, and outputs are weights times values. No lane is ever summed with another, and every sum
//! goes along a head, or along tokens, in order: what a row gets does not depend on the rows beside it.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use pulp::Simd;

use crate::cache::BLOCK;
use crate::packed::with_rows;
use crate::panel::{lanes_at, number_at, set_lanes_at};

/// Columns that lie together in every row of a block.
pub(super) const LANES: usize = BLOCK;
/// Vectors of a row that are summed at a time.
const MOST_VECTORS: usize = 4;

/// Blocks as one matrix.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) blocks: &'a [&'a [f32]],
    /// From a row of a block to the next.
    pub(super) stride: usize,
    /// Rows of the matrix.
    pub(super) depth: usize,
    /// Whether blocks lie beside each other, as keys do, [`LANES`] columns each: else each goes on with [`BLOCK`] more rows.
    pub(super) are_beside: bool,
    /// Columns of the matrix, in whole [`LANES`].
    pub(super) width: usize,
}

/// Rows of numbers, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) stride: usize,
}

/// Where products go: rows `stride` apart.
pub(super) struct Sums<'a> {
    pub(super) numbers: &'a mut [f32],
    pub(super) stride: usize,
    /// Whether nothing is there yet but what is to be written over.
    pub(super) are_new: bool,
}

impl Columns<'_> {
    /// Rows of a block, and of the last one.
    fn depths(&self) -> (usize, usize) {
        if self.are_beside {
            return (self.depth, self.depth);
        }
        (BLOCK, self.depth - (self.blocks.len() - 1) * BLOCK)
    }

    fn are_whole(&self) -> bool {
        let (depth, last) = self.depths();
        let width = if self.are_beside { LANES } else { self.width };
        let holds = |block: &&[f32], depth: usize| block.len() >= (depth - 1) * self.stride + width;
        let (all, before) = self.blocks.split_last().expect("products are with some block");
        before.iter().all(|block| holds(block, depth)) && holds(all, last)
    }
}

/// Adds `rows` rows of `x`, times some blocks, to as many sums.
#[inline(always)]
pub(super) fn multiply<S: Simd>(simd: S, rows: usize, x: Rows, columns: Columns, sums: Sums) {
    assert!(columns.are_whole() && x.numbers.len() >= (rows - 1) * x.stride + columns.depth);
    assert!(sums.numbers.len() >= (rows - 1) * sums.stride + columns.width);
    // Of about the same size.
    let tiles = rows.div_ceil(most_rows::<S>());
    for tile in 0..tiles {
        let (from, to) = (tile * rows / tiles, (tile + 1) * rows / tiles);
        let x = Rows { numbers: &x.numbers[from * x.stride..], ..x };
        let mut sums = Sums { numbers: &mut sums.numbers[from * sums.stride..], ..sums };
        with_rows!(to - from, R => tile_of::<S, R>(simd, x, columns, &mut sums), 1 2 3 4 5 6);
    }
}

/// Rows whose sums leave registers for a row of the matrix.
const fn most_rows<S: Simd>() -> usize {
    // AVX2 has 16 registers, of 8 numbers; AVX-512 and NEON have 32.
    if S::F32_LANES == 8 { 2 } else { 6 }
}

#[inline(always)]
fn tile_of<S: Simd, const R: usize>(simd: S, x: Rows, columns: Columns, sums: &mut Sums) {
    let vectors = columns.width / S::F32_LANES;
    let (most, pairs) = (vectors / MOST_VECTORS * MOST_VECTORS, vectors / 2 * 2);
    for v in (0..most).step_by(MOST_VECTORS) {
        add::<S, R, MOST_VECTORS>(simd, x, columns, sums, v);
    }
    for v in (most..pairs).step_by(2) {
        add::<S, R, 2>(simd, x, columns, sums, v);
    }
    for v in pairs..vectors {
        add::<S, R, 1>(simd, x, columns, sums, v);
    }
}

/// The same for `R` rows and `V` vectors from `v` on, whose sums stay in registers.
#[inline(always)]
fn add<S: Simd, const R: usize, const V: usize>(simd: S, x: Rows, columns: Columns, to: &mut Sums, v: usize) {
    let (lanes, (all, last)) = (S::F32_LANES, columns.depths());
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    if !to.are_new {
        for r in 0..R {
            for i in 0..V {
                sums[r][i] = lanes_at(to.numbers, r * to.stride + (v + i) * lanes, lanes);
            }
        }
    }
    let behind = if columns.are_beside { 1 } else { columns.blocks.len() };
    for b in 0..behind {
        let mut blocks = [&[][..]; V];
        for i in 0..V {
            let column = (v + i) * lanes;
            let (block, column) =
                if columns.are_beside { (column / LANES, column % LANES) } else { (b, column) };
            blocks[i] = &columns.blocks[block][column..];
        }
        for k in 0..if b + 1 == behind { last } else { all } {
            let mut row = [simd.splat_f32s(0.0); V];
            for i in 0..V {
                row[i] = lanes_at(blocks[i], k * columns.stride, lanes);
            }
            for r in 0..R {
                let x = simd.splat_f32s(number_at(x.numbers, r * x.stride + b * BLOCK + k));
                for i in 0..V {
                    sums[r][i] = simd.mul_add_f32s(x, row[i], sums[r][i]);
                }
            }
        }
    }
    for r in 0..R {
        for i in 0..V {
            set_lanes_at(to.numbers, r * to.stride + (v + i) * lanes, lanes, sums[r][i]);
        }
    }
}
