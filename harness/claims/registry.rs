//! The claims as they were written down beforehand.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Every claim's text, by id.
const TEXTS: [(&str, &str); 12] = [
    ("best-of-n", include_str!("best-of-n.toml")),
    ("brittleness", include_str!("brittleness.toml")),
    ("cost-decline", include_str!("cost-decline.toml")),
    ("distillation", include_str!("distillation.toml")),
    ("fewer-tokens", include_str!("fewer-tokens.toml")),
    ("length-share", include_str!("length-share.toml")),
    ("log-linear", include_str!("log-linear.toml")),
    ("short-evals-mislead", include_str!("short-evals-mislead.toml")),
    ("small-plus-compute", include_str!("small-plus-compute.toml")),
    ("token-price", include_str!("token-price.toml")),
    ("training-vs-inference", include_str!("training-vs-inference.toml")),
    ("unlocks", include_str!("unlocks.toml")),
];

/// A statement that a run can be asked about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its name.
    pub id: String,
    /// What is claimed.
    pub statement: String,
    /// What is computed to test it, in words.
    pub statistic: String,
    /// Unit of the statistic and the threshold.
    pub unit: String,
    /// On what scale the statistic is computed.
    pub scale: Scale,
    /// Where the claim ends.
    pub threshold: f64,
    /// On which side of the threshold the claim lies.
    pub direction: Direction,
    /// Models, tasks and sampling that it needs.
    pub needs: String,
    /// What a verdict does not mean.
    pub cannot_show: String,
    /// Who says it, and where the design comes from.
    pub source: String,
    /// How precise a test would be.
    pub power: Power,
}

/// The scale of a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// As it is.
    Difference,
    /// A ratio, computed in the natural logarithm.
    Ratio,
}

/// The side of the threshold on which a claim lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The statistic is larger.
    Above,
    /// The statistic is smaller.
    Below,
}

/// Assumptions for planning, in units of the scale on which the statistic is computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Smallest distance from the threshold worth detecting.
    pub effect: f64,
    /// Standard deviation, over problems, of a problem's true contribution.
    pub between_sd: f64,
    /// Standard deviation that one trajectory adds.
    pub within_sd: f64,
    /// Where the deviations come from.
    pub source: String,
}

impl Claim {
    /// From the scale of the computation to that of the reader.
    pub fn shown(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Difference => value,
            Scale::Ratio => value.exp(),
        }
    }

    /// The threshold on the scale of the computation.
    pub fn computed_threshold(&self) -> f64 {
        match self.scale {
            Scale::Difference => self.threshold,
            Scale::Ratio => self.threshold.ln(),
        }
    }
}

/// Every claim, by id.
pub fn claims() -> Vec<Claim> {
    let parse = |(id, text): &(&str, &str)| {
        toml::from_str(text).unwrap_or_else(|error| panic!("the registry's {id}.toml: {error}"))
    };
    TEXTS.iter().map(parse).collect()
}

/// sha256 of all claims' texts: what a run's manifest holds before sampling starts.
pub fn sha256() -> String {
    let mut hasher = Sha256::new();
    for (id, text) in TEXTS {
        hasher.update(format!("{id}\n{text}\n"));
    }
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::test_of;

    #[test]
    fn every_claim_is_complete_and_has_a_test() {
        for ((id, _), claim) in TEXTS.iter().zip(claims()) {
            assert_eq!(claim.id, *id);
            assert!(test_of(id).is_some(), "{id}");
            let Claim { statement, statistic, unit, needs, cannot_show, source, power, .. } = &claim;
            let texts = [statement, statistic, unit, needs, cannot_show, source, &power.source];
            assert!(texts.iter().all(|text| !text.trim().is_empty()), "{id}");
            assert!(power.effect > 0.0 && power.between_sd > 0.0 && power.within_sd >= 0.0, "{id}");
            assert!(claim.computed_threshold().is_finite(), "{id}");
        }
        assert!(test_of("no-such-claim").is_none());
    }

    #[test]
    fn the_hash_is_that_of_the_texts() {
        assert_eq!((sha256().len(), sha256()), (64, sha256()));
    }
}
