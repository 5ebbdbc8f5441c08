//! Rotary position embedding (Su et al. 2021): pairs of a head's numbers turn by an angle that grows with position.
//!
//! Pair i turns `frequency[i]` radians a token. Frequencies are calculated in `f64` and kept in `f32`, the angle is
//! their `f32` product with the position, and cosine and sine are `f32` whatever the model's own type: bf16 cannot
//! represent positions above 256 exactly, so angles computed in it are wrong in every long chain. The
//! product is the one that the reference implementations, and so the models' training, use.
//!
//! A model may turn only the first part of each head ([`Rotation::dims`]), and may stretch its wavelengths to
//! reach beyond the context it was trained on ([`Scaling`]).

mod scaling;

use candle_core::{D, Device, Result, Tensor};

use crate::attention::Span;
pub use scaling::Scaling;

/// How queries and keys are turned.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// Base of the wavelengths.
    pub theta: f64,
    /// How many numbers of a head turn, the first ones; even.
    pub dims: usize,
    /// How wavelengths are stretched.
    pub scaling: Scaling,
}

/// Frequencies ready for use on a device.
pub struct Rope {
    /// Radians a token of each pair, for sequences up to `switch` tokens.
    near: Vec<f32>,
    /// The same for longer ones.
    far: Vec<f32>,
    switch: usize,
    magnitude: f64,
    device: Device,
}

/// Cosines and sines of some tokens, `[tokens, dims / 2]` each.
pub struct Angles {
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    /// Sequences longer than this use other frequencies, for all their tokens.
    pub fn switch(&self) -> Option<usize> {
        match &self.scaling {
            Scaling::LongRope { original, .. } => Some(*original),
            _ => None,
        }
    }

    /// All frequencies, near and far, and what cosines and sines are multiplied with.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f32> {
        let [near, far] = [false, true].map(|far| self.scaling.frequencies(self, far));
        near.into_iter().chain(far).chain([self.scaling.magnitude() as f32])
    }
}

impl Rope {
    /// Calculates the frequencies.
    pub fn new(rotation: &Rotation, device: &Device) -> Self {
        let switch = rotation.switch().unwrap_or(usize::MAX);
        Self {
            near: rotation.scaling.frequencies(rotation, false),
            far: rotation.scaling.frequencies(rotation, true),
            switch,
            magnitude: rotation.scaling.magnitude(),
            device: device.clone(),
        }
    }

    /// The angles of the spans' tokens, one after another.
    ///
    /// # Errors
    /// If the device refuses the memory.
    pub fn at(&self, spans: &[Span], dtype: candle_core::DType) -> Result<Angles> {
        let angles: Vec<f32> = spans.iter().flat_map(|span| self.span(span)).collect();
        let table = |f: fn(f64) -> f64| {
            let values = angles.iter().map(|angle| (f(f64::from(*angle)) * self.magnitude) as f32).collect();
            Tensor::from_vec(values, (angles.len() / self.near.len(), self.near.len()), &self.device)?
                .to_dtype(dtype)
        };
        Ok(Angles { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }

    fn span(&self, span: &Span) -> impl Iterator<Item = f32> {
        let end = span.start + span.len;
        let frequencies = if end > self.switch { &self.far } else { &self.near };
        (span.start..end).flat_map(move |position| frequencies.iter().map(move |f| position as f32 * f))
    }
}

impl Angles {
    /// Turns `[tokens, heads, head_dim]`; numbers of a head beyond the rotated ones stay as they are.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn turn(&self, x: &Tensor) -> Result<Tensor> {
        let (dims, width) = (2 * self.cos.dim(1)?, x.dim(D::Minus1)?);
        let turned = x.narrow(D::Minus1, 0, dims)?.unsqueeze(0)?.contiguous()?;
        let turned = candle_nn::rotary_emb::rope_thd(&turned, &self.cos, &self.sin)?.squeeze(0)?;
        if dims == width {
            return Ok(turned);
        }
        Tensor::cat(&[&turned, &x.narrow(D::Minus1, dims, width - dims)?], D::Minus1)
    }
}
