//! The types that the cache keeps numbers in, and how they become `f32`.

use half::{bf16, f16, slice::HalfFloatSliceExt};

/// A type that the cache keeps numbers in.
pub(super) trait Stored: Copy + Sync {
    /// Rows of numbers in 32 bits, and how far apart these are: `rows` of `width`, stored every `stride`. They are in `wide` if they
    /// must be converted.
    fn widen<'a>(
        stored: &'a [Self],
        rows: (usize, usize, usize),
        wide: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize);
}

impl Stored for f32 {
    #[inline(always)]
    fn widen<'a>(stored: &'a [Self], rows: (usize, usize, usize), _: &'a mut Vec<f32>) -> (&'a [f32], usize) {
        (stored, rows.2)
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn widen<'a>(
        stored: &'a [Self],
        rows: (usize, usize, usize),
        wide: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize) {
        widen_rows(stored, rows, wide, |from, to| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = f32::from_bits(u32::from(from.to_bits()) << 16);
            }
        })
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn widen<'a>(
        stored: &'a [Self],
        rows: (usize, usize, usize),
        wide: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize) {
        widen_rows(stored, rows, wide, |from, to| from.convert_to_f32_slice(to))
    }
}

#[inline(always)]
fn widen_rows<'a, T>(
    stored: &[T],
    (rows, width, stride): (usize, usize, usize),
    wide: &'a mut Vec<f32>,
    convert: impl Fn(&[T], &mut [f32]),
) -> (&'a [f32], usize) {
    wide.resize(rows * width, 0.0);
    for (from, to) in stored.chunks(stride).zip(wide.chunks_exact_mut(width)) {
        convert(&from[..width], to);
    }
    (wide, width)
}
