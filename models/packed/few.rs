//! A few rows of activations: weights are multiplied as they come out of their words, so that reading them from memory never
//! pauses.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::marker::PhantomData;

use pulp::{NullaryFnOnce, Simd};

use super::rows::{add_group, group_sums, interleave, with_rows};
use crate::panel::{
    Block, Encoding, Kind, PANEL, Words, each_number, lanes_at, number_at, set_lanes_at, with_kind,
};
use crate::prefetch::ask_for_all;

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

/// A few rows in tiles.
pub(super) struct Few {
    tiles: Vec<Tile>,
}

/// Rows interleaved. Behind the last number of a row stand zeros for those that fill up a block.
struct Tile {
    numbers: Vec<f32>,
    /// Of each group, for encodings with offsets.
    group_sums: Vec<f32>,
    rows: usize,
}

impl Few {
    /// From row-major `[rows, inner]`, for weights of an encoding.
    pub(super) fn new<S: Simd>(x: &[f32], inner: usize, encoding: Encoding) -> Self {
        let rows = x.len() / inner;
        let of_a_tile = rows.div_ceil(rows.div_ceil(tile_rows::<S>()));
        Self { tiles: x.chunks(of_a_tile * inner).map(|x| Tile::new(x, inner, encoding)).collect() }
    }

    /// The outputs of one panel, row-major `[rows, PANEL]`, added to zeros.
    pub(super) fn multiply<S: Simd>(
        &self,
        simd: S,
        panel: &[Words],
        encoding: Encoding,
        mut sums: &mut [f32],
    ) {
        for tile in &self.tiles {
            let of_tile;
            (of_tile, sums) = sums.split_at_mut(tile.rows * PANEL);
            with_kind!(encoding, K => {
                with_rows!(tile.rows, R => multiply::<S, K, R>(simd, tile, panel, of_tile), 1 2 3 4 5 6 7 8)
            });
        }
    }
}

impl Tile {
    fn new(x: &[f32], inner: usize, encoding: Encoding) -> Self {
        let rows = x.len() / inner;
        let mut numbers = vec![0f32; rows * inner.next_multiple_of(encoding.layout().numbers)];
        let part = 0..inner;
        with_rows!(rows, R => interleave::<R>(x, inner, &part, encoding, &mut numbers), 1 2 3 4 5 6 7 8);
        Self { numbers, group_sums: group_sums(x, inner, &part, encoding), rows }
    }
}

/// A function for every kind of blocks and number of rows: they would not fit one's registers together.
#[inline(never)]
fn multiply<S: Simd, K: Kind, const R: usize>(simd: S, x: &Tile, panel: &[Words], sums: &mut [f32]) {
    if const { R > tile_rows::<S>() } {
        unreachable!("tiles are smaller: this saves the compiler the work");
    }
    let groups = panel.len() / K::LAYOUT.rows() * K::LAYOUT.groups();
    assert!(x.numbers.len() == groups * K::LAYOUT.group * R && sums.len() == R * PANEL);
    simd.vectorize(Multiply::<S, K, R> { simd, x, panel, sums, kind: PhantomData });
}

struct Multiply<'a, S, K, const R: usize> {
    simd: S,
    x: &'a Tile,
    panel: &'a [Words],
    sums: &'a mut [f32],
    kind: PhantomData<K>,
}

impl<S: Simd, K: Kind, const R: usize> NullaryFnOnce for Multiply<'_, S, K, R> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        for first in (0..PANEL / S::F32_LANES).step_by(VECTORS) {
            for (i, rows) in self.panel.chunks_exact(K::LAYOUT.rows()).enumerate() {
                let mut blocks = [Block::<S, K>::new(self.simd, rows, first); VECTORS];
                let mut heads = [blocks[0].head(); VECTORS];
                for v in 1..VECTORS {
                    blocks[v] = Block::new(self.simd, rows, first + v);
                    heads[v] = blocks[v].head();
                }
                for group in 0..K::LAYOUT.groups() {
                    // With a row or two, what is read of these is read as fast as memory gives it, and hints take turns from it.
                    if !(matches!(K::ENCODING, Encoding::Q8_0 | Encoding::F16) && R < 3) {
                        ahead::<K>(rows, group);
                    }
                    self.add(&blocks, &heads, first, (i, group));
                }
            }
        }
    }
}

/// Rows of words from those that are multiplied to those that are asked for: two pages.
const AHEAD: usize = 64;

/// Asks for as many rows as a group has, two pages further on; behind a panel lies the next.
#[inline(always)]
fn ahead<K: Kind>(block: &[Words], group: usize) {
    let of_a_group = K::LAYOUT.rows() / K::LAYOUT.groups();
    ask_for_all(block.as_ptr().wrapping_add(group * of_a_group + AHEAD), of_a_group);
}

impl<S: Simd, K: Kind, const R: usize> Multiply<'_, S, K, R> {
    /// A chain of multiply-adds for each row and column, which then meets the group's scale.
    #[inline(always)]
    fn add(
        &mut self,
        blocks: &[Block<S, K>; VECTORS],
        heads: &[[S::f32s; 2]; VECTORS],
        first: usize,
        (i, group): (usize, usize),
    ) {
        let simd = self.simd;
        let mut products = [[simd.splat_f32s(0.0); VECTORS]; R];
        let at = i * K::LAYOUT.groups() + group;
        for word in 0..K::LAYOUT.words_of_a_group() {
            let mut words = [blocks[0].words(group, word); VECTORS];
            for v in 1..VECTORS {
                words[v] = blocks[v].words(group, word);
            }
            let k = (at * K::LAYOUT.group + word * K::LAYOUT.numbers_of_a_word()) * R;
            each_number!(K::LAYOUT, I => {
                let mut numbers = [blocks[0].number::<I>(words[0]); VECTORS];
                for v in 1..VECTORS {
                    numbers[v] = blocks[v].number::<I>(words[v]);
                }
                for r in 0..R {
                    let x = simd.splat_f32s(number_at(&self.x.numbers, k + I * R + r));
                    for v in 0..VECTORS {
                        products[r][v] = simd.mul_add_f32s(x, numbers[v], products[r][v]);
                    }
                }
            });
        }
        for v in 0..VECTORS {
            let scale = blocks[v].scale(heads[v], group);
            for r in 0..R {
                let at_sum = r * PANEL + (first + v) * S::F32_LANES;
                let sum = lanes_at(self.sums, at_sum, S::F32_LANES);
                let group_sum = || self.x.group_sums[at * R + r];
                let sum = add_group(simd, K::LAYOUT.factors(), (sum, products[r][v]), scale, group_sum);
                set_lanes_at(self.sums, at_sum, S::F32_LANES, sum);
            }
        }
    }
}
