//! Axes: where a value lies, and which values are labelled.

use serde_json::{Value, json};

use crate::escape;

/// How values are laid out from one end (0) to the other (1).
#[derive(Clone, Debug, PartialEq)]
enum Scale {
    Linear {
        low: f64,
        high: f64,
    },
    Log {
        low: f64,
        high: f64,
    },
    /// Logarithmic down to a first power of two, below it linear down to 0 at the edge.
    LogWithZero {
        /// Where the logarithm begins, as a power of two.
        low: i32,
        /// Its end, in powers of two.
        high: f64,
        /// Length of the linear part that holds 0, in powers of two; 0 without.
        zero: f64,
    },
    /// Names, one step each.
    Names(usize),
}

/// An axis with its title and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub title: String,
    scale: Scale,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Shares from 0 up to the tenth above the largest value.
    pub fn share(title: &str, values: impl Iterator<Item = f64>) -> Self {
        let tenths =
            (values.filter(|v| v.is_finite()).fold(0.0, f64::max) * 10.0 - 1e-9).ceil().clamp(1.0, 10.0);
        let step = if tenths > 5.0 { 2 } else { 1 };
        let tick = |tenth: u32| (f64::from(tenth) / 10.0, format!("{:.1}", f64::from(tenth) / 10.0));
        let ticks = (0..=tenths as u32).step_by(step).map(tick).collect();
        Self { title: title.into(), scale: Scale::Linear { low: 0.0, high: tenths / 10.0 }, ticks }
    }

    /// Positive amounts on a logarithmic axis; `label` writes one that is labelled.
    pub fn amounts(title: &str, values: impl Iterator<Item = f64>, label: impl Fn(f64) -> String) -> Self {
        let logs: Vec<f64> = values.filter(|v| *v > 0.0 && v.is_finite()).map(f64::log10).collect();
        let low = logs.iter().copied().reduce(f64::min).unwrap_or(0.0) - 0.04;
        let high = (logs.iter().copied().reduce(f64::max).unwrap_or(0.0) + 0.04).max(low + 0.1);
        let ticks = decades(low, high).into_iter().map(|value| (value, label(value))).collect();
        Self { title: title.into(), scale: Scale::Log { low, high }, ticks }
    }

    /// Counts from 0 on a logarithmic axis; 0 has its place only if a value is below the first power of two.
    pub fn counts(title: &str, values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let (low, high) = powers(values.iter().copied());
        let zero = if values.iter().any(|value| *value < 2f64.powi(low)) { 1.0 } else { 0.0 };
        let last = high.floor() as i32;
        let step = ((last - low) / 8 + 1).max(1) as usize;
        let first = (zero > 0.0).then_some(0.0);
        let ticks = first.into_iter().chain((low..=last).step_by(step).map(|power| 2f64.powi(power)));
        let ticks = ticks.map(|value| (value, value.to_string())).collect();
        Self { title: title.into(), scale: Scale::LogWithZero { low, high, zero }, ticks }
    }

    /// Names from the far end to the near one, at 0, 1, 2.
    pub fn names(title: &str, names: Vec<String>) -> Self {
        let scale = Scale::Names(names.len());
        let ticks = names.into_iter().enumerate().map(|(at, name)| (at as f64, name)).collect();
        Self { title: title.into(), scale, ticks }
    }

    /// Where a value lies, from 0 to 1.
    fn position(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear { low, high } => (value - low) / (high - low),
            Scale::Log { low, high } => (value.log10() - low) / (high - low),
            Scale::LogWithZero { low, high, zero } => {
                let first = 2f64.powi(low);
                let from_low =
                    if value < first { (value / first - 1.0) * zero } else { value.log2() - f64::from(low) };
                (from_low + zero) / (high - f64::from(low) + zero)
            }
            Scale::Names(count) => 1.0 - (value + 0.5) / count.max(1) as f64,
        }
    }

    /// Whether the axis has a place for a value.
    pub(super) fn holds(&self, value: f64) -> bool {
        let position = self.position(value);
        position.is_finite() && (-1e-9..=1.0 + 1e-9).contains(&position)
    }

    /// Where the linear part ends, if there is one.
    fn break_position(&self) -> Option<f64> {
        match self.scale {
            Scale::LogWithZero { low, zero, .. } if zero > 0.0 => Some(self.position(2f64.powi(low))),
            _ => None,
        }
    }

    /// Where a value lies, kept between the ends, with as many digits as a picture has.
    pub(super) fn place(&self, value: f64) -> f64 {
        rounded(self.position(value).clamp(0.0, 1.0))
    }

    /// The axis as the script reads it.
    pub(super) fn description(&self) -> Value {
        let shown = self.ticks.iter().filter(|(value, _)| self.holds(*value));
        let ticks: Vec<(f64, String)> =
            shown.map(|(value, label)| (self.place(*value), escape::visible(label))).collect();
        json!({
            "title": self.title,
            "ticks": ticks,
            "is_names": matches!(self.scale, Scale::Names(_)),
            "has_grid": matches!(self.scale, Scale::Log { .. }),
            "break": self.break_position().map(rounded),
        })
    }
}

/// Four digits after the point: less than a tenth of a pixel.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Powers of ten within the ends, thinned to at most six; 1, 2 and 5 of each where there are few.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let powers: Vec<i32> = (low.ceil() as i32..=high.floor() as i32).collect();
    if powers.len() > 2 {
        let step = powers.len().div_ceil(6);
        return powers.into_iter().step_by(step).map(|power| 10f64.powi(power)).collect();
    }
    let all =
        (low.floor() as i32..=high.ceil() as i32).flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(p)));
    all.filter(|value| (low..=high).contains(&value.log10())).collect()
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
        let axis = Axis::counts("", [0.0, 16.0, 64.0, 256.0].into_iter());
        assert_eq!([0.0, 16.0, 64.0, 256.0].map(|value| axis.position(value)), [0.0, 0.2, 0.6, 1.0]);
        let ticks: Vec<f64> = axis.ticks.iter().map(|tick| tick.0).collect();
        assert_eq!(ticks, [0.0, 16.0, 32.0, 64.0, 128.0, 256.0]);
        assert_eq!(axis.break_position(), Some(0.2));
    }

    #[test]
    fn an_axis_without_small_values_shows_no_zero() {
        let axis = Axis::counts("", [16.0, 20.0].into_iter());
        assert_eq!((axis.position(16.0), axis.position(32.0)), (0.0, 1.0));
        assert_eq!(axis.break_position(), None);
    }

    #[test]
    fn no_value_at_all_still_gives_finite_positions() {
        for axis in
            [Axis::counts("", std::iter::empty()), Axis::amounts("", std::iter::empty(), |v| v.to_string())]
        {
            assert!(axis.position(1.0).is_finite());
        }
    }

    #[test]
    fn amounts_are_labelled_at_powers_of_ten_or_finer() {
        let values = |low, high| -> Vec<f64> {
            Axis::amounts("", [low, high].into_iter(), |v| v.to_string()).ticks.iter().map(|t| t.0).collect()
        };
        assert_eq!(values(0.01, 10.0), [0.01, 0.1, 1.0, 10.0]);
        assert_eq!(values(1.0, 8.0), [1.0, 2.0, 5.0]);
    }

    #[test]
    fn names_stand_from_the_top() {
        let axis = Axis::names("", vec!["a".into(), "b".into()]);
        assert_eq!((axis.position(0.0), axis.position(1.0)), (0.75, 0.25));
    }
}
