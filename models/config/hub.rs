//! `config.json`, as the Hugging Face hub has it.
//!
//! Two dialects are in use: until 2025 `rope_theta` and `rope_scaling` stood beside the sizes, since `transformers` 5
//! they are one object, `rope_parameters`. Fields that say nothing about the network are ignored, as every loader
//! does, and those of other families that would change the calculation are refused ([`super::foreign`]); defaults are those of the reference implementation's family, where it has one that is in use.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::foreign::foreign_key;
use super::{Bias, Config, Gemma, LayerKind};
use crate::bounded_file;
use crate::load::LoadError;
use crate::rope::{Rotation, Scaling};

/// The largest published config.json has a few hundred kB (vision models list every layer).
const MAX_BYTES: u64 = 16 << 20;

/// The fields that matter here.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    max_position_embeddings: usize,
    original_max_position_embeddings: Option<usize>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    partial_rotary_factor: Option<f64>,
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    use_sliding_window: Option<bool>,
    sliding_window: Option<usize>,
    sliding_window_pattern: Option<usize>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
    query_pre_attn_scalar: Option<f64>,
    final_logit_softcapping: Option<f64>,
    attn_logit_softcapping: Option<f64>,
    quantization_config: Option<Value>,
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

/// A rope object of either dialect.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Rope {
    rope_type: Option<String>,
    r#type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    short_factor: Option<Vec<f64>>,
    long_factor: Option<Vec<f64>>,
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`LoadError`] if the file is missing, malformed, of an unknown family, or asks for something
    /// that the decoder does not do.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = bounded_file::read_text(path, MAX_BYTES).map_err(|e| LoadError::malformed(path, &e))?;
        let text = text.ok_or_else(|| LoadError::read(path, &"there is no such file"))?;
        Self::parse(&text, path)
    }

    /// Reads the text of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LoadError> {
        let value: Value = serde_json::from_str(text).map_err(|e| LoadError::malformed(path, &e))?;
        let family = value.get("model_type").and_then(Value::as_str).unwrap_or_default();
        if !["qwen2", "qwen3", "llama", "smollm3", "phi3", "gemma3_text"].contains(&family) {
            return Err(LoadError::unknown_architecture(path, family));
        }
        if let Some(foreign) = foreign_key(&value, has_qk_norm(family)) {
            return Err(LoadError::unsupported(path, &foreign));
        }
        let file: File = serde_json::from_value(value).map_err(|e| LoadError::malformed(path, &e))?;
        let config = file.config(path)?;
        config.check(path)?;
        Ok(config)
    }
}

/// Families that normalise queries and keys.
fn has_qk_norm(family: &str) -> bool {
    matches!(family, "qwen3" | "gemma3_text")
}

impl File {
    fn config(self, path: &Path) -> Result<Config, LoadError> {
        self.refuse(path)?;
        let gemma = self.model_type == "gemma3_text";
        let every = self.attention_bias;
        let bias = match self.model_type.as_str() {
            "qwen2" => Bias { qkv: true, ..Bias::default() },
            "qwen3" | "gemma3_text" => Bias { qkv: every, output: every, mlp: false },
            "phi3" => Bias::default(),
            _ => Bias { qkv: every, output: every, mlp: self.mlp_bias },
        };
        let width_of_head = self.hidden_size / self.num_attention_heads.max(1);
        let query_scale = self.query_pre_attn_scalar.unwrap_or(256.0);
        Ok(Config {
            vocab: self.vocab_size,
            width: self.hidden_size,
            feed_forward: self.intermediate_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.head_dim.unwrap_or(width_of_head),
            layers: self.layers(path)?,
            rotations: self.rotations(path)?,
            norm_eps: self.rms_norm_eps,
            context: self.max_position_embeddings,
            tied: self.tie_word_embeddings.unwrap_or(gemma || self.model_type == "smollm3"),
            qk_norm: has_qk_norm(&self.model_type),
            bias,
            fused: self.model_type == "phi3",
            gemma: gemma.then_some(Gemma { query_scale }),
            eos: match self.eos_token_id {
                None => vec![],
                Some(OneOrMany::One(id)) => vec![id],
                Some(OneOrMany::Many(ids)) => ids,
            },
            family: self.model_type,
        })
    }

