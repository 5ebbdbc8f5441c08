//! Accuracy: the mean over problems of numbers in [0, 1].
//!
//! With one trajectory per problem this is a binomial proportion, and Wilson's interval (1927; Agresti and Coull
//! 1998) is the standard one: the naive `p +- 1.96 se` collapses near 0 and 1. With K trajectories per problem
//! the P*K outcomes are not independent: those of one problem share its difficulty. The design effect
//! `deff = K Var(s_i) / (p (1 - p))` (Kish 1965) says how many of them one independent outcome is worth, and
//! Wilson's formula is used at the *effective* number `n_eff = P K / deff = p (1 - p) / (Var(s_i) / P)`, as in
//! survey statistics (Korn and Graubard 1998). `n_eff` is kept between P and the number of trajectories.
//!
//! The variance is estimated from P problems, so the critical value is Student's once K > 1.
//!
//! The same interval serves every per-problem mean in [0, 1]: pass@k, maj@n, weighted votes, best-of-n. Where
//! most problems are neither nearly always nor nearly never solved (`Var(s_i) < p (1 - p) / 2`), the mean is not like
//! a proportion but may be lopsided; then Hall's skewness-corrected t interval is used, never narrower than the
//! pooled Wilson interval.
//!
//! Where fewer than five problems' worth of answers are right, or wrong, few problems carry the variance and those not
//! drawn could double it. There the interval also holds Clopper and Pearson's (1934) at `P * mean` of P *problems*
//! (fractional counts as in Korn and Graubard 1998): no end is tighter than P problems that all agree would allow. Where
//! they do all agree it is Clopper and Pearson's exact interval.
//!
//! Two targets, never to be mixed: [`accuracy`] is about problems *like* these, [`accuracy_on_these_problems`]
//! about exactly these (only sampling noise; for checking a reproduction).

use super::critical;
use super::estimate::{Estimate, Level, Undefined};
use super::mean::Moments;
use super::skew::skewed_t_interval;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

/// Below so many problems' worth of right or of wrong answers their spread is not known: the textbooks' `n p >= 5`.
pub(crate) const RARE: f64 = 5.0;

/// The outcomes of one problem in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Correct trajectories.
    pub correct: usize,
    /// All trajectories; truncated ones and those without an answer count as not correct.
    pub trajectories: usize,
}

impl Tally {
    /// Counts a problem's outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = bool>) -> Self {
        outcomes.into_iter().fold(Self { correct: 0, trajectories: 0 }, |tally, correct| Self {
            correct: tally.correct + usize::from(correct),
            trajectories: tally.trajectories + 1,
        })
    }

    /// Share correct; absent without trajectories.
    pub fn share(&self) -> Option<f64> {
        (self.trajectories > 0).then(|| self.correct as f64 / self.trajectories as f64)
    }
}

/// Share correct of each problem, in order.
///
/// # Errors
/// [`Undefined::NoTrajectories`], [`Undefined::ImpossibleTally`].
pub fn shares(tallies: &[Tally]) -> Result<Vec<f64>, Undefined> {
    let share = |(problem, tally): (usize, &Tally)| {
        if tally.correct > tally.trajectories {
            return Err(Undefined::ImpossibleTally { problem });
        }
        tally.share().ok_or(Undefined::NoTrajectories { problem })
    };
    tallies.iter().enumerate().map(share).collect()
}

/// Wilson's score interval for a proportion `p` seen in `n` independent outcomes (`n` may be fractional).
pub fn wilson(p: f64, n: f64, level: Level) -> (f64, f64) {
    score_interval(p, n, critical::normal(level))
}

/// [`wilson`] with any critical value.
pub(crate) fn score_interval(p: f64, n: f64, z: f64) -> (f64, f64) {
    let shrink = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / shrink;
    let reach = z / shrink * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - reach).clamp(0.0, p), (centre + reach).clamp(p, 1.0))
}

/// Clopper and Pearson's exact interval for `correct` out of `n`; absent for `n = 0` or `correct > n`.
pub fn clopper_pearson(correct: usize, n: usize, level: Level) -> Option<(f64, f64)> {
    if n == 0 || correct > n {
        return None;
    }
    exact_interval(correct as f64, n as f64, level)
}

/// [`clopper_pearson`] for `c` of `n` where `c` may be fractional.
pub(crate) fn exact_interval(c: f64, n: f64, level: Level) -> Option<(f64, f64)> {
    let tail = level.alpha() / 2.0;
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).ok().map(|beta| beta.inverse_cdf(p));
    let low = if c <= 0.0 { Some(0.0) } else { quantile(c, n - c + 1.0, tail) };
    let high = if c >= n { Some(1.0) } else { quantile(c + 1.0, n - c, 1.0 - tail) };
    low.zip(high)
}

