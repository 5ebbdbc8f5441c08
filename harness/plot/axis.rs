//! A logarithmic axis that can show zero: below its first power of two it is linear down to 0 at the left edge.

/// A horizontal axis; positions run from 0 at its left end to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// Where the logarithm begins, as a power of two.
    low: i32,
    /// Its right end, in powers of two.
    high: f64,
    /// Length of the linear part that holds 0, in powers of two; 0 without.
    zero: f64,
}

impl Axis {
    /// An axis over positive values.
    pub(super) fn positive(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = powers(values);
        Self { low, high, zero: 0.0 }
    }

    /// An axis over values from 0; 0 has its place only if a value is below the first power of two.
    pub(super) fn with_zero(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let (low, high) = powers(values.iter().copied());
        let has_low = values.iter().any(|value| *value < 2f64.powi(low));
        Self { low, high, zero: if has_low { 1.0 } else { 0.0 } }
    }

    /// Where a value lies.
    pub(super) fn position(&self, value: f64) -> f64 {
        let first = 2f64.powi(self.low);
        let from_low = if value < first {
            (value / first - 1.0) * self.zero
        } else {
            value.log2() - f64::from(self.low)
        };
        (from_low + self.zero) / (self.high - f64::from(self.low) + self.zero)
    }

    /// Where the linear part ends, if there is one.
    pub(super) fn break_position(&self) -> Option<f64> {
        (self.zero > 0.0).then(|| self.position(2f64.powi(self.low)))
    }

    /// Values to be labelled: 0 and powers of two, at most about ten.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let last = self.high.floor() as i32;
        let step = ((last - self.low) / 10 + 1).max(1) as usize;
        let zero = (self.zero > 0.0).then_some(0.0);
        zero.into_iter().chain((self.low..=last).step_by(step).map(|power| 2f64.powi(power))).collect()
    }
}

/// The powers of two around the values of at least one; an empty set spans one doubling.
fn powers(values: impl Iterator<Item = f64>) -> (i32, f64) {
    let logs: Vec<f64> = values.filter(|value| *value >= 1.0).map(f64::log2).collect();
    let low = logs.iter().copied().reduce(f64::min).unwrap_or(0.0).floor();
    let high = logs.iter().copied().reduce(f64::max).unwrap_or(0.0);
    (low as i32, high.max(low + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_lies_at_the_left_edge_and_the_largest_value_at_the_right() {
        let axis = Axis::with_zero([0.0, 16.0, 64.0, 256.0].into_iter());
        assert_eq!([0.0, 16.0, 64.0, 256.0].map(|value| axis.position(value)), [0.0, 0.2, 0.6, 1.0]);
        assert_eq!(axis.ticks(), [0.0, 16.0, 32.0, 64.0, 128.0, 256.0]);
        assert_eq!(axis.break_position(), Some(0.2));
    }

    #[test]
    fn an_axis_without_small_values_shows_no_zero() {
        let axis = Axis::with_zero([16.0, 20.0].into_iter());
        assert_eq!((axis.position(16.0), axis.position(32.0)), (0.0, 1.0));
        assert_eq!(axis.break_position(), None);
    }

    #[test]
    fn no_value_at_all_still_gives_finite_positions() {
        let axis = Axis::with_zero(std::iter::empty());
        assert!(axis.position(0.0).is_finite() && axis.position(1.0).is_finite());
    }
}
