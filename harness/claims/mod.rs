//! What people say about reasoning models, and what a run says about it.
//!
//! Each claim is a TOML file beside the file with its statistic: statement, threshold, direction, what it needs and what
//! it cannot show. They are pre-registered: the hash of all of them is in a run's manifest before sampling starts
//! ([`registry::sha256`]), so that a threshold cannot follow the data unnoticed.
//!
//! The verdict rule is one for all ([`verdict`]): supported if the 95 % interval lies wholly on the claimed side of the
//! threshold, contradicted if wholly on the other, else inconclusive, with the smallest effect that could have been
//! detected. A run without the models or tasks that a claim compares makes it *not testable*, and says what is missing.
//!
//! A claim's file provides two functions, joined in [`test_of`]: `comparisons` says who is compared with whom, from the
//! sweep and the models' facts alone (so `claims plan` can ask before anything is sampled); `measure` turns one
//! comparison into a statistic of per-problem numbers. A statement that says more than its number can (accuracy rises, and
//! *along a line*) has a third, `refuted`: with it a claim whose number holds is supported in part. Everything else is shared.

mod best_of_n;
mod brittleness;
mod cost_decline;
mod distillation;
pub mod equal_cost;
pub mod evidence;
mod fewer_tokens;
mod length_share;
pub mod lineup;
mod log_linear;
pub mod measured;
pub mod plan;
pub mod registry;
mod short_evals_mislead;
#[cfg(test)]
pub(crate) mod simulated;
mod small_plus_compute;
pub mod table;
mod token_price;
mod training_vs_inference;
mod unlocks;
pub mod verdict;

use evidence::Evidence;
use lineup::{Comparison, Lineup};
use measured::Measured;

/// What a comparison needs and the run lacks, or why a number does not exist. Written for the reader.
pub type Missing = String;

/// A claim's functions.
#[derive(Clone, Copy)]
pub struct Test {
    /// Who is compared with whom; what is missing if nobody can be.
    pub comparisons: fn(&Lineup) -> Result<Vec<Comparison>, Missing>,
    /// The statistic of one comparison.
    pub measure: fn(&Evidence, &Comparison) -> Result<Measured, Missing>,
    /// What else the statement says and these comparisons, taken together, refute.
    pub refuted: fn(&Evidence, &[&Comparison]) -> Option<String>,
}

/// The test of a claim of the registry.
pub fn test_of(id: &str) -> Option<Test> {
    macro_rules! test {
        ($file:ident) => {
            test!($file, |_, _| None)
        };
        ($file:ident, $refuted:expr) => {
            Some(Test { comparisons: $file::comparisons, measure: $file::measure, refuted: $refuted })
        };
    }
    match id {
        "best-of-n" => test!(best_of_n),
        "brittleness" => test!(brittleness),
        "cost-decline" => test!(cost_decline),
        "distillation" => test!(distillation),
        "fewer-tokens" => test!(fewer_tokens),
        "length-share" => test!(length_share),
        "log-linear" => test!(log_linear, log_linear::refuted),
        "short-evals-mislead" => test!(short_evals_mislead),
        "small-plus-compute" => test!(small_plus_compute),
        "token-price" => test!(token_price),
        "training-vs-inference" => test!(training_vs_inference),
        "unlocks" => test!(unlocks),
        _ => None,
    }
}