    /// What these families may ask for and the decoder does not do.
    fn refuse(&self, path: &Path) -> Result<(), LoadError> {
        let unsupported = |what: String| Err(LoadError::unsupported(path, &what));
        let wanted = if self.model_type == "gemma3_text" { "gelu_pytorch_tanh" } else { "silu" };
        let activation = self.hidden_activation.as_deref().or(self.hidden_act.as_deref()).unwrap_or(wanted);
        if activation != wanted {
            return unsupported(format!("activation `{activation}` in {}", self.model_type));
        }
        if self.attn_logit_softcapping.or(self.final_logit_softcapping).is_some() {
            return unsupported("soft-capped logits".into());
        }
        if self.quantization_config.is_some() {
            return unsupported("a quantization_config (weights in 8 or 4 bits outside GGUF)".into());
        }
        Ok(())
    }

    /// Rotation and window of every layer.
    fn layers(&self, path: &Path) -> Result<Vec<LayerKind>, LoadError> {
        let count = self.num_hidden_layers;
        if count > 1 << 16 {
            return Err(LoadError::malformed(path, &format!("{count} layers are beyond any model")));
        }
        let (windows, rotates) = (self.windows(path)?, self.rotates());
        if windows.len() != count || rotates.len() != count {
            let message = format!("lists {} or {} layers, but has {count}", windows.len(), rotates.len());
            return Err(LoadError::malformed(path, &message));
        }
        let kind = |(window, rotates): (Option<usize>, bool)| {
            let local = self.model_type == "gemma3_text" && window.is_some();
            LayerKind { rotation: rotates.then_some(usize::from(local)), window }
        };
        Ok(windows.into_iter().zip(rotates).map(kind).collect())
    }

    /// SmolLM3 leaves every fourth layer without positions.
    fn rotates(&self) -> Vec<bool> {
        let count = self.num_hidden_layers;
        match (&self.no_rope_layers, self.model_type.as_str()) {
            (Some(list), "smollm3") => list.iter().map(|rotates| *rotates != 0).collect(),
            (None, "smollm3") => {
                let interval = self.no_rope_layer_interval.unwrap_or(4).max(1);
                (1..=count).map(|layer| !layer.is_multiple_of(interval)).collect()
            }
            _ => vec![true; count],
        }
    }

    /// The window of each layer: listed in `layer_types`, or by the family's habit.
    fn windows(&self, path: &Path) -> Result<Vec<Option<usize>>, LoadError> {
        let count = self.num_hidden_layers;
        let in_use = match self.model_type.as_str() {
            "phi3" | "gemma3_text" => true,
            "llama" => false,
            _ => self.use_sliding_window.unwrap_or(false),
        };
        let Some(window) = self.sliding_window.filter(|_| in_use) else { return Ok(vec![None; count]) };
        let slides = |layer: usize| match self.model_type.as_str() {
            "phi3" => true,
            "gemma3_text" => !(layer + 1).is_multiple_of(self.sliding_window_pattern.unwrap_or(6).max(1)),
            "smollm3" => self.rotates().get(layer) == Some(&false),
            _ => layer >= self.max_window_layers.unwrap_or(28),
        };
        let Some(types) = self.layer_types.as_ref().filter(|_| self.model_type != "phi3") else {
            return Ok((0..count).map(|layer| slides(layer).then_some(window)).collect());
        };
        let kind = |name: &String| match name.as_str() {
            "full_attention" => Ok(None),
            "sliding_attention" => Ok(Some(window)),
            other => Err(LoadError::unsupported(path, &format!("a layer of type `{other}`"))),
        };
        types.iter().map(kind).collect()
    }

    /// One rotation, or Gemma's two: for layers that see everything and for those with a window.
    fn rotations(&self, path: &Path) -> Result<Vec<Rotation>, LoadError> {
        let object = self.rope_parameters.clone().or(self.rope_scaling.clone()).unwrap_or_default();
        if let (Some(full), Some(sliding)) = (object.get("full_attention"), object.get("sliding_attention")) {
            return [full, sliding].map(|rope| self.rotation(rope.clone(), None, path)).into_iter().collect();
        }
        let global = self.rotation(object, self.rope_theta, path)?;
        if self.model_type != "gemma3_text" {
            return Ok(vec![global]);
        }
        let theta = self.rope_local_base_freq.unwrap_or(10_000.0);
        let local = Rotation { theta, scaling: Scaling::None, dims: global.dims };
        Ok(vec![global, local])
    }

