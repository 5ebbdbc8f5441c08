//! Stretched wavelengths: how a model reaches beyond the context it was first trained on.
//!
//! All methods divide frequencies; they differ in which ones. *Linear* divides all (Chen et al. 2023). *Llama 3* and
//! *YaRN* (Peng et al. 2023) leave short wavelengths, which tell neighbours apart, as they are, divide long
//! ones, and blend between; YaRN also enlarges queries and keys a little. *LongRoPE* (Ding et al. 2024) has a
//! searched divisor for every pair, and two sets of them: one up to the original context, one beyond. Formulas are those of
//! `transformers`' `modeling_rope_utils`, which define what a checkpoint's `config.json` means.

use std::f64::consts::TAU;

use super::Rotation;

/// How wavelengths are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// All by the same factor.
    Linear {
        /// Divides every frequency.
        factor: f64,
    },
    /// Long wavelengths only, as Llama 3.1 does.
    Llama3 {
        /// Divides the low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are divided in full.
        low: f64,
        /// Wavelengths below `original / high` are left alone.
        high: f64,
        /// Context of the first training, in tokens.
        original: usize,
    },
    /// Long wavelengths only, with a linear ramp over the pairs.
    Yarn {
        /// Divides the low frequencies.
        factor: f64,
        /// Pairs that turn more often than this within the original context are left alone.
        fast: f64,
        /// Pairs that turn less often than this are divided in full.
        slow: f64,
        /// The ramp's ends are whole pairs.
        truncate: bool,
        /// Enlarges cosines and sines.
        magnitude: f64,
        /// Context of the first training, in tokens.
        original: usize,
    },
    /// Every pair by a factor of its own.
    LongRope {
        /// Divisors of sequences up to the original context.
        near: Vec<f64>,
        /// Divisors of longer ones.
        far: Vec<f64>,
        /// Enlarges cosines and sines.
        magnitude: f64,
        /// Context of the first training, in tokens.
        original: usize,
    },
    /// Every pair by a factor of its own at every length, as GGUF files write Llama 3's.
    Divisors(Vec<f64>),
}

impl Scaling {
    /// Radians a token of each pair, for sequences beyond the original context (`far`) or not.
    pub(crate) fn frequencies(&self, rotation: &Rotation, far: bool) -> Vec<f32> {
        let pairs = rotation.dims / 2;
        let plain = |i: usize| rotation.theta.powf(-2.0 * i as f64 / rotation.dims as f64);
        let divided: Vec<f64> = match self {
            Self::None => (0..pairs).map(plain).collect(),
            Self::Linear { factor } => (0..pairs).map(|i| plain(i) / factor).collect(),
            Self::Llama3 { factor, low, high, original } => {
                let share = |f: f64| ((*original as f64 * f / TAU - low) / (high - low)).clamp(0.0, 1.0);
                (0..pairs).map(|i| blend(plain(i), *factor, share(plain(i)))).collect()
            }
            Self::Yarn { factor, .. } => {
                let (start, end) = self.ramp(rotation);
                let share = |i: usize| 1.0 - ((i as f64 - start) / (end - start)).clamp(0.0, 1.0);
                (0..pairs).map(|i| blend(plain(i), *factor, share(i))).collect()
            }
            Self::LongRope { near, far: beyond, .. } => {
                let divisors = if far { beyond } else { near };
                divisors.iter().enumerate().map(|(i, divisor)| plain(i) / divisor).collect()
            }
            Self::Divisors(divisors) => divisors.iter().enumerate().map(|(i, d)| plain(i) / d).collect(),
        };
        divided.into_iter().map(|frequency| frequency as f32).collect()
    }

    /// The pairs at which YaRN's ramp starts and ends.
    fn ramp(&self, rotation: &Rotation) -> (f64, f64) {
        let Self::Yarn { fast, slow, truncate, original, .. } = self else { return (0.0, 1.0) };
        // The pair that turns `times` within the original context.
        let pair = |times: f64| {
            rotation.dims as f64 * (*original as f64 / (times * TAU)).ln() / (2.0 * rotation.theta.ln())
        };
        let (mut start, mut end) = (pair(*fast), pair(*slow));
        if *truncate {
            (start, end) = (start.floor(), end.ceil());
        }
        let (start, end) = (start.max(0.0), end.min(rotation.dims as f64 - 1.0));
        (start, if start == end { end + 0.001 } else { end })
    }

    /// What cosines and sines are multiplied with.
    pub(crate) fn magnitude(&self) -> f64 {
        match self {
            Self::Yarn { magnitude, .. } | Self::LongRope { magnitude, .. } => *magnitude,
            _ => 1.0,
        }
    }

    /// Divisors that are listed one by one; each list must have one for every pair.
    pub(crate) fn lists(&self) -> Vec<&[f64]> {
        match self {
            Self::LongRope { near, far, .. } => vec![near, far],
            Self::Divisors(divisors) => vec![divisors],
            _ => vec![],
        }
    }
}

/// `share` of the frequency itself and the rest of the divided one.
fn blend(frequency: f64, factor: f64, share: f64) -> f64 {
    share * frequency + (1.0 - share) * frequency / factor
}
