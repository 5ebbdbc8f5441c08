//! A few rows of activations: weights are multiplied as they come out of their words, so that reading them from memory never
//! pauses.

use std::marker::PhantomData;

use pulp::{NullaryFnOnce, Simd};

use super::rows::{interleave, with_rows};
use crate::panel::{Encoding, Kind, PANEL, Sink, Words, set_lanes_at, unpack, with_kind};

/// Rows whose sums leave registers for unpacking.
pub(super) const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 16 } else { 6 }
}

/// A few rows, interleaved. Behind the last number of a row stand zeros for those that fill up a block.
pub(super) struct Few {
    numbers: Vec<f32>,
    rows: usize,
}

impl Few {
    /// From row-major `[rows, inner]`, for weights of an encoding.
    pub(super) fn new(x: &[f32], inner: usize, encoding: Encoding) -> Self {
        let rows = x.len() / inner;
        let padded = inner.next_multiple_of(encoding.layout().numbers);
        let mut numbers = vec![0f32; rows * padded];
        with_rows!(rows, R => interleave::<R>(x, inner, &(0..inner), &mut numbers));
        Self { numbers, rows }
    }

    /// The outputs of one panel, row-major `[rows, PANEL]`.
    pub(super) fn multiply<S: Simd>(&self, simd: S, panel: &[Words], encoding: Encoding, sums: &mut [f32]) {
        with_kind!(encoding, K => with_rows!(self.rows, R => multiply::<S, K, R>(simd, &self.numbers, panel, sums)));
    }
}

/// A function for every kind of blocks and number of rows: they would not fit one's registers together.
#[inline(never)]
fn multiply<S: Simd, K: Kind, const R: usize>(simd: S, x: &[f32], panel: &[Words], sums: &mut [f32]) {
    assert!(x.len() >= panel.len() / K::LAYOUT.rows() * K::LAYOUT.numbers * R);
    // As many vectors side by side as leave registers: so memory is read in order.
    if 2 * R <= most_rows::<S>() {
        simd.vectorize(Multiply::<S, K, R, 2> { simd, x, panel, sums, kind: PhantomData });
    } else {
        simd.vectorize(Multiply::<S, K, R, 1> { simd, x, panel, sums, kind: PhantomData });
    }
}

struct Multiply<'a, S, K, const R: usize, const V: usize> {
    simd: S,
    x: &'a [f32],
    panel: &'a [Words],
    sums: &'a mut [f32],
    kind: PhantomData<K>,
}

impl<S: Simd, K: Kind, const R: usize, const V: usize> NullaryFnOnce for Multiply<'_, S, K, R, V> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (simd, lanes) = (self.simd, S::F32_LANES);
        for first in (0..PANEL / lanes).step_by(V) {
            let mut sinks = [Accumulate { simd, x: self.x, sums: [simd.splat_f32s(0.0); R] }; V];
            unpack::<S, K, _, V>(simd, self.panel, first, &mut sinks);
            for r in 0..R {
                for v in 0..V {
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
