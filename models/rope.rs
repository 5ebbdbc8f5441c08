//! Rotary position embedding: the angle of every position, in `f32`.
//!
//! The tables are built in `f64` and kept in `f32` whatever the model's own type: bf16 cannot even
//! represent positions above 256 exactly, so angles computed in it are wrong in every long chain.

use candle_core::{Device, Result, Tensor};

use crate::config::Config;

/// Cosines and sines, `[context, head_dim / 2]` each.
pub struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// Builds the tables for every position of `config`'s context.
    ///
    /// # Errors
    /// If the device refuses the memory.
    pub fn new(config: &Config, device: &Device) -> Result<Self> {
        let half = config.head_dim / 2;
        let frequency = |i: usize| 1.0 / config.rope_theta.powf(2.0 * i as f64 / config.head_dim as f64);
        let frequencies: Vec<f64> = (0..half).map(frequency).collect();
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = (0..config.context)
                .flat_map(|position| frequencies.iter().map(move |w| f(position as f64 * w) as f32))
                .collect();
            Tensor::from_vec(values, (config.context, half), device)
        };
        Ok(Self { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }

    /// Cosines and sines of `positions` (`[tokens]`), `[tokens, head_dim / 2]` each.
    ///
    /// # Errors
    /// If a position is outside the context.
    pub fn at(&self, positions: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.cos.index_select(positions, 0)?, self.sin.index_select(positions, 0)?))
    }
}
