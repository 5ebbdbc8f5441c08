//! Numbers in 32-bit words, and how they are widened to `f32` in vector registers.

use pulp::Simd;

/// A way to store numbers in words.
pub(crate) trait Word: Copy + Send + Sync {
    /// Numbers in a word; the first is in the lowest bits.
    const VALUES: usize;

    /// The first and, if there is one, the second number of each word.
    fn widen<S: Simd>(simd: S, words: S::u32s) -> [S::f32s; 2];
}

/// One `f32`.
#[derive(Clone, Copy)]
pub(crate) struct F32;

/// Two halves (IEEE 754 binary16).
#[derive(Clone, Copy)]
pub(crate) struct F16;

/// Two `f32` without their lower halves.
#[derive(Clone, Copy)]
pub(crate) struct Bf16;

impl Word for F32 {
    const VALUES: usize = 1;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, words: S::u32s) -> [S::f32s; 2] {
        [simd.transmute_f32s_u32s(words), simd.splat_f32s(0.0)]
    }
}

impl Word for Bf16 {
    const VALUES: usize = 2;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, words: S::u32s) -> [S::f32s; 2] {
        let [first, second] = upper_halves(simd, words);
        [simd.transmute_f32s_u32s(first), simd.transmute_f32s_u32s(second)]
    }
}

impl Word for F16 {
    const VALUES: usize = 2;

    #[inline(always)]
    fn widen<S: Simd>(simd: S, words: S::u32s) -> [S::f32s; 2] {
        let [first, second] = upper_halves(simd, words);
        [widen_halves(simd, first), widen_halves(simd, second)]
    }
}

/// The 16-bit numbers of each word, moved into the upper half.
#[inline(always)]
fn upper_halves<S: Simd>(simd: S, words: S::u32s) -> [S::u32s; 2] {
    let first = simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(16));
    [first, simd.and_u32s(words, simd.splat_u32s(0xffff_0000))]
}

/// Exponent and mantissa move to where `f32` has them, and a product mends the exponent's bias, for
/// subnormal numbers too. Infinity and NaN, which no weight is, come out as finite numbers.
#[inline(always)]
fn widen_halves<S: Simd>(simd: S, halves: S::u32s) -> S::f32s {
    /// 2^(127 - 15): what the biases of `f32` and binary16 differ by.
    const BIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let sign = simd.and_u32s(halves, simd.splat_u32s(0x8000_0000));
    let rest = simd.and_u32s(halves, simd.splat_u32s(0x7fff_0000));
    let rest = simd.wrapping_dyn_shr_u32s(rest, simd.splat_u32s(3));
    let size = simd.mul_f32s(simd.transmute_f32s_u32s(rest), simd.splat_f32s(BIAS));
    simd.transmute_f32s_u32s(simd.or_u32s(simd.transmute_u32s_f32s(size), sign))
}
