//! Numbers on the command line: types of them, and those that make sense.

use clap::ValueEnum;
use isocost_models::engine::DType;

/// A type of numbers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Number {
    /// 32 bits.
    F32,
    /// 16 bits, of which 10 are fraction.
    F16,
    /// 16 bits, of which 7 are fraction.
    Bf16,
}

impl From<Number> for DType {
    fn from(number: Number) -> Self {
        match number {
            Number::F32 => Self::F32,
            Number::F16 => Self::F16,
            Number::Bf16 => Self::BF16,
        }
    }
}

/// A count from 1.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a count from 1".into()),
        Ok(count) => Ok(count),
    }
}

/// A number above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(number),
        _ => Err("must be a number above 0".into()),
    }
}
