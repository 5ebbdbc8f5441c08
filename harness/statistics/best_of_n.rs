//! Best-of-n by a score, and shortest@n, which is best-of-n with the length as a score to keep low.
//!
//! Sort the N trajectories by score. The j-th best is the best of a random n-subset when it is drawn and the
//! other n - 1 come from the N - j below it: its weight is `C(N - j, n - 1) / C(N, n)` (Nakano et al. 2021,
//! WebGPT, arXiv 2112.09332, section 3.2; Gao et al. 2022). Equal scores share the weight of their places, which
//! averages over the orders in which the tie could be broken.

use super::votes::Vote;

/// Chance that the highest score among `n` completions belongs to a correct one; absent for `n` outside 1..=N.
/// Scores that are not finite rank lowest.
pub fn best_of_n(votes: &[Vote], n: usize) -> Option<f64> {
    chance_of_the_top(votes, n, |vote| vote.score)
}

/// Chance that the shortest among `n` completions is correct; absent for `n` outside 1..=N.
pub fn shortest_at_n(votes: &[Vote], n: usize) -> Option<f64> {
    chance_of_the_top(votes, n, |vote| -vote.tokens)
}

fn chance_of_the_top(votes: &[Vote], n: usize, score: impl Fn(&Vote) -> f64) -> Option<f64> {
    if n == 0 || n > votes.len() {
        return None;
    }
    let rank = |vote: &Vote| Some(score(vote)).filter(|s| s.is_finite()).unwrap_or(f64::NEG_INFINITY);
    let mut ranked: Vec<(f64, bool)> = votes.iter().map(|vote| (rank(vote), vote.correct)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let weights = place_weights(votes.len(), n);
    let mut place = 0;
    let shared = ranked.chunk_by(|a, b| a.0 == b.0).map(|tied| {
        let weight: f64 = weights[place..place + tied.len()].iter().sum();
        place += tied.len();
        weight * tied.iter().filter(|(_, correct)| *correct).count() as f64 / tied.len() as f64
    });
    Some(shared.sum::<f64>().clamp(0.0, 1.0))
}

/// `C(N - j, n - 1) / C(N, n)` for j = 1..=N, by the ratio of neighbours: no binomial is ever formed.
fn place_weights(total: usize, n: usize) -> Vec<f64> {
    let mut weight = n as f64 / total as f64;
    let step = |j: usize| {
        let here = weight;
        let below = total - j;
        weight *= if below > 0 { (below as f64 - n as f64 + 1.0).max(0.0) / below as f64 } else { 0.0 };
        here
    };
    (1..=total).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pass_at_k::pass_at_k;
    use super::super::votes::tally;
    use super::super::votes::tests::{every_subset, votes_for};
    use super::*;
    use proptest::prelude::*;

    /// Best-of-n by enumeration: 2520 = lcm(1..=10) shares per subset, in whole numbers.
    fn enumerated(votes: &[Vote], n: usize) -> (u64, u64) {
        let shares = |subset: &Vec<Vote>| {
            let top = subset.iter().map(|v| v.score).fold(f64::NEG_INFINITY, f64::max);
            let tied: Vec<_> = subset.iter().filter(|v| v.score == top).collect();
            2520 / tied.len() as u64 * tied.iter().filter(|v| v.correct).count() as u64
        };
        let subsets = every_subset(votes, n);
        (subsets.iter().map(shares).sum(), 2520 * subsets.len() as u64)
    }

    proptest! {
        #[test]
        fn best_of_n_equals_enumeration_with_ties_shared(
            answers in prop::collection::vec(prop::option::of(0usize..3), 1..10), n in 1usize..10
        ) {
            prop_assume!(n <= answers.len());
            let votes = votes_for(&answers);
            let (hits, all) = enumerated(&votes, n);
            let got = best_of_n(&votes, n).unwrap();
            prop_assert_eq!((got * all as f64).round() as u64, hits);
            prop_assert!((got * all as f64 - hits as f64).abs() < 1e-6);
        }

        #[test]
        fn a_perfect_score_reaches_pass_at_k(
            answers in prop::collection::vec(prop::option::of(0usize..3), 1..40), n in 1usize..40
        ) {
            prop_assume!(n <= answers.len());
            let mut votes = votes_for(&answers);
            votes.iter_mut().for_each(|vote| vote.score = f64::from(u8::from(vote.correct)));
            let oracle = pass_at_k(tally(&votes), n).unwrap();
            prop_assert!((best_of_n(&votes, n).unwrap() - oracle).abs() < 1e-12);
        }
    }

    #[test]
    fn the_weights_of_the_places_sum_to_one() {
        for (total, n) in [(1, 1), (64, 1), (64, 32), (64, 64), (5000, 2500)] {
            let sum: f64 = place_weights(total, n).iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{total} {n} {sum}");
        }
    }

    #[test]
    fn a_score_that_is_not_a_number_ranks_lowest() {
        let mut votes = votes_for(&[Some(0), Some(1)]);
        votes[0].score = f64::NAN;
        votes[1].score = -1e300;
        assert_eq!(best_of_n(&votes, 2), Some(0.0));
    }

    #[test]
    fn the_shortest_of_all_is_the_shortest() {
        let mut votes = votes_for(&[Some(1), Some(0), Some(1)]);
        votes[1].tokens = -1.0;
        assert_eq!(shortest_at_n(&votes, 3), Some(1.0));
        assert_eq!(shortest_at_n(&votes, 4), None);
    }
}
