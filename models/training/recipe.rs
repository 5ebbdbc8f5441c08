//! A training recipe: one TOML file that says everything a bundled model was made from.

use serde::{Deserialize, Serialize};

/// What to train, on what, for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Folder name of the finished model.
    pub name: String,
    /// Why this model exists.
    pub why: String,
    /// Seed of the initial weights and of the documents.
    pub seed: u64,
    /// The network.
    pub shape: Shape,
    /// The documents.
    pub data: Data,
    /// The optimiser's settings.
    pub optimizer: Optimizer,
    /// Folder of a finished model whose weights to start from instead of random ones.
    pub start_from: Option<String>,
}

/// Sizes of a Qwen3 decoder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width inside the feed-forward block.
    pub feed_forward: usize,
    /// Standard deviation of the initial weights.
    #[serde(default = "default_init_std")]
    pub init_std: f32,
    /// Added to the mean square inside norms.
    #[serde(default = "default_norm_eps")]
    pub norm_eps: f64,
    /// Base of the rotary embedding's wavelengths.
    #[serde(default = "default_rope_theta")]
    pub rope_theta: f64,
}

fn default_init_std() -> f32 {
    0.04
}

fn default_norm_eps() -> f64 {
    1e-6
}

fn default_rope_theta() -> f64 {
    10_000.0
}

/// Where documents come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "source", rename_all = "kebab-case")]
pub enum Data {
    /// Written by a program: random problems with worked thoughts. The numbers are shares of documents.
    Programs {
        /// Countdown with three numbers.
        countdown_3: f64,
        /// Countdown with four numbers.
        countdown_4: f64,
        /// Chain arithmetic.
        chain: f64,
        /// Share of all documents that answer without thinking.
        direct: f64,
    },
    /// A model's own correct trajectories, from a run on training problems.
    Trajectories {
        /// The run's `trajectories.jsonl`.
        file: String,
        /// Which of a problem's correct trajectories to keep.
        keep: Keep,
        /// Share of all documents that answer without thinking (from the same trajectories).
        direct: f64,
    },
}

/// Which correct trajectories of a problem become documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Every correct one.
    Correct,
    /// The correct one with the fewest reasoning tokens.
    Shortest,
}

/// AdamW with warm-up, a plateau and linear decay over the second half.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Learning rate on the plateau.
    pub learning_rate: f32,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Steps in all.
    pub steps: u64,
    /// Tokens in a batch; a step trains on two batches.
    pub batch_tokens: usize,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f32,
}

impl Optimizer {
    /// Learning rate at `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f32 {
        let warmup = (step + 1) as f32 / self.warmup_steps.max(1) as f32;
        let left = (self.steps - step) as f32 / (self.steps as f32 / 2.0);
        self.learning_rate * warmup.min(left).min(1.0)
    }
}
