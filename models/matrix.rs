//! A matrix of weights: numbers, or blocks of quantised ones.
//!
//! A quantised matrix is multiplied as it is: activations are rounded to 8 bits a block and multiplied with
//! the blocks in integers, as llama.cpp does it.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Device, Module, Result, Tensor};

/// `[out, in]` weights.
#[derive(Clone)]
pub enum Matrix {
    /// Numbers.
    Dense(Tensor),
    /// Blocks of quantised numbers along each row.
    Quantised(Arc<QTensor>),
}

impl From<Tensor> for Matrix {
    fn from(tensor: Tensor) -> Self {
        Self::Dense(tensor)
    }
}

impl Matrix {
    /// Where the weights are.
    pub fn device(&self) -> Device {
        match self {
            Self::Dense(tensor) => tensor.device().clone(),
            Self::Quantised(blocks) => blocks.device(),
        }
    }

    /// The rows `ids` (`[tokens]`) as numbers, `[tokens, in]`.
    ///
    /// # Errors
    /// If an id is beyond the last row or the device fails.
    pub fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => tensor.index_select(ids, 0),
            Self::Quantised(blocks) => blocks.embedding(ids),
        }
    }

    /// `x W^T`: `[tokens, in]` to `[tokens, out]`.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(w) => x.matmul(&w.t()?),
            Self::Quantised(blocks) => QMatMul::QTensor(blocks.clone()).forward(&x.contiguous()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::GgmlDType;

    #[test]
    fn a_quantised_product_is_the_dequantised_one_up_to_8_bits_of_activations() {
        let numbers = |count: usize, phase: f32| (0..count).map(move |i| (i as f32 * 0.37 + phase).sin());
        let x = Tensor::from_iter(numbers(3 * 512, 0.3), &Device::Cpu).unwrap().reshape((3, 512)).unwrap();
        let w = Tensor::from_iter(numbers(40 * 512, 1.1), &Device::Cpu).unwrap().reshape((40, 512)).unwrap();
        let kinds = [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K];
        for kind in kinds {
            let blocks = Arc::new(QTensor::quantize(&w, kind).unwrap());
            let plain = Matrix::Dense(blocks.dequantize(&Device::Cpu).unwrap()).product(&x).unwrap();
            let difference = (Matrix::Quantised(blocks).product(&x).unwrap() - &plain).unwrap();
            let size = |t: &Tensor| t.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let error = size(&difference) / size(&plain);
            assert!(error < 1e-2, "{kind:?}: {error}");
        }
    }
}
