//! Drawing the next token.
//!
//! Every draw has a place of its own in a stream of random numbers: the trajectory chooses the key, the
//! branch (the chain itself, or the answer forced at one budget) the stream, and the position the
//! counter. So a token depends on its logits and on nothing else: not on which rows happen to share a
//! batch, on threads, or on the order of work.

use std::cmp::Ordering;

use candle_core::{Result, Storage, Tensor};
use isocost_harness::cell::Budget;
use isocost_harness::engine::Sampling;
use pulp::{Arch, Simd, WithSimd};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::lanes::{exp, reduce};

/// The random numbers of one trajectory.
#[derive(Clone, Debug)]
pub struct Streams {
    key: [u8; 32],
}

impl Streams {
    /// The streams of trajectory `trajectory` of `problem`.
    pub fn new(seed: u64, problem: &str, waits: u32, trajectory: u32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        hasher.update(waits.to_le_bytes());
        hasher.update(trajectory.to_le_bytes());
        hasher.update(problem);
        Self { key: hasher.finalize().into() }
    }

    /// A number in [0, 1) for the token at `position` of a branch: of the chain itself (`None`), or of
    /// the answer forced at a budget.
    pub fn uniform(&self, forced_at: Option<Budget>, position: usize) -> f64 {
        self.branch(forced_at).uniform(position)
    }

    /// The numbers of a branch.
    pub(crate) fn branch(&self, forced_at: Option<Budget>) -> Branch {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(match forced_at {
            None => 0,
            Some(Budget::Tokens(tokens)) => 1 + u64::from(tokens),
            Some(Budget::Max) => u64::MAX,
        });
        Branch(rng)
    }
}

/// The random numbers of one branch. They come some at a time, so to read them in order is faster than to seek each one.
#[derive(Debug)]
pub(crate) struct Branch(ChaCha8Rng);

impl Branch {
    /// As [`Streams::uniform`].
    pub(crate) fn uniform(&mut self, position: usize) -> f64 {
        // A draw takes two words.
        let word = 2 * position as u128;
        if self.0.get_word_pos() != word {
            self.0.set_word_pos(word);
        }
        self.0.random()
    }
}

/// A token and the natural logarithm of the model's own probability for it (temperature 1, no filter).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Its id.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// Where a token is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Row of the logits.
    pub row: usize,
    /// Uniform random number.
    pub u: f64,
}

/// Draws a token at each place of `[rows, vocab]` logits in `f32`: on a GPU with this project's kernels, so that
/// only the tokens leave it, else here.
///
/// # Errors
/// If the device fails, now or in what it was given before.
pub fn draw_rows(logits: &Tensor, places: &[Place], sampling: &Sampling) -> Result<Vec<Drawn>> {
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        return crate::cuda::draw_rows(logits, places, sampling);
    }
    let logits = logits.contiguous()?;
    let (storage, layout) = logits.storage_and_layout();
    let Storage::Cpu(numbers) = &*storage else {
        candle_core::bail!("logits are on a device that cannot be read")
    };
    let (vocab, numbers) = (logits.dim(1)?, &numbers.as_slice::<f32>()?[layout.start_offset()..]);
    let draw = |place: &Place| draw(&numbers[place.row * vocab..][..vocab], sampling, place.u);
    if places.len() * vocab < WORTH_A_THREAD {
        return Ok(places.iter().map(draw).collect());
    }
    Ok(places.par_iter().map(draw).collect())
}

/// Draws from `logits` with the uniform number `u`.
///
/// Ties go to the smaller id, and filters keep the smaller id first, so the result is the same on every
/// machine that computes the same logits.
pub fn draw(logits: &[f32], sampling: &Sampling, u: f64) -> Drawn {
    Arch::new().dispatch(Draw { logits, sampling, u })
}

/// Logits from which less than a second thread would spare are drawn on one.
const WORTH_A_THREAD: usize = 1 << 16;
/// Tokens whose weights are summed before it is asked where among them a draw falls.
const PART: usize = 1024;
/// Weights summed side by side.
const LANES: usize = 16;
/// Tokens that are passed over together if none of them weighs enough.
const SKIPPED: usize = 128;

struct Draw<'a> {
    logits: &'a [f32],
    sampling: &'a Sampling,
    u: f64,
}

