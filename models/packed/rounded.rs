//! Activations as integers of 16 bits, with a scale for as many as a block of the weights has: what one of them loses is below 2^-16 of
//! the largest of its block.

use std::ops::Range;

use pulp::{Simd, WithSimd};

#[cfg(target_arch = "x86_64")]
use super::dot::Bytes;
use super::dot::Halves;
use super::rows::by_tiles;
use crate::instructions::arch;
use crate::panel::Layout;

/// Numbers of the longest block.
pub(super) const MOST_NUMBERS: usize = 256;
/// The largest activation: 127 times 256, and 127.
pub(super) const LARGEST: f32 = 32_639.0;

/// Some numbers of every row, by tiles and in a tile interleaved. Those behind the last number of a row, to the end of a block, are zeros.
pub(super) struct Rounded {
    pub(super) range: Range<usize>,
    /// Four numbers, as [`super::dot::Dot`] takes them.
    pub(super) fours: [Vec<u32>; 2],
    pub(super) groups: Vec<Group>,
    /// Of each block.
    pub(super) scales: Vec<f32>,
}

/// What a product needs to know of a group of activations.
#[derive(Clone, Copy, Default)]
pub(super) struct Group {
    /// The sum times minus the integer that stands for 0.
    pub(super) start: i32,
    /// The sum, for weights with offsets.
    pub(super) sum: f32,
}

impl Rounded {
    /// The numbers `range` of each row, row by row.
    pub(super) fn new(x: &[f32], inner: usize, range: Range<usize>, layout: Layout, are_bytes: bool) -> Self {
        let blocks = range.len().div_ceil(layout.numbers);
        let (rows, fours, groups) = (x.len() / inner, blocks * layout.numbers / 4, blocks * layout.groups());
        let mut rounded = Self {
            range: range.clone(),
            fours: [vec![0; rows * fours], vec![0; rows * fours]],
            groups: vec![Group::default(); rows * groups],
            scales: vec![0.0; rows * blocks],
        };
        for (row, x) in x.chunks_exact(inner).enumerate() {
            let [first, second] = &mut rounded.fours;
            arch().dispatch(Round {
                x: &x[range.clone()],
                layout,
                are_bytes,
                fours: [first, second].map(|words| &mut words[row * fours..][..fours]),
                groups: &mut rounded.groups[row * groups..][..groups],
                scales: &mut rounded.scales[row * blocks..][..blocks],
            });
        }
        rounded
    }

    /// So many rows each, interleaved.
    pub(super) fn by_tiles(self, tiles: &[usize]) -> Self {
        Self {
            range: self.range,
            fours: self.fours.map(|fours| by_tiles(fours, tiles)),
            groups: by_tiles(self.groups, tiles),
            scales: by_tiles(self.scales, tiles),
        }
    }
}

/// Rounds a row's numbers to integers.
struct Round<'a> {
    x: &'a [f32],
    layout: Layout,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "others have no such instructions"))]
    are_bytes: bool,
    fours: [&'a mut [u32]; 2],
    groups: &'a mut [Group],
    scales: &'a mut [f32],
}

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [first, second] = self.fours;
        for (i, x) in self.x.chunks(self.layout.numbers).enumerate() {
            let mut integers = [0; MOST_NUMBERS];
            self.scales[i] = round(x, &mut integers);
            let integers = &integers[..self.layout.numbers];
            for (group, integers) in integers.chunks_exact(self.layout.group).enumerate() {
                self.groups[i * self.layout.groups() + group] = Group::new(integers, self.layout);
            }
            let fours = i * integers.len() / 4..(i + 1) * integers.len() / 4;
            let fours = [&mut first[fours.clone()], &mut second[fours]];
            #[cfg(target_arch = "x86_64")]
            if self.are_bytes {
                Bytes::split(integers, fours);
                continue;
            }
            Halves::split(integers, fours);
        }
    }
}

impl Group {
    #[inline(always)]
    fn new(integers: &[i32], layout: Layout) -> Self {
        let mut sum = 0;
        for integer in integers {
            sum += integer;
        }
        Self { start: -(layout.zero() as i32) * sum, sum: sum as f32 }
    }
}

/// The integers that are nearest to numbers divided by their scale, and the scale. It is no number if one of them is none.
#[inline(always)]
fn round(x: &[f32], integers: &mut [i32; MOST_NUMBERS]) -> f32 {
    /// Added to a number, this leaves its nearest integer in the lowest bits.
    const INTEGERS: f32 = 12_582_912.0;
    /// What is smaller is nothing: one divided by it may not be a number.
    const LEAST: f32 = 1e-30;
    let mut largest = 0;
    for x in x {
        // Of numbers without a sign, the larger one has the larger bits, and what is none has the largest.
        largest = largest.max(x.to_bits() & 0x7fff_ffff);
    }
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        return f32::NAN;
    }
    if largest < LEAST {
        return 0.0;
    }
    let inverse = LARGEST / largest;
    for (integer, x) in integers.iter_mut().zip(x) {
        *integer = (x * inverse + INTEGERS).to_bits() as i32 - INTEGERS.to_bits() as i32;
    }
    largest / LARGEST
}
