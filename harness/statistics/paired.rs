//! Differences between two cells.
//!
//! On the same problems the difference is taken *per problem* first: problems that are hard for both cancel, and
//! what is left is one number per problem with an ordinary t interval (Miller 2024, section 4.2). It is also
//! the right thing for two budgets of the same trajectories. Cells on different problems fall back on Welch's
//! unpaired interval, which is wider.

use super::critical;
use super::estimate::{Estimate, Level, Undefined};
use super::mean::{Moments, degrees_of_freedom, mean_over_problems};
use super::proportion::clopper_pearson;

/// Mean of `a_i - b_i` over problems, with the paired t interval. `a` and `b` hold one value per problem, in the
/// same order (share correct, pass@k, tokens).
///
/// # Errors
/// [`Undefined::UnequalLengths`], and as [`mean_over_problems`].
pub fn paired_difference(a: &[f64], b: &[f64], level: Level) -> Result<Estimate, Undefined> {
    mean_over_problems(&differences(a, b)?, level)
}

/// [`paired_difference`] for values in [0, 1].
///
/// When every difference is -1, 0 or 1 (one trajectory per problem, or unanimous problems) these are matched pairs,
/// and Tango's score interval (1998) is used: it is right for few discordant pairs and does not collapse when there
/// are none. When all problems differ by the same fraction there is no spread to use: then at most a share `u` of such
/// problems can differ otherwise (Clopper and Pearson, 0 of P), by at most 1.
///
/// # Errors
/// As [`paired_difference`].
pub fn paired_share_difference(a: &[f64], b: &[f64], level: Level) -> Result<Estimate, Undefined> {
    let d = differences(a, b)?;
    let estimate = mean_over_problems(&d, level)?;
    let pairs = Discordant::of(&d);
    let is_student = pairs.is_none() && estimate.ci_high - estimate.ci_low > 1e-9;
    let (low, high) = match pairs {
        Some(pairs) => pairs.interval(critical::normal(level)),
        None if is_student => (estimate.ci_low, estimate.ci_high),
        None => {
            let unseen = clopper_pearson(0, estimate.n, level).map_or(1.0, |(_, high)| high);
            (
                estimate.value - unseen * (1.0 + estimate.value),
                estimate.value + unseen * (1.0 - estimate.value),
            )
        }
    };
    let df = estimate.df.filter(|_| is_student);
    Ok(Estimate { ci_low: low.max(-1.0), ci_high: high.min(1.0), df, ..estimate })
}

/// Two-sided p-value of "no difference": McNemar's for matched pairs, else from the paired t statistic. Absent when
/// all differences are equal.
pub fn paired_p_value(a: &[f64], b: &[f64]) -> Option<f64> {
    let d = differences(a, b).ok()?;
    if let Some(pairs) = Discordant::of(&d) {
        let discordant = pairs.up + pairs.down;
        let z = (pairs.up - pairs.down) / discordant.sqrt();
        return (discordant > 0.0).then(|| 2.0 * critical::normal_cdf(-z.abs()));
    }
    let Moments { mean, variance } = Moments::of(&d);
    let se = (variance / d.len() as f64).sqrt();
    (se > 0.0).then(|| critical::student_p_value(mean / se, degrees_of_freedom(&d)))?
}

/// Matched pairs that differ, in either direction, of `all` pairs.
struct Discordant {
    up: f64,
    down: f64,
    all: f64,
}

impl Discordant {
    /// Absent unless every difference is -1, 0 or 1.
    fn of(d: &[f64]) -> Option<Self> {
        let count = |value: f64| d.iter().filter(|&&x| x == value).count() as f64;
        let pairs = Self { up: count(1.0), down: count(-1.0), all: d.len() as f64 };
        (pairs.up + pairs.down + count(0.0) == pairs.all).then_some(pairs)
    }

    /// Tango's score statistic of the hypothesis that the difference is `delta`; falls as `delta` rises.
    fn score(&self, delta: f64) -> f64 {
        let (n, difference) = (self.all, self.up - self.down);
        let b = (2.0 * n - difference) * delta - self.up - self.down;
        let c = -self.down * delta * (1.0 - delta);
        let down = ((b * b - 8.0 * n * c).max(0.0).sqrt() - b) / (4.0 * n);
        let variance = n * (2.0 * down + delta * (1.0 - delta));
        (difference - n * delta) / variance.max(f64::MIN_POSITIVE).sqrt()
    }

