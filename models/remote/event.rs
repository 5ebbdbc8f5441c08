//! One event of a stream, under the names that servers give its parts.
//!
//! | part | field of the event | servers |
//! |---|---|---|
//! | a chat's thought | `reasoning_content` | SGLang, llama-server, vLLM up to 0.11 |
//! | | `reasoning` | vLLM from 0.11 on, which for a while says the same in both |
//! | token ids | `token_ids` | vLLM, asked by `return_token_ids` |
//! | | `logprobs.content[].id` | llama-server |
//! | log-probabilities | `logprobs.token_logprobs` | vLLM, SGLang |
//! | | `logprobs.content[].logprob` | llama-server |
//! | tokens found in the prefix cache | `usage.prompt_tokens_details.cached_tokens` | all, some only if told to at their start |

use serde::Deserialize;
use serde_json::Value;

/// One event.
#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    token_ids: Option<Vec<u32>>,
    #[serde(default)]
    logprobs: Option<Logprobs>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    #[serde(default)]
    content: Option<Vec<Token>>,
    #[serde(default)]
    token_logprobs: Option<Vec<Option<f64>>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    id: Option<u32>,
    #[serde(default)]
    logprob: Option<f64>,
}

/// Tokens as the server counts them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: u32,
    #[serde(default)]
    pub(super) completion_tokens: u32,
    #[serde(default)]
    completion_tokens_details: Option<Details>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Clone, Debug, Deserialize)]
struct Details {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
    #[serde(default)]
    cached_tokens: Option<u32>,
}

impl Usage {
    pub(super) fn reasoning_tokens(&self) -> Option<u32> {
        self.completion_tokens_details.as_ref()?.reasoning_tokens
    }

    pub(super) fn cached_tokens(&self) -> Option<u32> {
        self.prompt_tokens_details.as_ref()?.cached_tokens
    }
}

impl Choice {
    /// What it adds to the thought and to the text.
    pub(super) fn texts(&mut self) -> [String; 2] {
        let delta = self.delta.take().unwrap_or_default();
        let thought = delta.reasoning_content.or(delta.reasoning).unwrap_or_default();
        [thought, self.text.take().or(delta.content).unwrap_or_default()]
    }

    /// The ids of its tokens, as far as they are told.
    pub(super) fn ids(&self) -> Vec<u32> {
        let from_logprobs = || self.content().iter().filter_map(|token| token.id).collect();
        self.token_ids.clone().unwrap_or_else(from_logprobs)
    }

    /// The log-probabilities of its tokens, as far as they are told.
    pub(super) fn logprobs(&self) -> Vec<f64> {
        match self.logprobs.as_ref().and_then(|logprobs| logprobs.token_logprobs.as_ref()) {
            Some(told) => told.iter().copied().flatten().collect(),
            None => self.content().iter().filter_map(|token| token.logprob).collect(),
        }
    }

    fn content(&self) -> &[Token] {
        self.logprobs.as_ref().and_then(|logprobs| logprobs.content.as_deref()).unwrap_or_default()
    }
}
