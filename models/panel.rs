//! Weights in panels: how the matrices of a model lie in memory on the CPU.
//!
//! A matrix is cut into panels of [`PANEL`] output columns. Neighbouring columns are neighbouring lanes of a vector, so a
//! product never sums lanes, and every output is summed along the inner dimension in one order whatever
//! the batch is. Along that dimension a panel is a run of blocks, and a block is some rows of [`PANEL`] words of 32
//! bits, one for each column: first `head` rows that say how large its numbers are, then, group by group, the numbers' high bits,
//! where they have any, and their low bits. As many as fit share a word. Plain numbers of 16 bits stand two in a word, the first in its
//! upper half, as processors that multiply pairs of them want it; small integers of blocks stand so that four neighbours at a time come out
//! as the four bytes of a word, with a shift and a mask. No lane ever moves. Nothing is rounded: the numbers are those
//! of the file, and take as much memory as there, up to 3 % more.
//!
//! A processor asks memory by itself for what comes next, and does so two to three times as fast if one line of memory is read right
//! after the other, whole. So a block is cut again into columns of a line ([`LINE_COLUMNS`]): first all rows of the first ones, then all
//! rows of the next, and a product reads one after the other.

mod column;
mod ggml;
pub(crate) mod unpack;

use std::ops::Range;

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use candle_core::DType;
use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

use crate::prefetch::LINE;
use crate::slab::Slab;
pub(crate) use column::unpack_column;
pub(crate) use unpack::{
    Block, Kind, each_four, lanes_at, number_at, set_lanes_at, with_blocks, with_kind, with_plain,
};

/// Output columns of a panel: two AVX-512 vectors, four of AVX2, eight of NEON.
pub(crate) const PANEL: usize = 32;

/// Columns of which a row of words fills a line of memory.
pub(crate) const LINE_COLUMNS: usize = LINE / size_of::<u32>();

/// A word of every column of a panel.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Words(pub(crate) [u32; PANEL]);

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// ggml's blocks of 32 numbers of 4 bits and a scale.
    Q4_0,
    /// 5 bits.
    Q5_0,
    /// 8 bits.
    Q8_0,
    /// ggml's blocks of 256 numbers of 4 bits, with scale and offset for every 32.
    Q4K,
    /// 5 bits.
    Q5K,
    /// 6 bits, with a scale for every 16.
    Q6K,
}

/// How many numbers of a column make a block, and how they lie in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Numbers of each column.
    pub(crate) numbers: usize,
    /// Rows of words before the numbers.
    head: usize,
    /// Numbers with a scale in common.
    pub(crate) group: usize,
    low_bits: usize,
    high_bits: usize,
    /// The integer that stands for 0.
    zero: u32,
}

/// One column's block.
struct Column {
    head: [u32; 5],
    numbers: [u32; 256],
}

impl Encoding {
    /// The encoding of numbers stored one by one.
    pub(crate) fn of_numbers(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// The encoding of quantised blocks.
    pub(crate) fn of_blocks(kind: GgmlDType) -> Option<Self> {
        match kind {
            GgmlDType::Q4_0 => Some(Self::Q4_0),
            GgmlDType::Q5_0 => Some(Self::Q5_0),
            GgmlDType::Q8_0 => Some(Self::Q8_0),
            GgmlDType::Q4K => Some(Self::Q4K),
            GgmlDType::Q5K => Some(Self::Q5K),
            GgmlDType::Q6K => Some(Self::Q6K),
            _ => None,
        }
    }

    /// The layout of a block.
    pub(crate) const fn layout(self) -> Layout {
        let (numbers, head, group, low_bits, high_bits, zero) = match self {
            Self::F32 => (32, 0, 32, 32, 0, 0),
            Self::F16 | Self::Bf16 => (32, 0, 32, 16, 0, 0),
            Self::Q4_0 => (64, 1, 32, 4, 0, 8),
            Self::Q5_0 => (64, 1, 32, 4, 1, 16),
            Self::Q8_0 => (64, 1, 32, 8, 0, 128),
            Self::Q4K => (256, 5, 32, 4, 0, 0),
            Self::Q5K => (256, 5, 32, 4, 1, 0),
            Self::Q6K => (256, 5, 16, 4, 2, 32),
        };
        Layout { numbers, head, group, low_bits, high_bits, zero }
    }

    /// Whether its numbers are small integers, with scales.
    pub(crate) const fn is_blocks(self) -> bool {
        self.layout().head > 0
    }

    /// Rows of words of a panel with `inner` numbers in each column.
    pub(crate) const fn rows(self, inner: usize) -> usize {
        let layout = self.layout();
        inner.div_ceil(layout.numbers) * layout.rows()
    }
}

impl Layout {
    /// Rows of words of a group: high bits before low ones.
    const fn group_rows(self) -> (usize, usize) {
        (self.group * self.high_bits / 32, self.group * self.low_bits / 32)
    }

    /// Groups of a block.
    pub(crate) const fn groups(self) -> usize {
        self.numbers / self.group
    }

    /// Whether a group of small integers has an offset beside its scale.
    pub(crate) const fn has_offsets(self) -> bool {
        self.head > 0 && self.zero == 0
    }

