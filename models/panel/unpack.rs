//! From words to `f32`, in vectors.
//!
//! Integers become floats by being written into the mantissa of 2^23, from which 2^23 is then subtracted. An integer whose lowest bit is
//! bit `b` of its word need not be shifted for that: it comes out 2^b times too large, and its scale is divided by 2^b. All
//! of this is exact; what is rounded is the product with the scale, and its sum with the offset, once.

use pulp::Simd;

use super::{Encoding, Layout, Words};

/// Takes the numbers of a vector's columns, in order.
pub(crate) trait Sink<S: Simd> {
    /// Number `k` of each of the columns.
    fn take(&mut self, k: usize, numbers: S::f32s);
}

/// A kind of blocks that can be unpacked; each is a type, so that each gets a function of its own: they would not fit
/// one's registers together.
pub(crate) trait Kind {
    /// How its blocks lie.
    const LAYOUT: Layout;

    /// Hands over a block's numbers, from `k` on.
    fn unpack<S: Simd>(block: Block<S>, k: usize, sink: &mut impl Sink<S>);
}

macro_rules! kinds {
    ($($kind:ident $method:ident),*) => {$(
        /// See [`Encoding`].
        pub(crate) struct $kind;

        impl Kind for $kind {
            const LAYOUT: Layout = Encoding::$kind.layout();

            #[inline(always)]
            fn unpack<S: Simd>(block: Block<S>, k: usize, sink: &mut impl Sink<S>) {
                block.$method(k, sink);
            }
        }
    )*};
}
kinds!(F32 f32, F16 f16, Bf16 bf16, Q4_0 q4_0, Q5_0 q5_0, Q8_0 q8_0, Q4K q4_k, Q5K q5_k, Q6K q6_k);

/// Calls a function of a kind.
macro_rules! with_kind {
    ($encoding:expr, $K:ident => $call:expr) => {{
        use $crate::panel::{Encoding, unpack as kinds};
        macro_rules! call {
            ($kind:ident) => {{
                type $K = kinds::$kind;
                $call
            }};
        }
        match $encoding {
            Encoding::F32 => call!(F32),
            Encoding::F16 => call!(F16),
            Encoding::Bf16 => call!(Bf16),
            Encoding::Q4_0 => call!(Q4_0),
            Encoding::Q5_0 => call!(Q5_0),
            Encoding::Q8_0 => call!(Q8_0),
            Encoding::Q4K => call!(Q4K),
            Encoding::Q5K => call!(Q5K),
            Encoding::Q6K => call!(Q6K),
        }
    }};
}
pub(crate) use with_kind;

/// Hands the numbers of whole blocks, counted from 0, to `sinks`: those of the columns of vector `first` to the first one,
/// those of the next vector to the next.
#[inline(always)]
pub(crate) fn unpack<S: Simd, K: Kind, T: Sink<S>, const V: usize>(
    simd: S,
    blocks: &[Words],
    first: usize,
    sinks: &mut [T; V],
) {
    for (i, rows) in blocks.chunks_exact(K::LAYOUT.rows()).enumerate() {
        for v in 0..V {
            K::unpack(Block { simd, rows, v: first + v }, i * K::LAYOUT.numbers, &mut sinks[v]);
        }
    }
}

/// A vector's columns of a block.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, S> {
    simd: S,
    rows: &'a [Words],
    v: usize,
}

