//! Drawing the next token.
//!
//! Every draw has a place of its own in a stream of random numbers: the trajectory chooses the key, the
//! branch (the chain itself, or the answer forced at one budget) the stream, and the position the
//! counter. So a token depends on its logits and on nothing else: not on which rows happen to share a
//! batch, on threads, or on the order of work.

mod filter;
mod streams;

use std::ops::Range;

use candle_core::{Result, Storage, Tensor};
use isocost_harness::engine::Sampling;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::instructions::arch;
use crate::lanes::{LANES, exp, halve, reduce};
pub(crate) use streams::Branch;
pub use streams::Streams;

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

/// The places in some of the rows, of which the first is then row 0. Places are in the order of their rows.
pub(crate) fn places_of(places: &[Place], rows: Range<usize>) -> Vec<Place> {
    let [start, end] = [rows.start, rows.end].map(|row| places.partition_point(|place| place.row < row));
    places[start..end].iter().map(|place| Place { row: place.row - rows.start, ..*place }).collect()
}

/// Draws a token at each place of `[rows, vocab]` logits in `f32`: on a GPU with this project's kernels, so that
/// only the tokens leave it, else here.
///
/// # Errors
/// If the device fails, now or in what it was given before, or the logits are no numbers to draw from.
pub fn draw_rows(logits: &Tensor, places: &[Place], sampling: &Sampling) -> Result<Vec<Drawn>> {
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        return finite(crate::cuda::draw_rows(logits, places, sampling)?);
    }
    let logits = logits.contiguous()?;
    let (storage, layout) = logits.storage_and_layout();
    let Storage::Cpu(numbers) = &*storage else {
        candle_core::bail!("logits are on a device that cannot be read")
    };
    let (vocab, numbers) = (logits.dim(1)?, &numbers.as_slice::<f32>()?[layout.start_offset()..]);
    let draw = |place: &Place| draw(&numbers[place.row * vocab..][..vocab], sampling, place.u);
    if places.len() * vocab < WORTH_A_THREAD {
        return finite(places.iter().map(draw).collect());
    }
    let share = places.len().div_ceil(rayon::current_num_threads());
    finite(places.par_iter().with_min_len(share).map(draw).collect())
}

/// What was drawn, unless a logarithm is no number: then the token's logit was none, or those of the whole row.
fn finite(drawn: Vec<Drawn>) -> Result<Vec<Drawn>> {
    if drawn.iter().all(|drawn| drawn.logprob.is_finite()) {
        return Ok(drawn);
    }
    candle_core::bail!(
        "the model's logits are not finite: its weights are damaged or its 16-bit numbers overflow: \
         fetch it again, or see what generate --dtype f32 gives"
    )
}

/// Draws from `logits` with the uniform number `u`.
///
/// Ties go to the smaller id, and filters keep the smaller id first, so the result is the same on every
/// machine that computes the same logits.
pub fn draw(logits: &[f32], sampling: &Sampling, u: f64) -> Drawn {
    arch().dispatch(Draw { logits, sampling, u })
}

/// Logits from which less than a second thread would spare are drawn on one.
const WORTH_A_THREAD: usize = 1 << 10;
/// Tokens whose weights are summed before it is asked where among them a draw falls.
const PART: usize = 1024;

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
        f64::from(halve(&sums, |a, b| a + b))
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
        for (part, sum) in (0..).step_by(PART).zip(&sums) {
            if left >= *sum {
                left -= sum;
            } else if let Some(token) = self.draw_from(part, &mut left) {
                return token as u32;
            }
        }
        self.logits.iter().rposition(|logit| self.of(*logit) > 0.0).unwrap_or(0) as u32
    }

    /// The token of a part at which its weights add up to more than `left`, from which those before it are taken; none if rounding
    /// leaves none.
    #[inline(always)]
    fn draw_from(&self, part: usize, left: &mut f64) -> Option<usize> {
        let logits = &self.logits[part..self.logits.len().min(part + PART)];
        for (first, some) in (part..).step_by(LANES).zip(logits.chunks(LANES)) {
            let mut weights = [0f32; LANES];
            self.add(&padded(some), &mut weights);
            let sum = f64::from(halve(&weights, |a, b| a + b));
            if *left >= sum {
                *left -= sum;
                continue;
            }
            for (token, weight) in (first..).zip(&weights) {
                *left -= f64::from(*weight);
                if *left < 0.0 {
                    return Some(token);
                }
            }
        }
        None
    }
}

/// At most as many logits as there are lanes, and behind them such as weigh nothing.
#[inline(always)]
fn padded(logits: &[f32]) -> [f32; LANES] {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    lanes[..logits.len()].copy_from_slice(logits);
    lanes
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
    fn the_places_of_some_rows_count_from_the_first_of_them() {
        let places = [0, 1, 1, 3, 4].map(|row| Place { row, u: 0.5 });
        let rows_of = |rows| places_of(&places, rows).iter().map(|place| place.row).collect::<Vec<_>>();
        assert_eq!([rows_of(0..2), rows_of(2..3), rows_of(3..5)], [vec![0, 1, 1], vec![], vec![0, 1]]);
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
            Sampling { top_k: Some(1), ..sampling(1.0) },
            Sampling { top_k: Some(usize::MAX), ..sampling(1.0) },
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
        // 1 is what rounding can make of less.
        for u in [0.0, 0.5, 0.9, 1.0 - 1e-16, 1.0] {
            for sampling in [sampling(1.0), Sampling { top_p: Some(1.0), ..sampling(1.0) }] {
                assert!([7, 1500].contains(&draw(&logits, &sampling, u).token), "{u}");
            }
        }
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error_and_no_token() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let drawn = |logits: [f32; 3], sampling: &Sampling| {
            let logits = Tensor::new(&[[0.0, 1.0, 2.0], logits], &candle_core::Device::Cpu).unwrap();
            draw_rows(&logits, &[Place { row: 0, u: 0.5 }, Place { row: 1, u: 0.5 }], sampling)
        };
        let (top_k, top_p, min_p) = (Some(2), Some(0.9), Some(0.2));
        let filtered = [Sampling { top_k, top_p, ..sampling(0.8) }, Sampling { min_p, ..sampling(0.8) }];
        for sampling in [sampling(0.0), sampling(0.8)].iter().chain(&filtered) {
            for logits in [[nan; 3], [-inf; 3], [inf; 3], [0.0, inf, 1.0]] {
                let message = drawn(logits, sampling).unwrap_err().to_string();
                assert!(message.contains("--dtype f32"), "{logits:?} {sampling:?}: {message}");
            }
            assert_eq!(drawn([-inf, 0.0, -inf], sampling).unwrap()[1], Drawn { token: 1, logprob: 0.0 });
        }
    }

    #[test]
    fn the_log_probability_is_the_models_own_whatever_the_temperature() {
        let logits = [0.25f32.ln(), 0.75f32.ln()];
        let drawn = draw(&logits, &sampling(0.0), 0.0);
        assert!((drawn.logprob - 0.75f64.ln()).abs() < 1e-6);
    }
}
