//! Four small integers of every column times four integers of 16 bits: what processors have for it.
//!
//! Nothing is rounded and nothing overflows as long as a sum has no more products than a group has, so all ways give the same sums.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_madd_epi16, _mm512_add_epi32,
    _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_madd_epi16,
};
#[cfg(target_arch = "x86_64")]
use std::mem::transmute_copy;

use bytemuck::{Pod, Zeroable, bytes_of, bytes_of_mut, cast_slice, cast_slice_mut};
use pulp::{NullaryFnOnce, Simd};

#[cfg(target_arch = "x86_64")]
use crate::instructions::Instructions;

/// A way to multiply and add.
pub(super) trait Dot<S: Simd>: Copy {
    /// Sums of products, one for each lane.
    type Sum: Copy;

    /// Runs what uses it, with the instructions that it needs.
    fn run<F: NullaryFnOnce>(simd: S, f: F) -> F::Output;

    /// A number in each lane, to which products are added.
    fn start(simd: S, number: i32) -> Self::Sum;

    /// Four unsigned bytes of each lane as [`Self::add`] takes them.
    fn weights(simd: S, four: S::u32s) -> [S::u32s; 2];

    /// Adds the products of these and of four activations, which are the same in each lane.
    fn add(sum: Self::Sum, weights: [S::u32s; 2], x: [S::u32s; 2]) -> Self::Sum;

    /// The sums, rounded.
    fn total(simd: S, sum: Self::Sum) -> S::f32s;
}

/// Four products of bytes at once, added to a sum (AVX512-VNNI and AVX-VNNI): first with the upper bytes of the activations, then with the
/// lower ones.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Bytes;

#[cfg(target_arch = "x86_64")]
impl Bytes {
    /// Whether the processor has them for vectors of this length.
    pub(super) fn are_native<S: Simd>() -> bool {
        match size_of::<S::u32s>() {
            64 => Instructions::Avx512Vnni.are_used(),
            32 => Instructions::AvxVnni.are_used(),
            _ => false,
        }
    }

