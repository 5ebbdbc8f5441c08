//! What is compared of two cells.

use std::fmt;

use serde::Serialize;

use crate::row::PerProblem;

/// A number of a cell that can get better or worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of problems answered correctly; changes are differences in percentage points.
    Accuracy,
    /// Tokens sampled for a problem; changes of this and all below are ratios, other over base.
    Tokens,
    /// Device seconds of a problem.
    Seconds,
    /// Sampled tokens per device second.
    Speed,
    /// Joules of a problem.
    Joules,
    /// Dollars of a problem, each run at its own first price.
    Usd,
    /// Device seconds per correct answer.
    SecondsPerCorrect,
    /// Dollars per correct answer.
    UsdPerCorrect,
}

impl Metric {
    /// All, in the order they are shown.
    pub const ALL: [Self; 8] = [
        Self::Accuracy,
        Self::Tokens,
        Self::Seconds,
        Self::Speed,
        Self::Joules,
        Self::Usd,
        Self::SecondsPerCorrect,
        Self::UsdPerCorrect,
    ];

    /// The name in gates and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Tokens => "tokens",
            Self::Seconds => "seconds",
            Self::Speed => "speed",
            Self::Joules => "joules",
            Self::Usd => "usd",
            Self::SecondsPerCorrect => "seconds_per_correct",
            Self::UsdPerCorrect => "usd_per_correct",
        }
    }

    /// What it is in the two runs, and what its change is.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Accuracy => "share, change in points",
            Self::Speed => "tokens/s, ratio",
            Self::Tokens => "tokens a problem, ratio",
            Self::Seconds => "device s a problem, ratio",
            Self::Joules => "J a problem, ratio",
            Self::Usd => "$ a problem, ratio",
            Self::SecondsPerCorrect => "device s a correct answer, ratio",
            Self::UsdPerCorrect => "$ a correct answer, ratio",
        }
    }

    /// Of each problem: what is summed, and what the sum is divided by, if it is; absent if the run lacks it.
    pub(super) fn parts(self, values: &PerProblem) -> Option<(&[f64], Option<&[f64]>)> {
        let PerProblem { correct, device_s, usd, tokens, joules } = values;
        let (above, below) = match self {
            Self::Accuracy => (correct, None),
            Self::Tokens => (tokens, None),
            Self::Seconds => (device_s, None),
            Self::Speed => (tokens, Some(device_s)),
            Self::Joules => (joules, None),
            Self::Usd => (usd, None),
            Self::SecondsPerCorrect => (device_s, Some(correct)),
            Self::UsdPerCorrect => (usd, Some(correct)),
        };
        let is_there = !above.is_empty() && below.is_none_or(|below| !below.is_empty());
        is_there.then(|| (above.as_slice(), below.map(Vec::as_slice)))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
