//! maj@n, self-consistency (Wang et al. 2022, arXiv 2203.11171): the most frequent answer of n completions.
//!
//! Its expectation over all n-subsets of N trajectories depends only on the number of votes of each answer, so
//! it can be counted instead of enumerated. The correct answer, with c votes, wins with j votes when every other
//! answer gets at most j; it wins a share `1 / (t + 1)` when t others get exactly j. For each j:
//!
//! - choose j of its votes: `C(c, j)` ways;
//! - answers with fewer than j votes, and trajectories without an answer, cannot tie: together they fill i places
//!   in `C(m, i)` ways (Vandermonde);
//! - answers with j votes or more (there are at most N / j) are convolved one by one, keeping the number of ties.
//!
//! That is about `N n^2 log n` steps: exact for the N of a benchmark. Above a limit random subsets are used.
//! Completions without an answer fill a place and cast no vote; n of them together answer nothing, which is wrong.

use super::subsets::mean_over_subsets;
use super::votes::{Classes, Subsets, Vote};

/// Above this many steps per problem (N = 64 and n = 32 take 0.3 million) random subsets are used.
const STEPS_LIMIT: usize = 20_000_000;

/// Binomials of larger N overflow.
const EXACT_LIMIT: usize = 1000;

/// Chance that the majority of `n` completions is correct; absent for `n` outside 1..=N.
pub fn majority_at_n(votes: &[Vote], n: usize, subsets: Subsets, stream: u64) -> Option<f64> {
    if n == 0 || n > votes.len() {
        return None;
    }
    let classes = Classes::of(votes);
    let exact = majority_is_exact(votes.len(), n);
    Some(if exact { exact_majority(&classes, n) } else { random_majority(&classes, n, subsets, stream) })
}

/// Whether [`majority_at_n`] counts every subset rather than drawing some.
pub fn majority_is_exact(trajectories: usize, n: usize) -> bool {
    trajectories <= EXACT_LIMIT && trajectories * n * n <= STEPS_LIMIT
}

fn exact_majority(classes: &Classes, n: usize) -> f64 {
    let total = classes.of_vote.len();
    let choose = Pascal::up_to(total);
    let wins = |class: usize| {
        let others: Vec<usize> = (0..classes.counts.len())
            .filter(|&other| other != class)
            .map(|other| classes.counts[other])
            .collect();
        let silent = total - classes.counts.iter().sum::<usize>();
        winning_subsets(&choose, classes.counts[class], &others, silent, n)
    };
    let possible = (0..classes.counts.len()).filter(|&class| classes.prize[class] > 0.0);
    let sum: f64 = possible.map(|class| classes.prize[class] * wins(class)).sum();
    (sum / choose.of(total, n)).clamp(0.0, 1.0)
}

/// Number of n-subsets in which an answer with `votes` votes wins, a tie with t others counting `1 / (t + 1)`.
fn winning_subsets(choose: &Pascal, votes: usize, others: &[usize], silent: usize, n: usize) -> f64 {
    let with_votes = |j: usize| {
        let ways = rest_by_ties(choose, others, silent, j, n - j);
        let shared = ways.iter().enumerate().map(|(ties, ways)| ways / (ties + 1) as f64);
        choose.of(votes, j) * shared.sum::<f64>()
    };
    (1..=votes.min(n)).map(with_votes).sum()
}

/// Ways to fill `places` from the other answers with at most `j` votes each, by the number that get exactly `j`.
fn rest_by_ties(choose: &Pascal, others: &[usize], silent: usize, j: usize, places: usize) -> Vec<f64> {
    let free = silent + others.iter().filter(|&&votes| votes < j).sum::<usize>();
    let width = places + 1;
    let mut ways = vec![0.0; (places / j + 1) * width];
    (0..width).for_each(|filled| ways[filled] = choose.of(free, filled));
    for &votes in others.iter().filter(|&&votes| votes >= j) {
        ways = add_answer(choose, &ways, width, votes, j);
    }
    ways.chunks(width).map(|row| row[places]).collect()
}

/// One more answer with `votes >= j` votes; rows are ties, columns filled places.
fn add_answer(choose: &Pascal, ways: &[f64], width: usize, votes: usize, j: usize) -> Vec<f64> {
    let mut next = vec![0.0; ways.len()];
    for (ties, row) in ways.chunks(width).enumerate() {
        for (filled, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            for taken in 0..=j.min(width - 1 - filled) {
                let ties = ties + usize::from(taken == j);
                next[ties * width + filled + taken] += count * choose.of(votes, taken);
            }
        }
    }
    next
}

