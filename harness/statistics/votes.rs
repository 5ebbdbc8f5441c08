//! What n completions become: the strategies, each estimated from N >= n trajectories.
//!
//! Taking the *first* n of N trajectories wastes the rest and resampling them with replacement is biased, so
//! every strategy here is the average over n-subsets without replacement (a U-statistic: Hoeffding 1948),
//! exactly where that is feasible and over seeded random subsets otherwise. Ties are shared: their expected
//! outcome is taken, never the first seen.
//!
//! All are computed per problem; [`strategy_accuracy`] averages over problems with the interval of
//! [`mean_share`]. The average is unbiased for every n <= N, but near N there are few distinct subsets and the
//! interval leans on few votes: [`is_reliable`] says `n <= N / 2`.

use super::best_of_n::{best_of_n, shortest_at_n};
use super::estimate::{Estimate, Level, Undefined};
use super::majority::majority_at_n;
use super::pass_at_k::pass_at_k;
use super::proportion::{Tally, mean_share};
use super::weighted::weighted_at_n;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// One trajectory, as far as a strategy can see it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// Whether its answer is graded correct (strategies never look, only their score does).
    pub correct: bool,
    /// Class of equal answers; absent when no answer could be read. It then casts no vote but fills a place.
    pub answer: Option<usize>,
    /// Score of a verifier, or weight of the vote. Not finite: the lowest score, weight 0.
    pub score: f64,
    /// Length in tokens (for shortest@n).
    pub tokens: f64,
}

/// How n completions become one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The first completion; n makes no difference.
    First,
    /// Any correct completion counts: what an oracle would reach, not an accuracy.
    PassAtK,
    /// The most frequent answer.
    Majority,
    /// The answer with the largest sum of scores.
    Weighted,
    /// The completion with the highest score.
    BestOfN,
    /// The shortest completion.
    Shortest,
}

/// More than rounding leaves.
const HAIR: f64 = 1e-12;

/// Random subsets for what cannot be enumerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subsets {
    /// Subsets per problem.
    pub draws: usize,
    /// Seed; problem `i` uses stream `i`, so the threads do not matter.
    pub seed: u64,
}

impl Default for Subsets {
    fn default() -> Self {
        Self { draws: 1000, seed: 0 }
    }
}

/// Whether an estimate at `n` from `trajectories` per problem rests on enough distinct subsets.
pub fn is_reliable(n: usize, trajectories: usize) -> bool {
    2 * n <= trajectories
}

/// Expected accuracy at `n` on each problem, in order: [0, 1] each. For paired comparisons of strategies.
///
/// # Errors
/// [`Undefined::NotEnoughTrajectories`] when a problem has fewer than `n`, or `n` is 0.
pub fn strategy_per_problem(
    problems: &[Vec<Vote>],
    n: usize,
    strategy: Strategy,
    subsets: Subsets,
) -> Result<Vec<f64>, Undefined> {
    let value = |(stream, votes): (usize, &Vec<Vote>)| {
        let found = match strategy {
            Strategy::First => tally(votes).share().filter(|_| (1..=votes.len()).contains(&n)),
            Strategy::PassAtK => pass_at_k(tally(votes), n),
            Strategy::Majority => majority_at_n(votes, n, subsets, stream as u64),
            Strategy::Weighted => weighted_at_n(votes, n, subsets, stream as u64),
            Strategy::BestOfN => best_of_n(votes, n),
            Strategy::Shortest => shortest_at_n(votes, n),
        };
        found.map(snapped).ok_or(Undefined::NotEnoughTrajectories { n, have: votes.len() })
    };
    problems.par_iter().enumerate().map(value).collect()
}

/// Sums of chances leave a share a hair beside 0 or 1, where it would pass for one that varies.
fn snapped(share: f64) -> f64 {
    match share {
        share if share < HAIR => 0.0,
        share if share > 1.0 - HAIR => 1.0,
        share => share,
    }
}

/// Accuracy at `n` over problems like these.
///
/// # Errors
/// As [`strategy_per_problem`] and [`mean_share`].
pub fn strategy_accuracy(
    problems: &[Vec<Vote>],
    n: usize,
    strategy: Strategy,
    subsets: Subsets,
    level: Level,
) -> Result<Estimate, Undefined> {
    let fewest = problems.iter().map(Vec::len).min().unwrap_or(0);
    mean_share(&strategy_per_problem(problems, n, strategy, subsets)?, fewest, level)
}

