//! The roofline (Williams, Waterman and Patterson 2009): how fast a step could be on a device at best.
//!
//! A step takes at least as long as its bytes take at the device's bandwidth, and as its FLOP take at the
//! device's matrix rate. Both rates are measured on the device, not looked up. The fraction reached says how much
//! of a cost is the device's and how much this engine's. A model that fits a cache can beat the memory's bandwidth.

use serde::{Deserialize, Serialize};

use crate::model_shape::ModelShape;
use crate::step::Load;

/// What a device was measured to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Bytes read and written a second when copying an array much larger than the caches.
    pub copy_bytes_per_s: f64,
    /// FLOP a second of a large product with a matrix that is stored as the model's are.
    pub matrix_flop_per_s: f64,
}

/// What the steps of a model must move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// All weights that a step reads, as they are stored.
    pub weights_bytes: u64,
    /// Keys and values of a token.
    pub kv_bytes_per_token: u64,
}

impl Traffic {
    /// Of weights and keys and values that are stored as numbers of so many bytes.
    pub fn of_numbers(shape: &ModelShape, number_bytes: u64) -> Self {
        let weights = shape.layer_parameters() + shape.head_parameters();
        Self {
            weights_bytes: weights * number_bytes,
            kv_bytes_per_token: shape.kv_bytes_per_token(number_bytes),
        }
    }

    /// Bytes that a step must move: every weight once, the keys and values of every row once, the new ones written.
    pub fn bytes(&self, load: &Load) -> u64 {
        let tokens = load.context_tokens.saturating_add(u64::from(load.fed_tokens));
        self.weights_bytes.saturating_add(tokens.saturating_mul(self.kv_bytes_per_token))
    }
}

/// A step against the best possible one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Bytes it must move.
    pub bytes: u64,
    /// FLOP it must do.
    pub flop: u64,
    /// Least seconds.
    pub seconds: f64,
    /// Whether the bytes, and not the FLOP, are what bounds it.
    pub by_bandwidth: bool,
}

impl Rates {
    /// The least seconds of a step.
    pub fn bound(&self, shape: &ModelShape, traffic: &Traffic, load: &Load) -> Bound {
        let (bytes, flop) = (traffic.bytes(load), shape.flop(load));
        let (moving, multiplying) =
            (bytes as f64 / self.copy_bytes_per_s, flop as f64 / self.matrix_flop_per_s);
        Bound { bytes, flop, seconds: moving.max(multiplying), by_bandwidth: moving > multiplying }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_shape::tests::qwen_1_5b;

    #[test]
    fn decoding_one_row_is_bound_by_bandwidth_and_a_long_prompt_by_arithmetic() {
        let rates = Rates { copy_bytes_per_s: 3e12, matrix_flop_per_s: 8e14 };
        let bound = |before, fed| {
            let mut load = Load::default();
            load.add_row(before, fed);
            rates.bound(&qwen_1_5b(), &Traffic::of_numbers(&qwen_1_5b(), 2), &load)
        };
        assert!(bound(100, 1).by_bandwidth && !bound(0, 4096).by_bandwidth);
        // 3.1 GB at 3 TB/s is about a millisecond.
        assert!((bound(100, 1).seconds - 1.03e-3).abs() < 2e-5, "{:?}", bound(100, 1));
    }

    #[test]
    fn one_decoded_token_reads_every_weight_once_and_writes_its_keys_and_values() {
        let shape = qwen_1_5b();
        let mut load = Load::default();
        load.add_row(0, 1);
        let parameters = shape.layer_parameters() + shape.head_parameters();
        assert_eq!(Traffic::of_numbers(&shape, 2).bytes(&load), 2 * parameters + 2 * 28_672);
    }
}
