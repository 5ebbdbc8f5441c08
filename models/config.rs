//! The network's sizes and variations.
//!
//! One decoder serves all families, so whatever sets a family apart is a field of [`Config`] and nothing else: a bias, a
//! norm on queries and keys, a fused projection, layers without rotation. What a checkpoint's files say becomes a
//! `Config` in [`hub`] (`config.json`) and [`gguf`] (metadata). What is not known here is an error and never
//! a guess: a model that is run almost right measures nothing.

mod foreign;
mod gguf;
mod hub;

use std::path::Path;

use isocost_harness::model_shape::ModelShape;

use crate::load::LoadError;
use crate::rope::Rotation;

/// Sizes and variations of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The family, as `model_type` names it.
    pub family: String,
    /// Tokens the network knows.
    pub vocab: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Width inside the feed-forward block.
    pub feed_forward: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// What sets each decoder layer apart, first to last.
    pub layers: Vec<LayerKind>,
    /// The ways in which layers rotate queries and keys.
    pub rotations: Vec<Rotation>,
    /// Added to the mean square inside norms.
    pub norm_eps: f64,
    /// Longest sequence.
    pub context: usize,
    /// The head shares the embedding's weights.
    pub tied: bool,
    /// Queries and keys are normalised per head (Qwen3).
    pub qk_norm: bool,
    /// Which projections have a bias.
    pub bias: Bias,
    /// Query, key and value weights are one matrix, and gate and up weights another (Phi-3).
    pub fused: bool,
    /// What Gemma does otherwise; `None` for all other families.
    pub gemma: Option<Gemma>,
    /// Tokens that end a completion.
    pub eos: Vec<u32>,
}

/// What sets a layer apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerKind {
    /// Which of [`Config::rotations`] it uses; `None` for a layer that does not know positions (SmolLM3).
    pub rotation: Option<usize>,
    /// A token attends to at most so many tokens, itself included; `None` for all.
    pub window: Option<usize>,
}

/// Which projections have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bias {
    /// Query, key and value (Qwen2).
    pub qkv: bool,
    /// Attention's output.
    pub output: bool,
    /// The feed-forward block's three.
    pub mlp: bool,
}

/// What Gemma 3 does otherwise: embeddings are scaled by the root of the width, norms multiply by one plus their weight
/// and stand behind each block too, and the gate is a GELU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemma {
    /// Queries are divided by the root of this instead of the head's width.
    pub query_scale: f64,
}

impl Config {
    /// Numbers that fit together and weights of a size that can exist.
    fn check(&self, path: &Path) -> Result<(), LoadError> {
        let fail = |message: &str| Err(LoadError::malformed(path, &message));
        let sizes = [self.vocab, self.width, self.feed_forward, self.heads, self.kv_heads, self.context];
        if sizes.contains(&0) || self.head_dim < 2 || self.layers.is_empty() {
            return fail("a size is 0");
        }
        // Products of three sizes are calculated freely from here on.
        let most = [self.head_dim, self.layers.len()].into_iter().chain(sizes).max();
        if most.is_some_and(|size| size > 1 << 24) || self.heads > 1 << 16 || self.head_dim > 1 << 16 {
            return fail("a size is beyond any model");
        }
        if !self.heads.is_multiple_of(self.kv_heads) || !self.head_dim.is_multiple_of(2) {
            return fail("the numbers of heads or their width do not fit together");
        }
        if self.layers.iter().any(|layer| layer.window == Some(0)) {
            return fail("a sliding window of 0 tokens");
        }
        for rotation in &self.rotations {
            self.check_rotation(rotation, path)?;
        }
        Ok(())
    }

    fn check_rotation(&self, rotation: &Rotation, path: &Path) -> Result<(), LoadError> {
        let fits = rotation.dims.is_multiple_of(2) && (2..=self.head_dim).contains(&rotation.dims);
        if !(fits && rotation.theta > 1.0 && rotation.theta.is_finite()) {
            let message = format!("rotary embedding of {} dims, base {}", rotation.dims, rotation.theta);
            return Err(LoadError::malformed(path, &message));
        }
        for list in rotation.scaling.lists() {
            if list.len() != rotation.dims / 2 || !list.iter().all(|divisor| *divisor > 0.0) {
                let message = format!("{} rope factors, but {} pairs rotate", list.len(), rotation.dims / 2);
                return Err(LoadError::malformed(path, &message));
            }
        }
        if !rotation.numbers().all(|number| number.is_finite() && number > 0.0) {
            let message = "its rope scaling gives a frequency or a magnitude that is no number above 0";
            return Err(LoadError::malformed(path, &message));
        }
        Ok(())
    }

    /// The sizes alone, which are what a step's cost depends on.
    pub fn shape(&self) -> ModelShape {
        ModelShape {
            layers: self.layers.len() as u64,
            width: self.width as u64,
            feed_forward: self.feed_forward as u64,
            heads: self.heads as u64,
            kv_heads: self.kv_heads as u64,
            head_dim: self.head_dim as u64,
            vocab: self.vocab as u64,
            tied: self.tied,
        }
    }

    /// Bytes that one token's keys and values take, at `element_bytes` a number.
    pub fn kv_bytes_per_token(&self, element_bytes: usize) -> usize {
        2 * self.layers.len() * self.kv_heads * self.head_dim * element_bytes
    }

    /// Sequences that grow beyond this are calculated anew from their first token (LongRoPE).
    pub fn recalculates_at(&self) -> Option<usize> {
        self.rotations.iter().find_map(Rotation::switch)
    }
}

/// Layers that all rotate the same way and see everything.
fn plain_layers(count: usize) -> Vec<LayerKind> {
    vec![LayerKind { rotation: Some(0), window: None }; count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(rope: &Value) -> Result<Config, LoadError> {
        let config = json!({
            "model_type": "qwen2", "vocab_size": 8, "hidden_size": 64, "intermediate_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 1, "rms_norm_eps": 1e-6, "max_position_embeddings": 4096, "rope_scaling": rope
        });
        Config::parse(&config.to_string(), Path::new("config.json"))
    }

    #[test]
    fn a_rope_whose_numbers_are_none_is_refused_and_the_file_named() {
        let pairs = vec![1.0; 32];
        let good = [
            json!({ "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024 }),
            json!({ "rope_type": "longrope", "short_factor": pairs, "long_factor": pairs,
                    "original_max_position_embeddings": 1024 }),
        ];
        let bad = [
            (0, "beta_fast", json!(0.0)),
            (0, "beta_fast", json!(-1.0)),
            (0, "beta_slow", json!(0.0)),
            (0, "attention_factor", json!(0.0)),
            (0, "attention_factor", json!(-1.0)),
            (0, "attention_factor", json!(1e300)),
            (0, "factor", json!(1e300)),
            (1, "attention_factor", json!(-1.0)),
            (1, "original_max_position_embeddings", json!(1)),
            (1, "long_factor", json!(vec![1e300; 32])),
        ];
        for rope in &good {
            parsed(rope).unwrap();
        }
        for (which, name, value) in bad {
            let mut rope = good[which].clone();
            rope[name] = value.clone();
            let message = parsed(&rope).expect_err(&format!("{name} = {value}")).to_string();
            assert!(message.starts_with("config.json: ") && message.contains("rope"), "{message}");
        }
    }
}