    /// Numbers in a word, not counting those of high bits.
    pub(crate) const fn numbers_of_a_word(self) -> usize {
        32 / self.low_bits
    }

    /// The integer that stands for 0.
    pub(crate) const fn zero(self) -> u32 {
        self.zero
    }

    /// Rows of words of the blocks that hold some numbers, of which the first begins a block.
    pub(crate) fn rows_of(self, numbers: &Range<usize>) -> Range<usize> {
        numbers.start / self.numbers * self.rows()..numbers.end.div_ceil(self.numbers) * self.rows()
    }

    /// Rows of words of a block.
    pub(crate) const fn rows(self) -> usize {
        let (high, low) = self.group_rows();
        self.head + self.groups() * (high + low)
    }

    /// Columns whose words of a row lie side by side: a line of them, but for numbers of 32 bits, which many rows multiply as they lie, a
    /// panel's row at a time.
    pub(crate) const fn columns(self) -> usize {
        if self.low_bits == 32 { PANEL } else { LINE_COLUMNS }
    }

    /// Where a block has a row's word of a column.
    pub(crate) const fn place(self, row: usize, column: usize) -> usize {
        let columns = self.columns();
        (column / columns * self.rows() + row) * columns + column % columns
    }

    /// Puts a column of small integers into its block.
    fn put(self, block: &Column, column: usize, rows: &mut [Words]) {
        let words: &mut [u32] = cast_slice_mut(rows);
        for (row, word) in block.head[..self.head].iter().enumerate() {
            words[self.place(row, column)] = *word;
        }
        let (high, low) = self.group_rows();
        let firsts = (self.head..).step_by(high + low);
        for (numbers, first) in block.numbers[..self.numbers].chunks_exact(self.group).zip(firsts) {
            let mut highs = 0;
            for (word, numbers) in numbers.chunks_exact(self.numbers_of_a_word()).enumerate() {
                let mut lows = 0;
                for (i, number) in numbers.iter().enumerate() {
                    let (low_bit, high_bit) = self.bits_of(word * self.numbers_of_a_word() + i);
                    lows |= (number & (u32::MAX >> (32 - self.low_bits))) << low_bit;
                    highs |= (number >> self.low_bits) << high_bit;
                }
                words[self.place(first + high + word, column)] = lows;
            }
            if high > 0 {
                words[self.place(first, column)] = highs;
            }
        }
    }

    /// Where number `k` of a group has its low bits in their word, and its high bits in the one of the group: each four numbers
    /// have places in the four bytes.
    const fn bits_of(self, k: usize) -> (usize, usize) {
        let (four, byte) = (k / 4, k % 4);
        (8 * byte + four * self.low_bits % 8, 8 * byte + four * self.high_bits)
    }
}

/// Panels of row-major weights, `out` rows in the encoding's own bytes. Columns beyond the last, and numbers beyond the
/// last of a column, are zeros.
pub(crate) fn pack(weights: &[u8], encoding: Encoding, out: usize) -> Slab<Words> {
    let width = weights.len() / out.max(1);
    let layout = encoding.layout();
    let rows = width.div_ceil(ggml::bytes(encoding)) * layout.rows();
    let mut panels = Slab::zeros(out.div_ceil(PANEL) * rows);
    panels.par_chunks_exact_mut(rows).zip(weights.par_chunks(width * PANEL)).for_each(|(panel, weights)| {
        match encoding {
            Encoding::F32 => transpose(weights, width, panel, layout, |word| word),
            Encoding::F16 | Encoding::Bf16 => {
                transpose(weights, width, panel, layout, |word| word.rotate_left(16));
            }
            _ => weights.chunks_exact(width).enumerate().for_each(|(column, weights)| {
                pack_column(weights, encoding, column, panel);
            }),
        }
    });
    panels
}

/// Words that are `f32`.
pub(crate) fn floats(rows: &[Words]) -> &[f32] {
    cast_slice(rows)
}

/// Plain numbers share words in a file as they do in a panel, but that a file has the first of two in the lower half. A block
/// of every column at a time, so that both stay in a cache.
fn transpose(weights: &[u8], width: usize, panel: &mut [Words], layout: Layout, turned: impl Fn(u32) -> u32) {
    for (block, start) in panel.chunks_exact_mut(layout.rows()).zip((0..).step_by(4 * layout.rows())) {
        let words: &mut [u32] = cast_slice_mut(block);
        for (column, weights) in weights.chunks_exact(width).enumerate() {
            let weights = &weights[start..width.min(start + 4 * layout.rows())];
            for (row, bytes) in weights.chunks(4).enumerate() {
                words[layout.place(row, column)] = turned(ggml::word(bytes));
            }
        }
    }
}

fn pack_column(weights: &[u8], encoding: Encoding, column: usize, panel: &mut [Words]) {
    let layout = encoding.layout();
    let blocks = weights.chunks(ggml::bytes(encoding));
    let mut block = Column { head: [0; 5], numbers: [0; 256] };
    for (weights, rows) in blocks.zip(panel.chunks_exact_mut(layout.rows())) {
        ggml::read(weights, encoding, &mut block);
        layout.put(&block, column, rows);
    }
}
