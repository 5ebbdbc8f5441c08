//! Cost-of-pass: what one correct answer costs *on each problem* (Erol et al. 2025, arXiv 2504.13359).
//!
//! `v_i = C_i / R_i`, the mean cost of an attempt over the chance that it is correct: the expected cost of retrying
//! against a free perfect checker. It is infinite on a problem that is never solved, and the plug-in with c of K
//! correct is badly biased at small K (+18 % at p = 0.5 and K = 8). So three numbers are given together:
//!
//! - `shrunk`: 1 / R_i replaced by its posterior mean under a Beta prior fitted to the whole cell by moments. With s
//!   prior successes in t prior trials it is `(K + t - 1) / (c + s - 1)`, the mean of 1 / p under Beta(c + s, K - c + t - s).
//!   (One over the posterior mean of p is smaller, by Jensen's inequality: up to a quarter.) Where `c + s <= 1` on any
//!   problem that mean is infinite and the number absent;
//! - `never_solved`: the share of problems without a correct trajectory; and
//! - `plug_in`: the mean of C / R, absent as soon as one problem was never solved.
//!
//! [`super::ratio`] needs none of this and is the one to compare cells with.

use super::estimate::{Estimate, Level, Undefined};
use super::interval::jackknife_reach;
use super::mean::Moments;
use super::proportion::{Tally, mean_share, shares};
use serde::{Deserialize, Serialize};

/// Cost of a correct answer, averaged over problems.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostOfPass {
    /// Mean of cost times the posterior mean of one over the chance of success, in the unit of cost; absent where some
    /// problem leaves that without a bound.
    pub shrunk: Option<Estimate>,
    /// Mean of cost over observed share correct; absent when infinite.
    pub plug_in: Option<f64>,
    /// Share of problems with no correct trajectory.
    pub never_solved: Estimate,
}

/// Cost-of-pass from the mean cost of an attempt and the tally of each problem. The interval of the shrunk mean is the
/// jackknife's over problems, on the log scale, with the prior fitted anew without each.
///
/// # Errors
/// [`Undefined::NoCorrectAnswers`], [`Undefined::UnequalLengths`], [`Undefined::TooFewProblems`] below two, and as
/// [`shares`]; [`Undefined::NotFinite`] unless all costs are positive.
pub fn cost_of_pass(costs: &[f64], tallies: &[Tally], level: Level) -> Result<CostOfPass, Undefined> {
    if costs.len() != tallies.len() {
        return Err(Undefined::UnequalLengths { left: costs.len(), right: tallies.len() });
    }
    if costs.len() < 2 {
        return Err(Undefined::TooFewProblems { have: costs.len(), need: 2 });
    }
    if !costs.iter().all(|cost| *cost > 0.0 && cost.is_finite()) {
        return Err(Undefined::NotFinite);
    }
    let observed = shares(tallies)?;
    if observed.iter().all(|&share| share == 0.0) {
        return Err(Undefined::NoCorrectAnswers);
    }
    let plug_in: f64 =
        costs.iter().zip(&observed).map(|(cost, share)| cost / share).sum::<f64>() / costs.len() as f64;
    let never: Vec<f64> = observed.iter().map(|&share| f64::from(u8::from(share == 0.0))).collect();
    Ok(CostOfPass {
        shrunk: shrunk(costs, tallies, level),
        plug_in: plug_in.is_finite().then_some(plug_in),
        never_solved: mean_share(&never, 1, level)?,
    })
}

/// The shrunk mean with its interval; absent where it has no value, or would have none without one of the problems.
fn shrunk(costs: &[f64], tallies: &[Tally], level: Level) -> Option<Estimate> {
    let log = shrunk_mean(costs, tallies)?.ln();
    let without = |problem: usize| {
        let (mut costs, mut tallies) = (costs.to_vec(), tallies.to_vec());
        costs.remove(problem);
        tallies.remove(problem);
        shrunk_mean(&costs, &tallies).map(f64::ln)
    };
    let left_out: Vec<f64> = (0..costs.len()).map(without).collect::<Option<_>>()?;
    let (reach, df) = jackknife_reach(&left_out, level);
    Estimate::student(log, reach, costs.len(), df).ok()?.map_increasing(f64::exp).ok()
}

/// Mean of cost times the posterior mean of 1 / p.
fn shrunk_mean(costs: &[f64], tallies: &[Tally]) -> Option<f64> {
    let prior = Prior::of(&shares(tallies).ok()?, tallies);
    let of = |(cost, tally): (&f64, &Tally)| Some(cost * prior.tries(tally)?);
    let sum: f64 = costs.iter().zip(tallies).map(of).sum::<Option<f64>>()?;
    Some(sum / costs.len() as f64).filter(|mean| mean.is_finite())
}

/// A Beta prior for the chance of success, as prior successes and prior trials.
struct Prior {
    successes: f64,
    trials: f64,
}

