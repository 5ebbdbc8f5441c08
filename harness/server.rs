//! A server that generates: what it serves, and how it is asked.
//!
//! vLLM, SGLang, llama-server and their like speak the OpenAI protocol. Its chat form cannot express a budget that cuts
//! a thought and forces an answer. Where the served model's tokenizer and template are at hand, the text is
//! continued through `/completions` instead, token by token the same prefix, and every budget is exact.

use serde::{Deserialize, Serialize};

/// What a sweep says of a server, beside its base URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The name under which it serves the model.
    pub model: String,
    /// Further base URLs that serve the same; requests go to the one with the fewest under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// The environment variable that holds the key. The key itself is never written anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// A model with the served one's tokenizer, template and configuration (`bundled:NAME`, `hub:OWNER/NAME`, a folder, a
    /// .gguf file). With it, budgets are exact; without, the server's chat form is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// Use the chat form although a tokenizer is named, which then only counts what the server does not.
    #[serde(default)]
    pub chat: bool,
    /// Send fields that OpenAI's protocol does not have (`top_k`, `min_p`, `repetition_penalty`, `skip_special_tokens`,
    /// `return_token_ids`). Off for a server that refuses them; its own defaults then hold.
    #[serde(default = "yes")]
    pub extensions: bool,
    /// Ask for the log-probabilities of answers, and with them for token ids, where text is continued.
    #[serde(default = "yes")]
    pub logprobs: bool,
    /// Requests under way at most.
    #[serde(default = "eight")]
    pub concurrency: u32,
    /// Attempts of a request at most.
    #[serde(default = "five")]
    pub attempts: u32,
    /// Seconds of silence after which an attempt is given up.
    #[serde(default = "two_minutes")]
    pub silence_s: f64,
    /// Seconds before the second attempt, on average; doubled for each further one, up to half a minute.
    #[serde(default = "half_a_second")]
    pub back_off_s: f64,
}

fn yes() -> bool {
    true
}

fn eight() -> u32 {
    8
}

fn five() -> u32 {
    5
}

fn two_minutes() -> f64 {
    120.0
}

fn half_a_second() -> f64 {
    0.5
}

impl Server {
    /// Whether text can be continued, so that every budget is exact.
    pub fn is_continued(&self) -> bool {
        self.tokenizer.is_some() && !self.chat
    }

    /// What is wrong with it, if anything.
    pub(crate) fn check(&self, source: &str) -> Result<(), String> {
        for url in [source].into_iter().chain(self.mirrors.iter().map(String::as_str)) {
            check_url(url)?;
        }
        let is_duration = |s: f64| s.is_finite() && s > 0.0;
        if self.concurrency == 0 || self.attempts == 0 {
            return Err("server: concurrency and attempts count from 1".into());
        }
        if !is_duration(self.silence_s) || !is_duration(self.back_off_s) {
            return Err("server: silence_s and back_off_s are seconds above 0".into());
        }
        Ok(())
    }
}

/// A base URL without anything secret in it: it stands in manifests.
fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest {
        None => Err("the source of a server is its base URL, such as http://localhost:8000/v1".into()),
        Some(rest) if rest.contains(['@', '?', '#']) || rest.contains(char::is_whitespace) => {
            Err("a base URL holds no user, key or query: name the key's variable in key_env".into())
        }
        Some(_) => Ok(()),
    }
}
