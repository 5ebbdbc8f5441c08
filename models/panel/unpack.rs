//! From words to `f32`, in vectors.
//!
//! Integers become floats by being written into the mantissa of 2^23, from which 2^23 is then subtracted. An integer whose lowest bit is
//! bit `b` of its word need not be shifted for that: it comes out 2^b times too large, and its scale is divided by 2^b. All
//! of this is exact; what is rounded is the product with the scale, and its sum with the offset, once.

#![allow(clippy::needless_range_loop, reason = "indices are registers: their loops must be constant")]

use pulp::Simd;

use super::{Encoding, Layout, Words};

/// Takes the numbers of a vector's columns.
pub(crate) trait Sink<S: Simd> {
    /// Number `k` of each of the columns.
    fn take(&mut self, k: usize, numbers: S::f32s);
}

/// A kind of blocks: groups of numbers with a scale in common, in a few rows of words each. It is a type, so that what
/// is done with each kind gets a function of its own: they would not fit one's registers together.
pub(crate) trait Kind {
    /// How its blocks lie.
    const LAYOUT: Layout;
    /// What the numbers of a group have in common.
    type Scale<S: Simd>: Copy;

    /// What the numbers of a group have in common.
    fn scale<S: Simd>(block: Block<S>, group: usize) -> Self::Scale<S>;

    /// Hands over the numbers in a group's row of words, from `k` on.
    fn word<S: Simd>(
        block: Block<S>,
        scale: Self::Scale<S>,
        place: (usize, usize),
        k: usize,
        sink: &mut impl Sink<S>,
    );
}

