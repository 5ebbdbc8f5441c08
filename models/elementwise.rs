//! Sums and gates of activations.
//!
//! On the CPU the library hands operations on more than 65,536 numbers to threads of its own, which spin until all are done. Beside the
//! thread pool that does everything else here they take its processors: with 14 rows or more of a model whose feed-forward
//! layer is 4,864 wide, a decoding step took a third longer. So these use the one pool. Elsewhere they are the library's.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::instructions::arch;
use crate::lanes::exp;

/// Numbers of a task, at least.
const PART: usize = 1 << 13;

/// `x + y` of equal shapes.
///
/// # Errors
/// If the shapes differ or the device fails.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if is_here(x) && is_here(y) { x.apply_op2_no_bwd(y, &Pairs::Sum) } else { x + y }
}

/// `silu(gate) * up` of equal shapes.
///
/// # Errors
/// As [`add`].
pub(crate) fn gated(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if is_here(gate) && is_here(up) {
        gate.apply_op2_no_bwd(up, &Pairs::Gate)
    } else {
        candle_nn::ops::silu(gate)? * up
    }
}

fn is_here(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && x.is_contiguous()
}

/// An operation on pairs of numbers.
enum Pairs {
    Sum,
    Gate,
}

impl CustomOp2 for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        y: &CpuStorage,
        ly: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if lx.shape() != ly.shape() {
            candle_core::bail!("{:?} and {:?} are not of one shape", lx.shape(), ly.shape());
        }
        let count = lx.shape().elem_count();
        let x = &x.as_slice::<f32>()?[lx.start_offset()..][..count];
        let y = &y.as_slice::<f32>()?[ly.start_offset()..][..count];
        let (arch, mut out) = (arch(), vec![0f32; count]);
        let parts = out.par_chunks_mut(PART).zip(x.par_chunks(PART)).zip(y.par_chunks(PART));
        parts.for_each(|((out, x), y)| arch.dispatch(Part { pairs: self, x, y, out }));
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

struct Part<'a> {
    pairs: &'a Pairs,
    x: &'a [f32],
    y: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { pairs, x, y, out } = self;
        let (x, y) = (&x[..out.len()], &y[..out.len()]);
        match pairs {
            Pairs::Sum => {
                for i in 0..out.len() {
                    out[i] = x[i] + y[i];
                }
            }
            Pairs::Gate => {
                for i in 0..out.len() {
                    out[i] = x[i] / (1.0 + exp(-x[i])) * y[i];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn numbers(count: usize, scale: f32) -> Tensor {
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin() * scale).collect();
        Tensor::from_vec(values, (count / 8, 8), &Device::Cpu).unwrap()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn sums_and_gates_are_the_librarys_up_to_rounding() {
        for count in [8, 8000, 80_000] {
            let (x, y) = (numbers(count, 20.0), numbers(count, 3.0).affine(0.5, 0.1).unwrap());
            assert_eq!(largest_difference(&add(&x, &y).unwrap(), &(&x + &y).unwrap()), 0.0);
            let expected = (candle_nn::ops::silu(&x).unwrap() * &y).unwrap();
            assert!(largest_difference(&gated(&x, &y).unwrap(), &expected) < 1e-5);
        }
    }

    #[test]
    fn a_gate_is_shut_far_below_and_open_far_above_zero() {
        let x = Tensor::new(&[-1e30f32, -100.0, 0.0, 100.0, f32::NAN], &Device::Cpu).unwrap();
        let out = gated(&x, &x.ones_like().unwrap()).unwrap().to_vec1::<f32>().unwrap();
        assert!(out[0].abs() < 1e-7 && out[1].abs() < 1e-7 && out[4].is_nan(), "{out:?}");
        assert_eq!(out[2..4], [0.0, 100.0]);
    }

    #[test]
    fn other_shapes_are_an_error() {
        assert!(add(&numbers(8, 1.0), &numbers(16, 1.0)).is_err());
    }
}
