//! What a request says.
//!
//! Whatever shapes the distribution is said every time, also that it is to do nothing, since servers have defaults of their
//! own: llama-server samples from the 40 most probable tokens and 95 % of their mass, and vLLM and SGLang do what the
//! model's `generation_config.json` says. Fields that OpenAI's protocol does not have can be left out (`extensions = false`)
//! for servers that refuse what they do not know; then such defaults hold.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{RemoteEngine, Wanted};

/// No limit, for all servers that know the field.
const ALL: i64 = -1;

/// What every request says; `stream` tells its random stream from the trajectory's others.
pub(super) fn body(engine: &RemoteEngine, wanted: &Wanted, stream: &str, max_tokens: Option<u32>) -> Value {
    let sampling = &wanted.settings.sampling;
    let mut body = json!({
        "model": engine.server.model,
        "stream": true,
        "stream_options": { "include_usage": true },
        "temperature": sampling.temperature,
        "top_p": sampling.top_p.unwrap_or(1.0),
        "seed": seed(wanted, stream),
    });
    if let Some(most) = max_tokens {
        body["max_tokens"] = most.into();
    }
    if engine.server.extensions {
        body["top_k"] = sampling.top_k.map_or(ALL, |most| most as i64).into();
        body["min_p"] = sampling.min_p.unwrap_or(0.0).into();
        body["repetition_penalty"] = 1.0.into();
        // The tags of a thought are special tokens to some models.
        body["skip_special_tokens"] = false.into();
    }
    body
}

/// A request to continue a text, and to tell its tokens.
pub(super) fn continuation(
    engine: &RemoteEngine,
    wanted: &Wanted,
    stream: &str,
    max_tokens: u32,
    prompt: Vec<u32>,
) -> Value {
    let mut body = body(engine, wanted, stream, Some(max_tokens));
    body["prompt"] = prompt.into();
    if engine.server.logprobs {
        body["logprobs"] = 1.into();
    }
    if engine.server.extensions {
        body["return_token_ids"] = true.into();
    }
    body
}

/// Every request has a random stream of its own, for servers that honour it.
fn seed(wanted: &Wanted, stream: &str) -> u32 {
    let Wanted { job, trajectory, settings, .. } = wanted;
    let digest =
        Sha256::digest(format!("{} {} {} {trajectory} {stream}", settings.seed, settings.waits, job.problem));
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 1
}
