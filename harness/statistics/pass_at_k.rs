//! pass@k: the chance that at least one of k completions is correct (Chen et al. 2021, arXiv 2107.03374).
//!
//! With c of N correct it is `1 - C(N - c, k) / C(N, k)`, unbiased for every k <= N. The product form
//! `1 - prod_{i = N - c + 1}^{N} (1 - k / i)` needs no large binomials. The plug-in `1 - (1 - c / N)^k` is biased low.
//!
//! It is what a perfect verifier would reach, an upper bound on strategies and not an accuracy.

use super::proportion::Tally;

/// Unbiased pass@k of one problem; absent for `k = 0`, `k > N` or an impossible tally.
pub fn pass_at_k(tally: Tally, k: usize) -> Option<f64> {
    let Tally { correct: c, trajectories: n } = tally;
    if k == 0 || k > n || c > n {
        return None;
    }
    if n - c < k {
        return Some(1.0);
    }
    let miss: f64 = (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product();
    Some(1.0 - miss)
}

#[cfg(test)]
mod tests {
    use super::super::votes::tests::{every_subset, votes_for};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pass_at_k_is_the_share_of_subsets_with_a_correct_trajectory(
            answers in prop::collection::vec(prop::option::of(0usize..3), 1..10), k in 1usize..10
        ) {
            prop_assume!(k <= answers.len());
            let votes = votes_for(&answers);
            let subsets = every_subset(&votes, k);
            let hits = subsets.iter().filter(|s| s.iter().any(|v| v.correct)).count();
            let got = pass_at_k(super::super::votes::tally(&votes), k).unwrap();
            prop_assert_eq!((got * subsets.len() as f64).round(), hits as f64);
            prop_assert!((got - hits as f64 / subsets.len() as f64).abs() < 1e-14);
        }
    }

    #[test]
    fn the_ends_are_exact() {
        let tally = |correct| Tally { correct, trajectories: 10 };
        assert_eq!(pass_at_k(tally(0), 10), Some(0.0));
        assert_eq!(pass_at_k(tally(1), 10), Some(1.0));
        assert_eq!(pass_at_k(tally(3), 11), None);
        assert_eq!(pass_at_k(tally(3), 0), None);
        assert_eq!(pass_at_k(tally(11), 2), None);
    }
}
