//! One column of a panel as numbers: what an embedding is looked up as.

use pulp::Scalar;

use super::{Block, Encoding, Kind, Words, each_four, with_blocks, with_plain};

/// The first numbers of a column.
pub(crate) fn unpack_column(panel: &[Words], encoding: Encoding, column: usize, to: &mut [f32]) {
    if encoding.is_blocks() {
        with_blocks!(encoding, K => each_block::<K>(panel, column, to, unpack_block));
    } else {
        with_plain!(encoding, K => each_block::<K>(panel, column, to, unpack_numbers));
    }
}

/// A column, in a vector of one lane.
type Lane<'a, K> = Block<'a, Scalar, K>;

fn each_block<K: Kind>(panel: &[Words], column: usize, to: &mut [f32], unpack: fn(Lane<K>, &mut [f32])) {
    let mut block = [0f32; 256];
    let block = &mut block[..K::LAYOUT.numbers];
    for (rows, to) in panel.chunks_exact(K::LAYOUT.rows()).zip(to.chunks_mut(K::LAYOUT.numbers)) {
        unpack(Block::new(Scalar::new(), rows, column), block);
        to.copy_from_slice(&block[..to.len()]);
    }
}

fn unpack_numbers<K: Kind>(block: Lane<K>, to: &mut [f32]) {
    for (word, to) in to.chunks_exact_mut(K::LAYOUT.numbers_of_a_word()).enumerate() {
        to[0] = block.number::<0>(word);
        if to.len() > 1 {
            to[1] = block.number::<1>(word);
        }
    }
}

fn unpack_block<K: Kind>(block: Lane<K>, to: &mut [f32]) {
    let head = block.head();
    for (group, to) in to.chunks_exact_mut(K::LAYOUT.group).enumerate() {
        let [scale, offset] = block.scale(head, group);
        each_four!(K::LAYOUT, I => {
            for (byte, to) in block.four::<I>(group).to_le_bytes().iter().zip(&mut to[4 * I..]) {
                let number = f32::from(*byte) - K::LAYOUT.zero() as f32;
                *to = if K::LAYOUT.has_offsets() { number.mul_add(scale, offset) } else { number * scale };
            }
        });
    }
}
