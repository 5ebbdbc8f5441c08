//! Percentiles of what was waited.

use serde::{Deserialize, Serialize};

use super::Replayed;

/// Numbers with how often each occurred.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weighted {
    values: Vec<(f64, u64)>,
}

impl Weighted {
    /// Adds a number that occurred `times`.
    pub fn push(&mut self, value: f64, times: u64) {
        if times > 0 {
            self.values.push((value, times));
        }
    }

    /// The smallest number that at least the share `q` do not exceed; `None` if there are none.
    pub fn percentile(&self, q: f64) -> Option<f64> {
        let mut values = self.values.clone();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let enough = q * values.iter().map(|(_, times)| *times as f64).sum::<f64>();
        let mut seen = 0.0;
        let found = values.iter().find(|(_, times)| {
            seen += *times as f64;
            seen >= enough
        });
        found.map(|(value, _)| *value)
    }
}

impl FromIterator<f64> for Weighted {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self { values: values.into_iter().map(|value| (value, 1)).collect() }
    }
}

/// The middle, and two ends that matter to whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
}

impl Percentiles {
    /// Of numbers with weights; `None` if there are none.
    pub fn of(values: &Weighted) -> Option<Self> {
        let at = |q| values.percentile(q);
        Some(Self { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)? })
    }
}

/// What requests wait, in seconds, and what the device spends on each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Time to the first token: the prompt was read.
    pub ttft_s: Percentiles,
    /// Time to the first token of an answer; absent if nothing answers.
    pub ttfa_s: Option<Percentiles>,
    /// Gap between tokens of a completion; absent if none has a second token.
    pub itl_s: Option<Percentiles>,
    /// Time to the end of all completions of a request.
    pub e2e_s: Percentiles,
    /// Device seconds of a request, mean.
    pub device_s_mean: f64,
    /// Joules of a request, mean; absent where they were not measured.
    pub joules_mean: Option<f64>,
    /// Share of steps beyond what the surface was measured for.
    pub extrapolated_share: f64,
}

impl Latency {
    /// Of what was replayed; `None` if nothing was.
    pub fn of(replayed: &Replayed) -> Option<Self> {
        let percentiles = |values: &[f64]| Percentiles::of(&values.iter().copied().collect());
        let requests = replayed.e2e_s.len() as f64;
        Some(Self {
            ttft_s: percentiles(&replayed.ttft_s)?,
            ttfa_s: percentiles(&replayed.ttfa_s),
            itl_s: Percentiles::of(&replayed.itl_s),
            e2e_s: percentiles(&replayed.e2e_s)?,
            device_s_mean: replayed.device_s / requests,
            joules_mean: replayed.joules.map(|joules| joules / requests),
            extrapolated_share: replayed.extrapolated_steps as f64 / replayed.steps.max(1) as f64,
        })
    }
}
