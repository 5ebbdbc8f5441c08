//! Weights in panels: how the matrices of a model lie in memory on the CPU.
//!
//! A matrix is cut into panels of [`PANEL`] output columns. Neighbouring columns are neighbouring lanes of a vector, so a
//! product never sums lanes, and every output is one chain of multiply-adds along the inner dimension whatever
//! the batch is. Along that dimension a panel is a run of blocks, and a block is some rows of [`PANEL`] words of 32
//! bits, one for each column: first `head` rows that say how large its numbers are, then the numbers' low bits, then, where
//! they have more than fit there, their high bits. As many numbers as fit share a word, the first in its lowest bits, so
//! that they are taken apart with shifts and masks and no lane ever moves. Nothing is rounded: the numbers are those of the
//! file, and take as much memory as there, up to 3 % more.

mod ggml;
pub(crate) mod unpack;

use bytemuck::{Pod, Zeroable, cast_slice};
use candle_core::DType;
use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

pub(crate) use unpack::{Kind, Sink, lanes_at, set_lanes_at, unpack, with_kind};

/// Output columns of a panel: two AVX-512 vectors, four of AVX2, eight of NEON.
pub(crate) const PANEL: usize = 32;

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
    low_bits: usize,
    high_bits: usize,
}

/// One column's block.
struct Block {
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
        let (numbers, head, low_bits, high_bits) = match self {
            Self::F32 => (1, 0, 32, 0),
            Self::F16 | Self::Bf16 => (2, 0, 16, 0),
            Self::Q4_0 => (64, 1, 4, 0),
            Self::Q5_0 => (64, 1, 4, 1),
            Self::Q8_0 => (64, 1, 8, 0),
            Self::Q4K => (256, 5, 4, 0),
            Self::Q5K => (256, 5, 4, 1),
            Self::Q6K => (256, 5, 4, 2),
        };
        Layout { numbers, head, low_bits, high_bits }
    }

    /// Rows of words of a panel with `inner` numbers in each column.
    pub(crate) const fn rows(self, inner: usize) -> usize {
        let layout = self.layout();
        inner.div_ceil(layout.numbers) * layout.rows()
    }
}

impl Layout {
    const fn low_rows(self) -> usize {
        self.numbers * self.low_bits / 32
    }

    /// Rows of words of a block.
    pub(crate) const fn rows(self) -> usize {
        self.head + self.low_rows() + self.numbers * self.high_bits / 32
    }

    fn put(self, block: &Block, column: usize, rows: &mut [Words]) {
        for (word, row) in block.head.iter().zip(&mut rows[..self.head]) {
            row.0[column] = *word;
        }
        let (low, high) = rows[self.head..].split_at_mut(self.low_rows());
        let mask = u32::MAX >> (32 - self.low_bits);
        for (words, bits, shift, mask) in [(low, self.low_bits, 0, mask), (high, self.high_bits, 4, u32::MAX)]
        {
            if bits > 0 {
                for (numbers, row) in block.numbers[..self.numbers].chunks_exact(32 / bits).zip(words) {
                    let parts = numbers.iter().enumerate().map(|(i, n)| (n >> shift & mask) << (i * bits));
                    row.0[column] = parts.fold(0, |word, part| word | part);
                }
            }
        }
    }
}

/// Panels of row-major weights, `out` rows in the encoding's own bytes. Columns beyond the last, and numbers beyond the
/// last of a column, are zeros.
pub(crate) fn pack(weights: &[u8], encoding: Encoding, out: usize) -> Vec<Words> {
    let width = weights.len() / out;
    let rows = width.div_ceil(ggml::bytes(encoding)) * encoding.layout().rows();
    let mut panels = vec![Words([0; PANEL]); out.div_ceil(PANEL) * rows];
    panels.par_chunks_exact_mut(rows).zip(weights.par_chunks(width * PANEL)).for_each(|(panel, weights)| {
        for (column, weights) in weights.chunks_exact(width).enumerate() {
            pack_column(weights, encoding, column, panel);
        }
    });
    panels
}

/// Words that are `f32`.
pub(crate) fn floats(rows: &[Words]) -> &[f32] {
    cast_slice(rows)
}

fn pack_column(weights: &[u8], encoding: Encoding, column: usize, panel: &mut [Words]) {
    let layout = encoding.layout();
    let blocks = weights.chunks(ggml::bytes(encoding));
    let mut block = Block { head: [0; 5], numbers: [0; 256] };
    for (weights, rows) in blocks.zip(panel.chunks_exact_mut(layout.rows())) {
        ggml::read(weights, encoding, &mut block);
        layout.put(&block, column, rows);
    }
}
