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
    /// FLOP a second of a large matrix product in the model's type.
    pub matrix_flop_per_s: f64,
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
    pub fn bound(&self, shape: &ModelShape, load: &Load, element_bytes: u64) -> Bound {
        let (bytes, flop) = (shape.bytes(load, element_bytes), shape.flop(load));
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
            rates.bound(&qwen_1_5b(), &load, 2)
        };
        assert!(bound(100, 1).by_bandwidth && !bound(0, 4096).by_bandwidth);
        // 3.1 GB at 3 TB/s is about a millisecond.
        assert!((bound(100, 1).seconds - 1.03e-3).abs() < 2e-5, "{:?}", bound(100, 1));
    }
}
