//! The metadata of a GGUF file.
//!
//! The names are llama.cpp's: sizes are `ARCHITECTURE.embedding_length` and the like. What the metadata leaves open is
//! read off the tensors' directory: whether the head is tied, whether projections have a bias, how many tokens there are.

use std::path::Path;

use super::{Bias, Config, plain_layers};
use crate::gguf::Header;
use crate::load::LoadError;
use crate::rope::{Rotation, Scaling};

/// A header, asked for values of its own architecture.
struct Metadata<'a> {
    header: &'a Header,
    family: &'a str,
    path: &'a Path,
}

impl Config {
    /// Reads a GGUF file's configuration; `divisors` are its `rope_freqs` (Llama 3's rope scaling), if it has any.
    ///
    /// # Errors
    /// [`LoadError`] if the architecture is unknown, a value is missing, or the file asks for something
    /// that the decoder does not do.
    pub fn from_gguf(header: &Header, divisors: Option<Vec<f64>>, path: &Path) -> Result<Self, LoadError> {
        let family = header.text("general.architecture").unwrap_or_default();
        if !["qwen2", "qwen3", "llama"].contains(&family) {
            return Err(LoadError::unknown_architecture(path, family));
        }
        let metadata = Metadata { header, family, path };
        let config = metadata.config(divisors)?;
        config.check(path)?;
        Ok(config)
    }
}

impl Metadata<'_> {
    fn config(&self, divisors: Option<Vec<f64>>) -> Result<Config, LoadError> {
        if self.number("expert_count").is_some_and(|experts| experts > 0.0) {
            return Err(LoadError::unsupported(self.path, &"a mixture of experts"));
        }
        let (width, heads) = (self.size("embedding_length")?, self.size("attention.head_count")?);
        let head_dim = self.size_or("attention.key_length", width / heads.max(1))?;
        let embedding = self.header.tensors.get("token_embd.weight");
        let embedding =
            embedding.ok_or_else(|| LoadError::malformed(self.path, &"has no token_embd.weight"))?;
        let has = |name: &str| self.header.tensors.contains_key(name);
        let layers = self.size("block_count")?;
        if layers > 1 << 16 {
            return Err(LoadError::malformed(self.path, &format!("{layers} layers are beyond any model")));
        }
        Ok(Config {
            family: self.family.to_owned(),
            vocab: embedding.shape[0],
            width,
            feed_forward: self.size("feed_forward_length")?,
            heads,
            kv_heads: self.size_or("attention.head_count_kv", heads)?,
            head_dim,
            layers: plain_layers(layers),
            rotations: vec![self.rotation(head_dim, divisors)?],
            norm_eps: self.number("attention.layer_norm_rms_epsilon").unwrap_or(1e-6),
            context: self.size("context_length")?,
            tied: !has("output.weight"),
            qk_norm: self.family == "qwen3",
            bias: Bias { qkv: has("blk.0.attn_q.bias"), output: has("blk.0.attn_output.bias"), mlp: false },
            fused: false,
            gemma: None,
            eos: vec![],
        })
    }

    fn rotation(&self, head_dim: usize, divisors: Option<Vec<f64>>) -> Result<Rotation, LoadError> {
        let theta = self.number("rope.freq_base").unwrap_or(10_000.0);
        let dims = self.size_or("rope.dimension_count", head_dim)?;
        let kind = self.text("rope.scaling.type").unwrap_or("none");
        let scaling = match (kind, divisors) {
            ("none", None) => Scaling::None,
            // Llama 3's factors are in the divisors already.
            ("none" | "llama3", Some(divisors)) => Scaling::Divisors(divisors),
            ("linear", None) => Scaling::Linear { factor: self.factor()? },
            ("yarn", None) => self.yarn()?,
            (other, _) => return Err(LoadError::unsupported(self.path, &format!("rope scaling `{other}`"))),
        };
        Ok(Rotation { theta, dims, scaling })
    }

    fn yarn(&self) -> Result<Scaling, LoadError> {
        let factor = self.factor()?;
        let setting = |name: &str, default: f64| {
            self.number(&format!("rope.scaling.{name}")).filter(|value| *value > 0.0).unwrap_or(default)
        };
        let magnitude = if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
        Ok(Scaling::Yarn {
            factor,
            fast: setting("yarn_beta_fast", 32.0),
            slow: setting("yarn_beta_slow", 1.0),
            truncate: true,
            magnitude: magnitude * setting("attn_factor", 1.0),
            original: self.size("rope.scaling.original_context_length")?,
        })
    }

    fn factor(&self) -> Result<f64, LoadError> {
        let factor = self.number("rope.scaling.factor").filter(|factor| factor.is_finite() && *factor > 0.0);
        factor.ok_or_else(|| self.missing("rope.scaling.factor"))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.header.number(&format!("{}.{name}", self.family))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.header.text(&format!("{}.{name}", self.family))
    }

    fn size(&self, name: &str) -> Result<usize, LoadError> {
        let whole = |number: &f64| number.fract() == 0.0 && (0.0..=1e9).contains(number);
        self.number(name).filter(whole).map(|size| size as usize).ok_or_else(|| self.missing(name))
    }

    /// A size, or `default` if the file does not give it; a list of sizes is not one.
    fn size_or(&self, name: &str, default: usize) -> Result<usize, LoadError> {
        let given = self.header.values.contains_key(&format!("{}.{name}", self.family));
        if given { self.size(name) } else { Ok(default) }
    }

    fn missing(&self, name: &str) -> LoadError {
        LoadError::malformed(self.path, &format!("{}.{name} is missing or not a size", self.family))
    }
}
