//! Cost per correct answer: total cost over total correct, a ratio of sums.
//!
//! Not the mean of per-problem ratios, which is infinite as soon as one problem is never solved. Each problem counts
//! once, with its mean cost and its share correct. Wrong answers cost and do not count: report it beside the
//! accuracy, because a cheap bad model can have an excellent ratio.
//!
//! The interval is Fieller's (1954): all ratios r for which the mean of `cost - r correct` over problems is not told
//! from 0 by a t test. It needs no draws and no logarithm, and its coverage with 30 problems is that of the t test.
//! It is bounded from above only if the share correct itself is told from 0; where it is not, it has no upper end. Where few
//! problems hold the correct answers, or the wrong ones, the t test trusts them too much, as it would for the accuracy
//! ([`super::proportion`]): there no end is tighter than the mean cost over what Clopper and Pearson's interval of the share
//! correct allows (without it a run of 16 or 24 problems of which one in twenty is easy covered 76 to 79 %).

use super::critical;
use super::estimate::{Estimate, Level, OpenAbove, Undefined};
use super::interval::{Method, estimate_from_means};
use super::mean::Moments;
use super::proportion::{RARE, exact_interval};
use super::resample::Bootstrap;
use super::summaries::Summaries;

/// Sum of `costs` over sum of `correct`, one value per problem each (mean cost and share correct of its
/// trajectories). Unit: that of the costs, per correct answer.
///
/// # Errors
/// [`Undefined::NoCorrectAnswers`], [`Undefined::NotFinite`] for a total cost of 0 or less, [`Undefined::TooFewProblems`] below
/// three, [`Undefined::UnstableDraws`] where one problem holds all correct answers, and as [`Summaries::from_columns`].
pub fn cost_per_correct(costs: &[f64], correct: &[f64], level: Level) -> Result<OpenAbove, Undefined> {
    let means = checked(&Summaries::from_columns(&[costs, correct])?)?;
    let n = costs.len();
    if n < 3 {
        return Err(Undefined::TooFewProblems { have: n, need: 3 });
    }
    if correct.iter().filter(|share| **share > 0.0).count() < 2 {
        return Err(Undefined::UnstableDraws { undefined: 1, draws: n });
    }
    let (low, high) = fieller(costs, correct, level).ok_or(Undefined::NotFinite)?;
    let (low, high) = no_tighter_than_the_share(low, high, &means, n as f64, level);
    let value = means[0] / means[1];
    Ok(OpenAbove { value, ci_low: low.min(value), ci_high: high.map(|high| high.max(value)), n })
}

/// Both ends, where few problems hold the correct or the wrong answers no tighter than their number allows.
fn no_tighter_than_the_share(
    low: f64,
    high: Option<f64>,
    means: &[f64],
    problems: f64,
    level: Level,
) -> (f64, Option<f64>) {
    let (cost, share) = (means[0], means[1]);
    if high.is_some() && problems * share.min(1.0 - share) >= RARE {
        return (low, high);
    }
    let (least, most) = exact_interval(share * problems, problems, level).unwrap_or((0.0, 1.0));
    (low.min(cost / most), high.map(|high| high.max(cost / least)).filter(|high| high.is_finite()))
}

/// Means of cost and share correct.
fn checked(data: &Summaries) -> Result<Vec<f64>, Undefined> {
    let means = data.means();
    if means[1] <= 0.0 {
        return Err(Undefined::NoCorrectAnswers);
    }
    if means[0] > 0.0 { Ok(means) } else { Err(Undefined::NotFinite) }
}

/// All `r >= 0` with `(C - r S)^2 <= t^2 Var(C - r S)`: from the smaller root, or 0, to the larger one, which exists only if S is
/// told from 0. Absent where the lower end is no number.
fn fieller(costs: &[f64], correct: &[f64], level: Level) -> Option<(f64, Option<f64>)> {
    let n = costs.len() as f64;
    let t = critical::student(level, n - 1.0);
    let (c, s) = (Moments::of(costs), Moments::of(correct));
    let products = costs.iter().zip(correct).map(|(x, y)| (x - c.mean) * (y - s.mean));
    let covariance = products.sum::<f64>() / (n - 1.0);
    let unexplained = |variance: f64| t * t * variance / n;
    let square = s.mean * s.mean - unexplained(s.variance);
    let half = c.mean * s.mean - unexplained(covariance);
    let constant = c.mean * c.mean - unexplained(c.variance);
    let root = (half * half - square * constant).max(0.0).sqrt();
    // As (half - root) / square, and right where the square vanishes.
    let low = (constant / (half + root)).max(0.0);
    let high = Some((half + root) / square).filter(|high| square > 0.0 && high.is_finite());
    low.is_finite().then_some((low, high))
}

