//! The form of a step's joules: watts for as long as it takes, and work on top.

use serde::{Deserialize, Serialize};

use crate::nnls::non_negative_least_squares;
use crate::step::Load;
use crate::step_cost::is_amount;

/// Prices of energy: the power that flows whatever is done, and the work on top.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Watts while the device is kept busy.
    pub watts: f64,
    /// Joules of each fed token.
    pub joules_per_fed_token: f64,
    /// Joules of each pair of tokens attended.
    pub joules_per_attended_token: f64,
}

impl Energy {
    /// The prices with the least squares of relative errors; absent if no window has joules.
    pub fn fit(windows: &[EnergyPoint]) -> Option<Self> {
        let usable = windows.iter().filter(|w| w.joules > 0.0);
        let relative = |w: &EnergyPoint| {
            [w.seconds, w.fed_tokens as f64, w.attended_tokens as f64].map(|x| x / w.joules).into()
        };
        let rows: Vec<Vec<f64>> = usable.map(relative).collect();
        match non_negative_least_squares(&rows, &vec![1.0; rows.len()])[..] {
            [watts, joules_per_fed_token, joules_per_attended_token] => {
                Some(Self { watts, joules_per_fed_token, joules_per_attended_token })
            }
            _ => None,
        }
    }

    /// Whether joules can be computed with it.
    pub(crate) fn is_sound(&self) -> bool {
        [self.watts, self.joules_per_fed_token, self.joules_per_attended_token].into_iter().all(is_amount)
    }

    /// Joules of a step that takes `seconds`.
    pub fn joules(&self, load: &Load, seconds: f64) -> f64 {
        self.watts * seconds
            + self.joules_per_fed_token * f64::from(load.fed_tokens)
            + self.joules_per_attended_token * load.attended_tokens as f64
    }
}

/// A window of calibration in which joules were measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyPoint {
    /// Its loads, added up.
    pub fed_tokens: u64,
    /// Its loads, added up.
    pub attended_tokens: u64,
    /// How long it was.
    pub seconds: f64,
    /// Joules of the device, idle power included.
    pub joules: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joules_are_fitted_to_windows_as_power_and_work() {
        let window = |seconds: f64, fed: u64| EnergyPoint {
            fed_tokens: fed,
            attended_tokens: fed * 100,
            seconds,
            joules: 80.0 * seconds + 0.01 * fed as f64,
        };
        let windows = [window(2.0, 1000), window(2.0, 30_000), window(3.0, 5_000)];
        let energy = Energy::fit(&windows).unwrap();
        let load = Load { fed_tokens: 10_000, attended_tokens: 1_000_000, ..Load::default() };
        let predicted = energy.joules(&load, 2.5);
        assert!((predicted - 300.0).abs() < 1.0, "{energy:?} {predicted}");
        assert_eq!(Energy::fit(&[]), None);
    }
}
