//! `x W^T + b`: where the weights meet the activations.
//!
//! Small `f32` layers on the CPU go through a kernel of this project, because matrix libraries choose
//! their order of summation by the shape of the product: a row's last bits would depend on how many other
//! rows share the batch, and once in a long while a sampled token with them. Here every output is summed
//! in the same order whatever the batch is. Larger layers, where a library's blocking pays, use it.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::matrix::Matrix;

/// Weights of at most so many numbers (4 MiB of `f32`) stay in a core's own cache.
const SMALL: usize = 1 << 20;
/// Rows of `x` that one task multiplies.
const ROWS: usize = 16;

/// A linear layer.
pub struct Linear {
    /// `[out, in]`.
    weight: Matrix,
    /// `[out]`.
    bias: Option<Tensor>,
}

impl Linear {
    /// A layer from `[out, in]` weights and an `[out]` bias.
    pub fn new(weight: impl Into<Matrix>, bias: Option<Tensor>) -> Self {
        Self { weight: weight.into(), bias }
    }

    /// `[tokens, in]` to `[tokens, out]`.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let small = |w: &&Tensor| w.elem_count() <= SMALL && w.dtype() == DType::F32 && w.device().is_cpu();
        let y = match self.weight.dense().filter(small) {
            Some(weight) => x.contiguous()?.apply_op2_no_bwd(weight, &RowByRow)?,
            None => self.weight.product(x)?,
        };
        match &self.bias {
            None => Ok(y),
            Some(bias) => y.broadcast_add(bias),
        }
    }
}

struct RowByRow;

impl CustomOp2 for RowByRow {
    fn name(&self) -> &'static str {
        "linear-row-by-row"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, inner, out) = (lx.dims()[0], lx.dims()[1], lw.dims()[0]);
        let x = &x.as_slice::<f32>()?[lx.start_offset()..][..tokens * inner];
        let w = &w.as_slice::<f32>()?[lw.start_offset()..][..out * inner];
        let mut y = vec![0f32; tokens * out];
        y.par_chunks_mut(ROWS * out)
            .zip(x.par_chunks(ROWS * inner))
            .for_each(|(y, x)| rows(x, w, y, inner, out));
        Ok((CpuStorage::F32(y), Shape::from((tokens, out))))
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn rows(x: &[f32], w: &[f32], y: &mut [f32], inner: usize, out: usize) {
    let count = y.len() / out;
    let paired = count / 4 * 4;
    for row in (0..paired).step_by(4) {
        tile::<4>(&x[row * inner..], w, &mut y[row * out..], inner, out);
    }
    for row in paired..count {
        tile::<1>(&x[row * inner..], w, &mut y[row * out..], inner, out);
    }
}

/// `R` rows of `x` against all of `w`, two columns at a time; each output is summed in sixteen lanes.
#[inline(always)]
fn tile<const R: usize>(x: &[f32], w: &[f32], y: &mut [f32], inner: usize, out: usize) {
    for column in (0..out).step_by(2) {
        let columns = 2.min(out - column);
        // The last column of an odd count is multiplied twice and written once.
        let second = column + columns - 1;
        let (a, b) = (&w[column * inner..][..inner], &w[second * inner..][..inner]);
        let sums = dots::<R>(x, a, b, inner);
        for r in 0..R {
            y[r * out + column] = sums[r][0];
            y[r * out + second] = sums[r][columns - 1];
        }
    }
}

#[inline(always)]
fn dots<const R: usize>(x: &[f32], a: &[f32], b: &[f32], inner: usize) -> [[f32; 2]; R] {
    let mut lanes = [[[0f32; 16]; 2]; R];
    let whole = inner / 16 * 16;
    let mut at = 0;
    while at < whole {
        let (a, b) = (&a[at..at + 16], &b[at..at + 16]);
        for r in 0..R {
            let x = &x[r * inner + at..][..16];
            for i in 0..16 {
                lanes[r][0][i] = x[i].mul_add(a[i], lanes[r][0][i]);
                lanes[r][1][i] = x[i].mul_add(b[i], lanes[r][1][i]);
            }
        }
        at += 16;
    }
    let mut sums = [[0f32; 2]; R];
    for r in 0..R {
        for (c, w) in [a, b].into_iter().enumerate() {
            let lanes = &mut lanes[r][c];
            for half in [8, 4, 2, 1] {
                for i in 0..half {
                    lanes[i] += lanes[i + half];
                }
            }
            sums[r][c] = lanes[0];
            for i in whole..inner {
                sums[r][c] = x[r * inner + i].mul_add(w[i], sums[r][c]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(rows: usize, columns: usize, phase: f32) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    #[test]
    fn the_kernel_agrees_with_the_library() {
        for (tokens, inner, out) in [(1, 64, 121), (7, 24, 10), (37, 100, 33), (64, 128, 384)] {
            let (x, w) = (tensor(tokens, inner, 0.3), tensor(out, inner, 1.1));
            let fast = Linear::new(w.clone(), None).forward(&x).unwrap().to_vec2::<f32>().unwrap();
            let slow = x.matmul(&w.t().unwrap()).unwrap().to_vec2::<f32>().unwrap();
            for (a, b) in fast.iter().flatten().zip(slow.iter().flatten()) {
                assert!((a - b).abs() < 1e-4, "{tokens}x{inner}x{out}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_row_is_the_same_to_the_last_bit_in_every_batch() {
        let (x, layer) = (tensor(33, 100, 0.3), Linear::new(tensor(31, 100, 1.1), None));
        let together = layer.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        for (row, expected) in together.iter().enumerate() {
            let alone = layer.forward(&x.narrow(0, row, 1).unwrap()).unwrap();
            assert_eq!(&alone.to_vec2::<f32>().unwrap()[0], expected);
        }
    }
}