/// [`cost_per_correct`] with a chosen interval method.
///
/// # Errors
/// As [`cost_per_correct`].
pub fn cost_per_correct_by(
    costs: &[f64],
    correct: &[f64],
    bootstrap: Bootstrap,
    method: Method,
) -> Result<Estimate, Undefined> {
    let data = Summaries::from_columns(&[costs, correct])?;
    checked(&data)?;
    let log_ratio = |m: &[f64]| (m[0] > 0.0 && m[1] > 0.0).then(|| (m[0] / m[1]).ln());
    estimate_from_means(&data, bootstrap, method, log_ratio)?.map_increasing(f64::exp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn problems() -> (Vec<f64>, Vec<f64>) {
        let correct: Vec<f64> = (0..30).map(|i| f64::from(i % 5) / 4.0).collect();
        let costs = correct.iter().map(|c| 100.0 - 40.0 * c).collect();
        (costs, correct)
    }

    #[test]
    fn it_is_total_cost_over_total_correct() {
        let (costs, correct) = problems();
        let e = cost_per_correct(&costs, &correct, Level::default()).unwrap();
        assert!((e.value - costs.iter().sum::<f64>() / correct.iter().sum::<f64>()).abs() < 1e-9);
        assert!(e.ci_low > 0.0 && e.contains(e.value) && e.n == 30);
    }

    #[test]
    fn a_ratio_at_an_end_of_the_interval_is_one_that_the_t_test_just_rejects() {
        let (costs, correct) = problems();
        let e = cost_per_correct(&costs, &correct, Level::default()).unwrap();
        for end in [e.ci_low, e.ci_high.unwrap()] {
            let excess: Vec<f64> = costs.iter().zip(&correct).map(|(c, s)| c - end * s).collect();
            let mean = Moments::of(&excess);
            let t = mean.mean / (mean.variance / 30.0).sqrt();
            assert!((t.abs() - critical::student(Level::default(), 29.0)).abs() < 1e-6, "{t}");
        }
    }

    #[test]
    fn a_share_correct_that_is_hardly_told_from_none_bounds_the_cost_from_below_only() {
        let mut correct = [0.0; 20];
        correct[..2].copy_from_slice(&[1.0, 1.0]);
        let costs: Vec<f64> = (0..20).map(|i| 1.0 + f64::from(i) / 20.0).collect();
        let e = cost_per_correct(&costs, &correct, Level::default()).unwrap();
        assert!(e.ci_high.is_none() && e.ci_low > 0.0 && e.ci_low < e.value && e.contains(1e12), "{e:?}");
        // Two of twenty leave at most 31.7 % (Clopper and Pearson).
        assert!((e.ci_low - e.value * 0.1 / 0.31698).abs() < 1e-4 * e.value, "{e:?}");
    }

    #[test]
    fn problems_that_were_all_solved_leave_room_for_one_that_was_not() {
        let e = cost_per_correct(&[2.0; 16], &[1.0; 16], Level::default()).unwrap();
        // Sixteen of sixteen leave at least 79.41 %.
        assert!((e.ci_high.unwrap() - 2.0 / 0.79409).abs() < 1e-4 && e.ci_low == 2.0, "{e:?}");
    }

    #[test]
    fn the_unit_of_cost_does_not_matter() {
        let (costs, correct) = problems();
        let cents: Vec<f64> = costs.iter().map(|c| c * 100.0).collect();
        for method in [Method::Percentile, Method::Bca, Method::Studentised, Method::JackknifeT] {
            let e = cost_per_correct_by(&costs, &correct, Bootstrap::default(), method).unwrap();
            let c = cost_per_correct_by(&cents, &correct, Bootstrap::default(), method).unwrap();
            assert!(
                (c.ci_high / e.ci_high - 100.0).abs() < 1e-6 && (c.ci_low / e.ci_low - 100.0).abs() < 1e-6
            );
        }
    }

    #[test]
    fn no_correct_answer_is_said_not_divided_by() {
        let got = cost_per_correct(&[1.0; 10], &[0.0; 10], Level::default());
        assert_eq!(got, Err(Undefined::NoCorrectAnswers));
    }

    #[test]
    fn one_solved_problem_of_ten_is_too_unstable_for_an_interval() {
        for n in 3..40 {
            let mut correct = vec![0.0; n];
            correct[n / 2] = 0.3;
            let got = cost_per_correct(&vec![1.0; n], &correct, Level::default());
            assert!(matches!(got, Err(Undefined::UnstableDraws { .. })), "{got:?}");
            let jackknife =
                cost_per_correct_by(&vec![1.0; n], &correct, Bootstrap::default(), Method::JackknifeT);
            assert!(matches!(jackknife, Err(Undefined::UnstableDraws { .. })), "{jackknife:?}");
        }
    }

    /// One in twenty problems is easy: nearly half of the runs have none.
    #[test]
    fn where_the_easy_problems_may_not_have_been_drawn_the_interval_still_covers() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut run = || -> Vec<f64> {
            let mut share = |_| {
                let p = if rng.random::<f64>() < 0.05 { 0.9 } else { 0.02 };
                (0..16).filter(|_| rng.random::<f64>() < p).count() as f64 / 16.0
            };
            (0..24).map(&mut share).collect()
        };
        let found: Vec<OpenAbove> =
            (0..1000).filter_map(|_| cost_per_correct(&[1.0; 24], &run(), Level::default()).ok()).collect();
        let covered = found.iter().filter(|e| e.contains(1.0 / 0.064)).count();
        assert!(found.len() > 900 && covered * 100 >= found.len() * 94, "{covered} of {}", found.len());
    }

    /// Most problems are hopeless and a few easy: the cube of a uniform number, cubed again, as the chance.
    #[test]
    fn where_few_problems_hold_the_correct_answers_the_interval_still_covers() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut run = || -> Vec<f64> {
            let mut share = |_| {
                let p = rng.random::<f64>().powi(9);
                (0..16).filter(|_| rng.random::<f64>() < p).count() as f64 / 16.0
            };
            (0..12).map(&mut share).collect()
        };
        let found: Vec<OpenAbove> =
            (0..1000).filter_map(|_| cost_per_correct(&[1.0; 12], &run(), Level::default()).ok()).collect();
        let covered = found.iter().filter(|e| e.contains(10.0)).count();
        assert!(found.len() > 900 && covered * 100 >= found.len() * 94, "{covered} of {}", found.len());
        assert!(found.iter().all(|e| e.ci_low > 0.5));
    }
}
