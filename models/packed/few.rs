//! A few rows of activations and plain numbers: weights are multiplied as they come out of their words, so that reading them from
//! memory never pauses.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::marker::PhantomData;

use pulp::{NullaryFnOnce, Simd};

use super::rows::{interleave, met, with_rows};
use crate::panel::{Block, Encoding, Kind, PANEL, Words, lanes_at, number_at, set_lanes_at, with_plain};
use crate::prefetch::{ASKING_ROWS, in_order};

/// Vectors of columns side by side: those whose words lie so, as far as the sums of so many rows leave registers for them.
const fn vectors<S: Simd, K: Kind>(rows: usize) -> usize {
    let most = S::REGISTER_COUNT / 2 / rows;
    match K::LAYOUT.columns() / S::F32_LANES {
        4.. if most >= 4 => 4,
        2.. if most >= 2 => 2,
        _ => 1,
    }
}

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
            with_plain!(encoding, K => {
                with_rows!(tile.rows, R => match vectors::<S, K>(R) {
                    4 => multiply::<S, K, R, 4>(simd, tile, panel, of_tile),
                    2 => multiply::<S, K, R, 2>(simd, tile, panel, of_tile),
                    _ => multiply::<S, K, R, 1>(simd, tile, panel, of_tile),
                }, 1 2 3 4 5 6 7 8)
            });
        }
    }
}

impl Tile {
    fn new(x: &[f32], inner: usize, encoding: Encoding) -> Self {
        let rows = x.len() / inner;
        let mut numbers = vec![0f32; rows * inner.next_multiple_of(encoding.layout().numbers)];
        let each = |x| met(x, encoding);
        with_rows!(rows, R => interleave::<_, _, R>(x, inner, &(0..inner), &mut numbers, each), 1 2 3 4 5 6 7 8);
        Self { numbers, rows }
    }
}

/// A function for every kind of numbers and of rows: they would not fit one's registers together.
#[inline(never)]
fn multiply<S: Simd, K: Kind, const R: usize, const V: usize>(
    simd: S,
    x: &Tile,
    panel: &[Words],
    sums: &mut [f32],
) {
    if const { R > tile_rows::<S>() || V != vectors::<S, K>(R) } {
        unreachable!("no tile is like this: that saves the compiler the work");
    }
    let blocks = panel.len() / K::LAYOUT.rows();
    assert!(x.numbers.len() == blocks * K::LAYOUT.numbers * R && sums.len() == R * PANEL);
    simd.vectorize(Multiply::<S, K, R, V> { simd, x, panel, sums, kind: PhantomData });
}

struct Multiply<'a, S, K, const R: usize, const V: usize> {
    simd: S,
    x: &'a Tile,
    panel: &'a [Words],
    sums: &'a mut [f32],
    kind: PhantomData<K>,
}

impl<S: Simd, K: Kind, const R: usize, const V: usize> NullaryFnOnce for Multiply<'_, S, K, R, V> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        for (i, rows) in self.panel.chunks_exact(K::LAYOUT.rows()).enumerate() {
            for first in (0..PANEL / S::F32_LANES).step_by(V) {
                self.add(rows, first, i);
            }
        }
    }
}

impl<S: Simd, K: Kind, const R: usize, const V: usize> Multiply<'_, S, K, R, V> {
    /// A chain of multiply-adds for each row and column.
    #[inline(always)]
    fn add(&mut self, rows: &[Words], first: usize, i: usize) {
        let mut blocks = [Block::<S, K>::new(self.simd, rows, first); V];
        for v in 1..V {
            blocks[v] = Block::new(self.simd, rows, first + v);
        }
        let mut products = [[self.simd.splat_f32s(0.0); V]; R];
        for word in 0..K::LAYOUT.rows() {
            in_order();
            if R >= ASKING_ROWS {
                blocks[0].ask_ahead(word);
            }
            let k = i * K::LAYOUT.numbers + word * K::LAYOUT.numbers_of_a_word();
            self.add_number::<0>(&blocks, word, k, &mut products);
            if K::LAYOUT.numbers_of_a_word() > 1 {
                self.add_number::<1>(&blocks, word, k + 1, &mut products);
            }
        }
        for v in 0..V {
            for r in 0..R {
                let place = r * PANEL + (first + v) * S::F32_LANES;
                let sum = lanes_at(self.sums, place, S::F32_LANES);
                set_lanes_at(self.sums, place, S::F32_LANES, self.simd.add_f32s(sum, products[r][v]));
            }
        }
    }

    /// Number `k` of every column, which is number `I` of its word.
    #[inline(always)]
    fn add_number<const I: usize>(
        &self,
        blocks: &[Block<S, K>; V],
        word: usize,
        k: usize,
        products: &mut [[S::f32s; V]; R],
    ) {
        let mut numbers = [blocks[0].number::<I>(word); V];
        for v in 1..V {
            numbers[v] = blocks[v].number::<I>(word);
        }
        for r in 0..R {
            let x = self.simd.splat_f32s(number_at(&self.x.numbers, k * R + r));
            for v in 0..V {
                products[r][v] = self.simd.mul_add_f32s(x, numbers[v], products[r][v]);
            }
        }
    }
}
