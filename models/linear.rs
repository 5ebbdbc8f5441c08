//! `x W^T + b`.

use candle_core::{Result, Tensor};

use crate::matrix::{Matrix, products};

/// A linear layer.
pub struct Linear {
    weight: Matrix,
    /// `[out]`.
    bias: Option<Tensor>,
}

impl Linear {
    /// A layer from `[out, in]` weights and an `[out]` bias.
    pub fn new(weight: Matrix, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// Its weights.
    pub(crate) fn weight(&self) -> &Matrix {
        &self.weight
    }

    /// Bytes of its weights.
    pub fn bytes(&self) -> u64 {
        self.weight.bytes()
    }

    /// How its weights are stored: `bf16`, `q4k`.
    pub fn stored_as(&self) -> String {
        self.weight.stored_as()
    }

    /// The weights, if they are numbers that the library multiplies.
    #[cfg(feature = "cuda")]
    pub(crate) fn numbers(&self) -> Option<&Tensor> {
        match &self.weight {
            Matrix::Dense(numbers) => Some(numbers),
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
        Self::forward_all([self], x).map(|[y]| y)
    }

    /// What several layers make of the same numbers.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    pub(crate) fn forward_all<const N: usize>(linears: [&Self; N], x: &Tensor) -> Result<[Tensor; N]> {
        let mut all = products(linears.map(|linear| &linear.weight), x)?;
        for (y, linear) in all.iter_mut().zip(linears) {
            if let Some(bias) = &linear.bias {
                *y = y.broadcast_add(bias)?;
            }
        }
        Ok(all)
    }
}
