//! A network of a given shape with random weights: it says nothing sensible, in exactly the time of a real one.

use std::path::Path;

use candle_core::{DType, Device};

use crate::cache::{BLOCK, Cache};
use crate::config::Config;
use crate::decoder::Decoder;
use crate::load::LoadError;
use crate::weights::Weights;

/// A decoder with random weights and its cache.
pub struct RandomModel {
    decoder: Decoder,
    cache: Cache,
}

impl RandomModel {
    /// The shape that `config.json` describes, for contexts of at most so many tokens.
    ///
    /// # Errors
    /// [`LoadError`] if the file is not a configuration, or the device has too little memory.
    pub fn new(config: &Path, device: &Device, dtype: DType, context: usize) -> Result<Self, LoadError> {
        let mut config = Config::read(config)?;
        // Rotations are tabulated for the whole context; only what is measured is needed.
        config.context = config.context.min(context);
        let decoder = Decoder::load(config, &Weights::random(dtype, device))?;
        // Calibration makes it as large as it needs.
        let cache = Cache::new(decoder.config(), BLOCK, dtype, device).map_err(|e| LoadError::other(&e))?;
        Ok(Self { decoder, cache })
    }

    /// Sizes and variations.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    /// The decoder and its cache, for calibration.
    pub fn bench(&mut self) -> (&Decoder, &mut Cache) {
        (&self.decoder, &mut self.cache)
    }
}
