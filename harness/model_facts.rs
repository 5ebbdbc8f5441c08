//! What is known of a model beyond its weights: sizes, and where it comes from.
//!
//! The manifest of a run holds these facts for every model, and claims read them there: which model is another's
//! teacher, what its training took, when it was released. What the model's own files do not say, a sweep may
//! (`[models.facts]`). Unknown facts are absent.

use serde::{Deserialize, Serialize};

use crate::model_shape::ModelShape;

/// What a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answers without thinking.
    Direct,
    /// Thinks, and learnt it from data or by reinforcement.
    Reasoning,
    /// Thinks, and learnt it from a larger model's thoughts.
    Distilled,
    /// Thinks, and was trained further to think in fewer tokens.
    Concise,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Name of the model whose outputs it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// Name of the model it was trained from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Floating-point operations of its training for reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_flop: Option<f64>,
    /// The day of its release, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
}

/// Everything known of a model. Fields of the manifest that are not listed here are skipped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ModelFacts {
    /// Architecture, as `model_type` names it.
    #[serde(default)]
    pub family: Option<String>,
    /// The name under which it was published.
    #[serde(default)]
    pub hub_id: Option<String>,
    /// All parameters, shared ones once.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// What a server calls it; absent of a model that ran here.
    #[serde(default)]
    pub served_as: Option<String>,
    /// The network's sizes.
    #[serde(default)]
    pub shape: Option<ModelShape>,
    /// Where it comes from.
    #[serde(default)]
    pub lineage: Lineage,
}

impl ModelFacts {
    /// From a manifest's entry, with what the sweep says in addition. What cannot be read counts as unknown.
    pub fn new(manifest: Option<&serde_json::Value>, said: Option<&Lineage>) -> Self {
        let mut facts: Self = manifest.and_then(|value| Self::deserialize(value).ok()).unwrap_or_default();
        facts.shape = facts.shape.filter(ModelShape::is_sound);
        facts.with(said)
    }

    /// With what a sweep says, which comes first.
    pub fn with(mut self, said: Option<&Lineage>) -> Self {
        if let Some(said) = said {
            self.lineage = said.clone().or(self.lineage);
        }
        self
    }

    /// Whether `name` means this model, called `own` in its sweep.
    pub fn is_called(&self, own: &str, name: &str) -> bool {
        let published = self.hub_id.as_deref().unwrap_or(own);
        let short = |full: &str| full.rsplit('/').next().unwrap_or(full).to_lowercase();
        own == name || short(published) == short(name)
    }
}

impl Lineage {
    /// Each fact of `self`, else of `other`.
    fn or(self, other: Self) -> Self {
        Self {
            kind: self.kind.or(other.kind),
            teacher: self.teacher.or(other.teacher),
            base: self.base.or(other.base),
            training_flop: self.training_flop.or(other.training_flop),
            released: self.released.or(other.released),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sweep_says_comes_before_what_the_files_say() {
        let manifest = serde_json::json!({
            "family": "qwen3", "dtype": "f32", "parameters": 7,
            "lineage": { "kind": "reasoning", "teacher": "a" }
        });
        let said = Lineage { kind: Some(Kind::Distilled), ..Lineage::default() };
        let facts = ModelFacts::new(Some(&manifest), Some(&said));
        assert_eq!((facts.parameters, facts.lineage.kind), (Some(7), Some(Kind::Distilled)));
        assert_eq!(facts.lineage.teacher.as_deref(), Some("a"));
    }

    #[test]
    fn facts_that_cannot_be_read_are_unknown() {
        assert_eq!(
            ModelFacts::new(Some(&serde_json::json!({ "parameters": "many" })), None),
            ModelFacts::default()
        );
    }

    #[test]
    fn sizes_beyond_any_network_are_unknown() {
        let shape = |layers: u64| {
            let sizes = serde_json::json!({
                "layers": layers, "width": 64, "feed_forward": 256, "heads": 4, "kv_heads": 2, "head_dim": 16,
                "vocab": 100, "tied": true
            });
            ModelFacts::new(Some(&serde_json::json!({ "shape": sizes })), None).shape
        };
        assert!(shape(2).is_some() && shape(u64::MAX).is_none());
    }

    #[test]
    fn a_model_is_known_by_its_name_in_the_sweep_and_by_its_published_name() {
        let facts = ModelFacts { hub_id: Some("deepseek-ai/DeepSeek-R1".into()), ..ModelFacts::default() };
        assert!(facts.is_called("teacher", "teacher") && facts.is_called("teacher", "deepseek-r1"));
        assert!(!facts.is_called("teacher", "deepseek-r1-distill"));
    }
}
