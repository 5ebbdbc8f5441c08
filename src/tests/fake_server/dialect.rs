//! How one server or another says the same thing.
//!
//! Written after what llama-server (llama.cpp 0c1e570) was seen to send, and after the protocol definitions of vLLM
//! (`entrypoints/openai/*/protocol.py`, 0.11 to 0.19), what `transformers serve` (5.24.0) was seen to send, and SGLang (`srt/entrypoints/openai/protocol.py`).

use serde_json::{Map, Value, json};

/// Ids of the bundled vocabulary: `<think>`, `</think>`, `<|end|>`, and 0.
const THINK: u64 = 2;
const CLOSE: u64 = 3;
const END: u64 = 4;
const ZERO: u64 = 20;
/// What it believes of each of its tokens.
pub(crate) const LOGPROB: f64 = -0.5;

/// Where the parts of an answer stand.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    /// Whether tokens are counted.
    pub(crate) usage: bool,
    /// The fields in which a chat's thought comes; none if it stands between tags.
    pub(crate) thought: &'static [&'static str],
    /// Whether the first tag of such a thought stands in the prompt.
    pub(crate) opens_in_prompt: bool,
    pub(crate) ids: Ids,
    /// Whether a stream ends with a word that says so.
    pub(crate) says_done: bool,
    /// Whether a blank stands where the first tag of a chat's thought was taken out.
    pub(crate) leaves_a_blank: bool,
    /// Most tokens of a continuation that its own context leaves room for.
    pub(crate) room: usize,
}

/// Where the ids of tokens are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    Nowhere,
    /// `token_ids`, and log-probabilities as OpenAI's completions have them (vLLM).
    Field,
    /// Log-probabilities only (SGLang).
    LogprobsOnly,
    /// Within log-probabilities as chats have them (llama-server).
    InLogprobs,
}

impl Dialect {
    pub(crate) fn plain() -> Self {
        let thought = &["reasoning_content"];
        Self {
            usage: true,
            thought,
            opens_in_prompt: false,
            ids: Ids::Nowhere,
            says_done: true,
            leaves_a_blank: false,
            room: usize::MAX,
        }
    }

    pub(crate) fn transformers() -> Self {
        Self { says_done: false, leaves_a_blank: true, ..Self::plain() }
    }

    pub(crate) fn vllm() -> Self {
        Self { thought: &["reasoning"], ids: Ids::Field, ..Self::plain() }
    }

    /// For a while it said a thought in the old and the new field.
    pub(crate) fn vllm_0_11() -> Self {
        Self { thought: &["reasoning", "reasoning_content"], ..Self::vllm() }
    }

    pub(crate) fn sglang() -> Self {
        Self { ids: Ids::LogprobsOnly, ..Self::plain() }
    }

    pub(crate) fn llama_server() -> Self {
        Self { ids: Ids::InLogprobs, ..Self::plain() }
    }

    pub(super) fn completion(self, body: &Value, thought: usize) -> Vec<Value> {
        let prompt: Vec<u64> =
            body["prompt"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        let said = words(&prompt, thought);
        let most = self.room.min(body["max_tokens"].as_u64().unwrap() as usize);
        let event = |(word, id): &(String, u64)| {
            let mut choice = json!({ "text": word, "index": 0, "finish_reason": null, "stop_reason": null });
            self.tell(&mut choice, body, word, *id);
            json!({ "choices": [choice], "usage": null })
        };
        let mut events: Vec<Value> = said.iter().take(most).map(event).collect();
        let is_cut = said.len() >= most;
        let mut last =
            json!({ "text": "", "index": 0, "finish_reason": if is_cut { "length" } else { "stop" } });
        if !is_cut {
            self.tell(&mut last, body, "", END);
        }
        events.push(json!({ "choices": [last] }));
        let sampled = said.len().min(most) + usize::from(!is_cut);
        let details = json!({ "cached_tokens": prompt.len() - 1 });
        events.extend(self.usage.then(|| {
            json!({ "choices": [], "usage": {
                "prompt_tokens": prompt.len(), "completion_tokens": sampled, "prompt_tokens_details": details
            } })
        }));
        events
    }

    /// Adds what was asked for of a token.
    fn tell(self, choice: &mut Value, body: &Value, word: &str, id: u64) {
        if self.ids == Ids::Field && body["return_token_ids"] == true {
            choice["token_ids"] = json!([id]);
        }
        if body["logprobs"].as_u64().is_none() {
            return;
        }
        choice["logprobs"] = match self.ids {
            Ids::Nowhere => Value::Null,
            Ids::InLogprobs => json!({ "content": [{ "id": id, "token": word, "logprob": LOGPROB }] }),
            Ids::Field | Ids::LogprobsOnly => {
                json!({ "tokens": [word], "token_logprobs": [LOGPROB], "top_logprobs": [{ word: LOGPROB }] })
            }
        };
    }

    /// What follows the last event.
    pub(super) fn last_word(self) -> Option<String> {
        self.says_done.then(|| "[DONE]".into())
    }

    pub(super) fn chat(self, body: &Value, thought: usize) -> Vec<Value> {
        assert_eq!(body["messages"].as_array().unwrap().last().unwrap()["role"], "user");
        let most = body["max_tokens"].as_u64().unwrap_or(1000) as usize;
        let fields = if self.thought.is_empty() { &["content"][..] } else { self.thought };
        let numbers = (0..thought).map(|number| delta(fields, &format!(" {number}")));
        let answer = delta(&["content"], " 7");
        let tag = |tag| self.thought.is_empty().then(|| delta(&["content"], tag));
        let open = tag("<think>").filter(|_| !self.opens_in_prompt);
        let said: Vec<Value> =
            open.into_iter().chain(numbers).chain(tag("</think>")).chain([answer]).collect();
        let is_cut = said.len() >= most;
        let sampled = said.len().min(most) + usize::from(!is_cut);
        let first = json!({ "choices": [{ "delta": { "role": "assistant", "content": null }, "index": 0 }] });
        let blank = self.leaves_a_blank.then(|| delta(&["content"], " "));
        let said = blank.into_iter().chain(said.into_iter().take(most));
        let mut events: Vec<Value> = [first].into_iter().chain(said).collect();
        let reason = if is_cut { "length" } else { "stop" };
        events.push(json!({ "choices": [{ "delta": {}, "finish_reason": reason }] }));
        events.extend(self.usage.then(
            || json!({ "choices": [], "usage": { "prompt_tokens": 12, "completion_tokens": sampled } }),
        ));
        events
    }
}

fn delta(fields: &[&str], word: &str) -> Value {
    let delta: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), word.into())).collect();
    json!({ "choices": [{ "delta": delta, "index": 0 }] })
}

/// What the model says after these token ids, and its ids.
fn words(prompt: &[u64], length: usize) -> Vec<(String, u64)> {
    let opened = prompt.iter().position(|id| *id == THINK).unwrap();
    let thought = &prompt[opened + 1..];
    if thought.contains(&CLOSE) {
        return vec![(" 7".into(), ZERO + 7)];
    }
    // A thought that was sent back differently would be told here.
    assert!(thought.iter().enumerate().all(|(at, id)| *id == ZERO + at as u64), "{thought:?}");
    let rest = (thought.len()..length).map(|number| (format!(" {number}"), ZERO + number as u64));
    rest.chain([("</think>".into(), CLOSE), (" 7".into(), ZERO + 7)]).collect()
}