impl<S: Simd> Block<'_, S> {
    #[inline(always)]
    fn row(self, row: usize) -> S::u32s {
        lanes_at(&self.rows[row].0, self.v * S::F32_LANES, S::F32_LANES)
    }

    #[inline(always)]
    fn f32(self, k: usize, sink: &mut impl Sink<S>) {
        sink.take(k, self.simd.transmute_f32s_u32s(self.row(0)));
    }

    #[inline(always)]
    fn bf16(self, k: usize, sink: &mut impl Sink<S>) {
        let (simd, words) = (self.simd, self.row(0));
        let high = simd.and_u32s(words, simd.splat_u32s(0xffff_0000));
        sink.take(k, simd.transmute_f32s_u32s(shl(simd, words, 16)));
        sink.take(k + 1, simd.transmute_f32s_u32s(high));
    }

    #[inline(always)]
    fn f16(self, k: usize, sink: &mut impl Sink<S>) {
        let (simd, words) = (self.simd, self.row(0));
        sink.take(k, half(simd, words));
        sink.take(k + 1, half(simd, shr(simd, words, 16)));
    }

    #[inline(always)]
    fn q4_0(self, k: usize, sink: &mut impl Sink<S>) {
        let zero = self.simd.splat_f32s(0.0);
        for (i, scale) in self.two_scales().into_iter().enumerate() {
            self.nibbles(1 + 4 * i, 8.0, (scale, zero), k + 32 * i, sink);
        }
    }

    #[inline(always)]
    fn q5_0(self, k: usize, sink: &mut impl Sink<S>) {
        let zero = self.simd.splat_f32s(0.0);
        for (i, scale) in self.two_scales().into_iter().enumerate() {
            let high = self.row(9 + i);
            self.fives(1 + 4 * i, high, 16.0, (scale, zero), k + 32 * i, sink);
        }
    }

    #[inline(always)]
    fn q8_0(self, k: usize, sink: &mut impl Sink<S>) {
        let simd = self.simd;
        for (i, scale) in self.two_scales().into_iter().enumerate() {
            let scales = [scale, simd.mul_f32s(scale, simd.splat_f32s(1.0 / 256.0))];
            for word in 0..8 {
                let mut words = self.row(1 + 8 * i + word);
                for pair in 0..2 {
                    for b in 0..2 {
                        let number = integer(simd, words, 255 << (8 * b), (128 << (8 * b)) as f32);
                        sink.take(k + 32 * i + 4 * word + 2 * pair + b, simd.mul_f32s(number, scales[b]));
                    }
                    words = shr(simd, words, 16);
                }
            }
        }
    }

    #[inline(always)]
    fn q4_k(self, k: usize, sink: &mut impl Sink<S>) {
        for group in 0..8 {
            self.nibbles(5 + 4 * group, 0.0, self.affine(group), k + 32 * group, sink);
        }
    }

    #[inline(always)]
    fn q5_k(self, k: usize, sink: &mut impl Sink<S>) {
        for group in 0..8 {
            self.fives(5 + 4 * group, self.row(37 + group), 0.0, self.affine(group), k + 32 * group, sink);
        }
    }

    #[inline(always)]
    fn q6_k(self, k: usize, sink: &mut impl Sink<S>) {
        let simd = self.simd;
        let all = half(simd, self.row(0));
        for group in 0..16 {
            let bytes = shr(simd, self.row(1 + group / 4), 8 * (group as u32 % 4));
            let scale = simd.mul_f32s(all, integer(simd, bytes, 255, 128.0));
            let high = self.row(37 + group);
            for word in 0..2 {
                let low = self.row(5 + 2 * group + word);
                for i in 0..8 {
                    let high = moved(simd, high, 4 - 2 * (8 * word + i) as i32);
                    let number = joined(simd, shr(simd, low, 4 * i as u32), high, 0x30, 32.0);
                    sink.take(k + 16 * group + 8 * word + i, simd.mul_f32s(number, scale));
                }
            }
        }
    }

    /// Scales of two groups of 32 numbers, halves of one word.
    #[inline(always)]
    fn two_scales(self) -> [S::f32s; 2] {
        [half(self.simd, self.row(0)), half(self.simd, shr(self.simd, self.row(0), 16))]
    }

    /// Scale and offset of 32 numbers in q4_K and q5_K.
    #[inline(always)]
    fn affine(self, group: usize) -> (S::f32s, S::f32s) {
        let simd = self.simd;
        let bytes = shr(simd, self.row(1 + group / 2), 16 * (group as u32 % 2));
        let (scale, least) = (half(simd, self.row(0)), half(simd, shr(simd, self.row(0), 16)));
        let offset = simd.mul_f32s(least, integer(simd, shr(simd, bytes, 8), 63, 0.0));
        (simd.mul_f32s(scale, integer(simd, bytes, 63, 0.0)), simd.neg_f32s(offset))
    }

    /// 32 numbers of 4 bits in four rows from `row` on: `scale * (number - zero) + offset`.
    #[inline(always)]
    fn nibbles(
        self,
        row: usize,
        zero: f32,
        (scale, offset): (S::f32s, S::f32s),
        k: usize,
        sink: &mut impl Sink<S>,
    ) {
        let simd = self.simd;
        let scaled = |b: u32| simd.mul_f32s(scale, simd.splat_f32s(1.0 / (1 << b) as f32));
        let scales = [scale, scaled(4), scaled(8), scaled(12)];
        for word in 0..4 {
            let mut words = self.row(row + word);
            for four in 0..2 {
                for b in 0..4 {
                    let number = integer(simd, words, 15 << (4 * b), zero * (1 << (4 * b)) as f32);
                    sink.take(k + 8 * word + 4 * four + b, simd.mul_add_f32s(number, scales[b], offset));
                }
                words = shr(simd, words, 16);
            }
        }
    }

    /// 32 numbers of 5 bits, the lower ones in four rows from `row` on: `scale * (number - zero) + offset`.
    #[inline(always)]
    fn fives(
        self,
        row: usize,
        high: S::u32s,
        zero: f32,
        (scale, offset): (S::f32s, S::f32s),
        k: usize,
        sink: &mut impl Sink<S>,
    ) {
        let simd = self.simd;
        for word in 0..4 {
            let low = self.row(row + word);
            for i in 0..8 {
                let high = moved(simd, high, 4 - (8 * word + i) as i32);
                let number = joined(simd, shr(simd, low, 4 * i as u32), high, 0x10, zero);
                sink.take(k + 8 * word + i, simd.mul_add_f32s(number, scale, offset));
            }
        }
    }
}

