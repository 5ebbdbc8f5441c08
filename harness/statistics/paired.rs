//! Differences between two cells.
//!
//! On the same problems the difference is taken *per problem* first: problems that are hard for both cancel, and
//! what is left is one number per problem with an ordinary t interval (Miller 2024, section 4.2). It is also
//! the right thing for two budgets of the same trajectories. Cells on different problems fall back on Welch's
//! unpaired interval, which is wider.

use super::critical;
use super::estimate::{Estimate, Level, Undefined};
use super::mean::{Moments, mean_over_problems};
use super::proportion::clopper_pearson;

/// Mean of `a_i - b_i` over problems, with the paired t interval. `a` and `b` hold one value per problem, in the
/// same order (share correct, pass@k, tokens).
///
/// # Errors
/// [`Undefined::UnequalLengths`], and as [`mean_over_problems`].
pub fn paired_difference(a: &[f64], b: &[f64], level: Level) -> Result<Estimate, Undefined> {
    mean_over_problems(&differences(a, b)?, level)
}

/// [`paired_difference`] for values in [0, 1]. It differs only where all problems differ by the same amount, as
/// when two cells agree on every problem: no spread does not mean no uncertainty. Then at most a share `u` of
/// such problems can differ otherwise (Clopper and Pearson, 0 of P), and by at most 1.
///
/// # Errors
/// As [`paired_difference`].
pub fn paired_share_difference(a: &[f64], b: &[f64], level: Level) -> Result<Estimate, Undefined> {
    let estimate = paired_difference(a, b, level)?;
    if estimate.ci_low < estimate.ci_high {
        return Ok(estimate);
    }
    let unseen = clopper_pearson(0, estimate.n, level).map_or(1.0, |(_, high)| high);
    let d = estimate.value;
    Estimate::finite(d, d - unseen * (1.0 + d), d + unseen * (1.0 - d), estimate.n)
}

/// Two-sided p-value of "no difference" from the paired t statistic; absent when all differences are equal.
pub fn paired_p_value(a: &[f64], b: &[f64]) -> Option<f64> {
    let d = differences(a, b).ok()?;
    let n = d.len() as f64;
    let Moments { mean, variance } = Moments::of(&d);
    let se = (variance / n).sqrt();
    (se > 0.0).then(|| critical::student_p_value(mean / se, n - 1.0))?
}

/// Difference of means of two cells on *different* problems, with Welch's interval (1947).
///
/// # Errors
/// As [`mean_over_problems`], for either cell.
pub fn unpaired_difference(a: &[f64], b: &[f64], level: Level) -> Result<Estimate, Undefined> {
    let (left, right) = (mean_over_problems(a, level)?, mean_over_problems(b, level)?);
    let error = |values: &[f64]| Moments::of(values).variance / values.len() as f64;
    let (ea, eb) = (error(a), error(b));
    let df = (ea + eb).powi(2)
        / (ea * ea / (a.len() as f64 - 1.0) + eb * eb / (b.len() as f64 - 1.0)).max(f64::MIN_POSITIVE);
    let reach = critical::student(level, df) * (ea + eb).sqrt();
    let d = left.value - right.value;
    Estimate::finite(d, d - reach, d + reach, a.len() + b.len())
}

fn differences(a: &[f64], b: &[f64]) -> Result<Vec<f64>, Undefined> {
    if a.len() != b.len() {
        return Err(Undefined::UnequalLengths { left: a.len(), right: b.len() });
    }
    Ok(a.iter().zip(b).map(|(a, b)| a - b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 6] = [0.9, 0.1, 0.5, 0.7, 0.2, 0.6];
    const B: [f64; 6] = [0.8, 0.0, 0.45, 0.5, 0.2, 0.4];

    #[test]
    fn shared_difficulty_cancels_in_a_paired_difference() {
        let paired = paired_difference(&A, &B, Level::default()).unwrap();
        let unpaired = unpaired_difference(&A, &B, Level::default()).unwrap();
        assert!((paired.value - unpaired.value).abs() < 1e-12);
        assert!(paired.is_above(0.0) && unpaired.contains(0.0));
    }

    #[test]
    fn the_p_value_agrees_with_the_interval() {
        assert!(paired_p_value(&A, &B).is_some_and(|p| p < 0.05));
        assert!(paired_p_value(&A, &[0.1, 0.9, 0.5, 0.2, 0.7, 0.6]).is_some_and(|p| p > 0.05));
        assert_eq!(paired_p_value(&A, &A), None);
    }

    #[test]
    fn agreement_on_every_problem_is_not_certainty() {
        let e = paired_share_difference(&A, &A, Level::default()).unwrap();
        assert_eq!(e.value, 0.0);
        assert!((e.ci_high - (1.0 - 0.025f64.powf(1.0 / 6.0))).abs() < 1e-9);
        assert!((e.ci_low + e.ci_high).abs() < 1e-12);
    }

    #[test]
    fn cells_of_unequal_length_are_refused() {
        let refused = paired_difference(&A, &B[..5], Level::default());
        assert_eq!(refused, Err(Undefined::UnequalLengths { left: 6, right: 5 }));
    }
}
