//! Cost-of-pass: what one correct answer costs *on each problem* (Erol et al. 2025, arXiv 2504.13359).
//!
//! `v_i = C_i / R_i`, the mean cost of an attempt over the chance that it is correct: the expected cost of retrying
//! against a free perfect checker. It is infinite on a problem that is never solved, and the plug-in with c of K
//! correct is badly biased at small K (+18 % at p = 0.5 and K = 8). So three numbers are given together:
//!
//! - `shrunk`: R_i replaced by its posterior mean under a Beta prior fitted to the whole cell by moments, which
//!   is finite on every problem as long as any is solved. It depends on the prior where R = 0; read it with
//! - `never_solved`: the share of problems without a correct trajectory, and
//! - `plug_in`: the mean of C / R, absent as soon as one problem was never solved.
//!
//! [`super::ratio`] needs none of this and is the one to compare cells with.

use super::estimate::{Estimate, Level, Undefined};
use super::mean::{Moments, mean_over_problems};
use super::proportion::{Tally, mean_share, shares};
use serde::{Deserialize, Serialize};

/// Cost of a correct answer, averaged over problems.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostOfPass {
    /// Mean of cost over shrunk chance of success, in the unit of cost.
    pub shrunk: Estimate,
    /// Mean of cost over observed share correct; absent when infinite.
    pub plug_in: Option<f64>,
    /// Share of problems with no correct trajectory.
    pub never_solved: Estimate,
}

/// Cost-of-pass from the mean cost of an attempt and the tally of each problem. The interval of the shrunk mean is
/// taken on the log scale over problems, with the prior as fitted.
///
/// # Errors
/// [`Undefined::NoCorrectAnswers`], [`Undefined::UnequalLengths`], [`Undefined::TooFewProblems`] below two, and as
/// [`shares`]; [`Undefined::NotFinite`] unless all costs are positive.
pub fn cost_of_pass(costs: &[f64], tallies: &[Tally], level: Level) -> Result<CostOfPass, Undefined> {
    if costs.len() != tallies.len() {
        return Err(Undefined::UnequalLengths { left: costs.len(), right: tallies.len() });
    }
    if !costs.iter().all(|cost| *cost > 0.0 && cost.is_finite()) {
        return Err(Undefined::NotFinite);
    }
    let observed = shares(tallies)?;
    if observed.iter().all(|&share| share == 0.0) {
        return Err(Undefined::NoCorrectAnswers);
    }
    let prior = Prior::of(&observed, tallies);
    let shrunk: Vec<f64> =
        costs.iter().zip(tallies).map(|(cost, tally)| cost / prior.chance(tally)).collect();
    let plug_in: f64 =
        costs.iter().zip(&observed).map(|(cost, share)| cost / share).sum::<f64>() / costs.len() as f64;
    let never: Vec<f64> = observed.iter().map(|&share| f64::from(u8::from(share == 0.0))).collect();
    Ok(CostOfPass {
        shrunk: positive_mean(&shrunk, level)?,
        plug_in: plug_in.is_finite().then_some(plug_in),
        never_solved: mean_share(&never, 1, level)?,
    })
}

/// Mean of positive values; the t interval carried to the log scale, so that it stays positive.
fn positive_mean(values: &[f64], level: Level) -> Result<Estimate, Undefined> {
    let e = mean_over_problems(values, level)?;
    let reach = (e.ci_high - e.value) / e.value;
    Estimate::finite(e.value, e.value * (-reach).exp(), e.value * reach.exp(), e.n)
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

    fn chance(&self, tally: &Tally) -> f64 {
        (tally.correct as f64 + self.successes) / (tally.trajectories as f64 + self.trials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies(correct: &[usize], k: usize) -> Vec<Tally> {
        correct.iter().map(|&correct| Tally { correct, trajectories: k }).collect()
    }

    #[test]
    fn a_problem_never_solved_makes_the_plug_in_absent_and_the_shrunk_finite() {
        let got = cost_of_pass(&[2.0; 4], &tallies(&[0, 4, 8, 8], 8), Level::default()).unwrap();
        assert_eq!((got.plug_in, got.never_solved.value), (None, 0.25));
        assert!(got.shrunk.value > 2.0 && got.shrunk.ci_low > 0.0, "{got:?}");
    }

    #[test]
    fn with_many_trajectories_shrinkage_fades_and_both_agree() {
        let got = cost_of_pass(&[3.0; 3], &tallies(&[2500, 5000, 10_000], 10_000), Level::default()).unwrap();
        assert!((got.plug_in.unwrap() - 7.0).abs() < 1e-12);
        assert!((got.shrunk.value - 7.0).abs() < 0.01, "{got:?}");
    }

    #[test]
    fn shrinkage_removes_most_of_the_bias_of_few_trajectories() {
        // Every problem has chance 1/2 and every count of 8 occurs as often as the binomial says (of 256).
        let binomial = [1, 8, 28, 56, 70, 56, 28, 8, 1];
        let correct: Vec<usize> = (1..=8).flat_map(|c| vec![c; binomial[c]]).collect();
        let got = cost_of_pass(&vec![1.0; correct.len()], &tallies(&correct, 8), Level::default()).unwrap();
        assert!(got.plug_in.unwrap() > 2.3 && (got.shrunk.value - 2.0).abs() < 0.05, "{got:?}");
    }

    #[test]
    fn the_prior_is_as_strong_as_the_shares_are_alike() {
        // By hand: spread 1/4, between 0.05952, hence 3.2 prior trials; chances 3.6 / 11.2 and 7.6 / 11.2.
        let got = cost_of_pass(&[1.0; 4], &tallies(&[2, 6, 2, 6], 8), Level::default()).unwrap();
        assert!((got.shrunk.value - (11.2 / 3.6 + 11.2 / 7.6) / 2.0).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn no_correct_answer_anywhere_is_said() {
        let got = cost_of_pass(&[1.0; 3], &tallies(&[0, 0, 0], 8), Level::default());
        assert_eq!(got, Err(Undefined::NoCorrectAnswers));
        assert!(cost_of_pass(&[1.0], &tallies(&[1, 1], 1), Level::default()).is_err());
        assert!(cost_of_pass(&[0.0; 2], &tallies(&[1, 1], 1), Level::default()).is_err());
    }
}