    fn rotation(&self, object: Value, theta: Option<f64>, path: &Path) -> Result<Rotation, LoadError> {
        let rope: Option<Rope> =
            serde_json::from_value(object).map_err(|e| LoadError::malformed(path, &format!("rope: {e}")))?;
        let rope = rope.unwrap_or_default();
        let default = ["llama", "phi3", "qwen2"].contains(&self.model_type.as_str()).then_some(10_000.0);
        let theta = rope.rope_theta.or(theta).or(default);
        let theta = theta.ok_or_else(|| LoadError::malformed(path, &"has no rope_theta"))?;
        let head = self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1));
        let part = rope.partial_rotary_factor.or(self.partial_rotary_factor).unwrap_or(1.0);
        let dims = (head as f64 * part) as usize;
        Ok(Rotation { theta, dims, scaling: self.scaling(rope, path)? })
    }

    fn scaling(&self, rope: Rope, path: &Path) -> Result<Scaling, LoadError> {
        let kind = rope.rope_type.clone().or(rope.r#type.clone()).unwrap_or_else(|| "default".into());
        if self.model_type == "phi3" && !["default", "longrope", "su"].contains(&kind.as_str()) {
            return Err(LoadError::unsupported(path, &format!("rope type `{kind}` in phi3")));
        }
        let above_0 = |value: Option<f64>, name: &str| {
            let fits = value.filter(|value| value.is_finite() && *value > 0.0);
            fits.ok_or_else(|| {
                LoadError::malformed(path, &format!("rope type `{kind}` without a {name} above 0"))
            })
        };
        let original = rope.original_max_position_embeddings.or(self.original_max_position_embeddings);
        let original = original.unwrap_or(self.max_position_embeddings).max(1);
        Ok(match kind.as_str() {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor: above_0(rope.factor, "factor")? },
            "llama3" => Scaling::Llama3 {
                factor: above_0(rope.factor, "factor")?,
                low: above_0(rope.low_freq_factor, "low_freq_factor")?,
                high: above_0(rope.high_freq_factor, "high_freq_factor")?,
                original,
            },
            "yarn" => {
                let factor = above_0(rope.factor, "factor")?;
                let (fast, slow) = (rope.beta_fast.unwrap_or(32.0), rope.beta_slow.unwrap_or(1.0));
                let (fast, slow) = (above_0(Some(fast), "beta_fast")?, above_0(Some(slow), "beta_slow")?);
                let (truncate, magnitude) = (rope.truncate.unwrap_or(true), rope.yarn_magnitude(factor));
                Scaling::Yarn { factor, fast, slow, truncate, magnitude, original }
            }
            "longrope" | "su" => {
                let magnitude = rope.longrope_magnitude(self.max_position_embeddings, original);
                let list = |list: Option<Vec<f64>>, name: &str| {
                    let message = format!("rope type `{kind}` without a {name}");
                    list.ok_or_else(|| LoadError::malformed(path, &message))
                };
                let near = list(rope.short_factor, "short_factor")?;
                Scaling::LongRope { near, far: list(rope.long_factor, "long_factor")?, magnitude, original }
            }
            other => return Err(LoadError::unsupported(path, &format!("rope type `{other}`"))),
        })
    }
}

impl Rope {
    /// 0.1 ln(factor) + 1, or the ratio of two such numbers (DeepSeek's `mscale`).
    fn yarn_magnitude(&self, factor: f64) -> f64 {
        let magnitude = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        self.attention_factor.unwrap_or(match (self.mscale, self.mscale_all_dim) {
            (Some(one), Some(all)) if one != 0.0 && all != 0.0 => magnitude(one) / magnitude(all),
            _ => magnitude(1.0),
        })
    }

    /// The root of 1 + ln(factor) / ln(original).
    fn longrope_magnitude(&self, context: usize, original: usize) -> f64 {
        let factor = self.factor.unwrap_or(context as f64 / original as f64);
        self.attention_factor.unwrap_or(if factor <= 1.0 {
            1.0
        } else {
            (1.0 + factor.ln() / (original as f64).ln()).sqrt()
        })
    }
}
