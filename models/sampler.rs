//! Drawing the next token.
//!
//! Every draw has a place of its own in a stream of random numbers: the trajectory chooses the key, the
//! branch (the chain itself, or the answer forced at one budget) the stream, and the position the
//! counter. So a token depends on its logits and on nothing else: not on which rows happen to share a
//! batch, on threads, or on the order of work.

use candle_core::{Result, Tensor};
use isocost_harness::cell::Budget;
use isocost_harness::engine::Sampling;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

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
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(match forced_at {
            None => 0,
            Some(Budget::Tokens(tokens)) => 1 + u64::from(tokens),
            Some(Budget::Max) => u64::MAX,
        });
        // A draw takes two words.
        rng.set_word_pos(2 * position as u128);
        rng.random()
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
    let logits = logits.to_vec2::<f32>()?;
    Ok(places.iter().map(|place| draw(&logits[place.row], sampling, place.u)).collect())
}

/// Draws from `logits` with the uniform number `u`.
///
/// Ties go to the smaller id, and filters keep the smaller id first, so the result is the same on every
/// machine that computes the same logits.
pub fn draw(logits: &[f32], sampling: &Sampling, u: f64) -> Drawn {
    let token = if sampling.temperature == 0.0 { argmax(logits) } else { draw_scaled(logits, sampling, u) };
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let norm: f64 = logits.iter().map(|l| f64::from(l - max).exp()).sum();
    Drawn { token, logprob: f64::from(logits[token as usize] - max) - norm.ln() }
}

fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best as u32
}

fn draw_scaled(logits: &[f32], sampling: &Sampling, u: f64) -> u32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| (f64::from(logit - max) / sampling.temperature).exp();
    let mut kept: Vec<(u32, f64)> = (0..).zip(logits.iter().map(|l| weight(*l))).collect();
    if sampling.top_k.is_some() || sampling.top_p.is_some() || sampling.min_p.is_some() {
        filter(&mut kept, sampling);
    }
    let total: f64 = kept.iter().map(|(_, w)| w).sum();
    let mut left = u * total;
    for (token, weight) in &kept {
        left -= weight;
        if left < 0.0 {
            return *token;
        }
    }
    kept.iter().rev().find(|(_, w)| *w > 0.0).map_or(0, |(token, _)| *token)
}

/// Keeps the most probable tokens: top-k first, then min-p, then top-p over what is left.
fn filter(kept: &mut Vec<(u32, f64)>, sampling: &Sampling) {
    kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    kept.truncate(sampling.top_k.unwrap_or(usize::MAX).max(1));
    if let Some(min_p) = sampling.min_p {
        let least = min_p * kept[0].1;
        kept.retain(|(_, w)| *w >= least);
    }
    if let Some(top_p) = sampling.top_p {
        let enough = top_p * kept.iter().map(|(_, w)| w).sum::<f64>();
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
