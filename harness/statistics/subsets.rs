//! The n-subsets of N trajectories: all of them, or a seeded random collection.
//!
//! Random subsets come in groups: one shuffle is cut into N / n disjoint blocks, which vary less together than
//! independent subsets do.

use super::votes::Subsets;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Number of n-subsets of `total`, saturating.
pub(crate) fn count(total: usize, n: usize) -> usize {
    let n = n.min(total.saturating_sub(n));
    let mut count = 1usize;
    for i in 0..n {
        match count.checked_mul(total - i) {
            Some(product) => count = product / (i + 1),
            None => return usize::MAX,
        }
    }
    count
}

/// Mean of `value` over n-subsets of `0..total`: all of them when they are no more than `subsets.draws`, else
/// that many random ones. `1 <= n <= total`.
pub(crate) fn mean_over_subsets(
    total: usize,
    n: usize,
    subsets: Subsets,
    stream: u64,
    mut value: impl FnMut(&[usize]) -> f64,
) -> f64 {
    let mut sum = 0.0;
    let mut seen = 0usize;
    let mut visit = |subset: &[usize]| {
        sum += value(subset);
        seen += 1;
    };
    if count(total, n) <= subsets.draws.max(1) {
        for_every(total, n, &mut visit);
    } else {
        for_random(total, n, subsets, stream, &mut visit);
    }
    sum / seen as f64
}

/// Lexicographic enumeration.
fn for_every(total: usize, n: usize, visit: &mut impl FnMut(&[usize])) {
    let mut subset: Vec<usize> = (0..n).collect();
    loop {
        visit(&subset);
        let Some(i) = (0..n).rev().find(|&i| subset[i] < total - n + i) else { return };
        let next = subset[i] + 1;
        subset[i..].iter_mut().enumerate().for_each(|(j, x)| *x = next + j);
    }
}

fn for_random(total: usize, n: usize, subsets: Subsets, stream: u64, visit: &mut impl FnMut(&[usize])) {
    let mut rng = ChaCha8Rng::seed_from_u64(subsets.seed);
    rng.set_stream(stream);
    let mut order: Vec<usize> = (0..total).collect();
    let mut left = subsets.draws.max(1);
    while left > 0 {
        order.shuffle(&mut rng);
        for block in order.chunks_exact(n).take(left) {
            visit(block);
        }
        left = left.saturating_sub(total / n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subset_is_visited_once() {
        let mut seen = std::collections::BTreeSet::new();
        let draws = Subsets { draws: 1000, seed: 0 };
        mean_over_subsets(9, 4, draws, 0, |s| f64::from(u8::from(seen.insert(s.to_vec()))));
        assert_eq!((seen.len(), count(9, 4)), (126, 126));
        assert_eq!((count(5, 5), count(64, 1), count(200, 100)), (1, 64, usize::MAX));
    }

    #[test]
    fn random_subsets_have_no_repeats_and_depend_on_the_seed_only() {
        let draw = |seed, stream| {
            let mut all = Vec::new();
            mean_over_subsets(64, 8, Subsets { draws: 20, seed }, stream, |s| {
                let distinct: std::collections::BTreeSet<_> = s.iter().collect();
                assert_eq!(distinct.len(), 8);
                all.push(s.to_vec());
                0.0
            });
            all
        };
        assert_eq!(draw(1, 0).len(), 20);
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
    }
}
