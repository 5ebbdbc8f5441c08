//! The form of a step's cost: parts that add up, none of them negative.
//!
//! seconds = base(fed tokens) + rows + forks + sampled tokens + pairs attended + mean context + a row's tokens + a row's
//! pairs + cached tokens, each times its price. `base` is the only part that is not proportional: matrices cost nothing more until the device is full and then a
//! slope, so it is a line with bends at powers of two. Pairs attended are the work of attention, and the
//! mean context is its depth: what a device with more cores than rows still has to walk one by one. A mean row's tokens and pairs are what cannot
//! be shared out where threads take rows. Cached tokens are what is read: a prompt's tokens read the same keys and values together, which a decoded token
//! does alone, so a pair costs a prompt much less.

use serde::{Deserialize, Serialize};

use crate::nnls::non_negative_least_squares;
use crate::step::Load;

/// Parts beside the base.
const PARTS: usize = 8;

/// Prices of the parts of a step, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepCost {
    /// Seconds at rising numbers of fed tokens, everything else being nothing; straight in between, and beyond
    /// the last as between the last two.
    pub base: Vec<Knot>,
    /// Each row: its logits.
    pub per_row_s: f64,
    /// Each sampled token.
    pub per_sampled_token_s: f64,
    /// Each fork of a sequence.
    pub per_fork_s: f64,
    /// Each pair of tokens attended.
    pub per_attended_token_s: f64,
    /// Each token of the mean context.
    pub per_context_token_s: f64,
    /// Each token that the mean row feeds.
    #[serde(default)]
    pub per_token_of_a_row_s: f64,
    /// Each pair that the mean row attends.
    #[serde(default)]
    pub per_pair_of_a_row_s: f64,
    /// Each token of all rows' contexts, whose keys and values are read once however many tokens a row feeds.
    #[serde(default)]
    pub per_cached_token_s: f64,
}

/// The largest price in a surface: far above any device's, and its products with any load stay finite.
const LARGEST: f64 = 1e9;

/// Whether a number is one that a step may cost.
pub(crate) fn is_amount(amount: f64) -> bool {
    (0.0..=LARGEST).contains(&amount)
}

/// A bend of the base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knot {
    /// Tokens fed in the step.
    pub fed_tokens: u32,
    /// Seconds.
    pub seconds: f64,
}

impl StepCost {
    /// The cost with the least squares of relative errors; all seconds must be positive.
    pub fn fit(measured: &[(Load, f64)]) -> Self {
        let bends = bends(measured.iter().map(|(load, _)| load.fed_tokens));
        let relative = |(load, seconds): &(Load, f64)| {
            let parts = parts(load).into_iter().chain([1.0]).chain(along(&bends, load.fed_tokens));
            parts.map(|part| part / seconds).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<f64>> = measured.iter().map(relative).collect();
        let found = non_negative_least_squares(&rows, &vec![1.0; rows.len()]);
        let slopes = &found[PARTS + 1..];
        let mut base = vec![Knot { fed_tokens: bends[0], seconds: found[PARTS] }];
        for (pair, slope) in bends.windows(2).zip(slopes) {
            let seconds = base[base.len() - 1].seconds + slope * f64::from(pair[1] - pair[0]);
            base.push(Knot { fed_tokens: pair[1], seconds });
        }
        Self {
            base,
            per_row_s: found[0],
            per_sampled_token_s: found[1],
            per_fork_s: found[2],
            per_attended_token_s: found[3],
            per_context_token_s: found[4],
            per_token_of_a_row_s: found[5],
            per_pair_of_a_row_s: found[6],
            per_cached_token_s: found[7],
        }
    }

    /// Whether seconds can be computed with it, else what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.base.is_empty() || self.base.windows(2).any(|pair| pair[0].fed_tokens >= pair[1].fed_tokens) {
            return Err("the knots of its base do not ascend".into());
        }
        if !self.base.iter().map(|knot| knot.seconds).chain(self.prices()).all(is_amount) {
            return Err(format!("a price of a step is not between 0 and {LARGEST}"));
        }
        Ok(())
    }

    /// Seconds of a step.
    pub fn seconds(&self, load: &Load) -> f64 {
        let parts: f64 = parts(load).iter().zip(self.prices()).map(|(part, price)| part * price).sum();
        self.base_s(f64::from(load.fed_tokens)) + parts
    }

    /// Prices of the parts, in their order.
    fn prices(&self) -> [f64; PARTS] {
        [
            self.per_row_s,
            self.per_sampled_token_s,
            self.per_fork_s,
            self.per_attended_token_s,
            self.per_context_token_s,
            self.per_token_of_a_row_s,
            self.per_pair_of_a_row_s,
            self.per_cached_token_s,
        ]
    }

    fn base_s(&self, fed: f64) -> f64 {
        let Some(last) = self.base.last() else { return 0.0 };
        let at = self.base.partition_point(|knot| f64::from(knot.fed_tokens) < fed);
        let at = at.clamp(1, self.base.len().max(2) - 1);
        let (Some(a), Some(b)) = (self.base.get(at - 1), self.base.get(at)) else { return last.seconds };
        let slope = (b.seconds - a.seconds) / f64::from(b.fed_tokens - a.fed_tokens);
        (a.seconds + slope * (fed - f64::from(a.fed_tokens))).max(0.0)
    }
}

