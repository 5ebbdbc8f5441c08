//! The mean of one number per problem, with Student's t interval.
//!
//! For quantities without natural bounds: tokens, seconds, dollars, differences. One number per problem makes the
//! problems the clusters without further formula: the standard error is `sd / sqrt(P)` (Miller 2024, section
//! 2.2 with one cluster per problem).
//!
//! The t interval owes its degrees of freedom to how well the variance is known. P - 1 is right for normal values; a
//! few problems that carry most of the spread leave it known less well. Matching `Var(s^2) = sigma^4 (kappa / P + 2 /
//! (P - 1))` to that of a chi-square (Satterthwaite 1946), with kappa the excess kurtosis, gives fewer.

use super::critical;
use super::estimate::{Estimate, Level, Undefined};

/// The mean of some numbers, without an interval; 0 of none, so ask only where there is one for each problem.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Mean and unbiased variance of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    /// Divided by `n - 1`; 0 for one value.
    pub(crate) variance: f64,
}

impl Moments {
    /// Two passes, so that a small spread around a large mean keeps its digits.
    pub(crate) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        Self { mean, variance: if n > 1.0 { squares / (n - 1.0) } else { 0.0 } }
    }
}

/// Degrees of freedom of the variance of these values: `P - 1`, fewer with heavy tails.
pub(crate) fn degrees_of_freedom(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = Moments::of(values).mean;
    let power = |k: i32| values.iter().map(|x| (x - mean).powi(k)).sum::<f64>() / n;
    let square = power(2) * power(2);
    let excess = if square > 0.0 { (power(4) / square - 3.0).max(0.0) } else { 0.0 };
    2.0 / (excess / n + 2.0 / (n - 1.0))
}

/// Mean over problems of one finite value per problem, with the t interval of the module's text.
///
/// Values that are all equal give an interval of zero width: a budget that cuts every chain at the same token is
/// such a case.
///
/// # Errors
/// [`Undefined::TooFewProblems`] below two problems, [`Undefined::NotFinite`].
pub fn mean_over_problems(values: &[f64], level: Level) -> Result<Estimate, Undefined> {
    let n = values.len();
    if n < 2 {
        return Err(Undefined::TooFewProblems { have: n, need: 2 });
    }
    let Moments { mean, variance } = Moments::of(values);
    let df = degrees_of_freedom(values);
    Estimate::student(mean, critical::student(level, df) * (variance / n as f64).sqrt(), n, df)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_textbook_t_interval() {
        let e = mean_over_problems(&[1.0, 2.0, 3.0, 4.0, 5.0], Level::default()).unwrap();
        assert_eq!((e.value, e.n), (3.0, 5));
        assert!((e.ci_high - 3.0 - 2.776445 * (2.5f64 / 5.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_few_problems_with_most_of_the_spread_leave_fewer_degrees_of_freedom() {
        let even: Vec<f64> = (0..30).map(f64::from).collect();
        let lone: Vec<f64> = (0..30).map(|i| if i == 7 { 9.0 } else { f64::from(i % 2) }).collect();
        assert!((degrees_of_freedom(&even) - 29.0).abs() < 1e-9);
        assert!(degrees_of_freedom(&lone) < 4.0 && degrees_of_freedom(&lone) > 2.0);
    }

    #[test]
    fn one_problem_has_no_interval_and_infinity_is_refused() {
        assert_eq!(
            mean_over_problems(&[1.0], Level::default()),
            Err(Undefined::TooFewProblems { have: 1, need: 2 })
        );
        assert_eq!(mean_over_problems(&[1.0, f64::INFINITY], Level::default()), Err(Undefined::NotFinite));
    }
}
