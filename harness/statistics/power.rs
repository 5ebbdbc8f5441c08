//! What a comparison could have detected, before or after running it.
//!
//! Miller 2024, equations 9 and 10: with paired problems the variance of one difference is
//! `omega^2 + sigma_A^2 / K_A + sigma_B^2 / K_B`, and
//! `n = (z_{alpha/2} + z_beta)^2 variance / effect^2`. An inconclusive verdict is published with the smallest effect that
//! it could have detected, so that a reader sees whether it could have been conclusive.

use super::critical;
use super::estimate::{Estimate, Level};
use serde::{Deserialize, Serialize};

/// Variance of a paired difference on one problem, by source. Shares squared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedVariance {
    /// Variance over problems of the difference of true accuracies (omega squared).
    pub between: f64,
    /// Mean over problems of the variance of one trajectory of the first cell (sigma squared).
    pub within_left: f64,
    /// The same of the second cell.
    pub within_right: f64,
}

impl PairedVariance {
    /// Variance with these numbers of trajectories per problem (0 counts as 1).
    pub fn total(&self, left: usize, right: usize) -> f64 {
        self.between + self.within_left / left.max(1) as f64 + self.within_right / right.max(1) as f64
    }
}

/// Problems needed to detect `effect` with probability `power`; absent for an effect or variance that is not
/// positive, or a power outside (0, 1).
pub fn problems_needed(variance: f64, effect: f64, level: Level, power: f64) -> Option<usize> {
    let n = reach(level, power)?.powi(2) * variance / (effect * effect);
    (n.is_finite() && n > 0.0).then(|| n.ceil() as usize)
}

/// Smallest difference that `problems` detect with probability `power`; absent as in [`problems_needed`].
pub fn minimum_detectable_effect(variance: f64, problems: usize, level: Level, power: f64) -> Option<f64> {
    let effect = reach(level, power)? * (variance / problems as f64).sqrt();
    (effect.is_finite() && effect > 0.0).then_some(effect)
}

/// The same, read off the half-width of an interval already computed at this level, with Student's t where it is a t
/// interval.
pub fn minimum_detectable_effect_of(estimate: &Estimate, level: Level, power: f64) -> Option<f64> {
    let half = (estimate.ci_high - estimate.ci_low) / 2.0;
    let is_power = power > 0.0 && power < 1.0;
    let found = critical::quantile(power, estimate.df) / critical::two_sided(level, estimate.df);
    let effect = half * (1.0 + found);
    (is_power && effect.is_finite() && effect > 0.0).then_some(effect)
}

/// Two-sided p-value of "exactly `threshold`", read off the half-width on the threshold's side of an interval already
/// computed at this level, with Student's t where it is a t interval; absent for an interval without width.
pub fn p_value_of(estimate: &Estimate, threshold: f64, level: Level) -> Option<f64> {
    let distance = estimate.value - threshold;
    let width =
        if distance > 0.0 { estimate.value - estimate.ci_low } else { estimate.ci_high - estimate.value };
    let statistic = distance.abs() / width * critical::two_sided(level, estimate.df);
    if statistic.is_finite() { critical::two_sided_p_value(statistic, estimate.df) } else { None }
}

fn reach(level: Level, power: f64) -> Option<f64> {
    (power > 0.0 && power < 1.0).then(|| critical::normal(level) + critical::normal_quantile(power))
}

#[cfg(test)]
mod tests {
    use super::super::mean::mean_over_problems;
    use super::*;

    #[test]
    fn millers_example_needs_969_problems() {
        assert_eq!(problems_needed(1.0 / 9.0, 0.03, Level::default(), 0.8), Some(969));
    }

    #[test]
    fn millers_second_example_goes_from_13_to_7_points() {
        let v = PairedVariance { between: 1.0 / 9.0, within_left: 1.0 / 6.0, within_right: 1.0 / 6.0 };
        let mde = |k| minimum_detectable_effect(v.total(k, k), 198, Level::default(), 0.8).unwrap();
        // The paper prints 13.2 % and 7.5 %, cutting 13.27 and 7.57.
        assert_eq!([mde(1), mde(10)].map(|effect| (effect * 1000.0).floor()), [132.0, 75.0]);
    }

    #[test]
    fn the_effect_of_an_interval_is_the_effect_of_its_standard_error() {
        let se = 0.02;
        let estimate =
            Estimate { value: 0.0, ci_low: -1.959964 * se, ci_high: 1.959964 * se, n: 100, df: None };
        let got = minimum_detectable_effect_of(&estimate, Level::default(), 0.8).unwrap();
        let direct = minimum_detectable_effect(100.0 * se * se, 100, Level::default(), 0.8).unwrap();
        assert!((got - direct).abs() < 1e-7);
    }

    #[test]
    fn a_threshold_at_the_end_of_an_interval_has_p_five_per_cent() {
        for df in [None, Some(2.0), Some(29.0)] {
            let estimate = Estimate { value: 1.0, ci_low: 0.5, ci_high: 2.0, n: 30, df };
            let p = |threshold| p_value_of(&estimate, threshold, Level::default()).unwrap();
            assert!((p(0.5) - 0.05).abs() < 1e-9 && (p(2.0) - 0.05).abs() < 1e-9 && p(1.0) > 0.999);
        }
    }

    #[test]
    fn the_p_value_of_a_mean_is_that_of_its_t_test() {
        // By hand: mean 3, standard error 0.7071, t = 4.2426 on 4 degrees of freedom.
        let e = mean_over_problems(&[1.0, 2.0, 3.0, 4.0, 5.0], Level::default()).unwrap();
        assert!((p_value_of(&e, 0.0, Level::default()).unwrap() - 0.013236).abs() < 1e-5);
    }

    #[test]
    fn three_problems_far_from_a_threshold_are_no_proof_beyond_doubt() {
        let e = mean_over_problems(&[1.0, 1.1, 0.9], Level::default()).unwrap();
        assert!(p_value_of(&e, 0.0, Level::default()).is_some_and(|p| p > 1e-3));
    }

    #[test]
    fn a_t_interval_says_what_its_own_test_would_find() {
        let e = Estimate { value: 0.0, ci_low: -4.302653, ci_high: 4.302653, n: 3, df: Some(2.0) };
        let got = minimum_detectable_effect_of(&e, Level::default(), 0.8).unwrap();
        assert!((got - (4.302653 + 1.060660)).abs() < 1e-5, "{got}");
    }

    #[test]
    fn impossible_questions_have_no_answer() {
        assert_eq!(problems_needed(0.1, 0.0, Level::default(), 0.8), None);
        assert_eq!(problems_needed(0.1, 0.03, Level::default(), 1.0), None);
        assert_eq!(minimum_detectable_effect(0.1, 0, Level::default(), 0.8), None);
    }
}
