//! The network's sizes and variations, read from a Hugging Face `config.json`.
//!
//! One decoder serves all families, so whatever sets a family apart is a field of [`Config`] and
//! nothing else: a bias, a norm on queries and keys, a fused projection, layers without rotation.

use std::path::Path;

use isocost_harness::model_shape::ModelShape;
use serde::Deserialize;

use crate::load::LoadError;

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
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Added to the mean square inside norms.
    pub norm_eps: f64,
    /// Base of the rotary embedding's wavelengths.
    pub rope_theta: f64,
    /// Longest sequence.
    pub context: usize,
    /// The head shares the embedding's weights.
    pub tied: bool,
    /// Queries and keys are normalised per head (Qwen3).
    pub qk_norm: bool,
    /// Query, key and value projections have a bias (Qwen2).
    pub qkv_bias: bool,
    /// Tokens that end a completion.
    pub eos: Vec<u32>,
}

/// The fields of `config.json` that matter here; all others are ignored, as every loader does.
#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "default_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "default_theta")]
    rope_theta: f64,
    rope_scaling: Option<serde_json::Value>,
    max_position_embeddings: usize,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    use_sliding_window: bool,
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

fn default_norm_eps() -> f64 {
    1e-6
}

fn default_theta() -> f64 {
    10_000.0
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`LoadError`] if the file is missing, malformed, of an unknown family, or asks for something
    /// that the decoder does not do.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|e| LoadError::read(path, &e))?;
        let file: File = serde_json::from_str(&text).map_err(|e| LoadError::malformed(path, &e))?;
        let config = Self::from_file(file, path)?;
        config.check(path)?;
        Ok(config)
    }

    fn from_file(file: File, path: &Path) -> Result<Self, LoadError> {
        let family = file.model_type.unwrap_or_default();
        if !matches!(family.as_str(), "qwen2" | "qwen3" | "llama") {
            return Err(LoadError::UnknownArchitecture { path: path.to_owned(), family });
        }
        if file.rope_scaling.is_some_and(|scaling| !scaling.is_null()) {
            return Err(LoadError::malformed(path, &"rope_scaling is not supported"));
        }
        if file.use_sliding_window {
            return Err(LoadError::malformed(path, &"sliding-window attention is not supported"));
        }
        Ok(Self {
            vocab: file.vocab_size,
            width: file.hidden_size,
            feed_forward: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads: file.num_attention_heads,
            kv_heads: file.num_key_value_heads.unwrap_or(file.num_attention_heads),
            head_dim: file.head_dim.unwrap_or(file.hidden_size / file.num_attention_heads.max(1)),
            norm_eps: file.rms_norm_eps,
            rope_theta: file.rope_theta,
            context: file.max_position_embeddings,
            tied: file.tie_word_embeddings,
            qk_norm: family == "qwen3",
            qkv_bias: family == "qwen2",
            eos: match file.eos_token_id {
                None => vec![],
                Some(OneOrMany::One(id)) => vec![id],
                Some(OneOrMany::Many(ids)) => ids,
            },
            family,
        })
    }

    fn check(&self, path: &Path) -> Result<(), LoadError> {
        let sizes = [self.vocab, self.width, self.feed_forward, self.layers, self.heads, self.kv_heads];
        if sizes.contains(&0) || self.head_dim < 2 || self.context == 0 {
            return Err(LoadError::malformed(path, &"a size is 0"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) || !self.head_dim.is_multiple_of(2) {
            return Err(LoadError::malformed(
                path,
                &"the numbers of heads or their width do not fit together",
            ));
        }
        Ok(())
    }

    /// The sizes alone, which are what a step's cost depends on.
    pub fn shape(&self) -> ModelShape {
        ModelShape {
            layers: self.layers as u64,
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
        2 * self.layers * self.kv_heads * self.head_dim * element_bytes
    }
}
