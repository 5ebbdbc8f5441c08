//! `x W^T + b`: where the weights meet the activations.
//!
//! Small `f32` layers on the CPU are packed for a kernel of this project (see `packed`), whose results do
//! not depend on the batch. What else a matrix can be, and how it is multiplied then, is in [`crate::matrix`].

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use crate::matrix::Matrix;
use crate::packed::Packed;

/// Weights of at most so many numbers (4 MiB of `f32`) stay in a core's own cache.
const SMALL: usize = 1 << 20;

/// A linear layer.
pub struct Linear {
    weight: Weight,
    /// `[out]`.
    bias: Option<Tensor>,
}

enum Weight {
    Packed(Packed),
    Plain(Matrix),
}

impl Linear {
    /// A layer from `[out, in]` weights and an `[out]` bias.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn new(weight: impl Into<Matrix>, bias: Option<Tensor>) -> Result<Self> {
        let weight = weight.into();
        let small = |w: &&Tensor| w.elem_count() <= SMALL && w.dtype() == DType::F32 && w.device().is_cpu();
        let weight = match weight.dense().filter(small) {
            Some(weight) => {
                let (out, inner) = weight.dims2()?;
                Weight::Packed(Packed::new(&weight.flatten_all()?.to_vec1()?, inner, out))
            }
            None => Weight::Plain(weight),
        };
        Ok(Self { weight, bias })
    }

    /// `[tokens, in]` to `[tokens, out]`.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Packed(packed) => x.contiguous()?.apply_op1_no_bwd(&Multiply(packed))?,
            Weight::Plain(weight) => weight.product(x)?,
        };
        match &self.bias {
            None => Ok(y),
            Some(bias) => y.broadcast_add(bias),
        }
    }
}

struct Multiply<'a>(&'a Packed);

impl CustomOp1 for Multiply<'_> {
    fn name(&self) -> &'static str {
        "linear-packed"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let tokens = layout.dims()[0];
        let x = &x.as_slice::<f32>()?[layout.start_offset()..][..layout.shape().elem_count()];
        Ok((CpuStorage::F32(self.0.multiply(x)), Shape::from((tokens, self.0.out()))))
    }
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
            let fast = Linear::new(w.clone(), None).unwrap().forward(&x).unwrap().to_vec2::<f32>().unwrap();
            let slow = x.matmul(&w.t().unwrap()).unwrap().to_vec2::<f32>().unwrap();
            for (a, b) in fast.iter().flatten().zip(slow.iter().flatten()) {
                assert!((a - b).abs() < 1e-4, "{tokens}x{inner}x{out}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_row_is_the_same_to_the_last_bit_in_every_batch() {
        let (x, layer) = (tensor(33, 100, 0.3), Linear::new(tensor(31, 100, 1.1), None).unwrap());
        let together = layer.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        for (row, expected) in together.iter().enumerate() {
            let alone = layer.forward(&x.narrow(0, row, 1).unwrap()).unwrap();
            assert_eq!(&alone.to_vec2::<f32>().unwrap()[0], expected);
        }
    }
}
