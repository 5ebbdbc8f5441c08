//! Small weight matrices, laid out for the multiplication that uses them.
//!
//! Matrix libraries choose their order of summation by the shape of the product: a row's last bits would
//! depend on how many other rows share the batch, and once in a long while a sampled token with them.
//! Here every output is one chain of fused multiply-adds over the inner dimension, whatever the batch,
//! the number of threads and the instruction set are.
//!
//! The weights are transposed and cut into panels of [`PANEL`] output columns: `[panel][inner][PANEL]`.
//! Neighbouring columns are neighbouring vector lanes, so no lane ever has to be summed with another.

use multiversion::multiversion;
use rayon::prelude::*;

/// Output columns of a panel: two AVX-512 vectors, four of AVX2, eight of NEON.
const PANEL: usize = 32;
/// Rows whose sums are kept in registers together.
const ROWS: usize = 6;
/// Multiply-adds below which a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 1 << 18;

/// An `[out, in]` matrix in panels; the last one is filled up with zeros.
pub(crate) struct Packed {
    /// `[panel][inner][PANEL]`.
    panels: Vec<[f32; PANEL]>,
    inner: usize,
    out: usize,
}

impl Packed {
    /// Packs row-major `[out, inner]` weights.
    pub(crate) fn new(weights: &[f32], inner: usize, out: usize) -> Self {
        let mut panels = vec![[0f32; PANEL]; out.div_ceil(PANEL) * inner];
        for (column, row) in weights.chunks_exact(inner).enumerate() {
            let panel = &mut panels[column / PANEL * inner..][..inner];
            for (to, from) in panel.iter_mut().zip(row) {
                to[column % PANEL] = *from;
            }
        }
        Self { panels, inner, out }
    }

    /// Output columns.
    pub(crate) fn out(&self) -> usize {
        self.out
    }

    /// `x W^T`: row-major `[tokens, inner]` to `[tokens, out]`.
    pub(crate) fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let tokens = x.len() / self.inner;
        let mut y = vec![0f32; tokens * self.out];
        let threads = (x.len() * self.out / WORTH_A_THREAD).clamp(1, rayon::current_num_threads());
        if threads == 1 {
            self.rows(x, &mut y);
        } else {
            let rows = tokens.div_ceil(threads).next_multiple_of(ROWS);
            y.par_chunks_mut(rows * self.out)
                .zip(x.par_chunks(rows * self.inner))
                .for_each(|(y, x)| self.rows(x, y));
        }
        y
    }

    fn rows(&self, mut x: &[f32], mut y: &mut [f32]) {
        while !x.is_empty() {
            let rows = match x.len() / self.inner {
                ROWS.. => self.tile::<ROWS>(x, y),
                4.. => self.tile::<4>(x, y),
                2.. => self.tile::<2>(x, y),
                _ => self.tile::<1>(x, y),
            };
            x = &x[rows * self.inner..];
            y = &mut y[rows * self.out..];
        }
    }

    /// The first `R` rows; returns `R`.
    fn tile<const R: usize>(&self, x: &[f32], y: &mut [f32]) -> usize {
        let x: Vec<[f32; R]> =
            (0..self.inner).map(|k| std::array::from_fn(|r| x[r * self.inner + k])).collect();
        for (panel, column) in self.panels.chunks_exact(self.inner).zip((0..).step_by(PANEL)) {
            let place = Place { out: self.out, column };
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx512f") {
                multiply_wide(&x, panel, y, place);
                continue;
            }
            multiply_narrow(&x, panel, y, place);
        }
        R
    }
}

/// Where a panel's sums belong in row-major `[R, out]`.
#[derive(Clone, Copy)]
struct Place {
    out: usize,
    column: usize,
}

/// For thirty-two registers of sixteen numbers.
#[multiversion(targets("x86_64+avx512f+avx512vl"))]
fn multiply_wide<const R: usize>(x: &[[f32; R]], panel: &[[f32; PANEL]], y: &mut [f32], place: Place) {
    place.write(sums::<R, { PANEL / 2 }>(x, panel, 0), y);
}

/// For sixteen registers of eight numbers, or thirty-two of four.
#[multiversion(targets("x86_64+avx2+fma"))]
fn multiply_narrow<const R: usize>(x: &[[f32; R]], panel: &[[f32; PANEL]], y: &mut [f32], place: Place) {
    place.write(sums::<R, { PANEL / 4 }>(x, panel, 0), y);
    let right = Place { column: place.column + PANEL / 2, ..place };
    right.write(sums::<R, { PANEL / 4 }>(x, panel, PANEL / 2), y);
}

/// `R` rows times two vectors of `L` columns, from `offset` in the panel on.
///
/// One array per vector, loops of constant length and nothing to check inside: so the compiler keeps the
/// sums in registers.
#[inline(always)]
fn sums<const R: usize, const L: usize>(
    x: &[[f32; R]],
    panel: &[[f32; PANEL]],
    offset: usize,
) -> [[[f32; L]; 2]; R] {
    let mut sums = [[[0f32; L]; 2]; R];
    for (x, weights) in x.iter().zip(panel) {
        for r in 0..R {
            for v in 0..2 {
                for c in 0..L {
                    sums[r][v][c] = x[r].mul_add(weights[offset + v * L + c], sums[r][v][c]);
                }
            }
        }
    }
    sums
}

impl Place {
    #[inline(always)]
    fn write<const R: usize, const L: usize>(self, sums: [[[f32; L]; 2]; R], y: &mut [f32]) {
        let width = (2 * L).min(self.out.saturating_sub(self.column));
        for (r, sums) in sums.iter().enumerate().filter(|_| width > 0) {
            let y = &mut y[r * self.out + self.column..][..width];
            y.copy_from_slice(&sums.as_flattened()[..width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, phase: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
    }

    /// One output after the other, each summed in order.
    fn multiply_slowly(x: &[f32], weights: &[f32], inner: usize) -> Vec<f32> {
        let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).fold(0f32, |sum, (x, w)| x.mul_add(*w, sum));
        x.chunks_exact(inner).flat_map(|x| weights.chunks_exact(inner).map(move |w| dot(x, w))).collect()
    }

    #[test]
    fn every_output_is_summed_in_order_whatever_the_shape() {
        for (tokens, inner, out) in [(1, 64, 121), (7, 24, 10), (37, 100, 33), (64, 128, 384), (3, 1, 32)] {
            let (x, weights) = (values(tokens * inner, 0.3), values(out * inner, 1.1));
            let packed = Packed::new(&weights, inner, out);
            assert_eq!(packed.multiply(&x), multiply_slowly(&x, &weights, inner), "{tokens}x{inner}x{out}");
        }
    }

    #[test]
    fn narrow_and_wide_registers_agree_to_the_last_bit() {
        let (x, weights) = (values(11 * 48, 0.3), values(50 * 48, 1.1));
        let packed = Packed::new(&weights, 48, 50);
        let x_columns: Vec<[f32; 11]> = (0..48).map(|k| std::array::from_fn(|r| x[r * 48 + k])).collect();
        let mut narrow = vec![0f32; 11 * 50];
        for (panel, column) in packed.panels.chunks_exact(48).zip([0, PANEL]) {
            multiply_narrow(&x_columns, panel, &mut narrow, Place { out: 50, column });
        }
        assert_eq!(packed.multiply(&x), narrow);
    }
}
