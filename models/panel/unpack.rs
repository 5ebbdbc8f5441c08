//! From words to numbers, in vectors: plain ones to `f32`, and those of blocks to bytes, without the scale and the offset of their
//! group, which a product applies once, to the sum over the group. All of this is exact.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, __m512i, _mm512_cvtepi32_epi16, _mm512_cvtph_ps};
use std::marker::PhantomData;
#[cfg(target_arch = "x86_64")]
use std::mem::transmute_copy;

use bytemuck::cast_slice;
use pulp::Simd;

use super::{Encoding, LINE_COLUMNS, Layout, PANEL, Words};
use crate::prefetch::{AHEAD, ask_for};

/// An encoding as a type, so that what is done with each gets a function of its own, with no questions asked inside.
pub(crate) trait Kind: Copy {
    /// The encoding.
    const ENCODING: Encoding;
    /// How its blocks lie.
    const LAYOUT: Layout = Self::ENCODING.layout();
}

/// A type for each encoding.
macro_rules! kinds {
    ($($kind:ident)*) => { $(
        /// See [`Encoding`].
        #[derive(Clone, Copy)]
        pub(crate) struct $kind;

        impl Kind for $kind {
            const ENCODING: Encoding = Encoding::$kind;
        }
    )* };
}

kinds!(F32 F16 Bf16 Q4_0 Q5_0 Q8_0 Q4K Q5K Q6K);

/// A vector's columns of a block. With vectors of one lane, a column.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, S, K> {
    simd: S,
    words: &'a [u32],
    /// Which vector of the panel.
    v: usize,
    kind: PhantomData<K>,
}

impl<'a, S: Simd, K: Kind> Block<'a, S, K> {
    /// Vector `v` of a block.
    #[inline(always)]
    pub(crate) fn new(simd: S, rows: &'a [Words], v: usize) -> Self {
        Self { simd, words: cast_slice(rows), v, kind: PhantomData }
    }

    /// Number `I` of a word of plain numbers.
    #[inline(always)]
    pub(crate) fn number<const I: usize>(self, word: usize) -> S::f32s {
        let (simd, word) = (self.simd, self.row(word));
        match K::ENCODING {
            Encoding::F32 => simd.transmute_f32s_u32s(word),
            Encoding::F16 => half(simd, shr(simd, word, 16 - 16 * I as u32)),
            Encoding::Bf16 if I == 1 => simd.transmute_f32s_u32s(shl(simd, word, 16)),
            Encoding::Bf16 => simd.transmute_f32s_u32s(simd.and_u32s(word, simd.splat_u32s(0xffff_0000))),
            _ => unreachable!("numbers of blocks are bytes"),
        }
    }

    /// Numbers `4 * I` to `4 * I + 3` of a group of small integers, as bytes.
    #[inline(always)]
    pub(crate) fn four<const I: usize>(self, group: usize) -> S::u32s {
        let (simd, Layout { low_bits, high_bits, .. }) = (self.simd, K::LAYOUT);
        let (high, low) = K::LAYOUT.group_rows();
        let first = K::LAYOUT.head + group * (high + low);
        let lows = shr(simd, self.row(first + high + I * low_bits / 8), (I * low_bits % 8) as u32);
        if low_bits == 8 {
            return lows;
        }
        let lows = simd.and_u32s(lows, simd.splat_u32s(0x0f0f_0f0f));
        if high == 0 {
            return lows;
        }
        let (highs, from) = (self.row(first), I * high_bits);
        let highs =
            if from < 4 { shl(simd, highs, 4 - from as u32) } else { shr(simd, highs, from as u32 - 4) };
        let mask = 0x1010_1010 * ((1 << high_bits) - 1);
        simd.or_u32s(lows, simd.and_u32s(highs, simd.splat_u32s(mask)))
    }

    /// What the scales of all groups have in common.
    #[inline(always)]
    pub(crate) fn head(self) -> [S::f32s; 2] {
        match K::ENCODING {
            Encoding::Q4K | Encoding::Q5K => [self.half(0), self.half(1)],
            Encoding::Q6K => [self.half(0); 2],
            _ => [self.simd.splat_f32s(0.0); 2],
        }
    }

    /// A group's scale and offset.
    #[inline(always)]
    pub(crate) fn scale(self, head: [S::f32s; 2], group: usize) -> [S::f32s; 2] {
        let (simd, none) = (self.simd, self.simd.splat_f32s(0.0));
        match K::ENCODING {
            Encoding::F32 | Encoding::F16 | Encoding::Bf16 => unreachable!("plain numbers have no scale"),
            Encoding::Q4_0 | Encoding::Q5_0 | Encoding::Q8_0 => [self.half(group), none],
            Encoding::Q4K | Encoding::Q5K => self.affine(head, group),
            Encoding::Q6K => {
                let bytes = shr(simd, self.row(1 + group / 4), 8 * (group as u32 % 4));
                [simd.mul_f32s(head[0], integer(simd, bytes, 255, 128.0)), none]
            }
        }
    }

    /// Asks for the line that comes [`AHEAD`] lines after a row's, if the vector begins a line.
    #[inline(always)]
    pub(crate) fn ask_ahead(self, row: usize) {
        let column = self.v * S::F32_LANES;
        if column.is_multiple_of(LINE_COLUMNS) {
            ask_for(self.words.as_ptr().wrapping_add(K::LAYOUT.place(row + AHEAD, column)));
        }
    }

