//! The mean of one number per problem, with Student's t interval.
//!
//! For quantities without natural bounds: tokens, seconds, dollars, differences. One number per problem makes the
//! problems the clusters without further formula: the standard error is `sd / sqrt(P)` (Miller 2024, section
//! 2.2 with one cluster per problem).

use super::critical;
use super::estimate::{Estimate, Level, Undefined};

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

/// Mean over problems of one finite value per problem, with the t interval on `P - 1` degrees of freedom.
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
    let reach = critical::student(level, (n - 1) as f64) * (variance / n as f64).sqrt();
    Estimate::finite(mean, mean - reach, mean + reach, n)
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
    fn one_problem_has_no_interval_and_infinity_is_refused() {
        assert_eq!(
            mean_over_problems(&[1.0], Level::default()),
            Err(Undefined::TooFewProblems { have: 1, need: 2 })
        );
        assert_eq!(mean_over_problems(&[1.0, f64::INFINITY], Level::default()), Err(Undefined::NotFinite));
    }
}
