//! The types that the cache keeps numbers in, and how they become `f32`.

use half::{bf16, f16};
use pulp::Simd;

use super::product::LANES;

/// A type that the cache keeps numbers in.
pub(super) trait Stored: Copy + Sync {
    /// As many numbers in 32 bits.
    fn widen<S: Simd>(stored: &[Self], wide: &mut [f32]);

    /// Rows of `width` numbers, stored every `stride`, in 32 bits, and how far apart these are: in `wide`, which is as long as
    /// the rows filled up to whole [`LANES`], unless they can stay where they are.
    #[inline(always)]
    fn rows<'a, S: Simd>(
        stored: &'a [Self],
        (width, stride): (usize, usize),
        wide: &'a mut [f32],
    ) -> (&'a [f32], usize) {
        widen_rows::<S, Self>(stored, (width, stride), wide)
    }
}

#[inline(always)]
fn widen_rows<'a, S: Simd, T: Stored>(
    stored: &[T],
    (width, stride): (usize, usize),
    wide: &'a mut [f32],
) -> (&'a [f32], usize) {
    let filled = width.next_multiple_of(LANES);
    if width == stride && width == filled {
        T::widen::<S>(&stored[..wide.len()], wide);
    } else {
        for (from, to) in stored.chunks(stride).zip(wide.chunks_exact_mut(filled)) {
            T::widen::<S>(&from[..width], &mut to[..width]);
        }
    }
    (wide, filled)
}

impl Stored for f32 {
    #[inline(always)]
    fn widen<S: Simd>(stored: &[Self], wide: &mut [f32]) {
        wide.copy_from_slice(stored);
    }

    #[inline(always)]
    fn rows<'a, S: Simd>(
        stored: &'a [Self],
        (width, stride): (usize, usize),
        wide: &'a mut [f32],
    ) -> (&'a [f32], usize) {
        if width.is_multiple_of(LANES) {
            return (stored, stride);
        }
        widen_rows::<S, Self>(stored, (width, stride), wide)
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn widen<S: Simd>(stored: &[Self], wide: &mut [f32]) {
        for (to, from) in wide.iter_mut().zip(stored) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn widen<S: Simd>(stored: &[Self], wide: &mut [f32]) {
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        #[cfg(target_arch = "x86_64")]
        let done = if S::F32_LANES == 16 {
            let whole = stored.len() / 16 * 16;
            // SAFETY: vectors of 16 numbers there are only with AVX-512, which converts as many.
            unsafe { widen_vectors(&stored[..whole], &mut wide[..whole]) };
            whole
        } else {
            0
        };
        for (to, from) in wide[done..].iter_mut().zip(&stored[done..]) {
            *to = of_half(from.to_bits());
        }
    }
}

/// Whole vectors of 16.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn widen_vectors(stored: &[f16], wide: &mut [f32]) {
    use std::arch::x86_64::{_mm256_loadu_si256, _mm512_cvtph_ps, _mm512_storeu_ps};
    for (to, from) in wide.as_chunks_mut::<16>().0.iter_mut().zip(stored.as_chunks::<16>().0) {
        // SAFETY: both are 16 numbers, and callers see to the instruction.
        unsafe {
            _mm512_storeu_ps(to.as_mut_ptr(), _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
        };
    }
}

/// A binary16 in 32 bits, by integers alone, so that compilers take many at a time. Exponent and mantissa move to where `f32` has
/// them and the exponent's bias is mended: once, twice for infinity and NaN. For a subnormal number a difference of normal
/// ones does it.
#[inline(always)]
fn of_half(bits: u16) -> f32 {
    /// What the biases of `f32` and binary16 differ by.
    const BIAS: u32 = (127 - 15) << 23;
    /// 2^-14, the smallest normal number of binary16.
    const LEAST: u32 = BIAS + (1 << 23);
    /// The exponent of infinity.
    const INFINITE: u32 = 31 << 23;
    let sign = u32::from(bits & 0x8000) << 16;
    let size = u32::from(bits & 0x7fff) << 13;
    let subnormal = (f32::from_bits(size + LEAST) - f32::from_bits(LEAST)).to_bits();
    let normal = size + if size < INFINITE { BIAS } else { 2 * BIAS };
    f32::from_bits(sign | if size < 1 << 23 { subnormal } else { normal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_becomes_the_same_number_in_32_bits() {
        for bits in 0..=u16::MAX {
            let (half, mut wide) = (f16::from_bits(bits), [0.0]);
            f16::widen::<pulp::Scalar>(&[half], &mut wide);
            assert!(
                wide[0].to_bits() == half.to_f32().to_bits() || half.is_nan() && wide[0].is_nan(),
                "{bits:x}"
            );
        }
    }
}