/// Outcomes of one problem.
pub(crate) fn tally(votes: &[Vote]) -> Tally {
    Tally::of(votes.iter().map(|vote| vote.correct))
}

/// The answer classes of one problem that received a vote.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Classes {
    /// For each vote its class, renumbered from 0; absent without an answer.
    pub(crate) of_vote: Vec<Option<usize>>,
    /// Votes per class.
    pub(crate) counts: Vec<usize>,
    /// Share of a class that is graded correct: 0 or 1 with a consistent grader.
    pub(crate) prize: Vec<f64>,
}

impl Classes {
    pub(crate) fn of(votes: &[Vote]) -> Self {
        let mut seen = std::collections::BTreeMap::new();
        let mut classes = Self::default();
        for vote in votes {
            let class = vote.answer.map(|answer| {
                let next = seen.len();
                *seen.entry(answer).or_insert(next)
            });
            classes.of_vote.push(class);
            if let Some(class) = class {
                classes.counts.resize(seen.len(), 0);
                classes.prize.resize(seen.len(), 0.0);
                classes.counts[class] += 1;
                classes.prize[class] += f64::from(u8::from(vote.correct));
            }
        }
        for (prize, &count) in classes.prize.iter_mut().zip(&classes.counts) {
            *prize /= count as f64;
        }
        classes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Votes for the classes in order, class 0 being correct; scores and lengths derived from the position.
    pub(crate) fn votes_for(answers: &[Option<usize>]) -> Vec<Vote> {
        let vote = |(i, &answer): (usize, &Option<usize>)| Vote {
            correct: answer == Some(0),
            answer,
            score: ((i * 7) % 5) as f64,
            tokens: ((i * 3) % 4) as f64,
        };
        answers.iter().enumerate().map(vote).collect()
    }

    /// Every n-subset of `votes`, by enumeration.
    pub(crate) fn every_subset(votes: &[Vote], n: usize) -> Vec<Vec<Vote>> {
        let chosen = |mask: &u32| mask.count_ones() as usize == n;
        let pick = |mask: u32| (0..votes.len()).filter(|i| mask >> i & 1 == 1).map(|i| votes[i]).collect();
        (0..1u32 << votes.len()).filter(chosen).map(pick).collect()
    }

    #[test]
    fn at_n_one_every_strategy_is_the_share_correct() {
        let problems = vec![votes_for(&[Some(0), Some(1), None, Some(0), Some(2), Some(2)])];
        use Strategy::*;
        for strategy in [First, PassAtK, Majority, Weighted, BestOfN, Shortest] {
            let got = strategy_per_problem(&problems, 1, strategy, Subsets::default()).unwrap();
            // A weight of 0 casts no vote: see `weighted`.
            let expected = if strategy == Weighted { 1.0 / 6.0 } else { 2.0 / 6.0 };
            assert!((got[0] - expected).abs() < 1e-12, "{strategy:?} {got:?}");
        }
    }

    #[test]
    fn what_is_always_solved_is_solved_by_every_strategy_with_no_rounding_left() {
        let problems: Vec<Vec<Vote>> = (3..40).map(|k| votes_for(&vec![Some(0); k])).collect();
        for strategy in [Strategy::PassAtK, Strategy::Majority, Strategy::BestOfN, Strategy::Shortest] {
            let got = strategy_per_problem(&problems, 3, strategy, Subsets::default()).unwrap();
            assert!(got.iter().all(|&share| share == 1.0), "{strategy:?} {got:?}");
        }
    }

    #[test]
    fn asking_for_more_than_there_is_is_refused() {
        let problems = vec![votes_for(&[Some(0); 4])];
        for n in [0, 5] {
            let got = strategy_per_problem(&problems, n, Strategy::Majority, Subsets::default());
            assert_eq!(got, Err(Undefined::NotEnoughTrajectories { n, have: 4 }));
        }
    }

    #[test]
    fn half_of_the_trajectories_is_the_limit_of_reliability() {
        assert!(is_reliable(32, 64) && !is_reliable(33, 64));
    }
}