/// Quantities that are paid in proportion, in the order of the prices.
fn parts(load: &Load) -> [f64; PARTS] {
    let rows = f64::from(load.rows.max(1));
    [
        f64::from(load.rows),
        f64::from(load.sampled_tokens),
        f64::from(load.forks),
        load.attended_tokens as f64,
        load.attended_tokens as f64 / f64::from(load.fed_tokens.max(1)),
        f64::from(load.fed_tokens) / rows,
        load.attended_tokens as f64 / rows,
        load.context_tokens as f64,
    ]
}

/// Powers of two from 1 up to what was measured, and the largest measured.
fn bends(fed: impl Iterator<Item = u32>) -> Vec<u32> {
    let largest = fed.max().unwrap_or(1).max(1);
    let powers = std::iter::successors(Some(1u32), |power| power.checked_mul(2));
    powers.take_while(|power| *power < largest).chain([largest]).collect()
}

/// How much of each stretch between two bends lies below `fed`.
fn along(bends: &[u32], fed: u32) -> impl Iterator<Item = f64> {
    bends.windows(2).map(move |pair| f64::from(fed.clamp(pair[0], pair[1]) - pair[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> StepCost {
        let knot = |fed_tokens, seconds| Knot { fed_tokens, seconds };
        StepCost {
            base: vec![knot(1, 1.0), knot(4, 1.0), knot(8, 3.0)],
            per_row_s: 0.1,
            per_sampled_token_s: 0.01,
            per_fork_s: 10.0,
            per_attended_token_s: 0.001,
            per_context_token_s: 0.0,
            per_token_of_a_row_s: 0.0,
            per_pair_of_a_row_s: 0.0,
            per_cached_token_s: 0.0005,
        }
    }

    #[test]
    fn the_base_is_straight_between_its_bends_and_goes_on_beyond_the_last() {
        let base = |fed: u32| cost().base_s(f64::from(fed));
        assert_eq!([base(1), base(3), base(4), base(6), base(8), base(12)], [1.0, 1.0, 1.0, 2.0, 3.0, 5.0]);
    }

    #[test]
    fn the_parts_of_a_load_add_up() {
        let mut load = Load { forks: 1, sampled_tokens: 2, ..Load::default() };
        load.add_row(99, 1);
        load.add_row(99, 1);
        assert!((cost().seconds(&load) - (1.0 + 0.2 + 0.02 + 10.0 + 0.2 + 0.1)).abs() < 1e-12);
    }

    #[test]
    fn a_cost_of_this_form_is_found_again() {
        let mut measured = Vec::new();
        for fed in [1u32, 2, 3, 4, 6, 8] {
            for (before, forks) in [(0u64, 0), (50, 1), (400, 0), (900, 2)] {
                for rows in [1, fed] {
                    let mut load = Load { forks, sampled_tokens: (rows + fed) % 3, ..Load::default() };
                    (0..rows).for_each(|_| load.add_row(before, fed / rows));
                    measured.push((load, cost().seconds(&load)));
                }
            }
        }
        let found = StepCost::fit(&measured);
        for (load, seconds) in measured {
            assert!((found.seconds(&load) / seconds - 1.0).abs() < 1e-3, "{load:?} {found:?}");
        }
    }
}