/// Mean over problems of one number in [0, 1] per problem, each resting on `trajectories` trajectories:
/// the superpopulation interval of the module's text.
///
/// # Errors
/// [`Undefined::TooFewProblems`] without problems, [`Undefined::NotFinite`] for a value outside [0, 1].
pub fn mean_share(values: &[f64], trajectories: usize, level: Level) -> Result<Estimate, Undefined> {
    let n = values.len();
    if n == 0 {
        return Err(Undefined::TooFewProblems { have: 0, need: 1 });
    }
    if !values.iter().all(|x| (0.0..=1.0).contains(x)) {
        return Err(Undefined::NotFinite);
    }
    let (mean, problems) = (Moments::of(values).mean, n as f64);
    let exact = || exact_interval(mean * problems, problems, level).unwrap_or((0.0, 1.0));
    let (low, high) = if mean == 0.0 || mean == 1.0 {
        exact()
    } else if values.iter().all(|&x| x == 0.0 || x == 1.0) {
        wilson(mean, problems, level)
    } else {
        let own = share_interval(values, n * trajectories.max(1), level);
        let is_lopsided = problems * mean.min(1.0 - mean) < RARE;
        if is_lopsided { union(own, exact()) } else { own }
    };
    Estimate::finite(mean, low, high, n)
}