fn random_majority(classes: &Classes, n: usize, subsets: Subsets, stream: u64) -> f64 {
    let mut counts = vec![0u32; classes.counts.len()];
    mean_over_subsets(classes.of_vote.len(), n, subsets, stream, |subset| {
        counts.fill(0);
        subset.iter().filter_map(|&vote| classes.of_vote[vote]).for_each(|class| counts[class] += 1);
        let most = counts.iter().copied().max().unwrap_or(0);
        let winners = (0..counts.len()).filter(|&class| most > 0 && counts[class] == most);
        let (prize, tied) = winners.fold((0.0, 0.0), |(p, t), class| (p + classes.prize[class], t + 1.0));
        if tied > 0.0 { prize / tied } else { 0.0 }
    })
}

/// Pascal's triangle: `C(n, k)` for n up to a limit, exact below 2^53.
struct Pascal(Vec<Vec<f64>>);

impl Pascal {
    fn up_to(n: usize) -> Self {
        let mut rows = vec![vec![1.0]];
        for i in 0..n {
            let above = &rows[i];
            let mut row = vec![1.0; i + 2];
            (1..=i).for_each(|k| row[k] = above[k - 1] + above[k]);
            rows.push(row);
        }
        Self(rows)
    }

    fn of(&self, n: usize, k: usize) -> f64 {
        self.0[n].get(k).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::votes::tests::{every_subset, votes_for};
    use super::*;
    use proptest::prelude::*;

    /// Majority by enumeration in whole numbers: 2520 = lcm(1..=10) shares per subset.
    fn enumerated(votes: &[Vote], n: usize) -> (u64, u64) {
        let shares = |subset: &Vec<Vote>| {
            let count = |class| subset.iter().filter(|v| v.answer == Some(class)).count();
            let most = (0..10).map(count).max().unwrap_or(0);
            let winners: Vec<usize> = (0..10).filter(|&class| most > 0 && count(class) == most).collect();
            if winners.contains(&0) { 2520 / winners.len() as u64 } else { 0 }
        };
        let subsets = every_subset(votes, n);
        (subsets.iter().map(shares).sum(), 2520 * subsets.len() as u64)
    }

    proptest! {
        #[test]
        fn counted_majority_equals_enumeration_with_ties_shared(
            answers in prop::collection::vec(prop::option::of(0usize..5), 1..12), n in 1usize..12
        ) {
            prop_assume!(n <= answers.len());
            let votes = votes_for(&answers);
            let (hits, all) = enumerated(&votes, n);
            let got = majority_at_n(&votes, n, Subsets::default(), 0).unwrap() * all as f64;
            prop_assert_eq!(got.round() as u64, hits);
            prop_assert!((got - hits as f64).abs() < 1e-6);
        }

        #[test]
        fn drawing_every_subset_equals_counting_them(
            answers in prop::collection::vec(prop::option::of(0usize..4), 1..9), n in 1usize..9
        ) {
            prop_assume!(n <= answers.len());
            let classes = Classes::of(&votes_for(&answers));
            let drawn = random_majority(&classes, n, Subsets { draws: 1000, seed: 0 }, 0);
            prop_assert!((drawn - exact_majority(&classes, n)).abs() < 1e-12);
        }
    }

    #[test]
    fn random_subsets_agree_with_the_exact_count_within_their_noise() {
        let answers: Vec<_> =
            (0..64).map(|i| [Some(0), Some(1), Some(0), None, Some(2), Some(1)][i % 6]).collect();
        let classes = Classes::of(&votes_for(&answers));
        let drawn = random_majority(&classes, 8, Subsets { draws: 20_000, seed: 3 }, 0);
        assert!((drawn - exact_majority(&classes, 8)).abs() < 0.01);
    }

    #[test]
    fn the_largest_exact_case_stays_a_probability() {
        let answers: Vec<_> = (0..200).map(|i| Some(i % 9)).collect();
        let chance = majority_at_n(&votes_for(&answers), 100, Subsets::default(), 0).unwrap();
        assert!((0.0..=1.0).contains(&chance) && chance > 1.0 / 9.0, "{chance}");
    }

    #[test]
    fn no_answer_at_all_is_wrong_not_undefined() {
        assert_eq!(majority_at_n(&votes_for(&[None; 5]), 3, Subsets::default(), 0), Some(0.0));
    }
}
