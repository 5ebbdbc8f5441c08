//! Rows of weights as files have them: plain numbers, and ggml's quantised blocks (`ggml-common.h`, `ggml-quants.c`).
//!
//! A block's numbers come out as unsigned integers, and what turns these into weights as words whose meaning
//! [`super::unpack`] knows.

use super::{Block, Encoding};

/// Bytes of a panel's block of one column in a file: two of ggml's, for those of 32 numbers.
pub(super) const fn bytes(encoding: Encoding) -> usize {
    match encoding {
        Encoding::F32 | Encoding::F16 | Encoding::Bf16 => 4,
        Encoding::Q4_0 => 2 * 18,
        Encoding::Q5_0 => 2 * 22,
        Encoding::Q8_0 => 2 * 34,
        Encoding::Q4K => 144,
        Encoding::Q5K => 176,
        Encoding::Q6K => 210,
    }
}

/// Reads a block; at a row's end it may be the first half of one.
pub(super) fn read(stored: &[u8], encoding: Encoding, block: &mut Block) {
    match encoding {
        Encoding::F32 | Encoding::F16 | Encoding::Bf16 => unreachable!("plain numbers are words already"),
        Encoding::Q4_0 => pair(stored, 18, block, |q, i| q[2 + i % 16] >> (i / 16 * 4) & 15),
        Encoding::Q5_0 => pair(stored, 22, block, |q, i| {
            q[6 + i % 16] >> (i / 16 * 4) & 15 | ((word(&q[2..]) >> i & 1) as u8) << 4
        }),
        // From 0 to 255 instead of from -128 to 127.
        Encoding::Q8_0 => pair(stored, 34, block, |q, i| q[2 + i] ^ 128),
        Encoding::Q4K => {
            affine(stored, block);
            fill(block, |i| nibble(&stored[16..], i));
        }
        Encoding::Q5K => {
            affine(stored, block);
            fill(block, |i| nibble(&stored[48..], i) | (stored[16 + i % 32] >> (i / 32) & 1) << 4);
        }
        Encoding::Q6K => {
            block.head[0] = half(&stored[208..]);
            for (word, scales) in block.head[1..].iter_mut().zip(stored[192..208].chunks(4)) {
                *word = self::word(scales) ^ 0x8080_8080;
            }
            fill(block, |i| six(stored, i));
        }
    }
}

/// A word; at a row's end it may be half of one.
#[inline]
pub(super) fn word(bytes: &[u8]) -> u32 {
    match bytes {
        [a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => half(bytes),
    }
}

fn half(bytes: &[u8]) -> u32 {
    u32::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn fill(block: &mut Block, number: impl Fn(usize) -> u8) {
    for (i, to) in block.numbers.iter_mut().enumerate() {
        *to = u32::from(number(i));
    }
}

/// Two blocks of 32 numbers that begin with their scales.
fn pair(stored: &[u8], bytes: usize, block: &mut Block, number: impl Fn(&[u8], usize) -> u8) {
    (block.head[0], block.numbers) = (0, [0; 256]);
    for (i, stored) in stored.chunks_exact(bytes).enumerate() {
        block.head[0] |= half(stored) << (16 * i);
        for (k, to) in block.numbers[32 * i..][..32].iter_mut().enumerate() {
            *to = u32::from(number(stored, k));
        }
    }
}

/// Number `i` of a block whose nibbles lie as 32 low ones and 32 high ones in 32 bytes.
fn nibble(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15
}

/// Scales and offsets of q4_K and q5_K: two halves, then eight pairs of six bits in twelve bytes.
fn affine(stored: &[u8], block: &mut Block) {
    block.head[0] = word(stored);
    let packed = &stored[4..16];
    let pair = |i: usize| match i {
        0..4 => [packed[i] & 63, packed[i + 4] & 63],
        _ => [packed[i + 4] & 15 | packed[i - 4] >> 6 << 4, packed[i + 4] >> 4 | packed[i] >> 6 << 4],
    };
    for (i, word) in block.head[1..].iter_mut().enumerate() {
        let ([a, b], [c, d]) = (pair(2 * i), pair(2 * i + 1));
        *word = u32::from_le_bytes([a, b, c, d]);
    }
}

fn six(stored: &[u8], i: usize) -> u8 {
    let (half, quarter, k) = (i / 128, i / 32 % 4, i % 32);
    let low = stored[64 * half + 32 * (quarter % 2) + k] >> (quarter / 2 * 4) & 15;
    low | (stored[128 + 32 * half + k] >> (2 * quarter) & 3) << 4
}
