//! `x W^T + b`: where the weights meet the activations.
//!
//! On the CPU two kernels of this project do it: `packed` for small `f32` layers, which stay in a cache,
//! and `streamed` for the others, which are read from memory in the type they are stored in. With both, what a
//! row gives does not depend on the batch it is in. Quantised weights and other devices use the library.

use bytemuck::try_cast_slice;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor};

use crate::matrix::Matrix;
use crate::packed::Packed;
use crate::streamed::{self, Packing};

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
    /// `[out, in]` on the CPU, read where it lies.
    Streamed(Tensor),
    /// `[out, in]`, multiplied by the library.
    Plain(Matrix),
}

impl Linear {
    /// A layer from `[out, in]` weights and an `[out]` bias.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn new(weight: impl Into<Matrix>, bias: Option<Tensor>) -> Result<Self> {
        let weight = match weight.into() {
            Matrix::Dense(numbers) if numbers.device().is_cpu() => Weight::on_cpu(numbers)?,
            matrix => Weight::Plain(matrix),
        };
        Ok(Self { weight, bias })
    }

    /// The weights, if they are numbers that the library multiplies.
    #[cfg(feature = "cuda")]
    pub(crate) fn numbers(&self) -> Option<&Tensor> {
        match &self.weight {
            Weight::Plain(Matrix::Dense(numbers)) => Some(numbers),
            _ => None,
        }
    }

    /// `[out]`.
    #[cfg(feature = "cuda")]
    pub(crate) fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// `[tokens, in]` to `[tokens, out]`.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Packed(packed) => x.contiguous()?.apply_op1_no_bwd(&Multiply(packed))?,
            Weight::Streamed(weight) => {
                let y = x.to_dtype(DType::F32)?.contiguous()?.apply_op2_no_bwd(weight, &Stream)?;
                y.to_dtype(x.dtype())?
            }
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

impl Weight {
    fn on_cpu(numbers: Tensor) -> Result<Self> {
        let (out, inner) = numbers.dims2()?;
        if numbers.elem_count() <= SMALL && numbers.dtype() == DType::F32 {
            Ok(Self::Packed(Packed::new(&numbers.flatten_all()?.to_vec1()?, inner, out)))
        } else if fits_words(&numbers, inner) {
            Ok(Self::Streamed(numbers.contiguous()?))
        } else {
            Ok(Self::Plain(numbers.into()))
        }
    }
}

/// Whether rows of weights are whole 32-bit words of a type that can be streamed.
fn fits_words(weight: &Tensor, inner: usize) -> bool {
    match weight.dtype() {
        DType::F32 => true,
        DType::F16 | DType::BF16 => inner.is_multiple_of(2),
        _ => false,
    }
}

struct Stream;

impl CustomOp2 for Stream {
    fn name(&self) -> &'static str {
        "linear-streamed"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weights: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (out, inner) = lw.shape().dims2()?;
        let x = &x.as_slice::<f32>()?[lx.start_offset()..][..lx.shape().elem_count()];
        let at = lw.start_offset()..lw.start_offset() + out * inner;
        let (packing, words) = match weights {
            CpuStorage::F32(w) => (Packing::F32, try_cast_slice(&w[at])),
            CpuStorage::F16(w) => (Packing::F16, try_cast_slice(&w[at])),
            CpuStorage::BF16(w) => (Packing::Bf16, try_cast_slice(&w[at])),
            _ => candle_core::bail!("weights must be f32, f16 or bf16"),
        };
        let words = words.map_err(|e| candle_core::Error::Msg(format!("weights are not aligned: {e}")))?;
        let y = streamed::multiply(x, words, packing, inner);
        Ok((CpuStorage::F32(y), Shape::from((x.len() / inner, out))))
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
    fn weights_of_any_type_agree_with_the_library() {
        let (x, w) = (tensor(5, 900, 0.3), tensor(1300, 900, 1.1));
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let w = w.to_dtype(dtype).unwrap();
            let layer = Linear::new(w.clone(), None).unwrap();
            assert!(matches!(layer.weight, Weight::Streamed(_)));
            let fast = layer.forward(&x).unwrap().to_vec2::<f32>().unwrap();
            let slow = x.matmul(&w.to_dtype(DType::F32).unwrap().t().unwrap()).unwrap();
            let slow = slow.to_vec2::<f32>().unwrap();
            for (a, b) in fast.iter().flatten().zip(slow.iter().flatten()) {
                assert!((a - b).abs() < 1e-3, "{dtype:?}: {a} {b}");
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
