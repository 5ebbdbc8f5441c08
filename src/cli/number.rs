//! Numbers on the command line: types of them, and those that make sense.

use std::time::Duration;

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

/// The largest count of rows or tokens that makes sense; products of two still fit.
pub(super) const MOST: usize = 1 << 24;
/// As good as no limit, and a clock can still count it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A count from 1 to [`MOST`].
pub(super) fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
    count.ok_or_else(|| format!("must be a count from 1 to {MOST}"))
}

/// Seconds above 0, at most a year of them.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.filter(|time| (Duration::from_nanos(1)..=LONGEST).contains(time));
    time.ok_or_else(|| "must be seconds above 0, and not more than a year of them".into())
}

/// A number above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(number),
        _ => Err("must be a number above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_would_overflow_a_clock_or_a_product_are_refused_where_they_are_read() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "nan", "inf", "1e20", "1e-12", "1e9", "", "a"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(count("64"), Ok(64));
        for text in ["0", "-1", "18446744073709551615", "16777217", ""] {
            assert!(count(text).is_err(), "{text}");
        }
        assert!(positive("nan").is_err() && positive("inf").is_err() && positive("0.01") == Ok(0.01));
    }
}