impl WithSimd for Draw<'_> {
    type Output = Drawn;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Drawn {
        let Self { logits, sampling, u } = self;
        let own = Weights { logits, max: reduce(logits, f32::NEG_INFINITY, f32::max), inverse: 1.0 };
        let token = if sampling.temperature == 0.0 {
            logits.iter().position(|logit| *logit == own.max).unwrap_or(0) as u32
        } else {
            // As f32 the inverse of the least temperatures would be infinite, and the most probable token's weight no number.
            let inverse = ((1.0 / sampling.temperature) as f32).min(f32::MAX);
            let weights = Weights { inverse, ..own };
            let is_filtered =
                sampling.top_k.is_some() || sampling.top_p.is_some() || sampling.min_p.is_some();
            if is_filtered { weights.draw_filtered(sampling, u) } else { weights.draw(u) }
        };
        Drawn { token, logprob: f64::from(logits[token as usize] - own.max) - own.total().ln() }
    }
}

/// What tokens weigh against the most probable one, which weighs 1, at a temperature. Never stored: to compute them again is
/// faster than memory.
#[derive(Clone, Copy)]
struct Weights<'a> {
    logits: &'a [f32],
    max: f32,
    /// 1 / temperature.
    inverse: f32,
}

impl Weights<'_> {
    #[inline(always)]
    fn of(&self, logit: f32) -> f32 {
        /// Below its exponential there are only subnormal numbers, and 0.
        const LEAST: f32 = -87.0;
        let x = (logit - self.max) * self.inverse;
        if x > LEAST { exp(x) } else { 0.0 }
    }

    /// Of a part, in lanes.
    #[inline(always)]
    fn sum(&self, part: &[f32]) -> f64 {
        let mut sums = [0f32; LANES];
        let (chunks, rest) = part.as_chunks();
        for chunk in chunks {
            self.add(chunk, &mut sums);
        }
        if !rest.is_empty() {
            self.add(&padded(rest), &mut sums);
        }
        f64::from(reduce(&sums, 0.0, |a, b| a + b))
    }

    /// To each lane.
    #[inline(always)]
    fn add(&self, logits: &[f32; LANES], sums: &mut [f32; LANES]) {
        for i in 0..LANES {
            sums[i] += self.of(logits[i]);
        }
    }

    #[inline(always)]
    fn total(&self) -> f64 {
        let mut total = 0.0;
        for part in self.logits.chunks(PART) {
            total += self.sum(part);
        }
        total
    }

    /// The token at which the weights, in the order of ids, add up to more than `u` of all; the last one that weighs anything if
    /// rounding leaves none.
    #[inline(always)]
    fn draw(&self, u: f64) -> u32 {
        let mut sums = Vec::with_capacity(self.logits.len() / PART + 1);
        for part in self.logits.chunks(PART) {
            sums.push(self.sum(part));
        }
        let mut left = u * sums.iter().sum::<f64>();
        let mut last = 0;
        for (at, sum) in sums.iter().enumerate() {
            if left >= *sum && at + 1 < sums.len() {
                left -= sum;
                continue;
            }
            let part = &self.logits[at * PART..self.logits.len().min((at + 1) * PART)];
            for (first, some) in (at * PART..).step_by(LANES).zip(part.chunks(LANES)) {
                let mut weights = [0f32; LANES];
                self.add(&padded(some), &mut weights);
                for (token, weight) in (first..).zip(&weights) {
                    left -= f64::from(*weight);
                    last = if *weight > 0.0 { token } else { last };
                    if left < 0.0 {
                        return token as u32;
                    }
                }
            }
        }
        last as u32
    }

    #[inline(always)]
    fn draw_filtered(&self, sampling: &Sampling, u: f64) -> u32 {
        // Only top-p alone is a share of what all tokens weigh.
        let is_whole = sampling.top_k.is_none() && sampling.min_p.is_none();
        let total = if is_whole { self.total() } else { f64::NAN };
        let mut kept = self.heavy(sampling, total);
        filter(&mut kept, sampling, total);
        let mut left = u * kept.iter().map(|(_, weight)| weight).sum::<f64>();
        for (token, weight) in &kept {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        kept.iter().rev().find(|(_, weight)| *weight > 0.0).map_or(0, |(token, _)| *token)
    }

    /// The tokens that filters can keep, and not many more: sorting a whole vocabulary would take longer than a step.
    #[inline(always)]
    fn heavy(&self, sampling: &Sampling, total: f64) -> Vec<(u32, f64)> {
        match *sampling {
            Sampling { top_k: Some(most), .. } => self.heaviest(most.max(1)),
            Sampling { min_p: Some(least), .. } => self.at_least(least),
            Sampling { top_p: share, .. } => {
                let mut kept = Vec::new();
                for least in [0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-12, 0.0] {
                    kept = self.at_least(least);
                    let mass: f64 = kept.iter().map(|(_, weight)| weight).sum();
                    if share.is_some_and(|share| mass >= share * total) {
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
        let mut kept = Vec::new();
        for (first, some) in (0..).step_by(SKIPPED).zip(self.logits.chunks(SKIPPED)) {
            self.keep(&mut kept, least, first, some);
        }
        kept
    }

    /// The `most` tokens that weigh most, and some more.
    #[inline(always)]
    fn heaviest(&self, most: usize) -> Vec<(u32, f64)> {
        let (mut kept, mut least) = (Vec::new(), 0.0);
        for (first, some) in (0..).step_by(SKIPPED).zip(self.logits.chunks(SKIPPED)) {
            self.keep(&mut kept, least, first, some);
            if kept.len() >= 2 * most {
                kept.select_nth_unstable_by(most - 1, falling);
                kept.truncate(most);
                least = kept[most - 1].1;
            }
        }
        kept
    }

    /// Adds those of some tokens, whose ids begin at `first`, that weigh at least `least`. Of most vocabularies nearly all are passed
    /// over together.
    #[inline(always)]
    fn keep(&self, kept: &mut Vec<(u32, f64)>, least: f64, first: u32, logits: &[f32]) {
        let most = f64::from(self.of(reduce(logits, f32::NEG_INFINITY, f32::max)));
        // A weight's last digits may not rise with its logit.
        if most < least * 0.999 {
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

/// At most as many logits as there are lanes, and behind them such as weigh nothing.
#[inline(always)]
fn padded(logits: &[f32]) -> [f32; LANES] {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    lanes[..logits.len()].copy_from_slice(logits);
    lanes
}

/// The heavier token first, and of two equal ones that with the smaller id.
fn falling(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Keeps the most probable tokens: top-k first, then min-p, then top-p over what is left. `total` is what all tokens weigh.
fn filter(kept: &mut Vec<(u32, f64)>, sampling: &Sampling, total: f64) {
    let most = sampling.top_k.unwrap_or(usize::MAX).max(1);
    if most < kept.len() {
        kept.select_nth_unstable_by(most, falling);
        kept.truncate(most);
    }
    kept.sort_unstable_by(falling);
    if let Some(min_p) = sampling.min_p {
        let least = min_p * kept[0].1;
        kept.retain(|(_, w)| *w >= least);
    }
    if let Some(top_p) = sampling.top_p {
        let is_whole = sampling.top_k.is_none() && sampling.min_p.is_none();
        let enough = top_p * if is_whole { total } else { kept.iter().map(|(_, w)| w).sum::<f64>() };
        let sums = kept.iter().scan(0.0, |sum, (_, w)| {
            *sum += w;
            Some(*sum)
        });
        let needed = sums.take_while(|sum| *sum < enough).count() + 1;
        kept.truncate(needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64) -> Sampling {
        Sampling { temperature, top_k: None, top_p: None, min_p: None }
    }

    fn frequencies(logits: &[f32], sampling: &Sampling) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for i in 0..10_000 {
            counts[draw(logits, sampling, (f64::from(i) + 0.5) / 10_000.0).token as usize] += 1e-4;
        }
        counts
    }

    #[test]
    fn tokens_are_drawn_in_proportion_to_their_probability() {
        let logits = [1.0, 2.0, 0.0].map(|p: f32| p.exp().ln());
        let expected: Vec<f64> = logits.iter().map(|l| f64::from(*l).exp()).collect();
        let total: f64 = expected.iter().sum();
        for (got, want) in frequencies(&logits, &sampling(1.0)).iter().zip(&expected) {
            assert!((got - want / total).abs() < 1e-3);
        }
    }

    #[test]
    fn temperature_zero_takes_the_most_probable_token_and_the_smaller_id_of_two() {
        assert_eq!(draw(&[0.0, 3.0, 3.0], &sampling(0.0), 0.99).token, 1);
    }

    #[test]
    fn filters_keep_the_most_probable_tokens_only() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
        let kept = |s: &Sampling| frequencies(&logits, s).iter().filter(|f| **f > 0.0).count();
        assert_eq!(kept(&Sampling { top_k: Some(2), ..sampling(1.0) }), 2);
        assert_eq!(kept(&Sampling { top_p: Some(0.75), ..sampling(1.0) }), 2);
        assert_eq!(kept(&Sampling { top_p: Some(0.85), ..sampling(1.0) }), 3);
        assert_eq!(kept(&Sampling { min_p: Some(0.2), ..sampling(1.0) }), 3);
        assert_eq!(kept(&Sampling { top_p: Some(0.0), ..sampling(1.0) }), 1);
    }

    /// One number after the other, with all digits, and all tokens sorted.
    fn slow(logits: &[f32], sampling: &Sampling, u: f64) -> u32 {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: f32| (f64::from(logit - max) / sampling.temperature).exp();
        let mut kept: Vec<(u32, f64)> = (0..).zip(logits.iter().map(|l| weight(*l))).collect();
        if *sampling != self::sampling(sampling.temperature) {
            kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        kept.truncate(sampling.top_k.unwrap_or(usize::MAX));
        kept.retain(|(_, w)| *w >= sampling.min_p.unwrap_or(0.0));
        let enough = sampling.top_p.unwrap_or(2.0) * kept.iter().map(|(_, w)| w).sum::<f64>();
        let mut mass = 0.0;
        kept.retain(|(_, w)| {
            let is_needed = mass < enough;
            mass += w;
            is_needed
        });
        let mut left = u * kept.iter().map(|(_, w)| w).sum::<f64>();
        kept.iter()
            .find(|(_, w)| {
                left -= w;
                left < 0.0
            })
            .map_or(kept.len() as u32 - 1, |(token, _)| *token)
    }

    #[test]
    fn a_large_vocabulary_gives_the_tokens_that_all_digits_give() {
        let logits: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.377).sin() * 9.0).collect();
        let filtered = [
            sampling(1.0),
            sampling(0.6),
            Sampling { top_k: Some(20), top_p: Some(0.95), ..sampling(0.6) },
            Sampling { top_k: Some(30_000), ..sampling(1.0) },
            Sampling { top_p: Some(0.95), ..sampling(1.5) },
            Sampling { top_p: Some(0.999_999), ..sampling(3.0) },
            Sampling { min_p: Some(0.05), ..sampling(1.0) },
            Sampling { min_p: Some(1e-8), top_k: Some(50_000), ..sampling(0.5) },
        ];
        for sampling in &filtered {
            let drawn = |i: u32| draw(&logits, sampling, (f64::from(i) + 0.5) / 40.0).token;
            let other = (0..40)
                .filter(|i| drawn(*i) != slow(&logits, sampling, (f64::from(*i) + 0.5) / 40.0))
                .count();
            assert!(other <= 1, "{sampling:?}: {other} of 40");
        }
    }

    #[test]
    fn the_least_temperature_takes_the_most_probable_token() {
        for temperature in [1e-3, 1e-38, 1e-300, f64::MIN_POSITIVE] {
            assert_eq!(draw(&[0.0, 3.0, 2.9], &sampling(temperature), 0.99).token, 1, "{temperature}");
        }
    }

    #[test]
    fn a_token_of_no_weight_is_never_drawn() {
        let mut logits = vec![f32::NEG_INFINITY; 3000];
        (logits[7], logits[1500]) = (0.0, -1.0);
        for u in [0.0, 0.5, 0.9, 1.0 - 1e-16] {
            for sampling in [sampling(1.0), Sampling { top_p: Some(1.0), ..sampling(1.0) }] {
                assert!([7, 1500].contains(&draw(&logits, &sampling, u).token), "{u}");
            }
        }
    }

    #[test]
    fn the_log_probability_is_the_models_own_whatever_the_temperature() {
        let logits = [0.25f32.ln(), 0.75f32.ln()];
        let drawn = draw(&logits, &sampling(0.0), 0.0);
        assert!((drawn.logprob - 0.75f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn every_place_in_every_stream_has_its_own_number() {
        let streams = Streams::new(1, "p", 0, 0);
        let mut seen = std::collections::HashSet::new();
        for stream in [None, Some(Budget::Tokens(0)), Some(Budget::Tokens(64)), Some(Budget::Max)] {
            for position in 0..100 {
                let u = streams.uniform(stream, position);
                assert!((0.0..1.0).contains(&u) && seen.insert(u.to_bits()));
            }
        }
        assert_eq!(streams.uniform(None, 3), Streams::new(1, "p", 0, 0).uniform(None, 3));
        assert_ne!(streams.uniform(None, 3), Streams::new(1, "p", 0, 1).uniform(None, 3));
    }
}
