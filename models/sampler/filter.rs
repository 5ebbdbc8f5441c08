//! Top-k, top-p and min-p: drawing from the most probable tokens only, without sorting a vocabulary.

use std::cmp::Ordering;

use isocost_harness::engine::Sampling;

use super::Weights;

/// Tokens that are passed over together if none of them weighs enough.
const SKIPPED: usize = 128;
/// Tokens that are sorted rather than halved.
const SORTED: usize = 64;

impl Weights<'_> {
    #[inline(always)]
    pub(super) fn draw_filtered(&self, sampling: &Sampling, u: f64) -> u32 {
        // Only top-p alone is a share of what all tokens weigh.
        let is_whole = sampling.top_k.is_none() && sampling.min_p.is_none();
        let total = is_whole.then(|| self.total());
        let mut kept = self.heavy(sampling, total);
        filter(&mut kept, sampling, total);
        let left = u * mass(&kept);
        let drawn = reach(&mut kept, |sum| sum > left);
        // None is kept of logits that are no numbers, which is for the caller to find.
        kept.get(drawn).map_or(0, |(token, _)| *token)
    }

    /// The tokens that filters can keep, and not many more: sorting a whole vocabulary would take longer than a step.
    #[inline(always)]
    fn heavy(&self, sampling: &Sampling, total: Option<f64>) -> Vec<(u32, f64)> {
        match *sampling {
            Sampling { top_k: Some(most), .. } => self.heaviest(most.max(1)),
            Sampling { min_p: Some(least), .. } => self.at_least(least),
            Sampling { top_p: share, .. } => {
                let mut kept = Vec::new();
                for least in [0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-12, 0.0] {
                    kept = self.at_least(least);
                    if share.zip(total).is_some_and(|(share, total)| mass(&kept) >= share * total) {
                        break;
                    }
                }
                kept
            }
        }
    }

    /// The tokens that weigh at least so much.
    #[inline(always)]
    fn at_least(&self, least: f64) -> Vec<(u32, f64)> {
        let (mut kept, floor) = (Vec::new(), self.floor(least));
        for (first, some) in (0..).step_by(SKIPPED).zip(self.logits.chunks(SKIPPED)) {
            self.keep(&mut kept, (least, floor), first, some);
        }
        kept
    }

    /// The `most` tokens that weigh most, and some more.
    #[inline(always)]
    fn heaviest(&self, most: usize) -> Vec<(u32, f64)> {
        let (mut kept, mut least, mut floor) = (Vec::new(), 0.0, f32::NEG_INFINITY);
        for (first, some) in (0..).step_by(SKIPPED).zip(self.logits.chunks(SKIPPED)) {
            self.keep(&mut kept, (least, floor), first, some);
            if kept.len() >= most.saturating_mul(2) {
                kept.select_nth_unstable_by(most - 1, falling);
                kept.truncate(most);
                least = kept[most - 1].1;
                floor = self.floor(least);
            }
        }
        kept
    }

    /// A logit below which no token weighs so much. It is somewhat low: a weight's last digits may not rise with its logit, and it is
    /// rounded itself.
    #[inline(always)]
    fn floor(&self, weight: f64) -> f32 {
        let logit = self.max + (weight * 0.999).ln() as f32 / self.inverse;
        logit - 1e-6 * logit.abs()
    }

    /// Adds those of some tokens, whose ids begin at `first`, that weigh at least `least`, which none does below `floor`. Of most vocabularies
    /// nearly all are passed over together.
    #[inline(always)]
    fn keep(&self, kept: &mut Vec<(u32, f64)>, (least, floor): (f64, f32), first: u32, logits: &[f32]) {
        let mut is_any = false;
        for logit in logits {
            is_any |= *logit >= floor;
        }
        if !is_any {
            return;
        }
        for (token, logit) in (first..).zip(logits) {
            let weight = f64::from(self.of(*logit));
            if weight >= least {
                kept.push((token, weight));
            }
        }
    }
}

/// The heavier token first, and of two equal ones that with the smaller id.
fn falling(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Keeps the most probable tokens, in any order: top-k first, then min-p, then top-p over what is left. `total` is what top-p is a share of, if
/// not of these.
fn filter(kept: &mut Vec<(u32, f64)>, sampling: &Sampling, total: Option<f64>) {
    let most = sampling.top_k.unwrap_or(usize::MAX).max(1);
    if most < kept.len() {
        kept.select_nth_unstable_by(most, falling);
        kept.truncate(most);
    }
    if let Some(min_p) = sampling.min_p {
        let heaviest = kept.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        kept.retain(|(_, weight)| *weight >= min_p * heaviest);
    }
    if let Some(top_p) = sampling.top_p {
        let enough = top_p * total.unwrap_or_else(|| mass(kept));
        let last = reach(kept, |sum| sum >= enough);
        kept.truncate(last + 1);
    }
}

/// What tokens weigh together.
fn mass(tokens: &[(u32, f64)]) -> f64 {
    tokens.iter().map(|(_, weight)| weight).sum()
}

/// Where the weights of some tokens, the heaviest first, add up to enough; the last token that weighs anything if rounding leaves none. The
/// tokens before that place are then the heavier ones. They are halved and not sorted: that would take longer than a step if many
/// are about as heavy.
fn reach(tokens: &mut [(u32, f64)], is_enough: impl Fn(f64) -> bool) -> usize {
    let (mut from, mut to, mut sum) = (0, tokens.len(), 0.0);
    while to - from > SORTED {
        let middle = from + (to - from) / 2;
        tokens[from..to].select_nth_unstable_by(middle - from, falling);
        let heavier = sum + mass(&tokens[from..middle]);
        if is_enough(heavier) {
            to = middle;
        } else {
            (from, sum) = (middle, heavier);
        }
    }
    tokens[from..to].sort_unstable_by(falling);
    for (at, (_, weight)) in (from..).zip(&tokens[from..to]) {
        sum += weight;
        if is_enough(sum) {
            return at;
        }
    }
    tokens[..to].iter().rposition(|(_, weight)| *weight > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_place_is_that_of_the_sorted_tokens_and_heavier_ones_lie_before_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let count = rng.random_range(1..700);
            // Whole numbers: many are equal, and no sum is rounded.
            let mut tokens: Vec<(u32, f64)> =
                (0..count).map(|id| (id, f64::from(rng.random_range(0..50u8)))).collect();
            let enough = (rng.random::<f64>() * mass(&tokens)).floor();
            let mut sorted = tokens.clone();
            sorted.sort_by(falling);
            let sums = sorted.iter().scan(0.0, |sum, (_, weight)| {
                *sum += weight;
                Some(*sum)
            });
            let slow = sums.take_while(|sum| *sum <= enough).count();
            let at = reach(&mut tokens, |sum| sum > enough);
            if slow < sorted.len() {
                assert_eq!((at, tokens[at]), (slow, sorted[slow]));
                assert!(tokens[..at].iter().all(|token| falling(token, &tokens[at]).is_lt()));
            }
        }
    }

    #[test]
    fn where_rounding_leaves_none_the_last_that_weighs_anything_is_taken() {
        let mut tokens: Vec<(u32, f64)> = (0..300).map(|id| (id, f64::from(id % 3))).collect();
        let at = reach(&mut tokens, |_| false);
        assert!(
            (at, tokens[at].1) == (199, 1.0) && tokens[at + 1..].iter().all(|(_, weight)| *weight == 0.0)
        );
    }
}