const TWO_23: f32 = 8_388_608.0;

/// The bits under `mask` as a number, less `zero`.
#[inline(always)]
fn integer<S: Simd>(simd: S, words: S::u32s, mask: u32, zero: f32) -> S::f32s {
    let bits = simd.and_u32s(words, simd.splat_u32s(mask));
    let bits = simd.or_u32s(bits, simd.splat_u32s(TWO_23.to_bits()));
    simd.sub_f32s(simd.transmute_f32s_u32s(bits), simd.splat_f32s(TWO_23 + zero))
}

/// Four low bits and the high ones under `mask` as a number, less `zero`.
#[inline(always)]
fn joined<S: Simd>(simd: S, low: S::u32s, high: S::u32s, mask: u32, zero: f32) -> S::f32s {
    let low = simd.and_u32s(low, simd.splat_u32s(15));
    let low = simd.or_u32s(low, simd.splat_u32s(TWO_23.to_bits()));
    let bits = simd.or_u32s(simd.and_u32s(high, simd.splat_u32s(mask)), low);
    simd.sub_f32s(simd.transmute_f32s_u32s(bits), simd.splat_f32s(TWO_23 + zero))
}

/// The lower half of each word, a binary16, in 32 bits. Exponent and mantissa move to where `f32` has them and the exponent's
/// bias is mended; for a subnormal number a difference of normal ones does it, since arithmetic on subnormal ones is slow.
/// Infinity and NaN, which no weight is, come out as finite numbers.
#[inline(always)]
fn half<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
    /// What the biases of `f32` and binary16 differ by.
    const BIAS: u32 = (127 - 15) << 23;
    /// 2^-14, the smallest normal number of binary16.
    const LEAST: u32 = BIAS + (1 << 23);
    let sign = shl(simd, simd.and_u32s(words, simd.splat_u32s(0x8000)), 16);
    let size = shl(simd, simd.and_u32s(words, simd.splat_u32s(0x7fff)), 13);
    let normal = simd.add_u32s(size, simd.splat_u32s(BIAS));
    let raised = simd.transmute_f32s_u32s(simd.add_u32s(size, simd.splat_u32s(LEAST)));
    let subnormal = simd.sub_f32s(raised, simd.splat_f32s(f32::from_bits(LEAST)));
    let is_subnormal = simd.less_than_u32s(size, simd.splat_u32s(1 << 23));
    let size = simd.select_u32s(is_subnormal, simd.transmute_u32s_f32s(subnormal), normal);
    simd.transmute_f32s_u32s(simd.or_u32s(sign, size))
}

#[inline(always)]
fn shl<S: Simd>(simd: S, words: S::u32s, by: u32) -> S::u32s {
    simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(by))
}

#[inline(always)]
fn shr<S: Simd>(simd: S, words: S::u32s, by: u32) -> S::u32s {
    simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(by))
}

/// To the left, or to the right if `by` is negative.
#[inline(always)]
fn moved<S: Simd>(simd: S, words: S::u32s, by: i32) -> S::u32s {
    if by < 0 { shr(simd, words, by.unsigned_abs()) } else { shl(simd, words, by.unsigned_abs()) }
}

/// A vector of `lanes` numbers from `at` on. The check is compiled away in optimised builds: this is where all
/// the time goes.
#[inline(always)]
pub(crate) fn lanes_at<T, V: Copy>(from: &[T], at: usize, lanes: usize) -> V {
    debug_assert!(at + lanes <= from.len() && size_of::<V>() == lanes * size_of::<T>());
    // SAFETY: callers step through whole vectors of slices whose lengths they know.
    unsafe { from.as_ptr().add(at).cast::<V>().read_unaligned() }
}

/// Stores a vector of `lanes` numbers from `at` on.
#[inline(always)]
pub(crate) fn set_lanes_at<T, V>(to: &mut [T], at: usize, lanes: usize, vector: V) {
    debug_assert!(at + lanes <= to.len() && size_of::<V>() == lanes * size_of::<T>());
    // SAFETY: as above.
    unsafe { to.as_mut_ptr().add(at).cast::<V>().write_unaligned(vector) }
}