impl Prior {
    /// By moments: the prior trials are what is left of the spread of shares once sampling noise is taken out, kept
    /// between 1/4 (nearly no shrinkage) and 1,000 (all problems equal). One trajectory per problem cannot tell
    /// them apart: 1.
    fn of(observed: &[f64], tallies: &[Tally]) -> Self {
        let Moments { mean, variance } = Moments::of(observed);
        let spread = mean * (1.0 - mean);
        let noise = |tally: &Tally| 1.0 / tally.trajectories as f64;
        let per_problem = tallies.iter().map(noise).sum::<f64>() / tallies.len() as f64;
        let between = (variance - spread * per_problem) / (1.0 - per_problem);
        let trials = if per_problem >= 1.0 {
            1.0
        } else if between > 0.0 {
            (spread / between - 1.0).clamp(0.25, 1000.0)
        } else {
            1000.0
        };
        Self { successes: mean * trials, trials }
    }

    /// Posterior mean of one over the chance; absent where it is infinite.
    fn tries(&self, tally: &Tally) -> Option<f64> {
        let successes = tally.correct as f64 + self.successes;
        let trials = tally.trajectories as f64 + self.trials;
        (successes > 1.0).then(|| (trials - 1.0) / (successes - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn tallies(correct: &[usize], k: usize) -> Vec<Tally> {
        correct.iter().map(|&correct| Tally { correct, trajectories: k }).collect()
    }

    #[test]
    fn a_problem_never_solved_makes_the_plug_in_absent_and_the_shrunk_finite_only_if_others_are_like_it() {
        let of = |correct| cost_of_pass(&[2.0; 8], &tallies(correct, 8), Level::default()).unwrap();
        let alike = of(&[0, 1, 2, 2, 3, 2, 1, 3]);
        assert_eq!((alike.plug_in, alike.never_solved.value), (None, 0.125));
        assert!(alike.shrunk.is_some_and(|e| e.value > 2.0 && e.ci_low > 0.0), "{alike:?}");
        let apart = of(&[0, 4, 8, 8, 8, 8, 8, 8]);
        assert_eq!((apart.shrunk, apart.plug_in), (None, None));
    }

    #[test]
    fn with_many_trajectories_shrinkage_fades_and_both_agree() {
        let got = cost_of_pass(&[3.0; 3], &tallies(&[2500, 5000, 10_000], 10_000), Level::default()).unwrap();
        assert!((got.plug_in.unwrap() - 7.0).abs() < 1e-12);
        assert!((got.shrunk.unwrap().value - 7.0).abs() < 0.01, "{got:?}");
    }

    #[test]
    fn shrinkage_removes_most_of_the_bias_of_few_trajectories() {
        // Every problem has chance 1/2 and every count of 8 occurs as often as the binomial says (of 256).
        let binomial = [1, 8, 28, 56, 70, 56, 28, 8, 1];
        let correct: Vec<usize> = (1..=8).flat_map(|c| vec![c; binomial[c]]).collect();
        let got = cost_of_pass(&vec![1.0; correct.len()], &tallies(&correct, 8), Level::default()).unwrap();
        assert!(got.plug_in.unwrap() > 2.3 && (got.shrunk.unwrap().value - 2.0).abs() < 0.05, "{got:?}");
    }

    #[test]
    fn the_prior_is_as_strong_as_the_shares_are_alike() {
        // By hand: spread 1/4, between 0.05952, hence 3.2 prior trials and 1.6 successes.
        let got = cost_of_pass(&[1.0; 4], &tallies(&[2, 6, 2, 6], 8), Level::default()).unwrap();
        assert!((got.shrunk.unwrap().value - (10.2 / 2.6 + 10.2 / 6.6) / 2.0).abs() < 1e-9, "{got:?}");
    }

    /// Chances from Beta(3, 3), the median of five uniform numbers; E[1 / p] = 5 / 2.
    #[test]
    fn problems_of_unequal_difficulty_are_covered_and_not_understated() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut drawn = || {
            let mut five: [f64; 5] = std::array::from_fn(|_| rng.random());
            five.sort_by(f64::total_cmp);
            (0..16).filter(|_| rng.random::<f64>() < five[2]).count()
        };
        let mut run = || -> Vec<usize> { (0..60).map(|_| drawn()).collect() };
        let estimates: Vec<Estimate> = (0..400)
            .filter_map(|_| cost_of_pass(&[1.0; 60], &tallies(&run(), 16), Level::default()).unwrap().shrunk)
            .collect();
        let mean = estimates.iter().map(|e| e.value).sum::<f64>() / estimates.len() as f64;
        let covered = estimates.iter().filter(|e| e.contains(2.5)).count();
        assert!((mean / 2.5 - 1.0).abs() < 0.05, "{mean}");
        assert!(
            estimates.len() > 390 && covered * 100 >= estimates.len() * 88,
            "{covered} of {}",
            estimates.len()
        );
    }

    #[test]
    fn no_correct_answer_anywhere_is_said() {
        let got = cost_of_pass(&[1.0; 3], &tallies(&[0, 0, 0], 8), Level::default());
        assert_eq!(got, Err(Undefined::NoCorrectAnswers));
        assert!(cost_of_pass(&[1.0], &tallies(&[1, 1], 1), Level::default()).is_err());
        assert!(cost_of_pass(&[0.0; 2], &tallies(&[1, 1], 1), Level::default()).is_err());
    }
}
