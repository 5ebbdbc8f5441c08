//! Activations as the inner loops read them, and calls for a constant number of rows.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::ops::Range;

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

/// Writes `part` of `R` rows of some width: first all first ones, then all second ones. What `to` has room for beyond them stays.
pub(super) fn interleave<T: Copy, U, const R: usize>(
    from: &[T],
    width: usize,
    part: &Range<usize>,
    to: &mut [U],
    each: impl Fn(T) -> U,
) {
    let mut rows = [&[][..]; R];
    for (row, from) in rows.iter_mut().zip(from.chunks_exact(width)) {
        *row = &from[part.clone()];
    }
    for (k, to) in to.as_chunks_mut::<R>().0.iter_mut().enumerate().take(part.len()) {
        for r in 0..R {
            to[r] = each(rows[r][k]);
        }
    }
}

/// From rows to tiles of so many rows each, interleaved.
pub(super) fn by_tiles<T: Copy + Default>(rows: Vec<T>, tiles: &[usize]) -> Vec<T> {
    if tiles == [1] {
        return rows;
    }
    let width = rows.len() / tiles.iter().sum::<usize>();
    let mut interleaved = vec![T::default(); rows.len()];
    let (mut from, mut to) = (&rows[..], &mut interleaved[..]);
    for &rows in tiles {
        let (of_tile, to_tile);
        (of_tile, from) = from.split_at(rows * width);
        (to_tile, to) = to.split_at_mut(rows * width);
        with_rows!(
            rows,
            R => interleave::<_, _, R>(of_tile, width, &(0..width), to_tile, |x| x),
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
        );
    }
    interleaved
}

/// An activation as plain numbers meet it: rounded to bf16 where these have no more digits.
#[inline(always)]
pub(super) fn met(x: f32, encoding: Encoding) -> f32 {
    if encoding == Encoding::Bf16 { bf16(x) } else { x }
}

/// The nearest number of bf16, of two that are as near the even one, as an `f32`. What is no number stays none.
#[inline(always)]
fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
}