    /// Differences whose score is within `z`, by bisection.
    fn interval(&self, z: f64) -> (f64, f64) {
        let centre = (self.up - self.down) / self.all;
        let cross = |mut low: f64, mut high: f64, z: f64| {
            for _ in 0..60 {
                let middle = (low + high) / 2.0;
                if self.score(middle) > z { low = middle } else { high = middle }
            }
            (low + high) / 2.0
        };
        (cross(-1.0, centre, z), cross(centre, 1.0, -z))
    }
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
    Estimate::student(left.value - right.value, reach, a.len() + b.len(), df)
}

/// [`unpaired_difference`] for values in [0, 1]. A cell without spread adds what it cannot have seen, as in
/// [`paired_share_difference`]: at most a share `u` of such problems can differ otherwise.
///
/// # Errors
/// As [`unpaired_difference`].
pub fn unpaired_share_difference(a: &[f64], b: &[f64], level: Level) -> Result<Estimate, Undefined> {
    let estimate = unpaired_difference(a, b, level)?;
    let ((above, below), (above_b, below_b)) = (unseen(a, level), unseen(b, level));
    let (low, high) = (estimate.ci_low - below - above_b, estimate.ci_high + above + below_b);
    let df = estimate.df;
    let within = Estimate::finite(estimate.value, low.max(-1.0), high.min(1.0), estimate.n)?;
    Ok(Estimate { df, ..within })
}

/// How far the mean of shares can be above, and below, what was seen where all of them are the same; else 0.
fn unseen(shares: &[f64], level: Level) -> (f64, f64) {
    let Moments { mean, variance } = Moments::of(shares);
    let unseen = clopper_pearson(0, shares.len(), level).map_or(1.0, |(_, high)| high);
    if variance > 1e-18 { (0.0, 0.0) } else { (unseen * (1.0 - mean), unseen * mean) }
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
    fn matched_pairs_give_tangos_published_interval() {
        // Tango 1998: 44 pairs, one discordant; the 90 % interval is (-0.096, 0.037).
        let (low, high) = Discordant { up: 0.0, down: 1.0, all: 44.0 }.interval(1.644854);
        assert!((low + 0.096).abs() < 5e-4 && (high - 0.037).abs() < 5e-4, "{low} {high}");
        // Fagerland, Lydersen and Laake 2014, airway hyper-responsiveness: (1, 1, 7, 12) gives (-0.517, -0.026).
        let (low, high) = Discordant { up: 1.0, down: 7.0, all: 21.0 }.interval(1.959964);
        assert!((low + 0.517).abs() < 5e-4 && (high + 0.026).abs() < 5e-4, "{low} {high}");
    }

    #[test]
    fn agreement_on_every_problem_is_not_certainty() {
        let (a, z) = ([1.0, 0.0, 1.0, 1.0, 0.0, 0.0], 1.959964f64);
        let e = paired_share_difference(&a, &a, Level::default()).unwrap();
        assert!(e.value == 0.0 && (e.ci_high - z * z / (6.0 + z * z)).abs() < 1e-5, "{e:?}");
        assert!((e.ci_low + e.ci_high).abs() < 1e-9);
        let by_a_tenth = A.map(|x| x - 0.1);
        let by_a_tenth = paired_share_difference(&by_a_tenth, &A, Level::default()).unwrap();
        assert!(by_a_tenth.ci_high - by_a_tenth.ci_low > 0.1, "{by_a_tenth:?}");
    }

    #[test]
    fn few_problems_that_agree_in_either_cell_are_not_certainty_and_no_interval_leaves_what_is_possible() {
        let level = Level::default();
        let same = unpaired_share_difference(&[1.0, 1.0], &[1.0, 1.0, 1.0], level).unwrap();
        assert!(same.value == 0.0 && same.ci_low < -0.5 && same.ci_high > 0.5, "{same:?}");
        let wide = unpaired_share_difference(&[0.4, 0.0], &[0.5, 0.2, 0.2], level).unwrap();
        assert!(wide.ci_low >= -1.0 && wide.ci_high <= 1.0, "{wide:?}");
        let spread = unpaired_share_difference(&A, &B, level).unwrap();
        assert_eq!(spread, unpaired_difference(&A, &B, level).unwrap());
    }

    #[test]
    fn cells_of_unequal_length_are_refused() {
        let refused = paired_difference(&A, &B[..5], Level::default());
        assert_eq!(refused, Err(Undefined::UnequalLengths { left: 6, right: 5 }));
    }
}