/// Hands the numbers of whole blocks, counted from 0, to `sinks`: those of the columns of vector `first` to the first one,
/// those of the next vector to the next. Memory is read in order, as processors expect it.
#[inline(always)]
pub(crate) fn unpack<S: Simd, K: Kind, T: Sink<S>, const V: usize>(
    simd: S,
    blocks: &[Words],
    first: usize,
    sinks: &mut [T; V],
) {
    let (_, words) = K::LAYOUT.group_rows();
    let numbers = K::LAYOUT.group / words;
    for (i, rows) in blocks.chunks_exact(K::LAYOUT.rows()).enumerate() {
        for group in 0..K::LAYOUT.groups() {
            let mut blocks = [Block { simd, rows, v: first }; V];
            for v in 0..V {
                blocks[v].v = first + v;
            }
            let mut scales = [K::scale(blocks[0], group); V];
            for v in 1..V {
                scales[v] = K::scale(blocks[v], group);
            }
            for word in 0..words {
                let k = i * K::LAYOUT.numbers + (group * words + word) * numbers;
                for v in 0..V {
                    K::word(blocks[v], scales[v], (group, word), k, &mut sinks[v]);
                }
            }
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

    /// The high bits of a group's numbers, or the first low ones where there are none.
    #[inline(always)]
    fn high(self, layout: Layout, group: usize) -> S::u32s {
        let (high, low) = layout.group_rows();
        self.row(layout.head + group * (high + low))
    }

    /// A row of low bits of a group's numbers.
    #[inline(always)]
    fn low(self, layout: Layout, (group, word): (usize, usize)) -> S::u32s {
        let (high, low) = layout.group_rows();
        self.row(layout.head + group * (high + low) + high + word)
    }

    /// Half `i` of the first word, a scale.
    #[inline(always)]
    fn half(self, i: usize) -> S::f32s {
        half(self.simd, shr(self.simd, self.row(0), 16 * i as u32))
    }

    /// Scale and offset of 32 numbers in q4_K and q5_K.
    #[inline(always)]
    fn affine(self, group: usize) -> (S::f32s, S::f32s) {
        let simd = self.simd;
        let bytes = shr(simd, self.row(1 + group / 2), 16 * (group as u32 % 2));
        let offset = simd.mul_f32s(self.half(1), integer(simd, shr(simd, bytes, 8), 63, 0.0));
        (simd.mul_f32s(self.half(0), integer(simd, bytes, 63, 0.0)), simd.neg_f32s(offset))
    }

    /// Eight numbers of 4 bits: `scale * (number - zero) + offset`.
    #[inline(always)]
    fn nibbles(self, mut words: S::u32s, zero: f32, scale: Nibbles<S>, k: usize, sink: &mut impl Sink<S>) {
        let simd = self.simd;
        for four in 0..2 {
            for b in 0..4 {
                let number = integer(simd, words, 15 << (4 * b), zero * (1 << (4 * b)) as f32);
                sink.take(k + 4 * four + b, simd.mul_add_f32s(number, scale.by[b], scale.offset));
            }
            words = shr(simd, words, 16);
        }
    }

    /// The eight numbers of 5 bits in row `word` of a group: `scale * (number - zero) + offset`.
    #[inline(always)]
    fn fives(self, low: S::u32s, zero: f32, scale: Fives<S>, word: usize, k: usize, sink: &mut impl Sink<S>) {
        let simd = self.simd;
        let high = shr(simd, scale.high, 8 * word as u32);
        for i in 0..8 {
            let high = moved(simd, high, 4 - i as i32);
            let number = joined(simd, shr(simd, low, 4 * i as u32), high, 0x10, zero);
            sink.take(k + i, simd.mul_add_f32s(number, scale.by, scale.offset));
        }
    }
}

/// Of numbers of 4 bits: a scale for each place in half a word.
pub(crate) struct Nibbles<S: Simd> {
    by: [S::f32s; 4],
    offset: S::f32s,
}

/// Of numbers of 5 bits.
pub(crate) struct Fives<S: Simd> {
    by: S::f32s,
    offset: S::f32s,
    /// Their fifth bits.
    high: S::u32s,
}

impl<S: Simd> Clone for Nibbles<S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Simd> Copy for Nibbles<S> {}

impl<S: Simd> Clone for Fives<S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Simd> Copy for Fives<S> {}

/// A number that was not shifted down by `4 i` bits is 16^i times too large.
#[inline(always)]
fn fourths<S: Simd>(simd: S, (scale, offset): (S::f32s, S::f32s)) -> Nibbles<S> {
    let scaled = |b: u32| simd.mul_f32s(scale, simd.splat_f32s(1.0 / (1 << b) as f32));
    Nibbles { by: [scale, scaled(4), scaled(8), scaled(12)], offset }
}

/// A kind: what a group's numbers have in common, and the numbers in a row of words.
macro_rules! kind {
    ($kind:ident, $scale:ty,
     |$block:ident, $group:ident| $make:expr, |$s:ident, $place:ident, $k:ident, $sink:ident| $give:expr) => {
        /// See [`Encoding`].
        pub(crate) struct $kind;

        // Plain numbers have no scale.
        #[allow(unused_variables)]
        impl Kind for $kind {
            const LAYOUT: Layout = Encoding::$kind.layout();
            type Scale<S: Simd> = $scale;

            #[inline(always)]
            fn scale<S: Simd>($block: Block<S>, $group: usize) -> $scale {
                $make
            }

            #[inline(always)]
            fn word<S: Simd>(
                $block: Block<S>,
                $s: $scale,
                $place: (usize, usize),
                $k: usize,
                $sink: &mut impl Sink<S>,
            ) {
                $give
            }
        }
    };
}

kind!(F32, (), |block, group| (), |scale, place, k, sink| {
    sink.take(k, block.simd.transmute_f32s_u32s(block.row(0)));
});
kind!(F16, (), |block, group| (), |scale, place, k, sink| {
    sink.take(k, block.half(0));
    sink.take(k + 1, block.half(1));
});
kind!(Bf16, (), |block, group| (), |scale, place, k, sink| {
    let (simd, words) = (block.simd, block.row(0));
    let high = simd.and_u32s(words, simd.splat_u32s(0xffff_0000));
    sink.take(k, simd.transmute_f32s_u32s(shl(simd, words, 16)));
    sink.take(k + 1, simd.transmute_f32s_u32s(high));
});
kind!(
    Q4_0,
    Nibbles<S>,
    |block, group| fourths(block.simd, (block.half(group), block.simd.splat_f32s(0.0))),
    |scale, place, k, sink| block.nibbles(block.low(Self::LAYOUT, place), 8.0, scale, k, sink)
);
kind!(Q4K, Nibbles<S>, |block, group| fourths(block.simd, block.affine(group)), |scale, place, k, sink| {
    block.nibbles(block.low(Self::LAYOUT, place), 0.0, scale, k, sink)
});
kind!(
    Q5_0,
    Fives<S>,
    |block, group| {
        let (by, offset) = (block.half(group), block.simd.splat_f32s(0.0));
        Fives { by, offset, high: block.high(Self::LAYOUT, group) }
    },
    |scale, place, k, sink| block.fives(block.low(Self::LAYOUT, place), 16.0, scale, place.1, k, sink)
);
kind!(
    Q5K,
    Fives<S>,
    |block, group| {
        let (by, offset) = block.affine(group);
        Fives { by, offset, high: block.high(Self::LAYOUT, group) }
    },
    |scale, place, k, sink| block.fives(block.low(Self::LAYOUT, place), 0.0, scale, place.1, k, sink)
);
kind!(
    Q8_0,
    [S::f32s; 2],
    |block, group| {
        let scale = block.half(group);
        [scale, block.simd.mul_f32s(scale, block.simd.splat_f32s(1.0 / 256.0))]
    },
    |scale, place, k, sink| {
        let (simd, mut words) = (block.simd, block.low(Self::LAYOUT, place));
        for pair in 0..2 {
            for b in 0..2 {
                let number = integer(simd, words, 255 << (8 * b), (128 << (8 * b)) as f32);
                sink.take(k + 2 * pair + b, simd.mul_f32s(number, scale[b]));
            }
            words = shr(simd, words, 16);
        }
    }
);
kind!(
    Q6K,
    (S::f32s, S::u32s),
    |block, group| {
        let simd = block.simd;
        let bytes = shr(simd, block.row(1 + group / 4), 8 * (group as u32 % 4));
        let scale = simd.mul_f32s(block.half(0), integer(simd, bytes, 255, 128.0));
        (scale, block.high(Self::LAYOUT, group))
    },
    |scale, place, k, sink| {
        let (simd, low) = (block.simd, block.low(Self::LAYOUT, place));
        let high = shr(simd, scale.1, 16 * place.1 as u32);
        for i in 0..8 {
            let high = moved(simd, high, 4 - 2 * i as i32);
            let number = joined(simd, shr(simd, low, 4 * i as u32), high, 0x30, 32.0);
            sink.take(k + i, simd.mul_f32s(number, scale.0));
        }
    }
);

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
