//! Weighted vote: the answer with the largest sum of scores among n completions (Li et al. 2022, arXiv
//! 2206.02336; "weighted best-of-n" in Snell et al. 2024).
//!
//! Sums of real weights cannot be counted like votes, so the subsets themselves are visited: all of them when
//! they are few, else the seeded random ones of [`Subsets`]. Sums within 1e-12 of each other, relative to the
//! largest, are tied and share. A weight that is negative, 0 or not finite casts no vote: an answer that nobody
//! gives any weight is not an answer.

use super::subsets::mean_over_subsets;
use super::votes::{Classes, Subsets, Vote};

/// Chance that the weighted vote of `n` completions is correct; absent for `n` outside 1..=N.
pub fn weighted_at_n(votes: &[Vote], n: usize, subsets: Subsets, stream: u64) -> Option<f64> {
    if n == 0 || n > votes.len() {
        return None;
    }
    let classes = Classes::of(votes);
    let weights: Vec<f64> = votes
        .iter()
        .map(|vote| Some(vote.score).filter(|s| s.is_finite()).map_or(0.0, |s| s.max(0.0)))
        .collect();
    let mut sums = vec![0.0; classes.counts.len()];
    Some(mean_over_subsets(votes.len(), n, subsets, stream, |subset| {
        sums.fill(0.0);
        for &vote in subset {
            if let Some(class) = classes.of_vote[vote] {
                sums[class] += weights[vote];
            }
        }
        prize_of_the_heaviest(&classes, &sums)
    }))
}

fn prize_of_the_heaviest(classes: &Classes, sums: &[f64]) -> f64 {
    let most = sums.iter().copied().fold(0.0, f64::max);
    let winners = (0..sums.len()).filter(|&class| most > 0.0 && sums[class] >= most * (1.0 - 1e-12));
    let (prize, tied) = winners.fold((0.0, 0.0), |(p, t), class| (p + classes.prize[class], t + 1.0));
    if tied > 0.0 { prize / tied } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::majority::majority_at_n;
    use super::super::votes::tests::{every_subset, votes_for};
    use super::*;
    use proptest::prelude::*;

    /// Weighted vote by enumeration in whole numbers (the scores are small integers).
    fn enumerated(votes: &[Vote], n: usize) -> (u64, u64) {
        let shares = |subset: &Vec<Vote>| {
            let sum = |class| {
                subset.iter().filter(|v| v.answer == Some(class)).map(|v| v.score as u64).sum::<u64>()
            };
            let most = (0..10).map(sum).max().unwrap_or(0);
            let winners: Vec<usize> = (0..10).filter(|&class| most > 0 && sum(class) == most).collect();
            if winners.contains(&0) { 2520 / winners.len() as u64 } else { 0 }
        };
        let subsets = every_subset(votes, n);
        (subsets.iter().map(shares).sum(), 2520 * subsets.len() as u64)
    }

    proptest! {
        #[test]
        fn weighted_vote_equals_enumeration_with_ties_shared(
            answers in prop::collection::vec(prop::option::of(0usize..5), 1..11), n in 1usize..11
        ) {
            prop_assume!(n <= answers.len());
            let votes = votes_for(&answers);
            let (hits, all) = enumerated(&votes, n);
            let got = weighted_at_n(&votes, n, Subsets::default(), 0).unwrap() * all as f64;
            prop_assert_eq!(got.round() as u64, hits);
            prop_assert!((got - hits as f64).abs() < 1e-6);
        }

        #[test]
        fn equal_weights_are_a_majority_vote(
            answers in prop::collection::vec(prop::option::of(0usize..5), 1..11), n in 1usize..11
        ) {
            prop_assume!(n <= answers.len());
            let mut votes = votes_for(&answers);
            votes.iter_mut().for_each(|vote| vote.score = 0.3);
            let weighted = weighted_at_n(&votes, n, Subsets::default(), 0).unwrap();
            let majority = majority_at_n(&votes, n, Subsets::default(), 0).unwrap();
            prop_assert!((weighted - majority).abs() < 1e-12);
        }
    }

    #[test]
    fn weights_that_are_not_numbers_cast_no_vote() {
        let mut votes = votes_for(&[Some(1), Some(0)]);
        (votes[0].score, votes[1].score) = (f64::NAN, 0.1);
        assert_eq!(weighted_at_n(&votes, 2, Subsets::default(), 0), Some(1.0));
    }

    #[test]
    fn random_subsets_are_close_to_the_truth() {
        let answers: Vec<_> = (0..14).map(|i| Some([0, 1, 0, 2, 1, 0, 3][i % 7])).collect();
        let votes = votes_for(&answers);
        let all = weighted_at_n(&votes, 7, Subsets { draws: 10_000, seed: 0 }, 0).unwrap();
        let some = weighted_at_n(&votes, 7, Subsets { draws: 3_000, seed: 0 }, 0).unwrap();
        assert!(all != some && (all - some).abs() < 0.03, "{all} {some}");
    }
}
