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