    /// Activations, from -32,639 to 32,639, as [`Dot::add`] takes them, four in each word: 256 times a signed byte, and another one.
    #[inline(always)]
    pub(super) fn split(integers: &[i32], [highs, lows]: [&mut [u32]; 2]) {
        let [highs, lows]: [&mut [i8]; 2] = [cast_slice_mut(highs), cast_slice_mut(lows)];
        for ((x, high), low) in integers.iter().zip(highs).zip(lows) {
            (*high, *low) = (((x + 128) >> 8) as i8, *x as i8);
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<S: Simd> Dot<S> for Bytes {
    type Sum = [S::u32s; 2];

    #[inline(always)]
    fn run<F: NullaryFnOnce>(_: S, f: F) -> F::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,fma")]
        fn with_512<F: NullaryFnOnce>(f: F) -> F::Output {
            f.call()
        }
        #[target_feature(enable = "avx2,fma,avxvnni")]
        fn with_256<F: NullaryFnOnce>(f: F) -> F::Output {
            f.call()
        }
        // SAFETY: callers have asked whether there are such instructions.
        unsafe { if const { size_of::<S::u32s>() == 64 } { with_512(f) } else { with_256(f) } }
    }

    #[inline(always)]
    fn start(simd: S, number: i32) -> Self::Sum {
        [simd.splat_u32s(0), simd.splat_u32s(number as u32)]
    }

    #[inline(always)]
    fn weights(_: S, four: S::u32s) -> [S::u32s; 2] {
        [four; 2]
    }

    #[inline(always)]
    fn add(sum: Self::Sum, weights: [S::u32s; 2], x: [S::u32s; 2]) -> Self::Sum {
        [dot_of_bytes::<S>(sum[0], weights[0], x[0]), dot_of_bytes::<S>(sum[1], weights[1], x[1])]
    }

    #[inline(always)]
    fn total(simd: S, [highs, lows]: Self::Sum) -> S::f32s {
        let highs = simd.wrapping_dyn_shl_u32s(highs, simd.splat_u32s(8));
        floats::<S>(simd.add_u32s(highs, lows))
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn dot_of_bytes<S: Simd>(sum: S::u32s, weights: S::u32s, x: S::u32s) -> S::u32s {
    // SAFETY: vectors of 64 and 32 bytes there are only with AVX-512 and AVX2, all types are such vectors, and callers have the
    // instructions.
    unsafe {
        if const { size_of::<S::u32s>() == 64 } {
            let (sum, weights, x) = (transmute_copy(&sum), transmute_copy(&weights), transmute_copy(&x));
            transmute_copy(&_mm512_dpbusd_epi32(sum, weights, x))
        } else if const { size_of::<S::u32s>() == 32 } {
            let (sum, weights, x) = (transmute_copy(&sum), transmute_copy(&weights), transmute_copy(&x));
            transmute_copy(&_mm256_dpbusd_avx_epi32(sum, weights, x))
        } else {
            unreachable!("other vectors have no such instructions")
        }
    }
}

/// Two products of 16 bits at once: first with the even ones of four activations, then with the odd ones.
#[derive(Clone, Copy)]
pub(super) struct Halves;

impl Halves {
    /// Activations as [`Dot::add`] takes them, two in each word.
    #[inline(always)]
    pub(super) fn split(integers: &[i32], [evens, odds]: [&mut [u32]; 2]) {
        for ((x, even), odd) in integers.as_chunks::<4>().0.iter().zip(evens).zip(odds) {
            *even = (x[0] & 0xffff | x[2] << 16) as u32;
            *odd = (x[1] & 0xffff | x[3] << 16) as u32;
        }
    }
}

impl<S: Simd> Dot<S> for Halves {
    type Sum = S::u32s;

    #[inline(always)]
    fn run<F: NullaryFnOnce>(simd: S, f: F) -> F::Output {
        simd.vectorize(f)
    }

    #[inline(always)]
    fn start(simd: S, number: i32) -> Self::Sum {
        simd.splat_u32s(number as u32)
    }

    #[inline(always)]
    fn weights(simd: S, four: S::u32s) -> [S::u32s; 2] {
        let mask = simd.splat_u32s(0x00ff_00ff);
        let odds = simd.wrapping_dyn_shr_u32s(four, simd.splat_u32s(8));
        [simd.and_u32s(four, mask), simd.and_u32s(odds, mask)]
    }

    #[inline(always)]
    fn add(sum: Self::Sum, weights: [S::u32s; 2], x: [S::u32s; 2]) -> Self::Sum {
        dot_of_halves::<S>(dot_of_halves::<S>(sum, weights[0], x[0]), weights[1], x[1])
    }

    #[inline(always)]
    fn total(_: S, sum: Self::Sum) -> S::f32s {
        floats::<S>(sum)
    }
}

#[inline(always)]
fn dot_of_halves<S: Simd>(sum: S::u32s, weights: S::u32s, x: S::u32s) -> S::u32s {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as in `dot_of_bytes`, and AVX-512 and AVX2 have these.
    unsafe {
        if const { size_of::<S::u32s>() == 64 } {
            let products = _mm512_madd_epi16(transmute_copy(&weights), transmute_copy(&x));
            return transmute_copy(&_mm512_add_epi32(transmute_copy(&sum), products));
        }
        if const { size_of::<S::u32s>() == 32 } {
            let products = _mm256_madd_epi16(transmute_copy(&weights), transmute_copy(&x));
            return transmute_copy(&_mm256_add_epi32(transmute_copy(&sum), products));
        }
    }
    let both = |weights: u32, x: u32| {
        (weights as u16 as i32 * x as i16 as i32 + (weights >> 16) as i32 * (x as i32 >> 16)) as u32
    };
    let products: S::u32s = by_lanes(weights, x, both);
    by_lanes(sum, products, u32::wrapping_add)
}

/// Signed integers as floats.
#[inline(always)]
fn floats<S: Simd>(integers: S::u32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as in `dot_of_halves`.
    unsafe {
        if const { size_of::<S::u32s>() == 64 } {
            return transmute_copy(&_mm512_cvtepi32_ps(transmute_copy(&integers)));
        }
        if const { size_of::<S::u32s>() == 32 } {
            return transmute_copy(&_mm256_cvtepi32_ps(transmute_copy(&integers)));
        }
    }
    by_lanes(integers, integers, |integer, _| (integer as i32 as f32).to_bits())
}

/// Lane by lane: compilers make vectors of it where vectors are short.
#[inline(always)]
fn by_lanes<A: Pod, C: Pod + Zeroable>(a: A, b: A, each: impl Fn(u32, u32) -> u32) -> C {
    let mut c = C::zeroed();
    let (a, b): (&[u32], &[u32]) = (cast_slice(bytes_of(&a)), cast_slice(bytes_of(&b)));
    let to: &mut [u32] = cast_slice_mut(bytes_of_mut(&mut c));
    for i in 0..to.len() {
        to[i] = each(a[i], b[i]);
    }
    c
}