    #[inline(always)]
    fn row(self, row: usize) -> S::u32s {
        debug_assert!(row < K::LAYOUT.rows() && self.words.len() == K::LAYOUT.rows() * PANEL);
        lanes_at(self.words, K::LAYOUT.place(row, self.v * S::F32_LANES), S::F32_LANES)
    }

    /// Half `i` of the first word, a scale.
    #[inline(always)]
    fn half(self, i: usize) -> S::f32s {
        half(self.simd, shr(self.simd, self.row(0), 16 * i as u32))
    }

    /// Scale and offset of 32 numbers in q4_K and q5_K.
    #[inline(always)]
    fn affine(self, head: [S::f32s; 2], group: usize) -> [S::f32s; 2] {
        let simd = self.simd;
        let bytes = shr(simd, self.row(1 + group / 2), 16 * (group as u32 % 2));
        let scale = simd.mul_f32s(head[0], integer(simd, bytes, 63, 0.0));
        let offset = simd.mul_f32s(head[1], integer(simd, shr(simd, bytes, 8), 63, 0.0));
        [scale, simd.neg_f32s(offset)]
    }
}

/// Calls a function of one of some kinds.
macro_rules! with_kind {
    ($encoding:expr, $K:ident => $call:expr, $($kind:ident)*) => {
        match $encoding {
            $($crate::panel::Encoding::$kind => {
                type $K = $crate::panel::unpack::$kind;
                $call
            })*
            _ => unreachable!("weights of another kind"),
        }
    };
}
pub(crate) use with_kind;

/// Calls a function of a kind of plain numbers.
macro_rules! with_plain {
    ($encoding:expr, $K:ident => $call:expr) => {
        $crate::panel::with_kind!($encoding, $K => $call, F32 F16 Bf16)
    };
}
pub(crate) use with_plain;

/// Calls a function of a kind of blocks.
macro_rules! with_blocks {
    ($encoding:expr, $K:ident => $call:expr) => {
        $crate::panel::with_kind!($encoding, $K => $call, Q4_0 Q5_0 Q8_0 Q4K Q5K Q6K)
    };
}
pub(crate) use with_blocks;

/// Repeats statements for every four numbers of a group, in order, with their place as a constant: there must be no loop between
/// numbers and registers.
macro_rules! each_four {
    ($layout:expr, $I:ident => $body:block) => {
        $crate::panel::each_four!(@ $layout, $I, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $layout:expr, $I:ident, $body:block, $($n:literal)*) => { $(
        if $n < $layout.group / 4 {
            const $I: usize = $n;
            $body
        }
    )* };
}
pub(crate) use each_four;

const TWO_23: f32 = 8_388_608.0;

/// The bits under `mask` as a number, less `zero`.
#[inline(always)]
fn integer<S: Simd>(simd: S, words: S::u32s, mask: u32, zero: f32) -> S::f32s {
    let bits = simd.and_u32s(words, simd.splat_u32s(mask));
    let bits = simd.or_u32s(bits, simd.splat_u32s(TWO_23.to_bits()));
    simd.sub_f32s(simd.transmute_f32s_u32s(bits), simd.splat_f32s(TWO_23 + zero))
}

/// The lower half of each word, a binary16, in 32 bits. Exponent and mantissa move to where `f32` has them and the exponent's
/// bias is mended; for a subnormal number a difference of normal ones does it, since arithmetic on subnormal ones is slow.
/// Infinity and NaN, which no weight is, come out as finite numbers but where processors have an instruction for all this.
#[inline(always)]
fn half<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if const { size_of::<S::u32s>() == 64 } {
        // SAFETY: vectors of 64 bytes there are only with AVX-512, and both types are such vectors.
        return unsafe { transmute_copy(&halves(transmute_copy(&words))) };
    }
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

/// As [`half`], of 16 words.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn halves(words: __m512i) -> __m512 {
    // SAFETY: callers see to the instructions.
    unsafe { _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)) }
}

#[inline(always)]
fn shl<S: Simd>(simd: S, words: S::u32s, by: u32) -> S::u32s {
    simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(by))
}

#[inline(always)]
fn shr<S: Simd>(simd: S, words: S::u32s, by: u32) -> S::u32s {
    simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(by))
}

/// A vector of `lanes` numbers from `at` on. The check is compiled away in optimised builds: this is where all
/// the time goes.
#[inline(always)]
pub(crate) fn lanes_at<T, V: Copy>(from: &[T], at: usize, lanes: usize) -> V {
    debug_assert!(at + lanes <= from.len() && size_of::<V>() == lanes * size_of::<T>());
    // SAFETY: callers step through whole vectors of slices whose lengths they know.
    unsafe { from.as_ptr().add(at).cast::<V>().read_unaligned() }
}

/// Number `at`, checked like [`lanes_at`].
#[inline(always)]
pub(crate) fn number_at<T: Copy>(from: &[T], at: usize) -> T {
    debug_assert!(at < from.len());
    // SAFETY: as above.
    unsafe { *from.get_unchecked(at) }
}

/// Stores a vector of `lanes` numbers from `at` on.
#[inline(always)]
pub(crate) fn set_lanes_at<T, V>(to: &mut [T], at: usize, lanes: usize, vector: V) {
    debug_assert!(at + lanes <= to.len() && size_of::<V>() == lanes * size_of::<T>());
    // SAFETY: as above.
    unsafe { to.as_mut_ptr().add(at).cast::<V>().write_unaligned(vector) }
}
