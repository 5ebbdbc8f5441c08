//! Activations as the inner loops read them, and calls for a constant number of rows.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use std::ops::Range;

/// Calls for a constant number of rows: sums are in registers only if the compiler knows how many there are.
macro_rules! with_rows {
    ($rows:expr, $R:ident => $call:expr, $($n:literal)*) => {
        match $rows {
            $($n => { const $R: usize = $n; $call })*
            _ => unreachable!("so many rows never share registers"),
        }
    };
}
pub(super) use with_rows;

/// Writes the numbers `part` of `R` rows of `inner` numbers: first all first ones, then all second ones.
pub(super) fn interleave<const R: usize>(x: &[f32], inner: usize, part: &Range<usize>, to: &mut [f32]) {
    let mut rows = [&[][..]; R];
    for (row, x) in rows.iter_mut().zip(x.chunks_exact(inner)) {
        *row = &x[part.clone()];
    }
    for (k, to) in to.as_chunks_mut::<R>().0.iter_mut().enumerate().take(part.len()) {
        for r in 0..R {
            to[r] = rows[r][k];
        }
    }
}
