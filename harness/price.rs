//! What a device-second costs. Always dated and sourced: a price without a date is a magic constant.

use serde::{Deserialize, Serialize};

/// A price for time on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is rented or owned.
    pub device: String,
    /// Dollars for an hour of it.
    pub usd_per_device_hour: f64,
    /// Where the number comes from.
    pub source: String,
    /// The day it was valid, `YYYY-MM-DD`.
    pub date: String,
}

impl Price {
    /// Dollars for `device_s` seconds.
    pub fn usd(&self, device_s: f64) -> f64 {
        device_s / 3600.0 * self.usd_per_device_hour
    }
}