fn union(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Values in [0, 1], not all 0 or 1, from `total` trajectories.
fn share_interval(values: &[f64], total: usize, level: Level) -> (f64, f64) {
    let n = values.len() as f64;
    let Moments { mean, variance } = Moments::of(values);
    let spread = mean * (1.0 - mean);
    if variance >= spread / 2.0 || variance == 0.0 {
        let effective = if variance > 0.0 { spread * n / variance } else { n };
        return score_interval(mean, effective.clamp(n, total as f64), critical::student(level, n - 1.0));
    }
    let (low, high) = skewed_t_interval(values, level);
    let pooled = wilson(mean, total as f64, level);
    (low.min(pooled.0).clamp(0.0, mean), high.max(pooled.1).clamp(mean, 1.0))
}

/// Accuracy of a cell, for problems like these: mean over problems of the share correct.
///
/// # Errors
/// As [`shares`] and [`mean_share`].
pub fn accuracy(tallies: &[Tally], level: Level) -> Result<Estimate, Undefined> {
    let fewest = tallies.iter().map(|t| t.trajectories).min().unwrap_or(0);
    mean_share(&shares(tallies)?, fewest, level)
}

/// Accuracy of a cell on exactly these problems: only the sampling of trajectories varies.
///
/// The variance of the mean is `sum_i s_i (1 - s_i) / (K_i - 1) / P^2`, turned into an effective number for
/// Wilson's formula, which is never below the number of trajectories: the sum of unequal binomials varies less
/// than one binomial with their mean (Hoeffding 1956). With one trajectory per problem only that bound is left,
/// and the interval is conservative.
///
/// # Errors
/// As [`accuracy`].
pub fn accuracy_on_these_problems(tallies: &[Tally], level: Level) -> Result<Estimate, Undefined> {
    let values = shares(tallies)?;
    let n = values.len();
    if n == 0 {
        return Err(Undefined::TooFewProblems { have: 0, need: 1 });
    }
    let mean = Moments::of(&values).mean;
    let total: usize = tallies.iter().map(|t| t.trajectories).sum();
    let noise = |(s, t): (&f64, &Tally)| s * (1.0 - s) / (t.trajectories as f64 - 1.0).max(1.0);
    let variance = values.iter().zip(tallies).map(noise).sum::<f64>() / (n * n) as f64;
    let repeated = tallies.iter().all(|t| t.trajectories > 1) && variance > 0.0;
    let effective = if repeated { mean * (1.0 - mean) / variance } else { 0.0 };
    let (low, high) = wilson(mean, effective.max(total as f64), level);
    Estimate::finite(mean, low, high, n)
}

#[cfg(test)]
mod tests {
    use super::super::pass_at_k;
    use super::*;
    use proptest::prelude::{prop_assert, proptest};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn cell(correct: &[usize], trajectories: usize) -> Vec<Tally> {
        correct.iter().map(|&correct| Tally { correct, trajectories }).collect()
    }

    #[test]
    fn wilson_matches_the_published_example() {
        // Newcombe 1998, table I: 81 of 263.
        let (low, high) = wilson(81.0 / 263.0, 263.0, Level::default());
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
    }

    #[test]
    fn clopper_pearson_matches_the_published_example() {
        // Newcombe 1998, table I: 81 of 263, and the closed form at zero.
        let (low, high) = clopper_pearson(81, 263, Level::default()).unwrap();
        assert!((low - 0.2527).abs() < 5e-5 && (high - 0.3676).abs() < 5e-5, "{low} {high}");
        let (_, high) = clopper_pearson(0, 30, Level::default()).unwrap();
        assert!((high - (1.0 - 0.025f64.powf(1.0 / 30.0))).abs() < 1e-9);
        assert_eq!(clopper_pearson(3, 2, Level::default()), None);
    }

    #[test]
    fn one_trajectory_per_problem_is_plain_wilson() {
        let outcomes: Vec<usize> = (0..30).map(|i| usize::from(i < 9)).collect();
        let e = accuracy(&cell(&outcomes, 1), Level::default()).unwrap();
        assert_eq!((e.ci_low, e.ci_high), wilson(0.3, 30.0, Level::default()));
    }

    #[test]
    fn more_trajectories_on_unanimous_problems_do_not_narrow_the_interval() {
        let unanimous = |k: usize| cell(&[k, k, k, 0, 0, 0, 0, 0, 0, 0], k);
        let one = accuracy(&unanimous(1), Level::default()).unwrap();
        let many = accuracy(&unanimous(64), Level::default()).unwrap();
        assert!((one.ci_low - many.ci_low).abs() < 1e-12 && (one.ci_high - many.ci_high).abs() < 1e-12);
    }

    #[test]
    fn more_trajectories_on_equal_problems_narrow_it() {
        let few = accuracy(&cell(&[1, 2, 1, 3, 2, 1, 2, 3].repeat(2), 4), Level::default()).unwrap();
        let equal = [31, 32, 31, 33, 32, 31, 32, 33].repeat(2);
        let many = accuracy(&cell(&equal, 64), Level::default()).unwrap();
        assert!(many.ci_high - many.ci_low < (few.ci_high - few.ci_low) / 2.0);
    }

    #[test]
    fn all_correct_is_clopper_pearson_on_problems() {
        let e = accuracy(&cell(&[64; 30], 64), Level::default()).unwrap();
        assert_eq!(e.value, 1.0);
        assert!((e.ci_low - 0.025f64.powf(1.0 / 30.0)).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn no_end_is_tighter_than_problems_that_all_agree_allow(
            correct in proptest::collection::vec((0usize..=16, 0usize..4), 1..60),
        ) {
            // Three of four problems are as easy as can be: means near 1 are the interesting ones.
            let counts: Vec<usize> = correct.iter().map(|&(c, easy)| if easy > 0 { 16 } else { c }).collect();
            let hard: Vec<usize> = counts.iter().map(|c| 16 - c).collect();
            let of = |counts: &[usize]| accuracy(&cell(counts, 16), Level::default()).unwrap();
            let (all, none) = (of(&vec![16; counts.len()]), of(&vec![0; counts.len()]));
            for e in [of(&counts), of(&hard)] {
                prop_assert!(e.ci_low <= all.ci_low + 1e-12 && e.ci_high >= none.ci_high - 1e-12, "{e:?}");
            }
        }
    }

    #[test]
    fn a_hair_from_all_correct_is_as_wide_as_all_correct() {
        let mut values = [1.0; 16];
        let all = mean_share(&values, 16, Level::default()).unwrap();
        values[3] = 0.984;
        let nearly = mean_share(&values, 16, Level::default()).unwrap();
        assert!(nearly.ci_low < all.ci_low && nearly.ci_low > all.ci_low - 0.01, "{nearly:?}");
    }

    /// Runs of 16 problems that are often solved and sometimes impossible: pass@8 of 16 is 1 or nearly so on most.
    #[test]
    fn easy_problems_with_a_few_impossible_ones_are_covered() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut values = || -> Vec<f64> {
            let chance = [0.6, 0.7, 0.8, 0.9, 0.95];
            let mut draw = |_| {
                let impossible = rng.random::<f64>() < 0.05;
                let p = if impossible { 0.0 } else { chance[rng.random_range(0..5)] };
                let correct = (0..16).filter(|_| rng.random::<f64>() < p).count();
                pass_at_k(Tally { correct, trajectories: 16 }, 8).unwrap()
            };
            (0..16).map(&mut draw).collect()
        };
        let truth =
            0.95 * [0.6, 0.7, 0.8, 0.9, 0.95].map(|p: f64| 1.0 - (1.0 - p).powi(8)).iter().sum::<f64>() / 5.0;
        let covers = |_: &usize| mean_share(&values(), 16, Level::default()).unwrap().contains(truth);
        let covered = (0..1000).filter(covers).count();
        assert!(covered >= 940, "{covered} of 1000");
    }

    #[test]
    fn the_interval_on_these_problems_is_narrower() {
        let tallies = cell(&[0, 0, 1, 2, 8, 16, 16, 15, 3, 0], 16);
        let like = accuracy(&tallies, Level::default()).unwrap();
        let these = accuracy_on_these_problems(&tallies, Level::default()).unwrap();
        assert_eq!(like.value, these.value);
        assert!(these.ci_high - these.ci_low < (like.ci_high - like.ci_low) / 3.0);
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        assert_eq!(
            accuracy(&cell(&[1, 5], 4), Level::default()),
            Err(Undefined::ImpossibleTally { problem: 1 })
        );
        assert_eq!(accuracy(&cell(&[0], 0), Level::default()), Err(Undefined::NoTrajectories { problem: 0 }));
        assert_eq!(accuracy(&[], Level::default()), Err(Undefined::TooFewProblems { have: 0, need: 1 }));
        assert_eq!(mean_share(&[0.5, f64::NAN], 1, Level::default()), Err(Undefined::NotFinite));
    }
}
