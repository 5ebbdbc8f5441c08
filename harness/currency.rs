//! What accuracy is paid with: dollars, joules or device seconds.

use crate::row::Row;
use crate::statistics::OpenAbove;

/// What accuracy is paid with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Currency {
    /// Dollars at the sweep's first price.
    Dollars,
    /// Joules of the device; absent without a meter.
    Joules,
    /// Seconds of the device.
    DeviceSeconds,
}

impl Currency {
    /// All, in the order they are shown.
    pub const ALL: [Self; 3] = [Self::Dollars, Self::Joules, Self::DeviceSeconds];

    /// One of them, as a word.
    pub fn one(self) -> &'static str {
        match self {
            Self::Dollars => "dollar",
            Self::Joules => "joule",
            Self::DeviceSeconds => "second",
        }
    }

    /// The unit of a price for so many correct answers.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Dollars => "$",
            Self::Joules => "J",
            Self::DeviceSeconds => "device s",
        }
    }

    /// What a correct answer costs in a cell (ratio of sums).
    pub fn per_correct(self, row: &Row) -> Option<&OpenAbove> {
        match self {
            Self::Dollars => row.usd_per_correct(),
            Self::Joules => row.joules_per_correct.as_ref(),
            Self::DeviceSeconds => row.device_s_per_correct.as_ref(),
        }
    }

    /// What a problem costs in a cell, on average.
    pub fn per_problem(self, row: &Row) -> Option<f64> {
        match self {
            Self::Dollars => row.prices.first().map(|priced| priced.usd_mean),
            Self::Joules => row.joules_mean,
            Self::DeviceSeconds => Some(row.device_s_mean),
        }
    }

    /// Dollars where there is a price, else device seconds: what charts have as their cost.
    pub fn of_charts(rows: &[Row]) -> Self {
        let is_priced = rows.iter().any(|row| !row.prices.is_empty());
        if is_priced { Self::Dollars } else { Self::DeviceSeconds }
    }
}
