//! Activations as the inner loops read them, and calls for a constant number of rows.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::ops::Range;

use pulp::Simd;

use crate::panel::Encoding;

/// Calls for a constant number of rows: sums are in registers only if the compiler knows how many there are.
macro_rules! with_rows {
    ($rows:expr, $R:ident => $call:expr, $($n:literal)*) => {
        match $rows {
            $($n => { const $R: usize = $n; $call })*
            _ => unreachable!("so many rows never share registers"),
        }
    };
}
pub(crate) use with_rows;

/// So many rows in tiles of at most `most`, of about the same size.
pub(super) fn tiles(rows: usize, most: usize) -> Vec<usize> {
    let count = rows.div_ceil(most);
    (0..count).map(|i| (rows + i) / count).collect()
}

/// Writes the numbers `part` of `R` rows of `inner` numbers, each times its place: first all first ones, then all second ones.
pub(super) fn interleave<const R: usize>(
    x: &[f32],
    inner: usize,
    part: &Range<usize>,
    encoding: Encoding,
    to: &mut [f32],
) {
    let mut rows = [&[][..]; R];
    for (row, x) in rows.iter_mut().zip(x.chunks_exact(inner)) {
        *row = &x[part.clone()];
    }
    let places: [f32; 8] = std::array::from_fn(|k| encoding.layout().place(k));
    for (k, to) in to.as_chunks_mut::<R>().0.iter_mut().enumerate().take(part.len()) {
        for r in 0..R {
            to[r] = met(rows[r][k], encoding) * places[k % 8];
        }
    }
}

/// An activation as an encoding meets it.
#[inline(always)]
pub(super) fn met(x: f32, encoding: Encoding) -> f32 {
    if encoding.is_coarse() { bf16(x) } else { x }
}

/// The nearest number of bf16, of two that are as near the even one, as an `f32`. What is no number stays none.
#[inline(always)]
fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
}

/// For encodings with offsets, the sum over each group of `part`, as a row in [`interleave`]'s order; else nothing.
pub(super) fn group_sums(x: &[f32], inner: usize, part: &Range<usize>, encoding: Encoding) -> Vec<f32> {
    if encoding.layout().factors() < 2 {
        return Vec::new();
    }
    let groups = part.clone().step_by(encoding.layout().group);
    let sum = |start: usize, x: &[f32]| {
        side_by_side(&x[start..part.end.min(start + encoding.layout().group)], encoding)
    };
    groups.flat_map(|start| x.chunks_exact(inner).map(move |x| sum(start, x))).collect()
}

/// The sum of a group, every eighth number first, which are lanes of a vector.
fn side_by_side(group: &[f32], encoding: Encoding) -> f32 {
    let mut sums = [0f32; 8];
    for numbers in group.chunks(sums.len()) {
        for (sum, x) in sums.iter_mut().zip(numbers) {
            *sum += met(*x, encoding);
        }
    }
    sums.iter().sum()
}

/// Adds a group's products to a sum: times its scale, and its offset times the sum over the group, if it has them.
#[inline(always)]
pub(super) fn add_group<S: Simd>(
    simd: S,
    factors: usize,
    (sum, products): (S::f32s, S::f32s),
    [scale, offset]: [S::f32s; 2],
    group_sum: impl FnOnce() -> f32,
) -> S::f32s {
    if factors == 0 {
        return simd.add_f32s(sum, products);
    }
    let sum = simd.mul_add_f32s(products, scale, sum);
    if factors == 1 { sum } else { simd.mul_add_f32s(simd.splat_f32s(group_sum()), offset, sum) }
}
