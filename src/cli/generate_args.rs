//! What `generate` is told.

use clap::{Args, ValueEnum};
use isocost_harness::cell::Budget;
use isocost_models::device::DeviceChoice;

use super::Number;

/// Arguments of `generate`.
#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// `bundled:NAME`, `hub:OWNER/NAME[@REVISION]`, a model folder, or a .gguf file.
    pub(crate) model: String,
    /// What to ask.
    #[arg(long, required_unless_present = "token_ids")]
    pub(crate) prompt: Option<String>,
    /// Token ids to continue, separated by commas; the model still needs its tokenizer, which writes what it says.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["prompt", "raw"])]
    pub(crate) token_ids: Vec<u32>,
    /// Continue the prompt as it is, without the chat template.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Most reasoning tokens, or `max`; at the budget the thought is closed and an answer forced. 0: do not think
    /// [default: as long as the model thinks; one that was not taught to does not].
    #[arg(long)]
    pub(crate) budget: Option<Budget>,
    /// Completions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) n: u32,
    /// 0 takes the most probable token each time.
    #[arg(long, default_value_t = 0.6, value_parser = temperature)]
    pub(crate) temperature: f64,
    /// Draw only from the so many most probable tokens.
    #[arg(long)]
    pub(crate) top_k: Option<usize>,
    /// Draw only from the most probable tokens that together reach this probability.
    #[arg(long, value_parser = probability)]
    pub(crate) top_p: Option<f64>,
    /// Most tokens of the answer, and of the thought where --budget sets none [default: 1024, or what the context
    /// has room for].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: Option<u32>,
    /// Seed of the random draws.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print each token with the logarithm of its probability (JSON always has them).
    #[arg(long)]
    pub(crate) logprobs: bool,
    /// Type of the numbers [default: as the weights are stored; quantised weights stay quantised].
    #[arg(long)]
    pub(crate) dtype: Option<Number>,
    /// Where the model runs: `cpu`, `cuda`, `cuda:INDEX`, `metal`, or `auto`, a GPU if there is one.
    #[arg(long, default_value_t)]
    pub(crate) device: DeviceChoice,
    /// What to print on stdout.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
}

/// What to print on stdout.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Output {
    /// Thoughts and answers.
    Text,
    /// One JSON document.
    Json,
}

fn temperature(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("must be 0 or more".into()) }
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("must be between 0 and 1".into()) }
}
