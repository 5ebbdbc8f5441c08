//! The bundled models' words: one token per number, operator and marker.

use std::collections::HashMap;

use isocost_harness::countdown::LARGEST_RESULT;
use serde_json::{Value, json};

/// Starts the question.
pub const USER: &str = "<|user|>";
/// Ends the question.
pub const ASSISTANT: &str = "<|assistant|>";
/// Opens the thought.
pub const THINK: &str = "<think>";
/// Closes the thought.
pub const END_THINK: &str = "</think>";
/// Ends the answer.
pub const END: &str = "<|end|>";

const SPECIAL: [&str; 5] = [USER, ASSISTANT, THINK, END_THINK, END];
const WORDS: [&str; 15] =
    ["+", "-", "*", "/", "=", ":", ";", ",", "!", "(", ")", "make", "from", "start", "?"];

/// Words and their ids.
pub struct Vocabulary {
    ids: HashMap<String, u32>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        let numbers = (0..=LARGEST_RESULT).map(|n| n.to_string());
        let words = SPECIAL.iter().chain(&WORDS).map(|w| (*w).to_owned()).chain(numbers);
        Self { ids: words.zip(0..).collect() }
    }
}

impl Vocabulary {
    /// Number of words.
    pub fn size(&self) -> usize {
        self.ids.len()
    }

    /// The ids of white-space separated words.
    ///
    /// # Errors
    /// Names a word that the vocabulary lacks.
    pub fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        let id = |word| {
            self.ids
                .get(word)
                .copied()
                .ok_or_else(|| anyhow::anyhow!("`{word}` is not in the bundled vocabulary"))
        };
        text.split_whitespace().map(id).collect()
    }

    /// The vocabulary as a Hugging Face `tokenizer.json`; unknown words become `?`.
    pub fn tokenizer_json(&self) -> Value {
        let added: Vec<Value> = SPECIAL
            .iter()
            .map(|word| {
                json!({"id": self.ids[*word], "content": word, "single_word": false, "lstrip": true,
                       "rstrip": true, "normalized": false, "special": true})
            })
            .collect();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": self.sorted(), "unk_token": "?"}
        })
    }

    fn sorted(&self) -> Value {
        let mut words: Vec<_> = self.ids.iter().collect();
        words.sort_by_key(|(_, id)| **id);
        Value::Object(words.into_iter().map(|(word, id)| (word.clone(), json!(id))).collect())
    }
}
