//! Where a checkpoint keeps its tokenizer.
//!
//! `tokenizer.json` holds everything. Older folders have `vocab.json` and `merges.txt` instead, with the added tokens
//! in `tokenizer_config.json`. Which ids end a completion is said in up to three places, which do not
//! always agree; all of them count: `generation_config.json`, `config.json` and the `eos_token` of
//! `tokenizer_config.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tokenizers::AddedToken;

use super::gguf::byte_level;
use super::growth::{MOST, growth};
use super::{MAX_TIME, STACK_BYTES, Tokenizer, TokenizerError};
use crate::bounded_file;
use crate::deadline::{Overrun, within};

/// The largest published tokenizer.json has 35 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;

impl Tokenizer {
    /// Loads the tokenizer of a checkpoint's folder, with its BOS and its end ids.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let folder = folder.as_ref();
        let config = json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let tokenizer = match read(&folder.join("tokenizer.json"))? {
            Some(bytes) => parse(&folder.join("tokenizer.json"), &bytes)?,
            None => from_vocab_and_merges(folder, &config)?,
        };
        let bos = config.get("bos_token").and_then(token_text).and_then(|token| tokenizer.token_id(&token));
        let adds_bos = config.get("add_bos_token").and_then(Value::as_bool).unwrap_or(false);
        let adds_bos = adds_bos || bos.is_some_and(|bos| writes_first(&tokenizer, bos));
        let ends = end_ids(folder, &config, &tokenizer)?;
        Ok(tokenizer.with_bos(bos, adds_bos).with_eos(ends))
    }

    /// Loads one file in the format of `tokenizer.json`; BOS and end ids are not in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(path).to_owned();
        let bytes = read(path)?.ok_or(TokenizerError::Missing(folder))?;
        parse(path, &bytes)
    }
}

/// The library's parser, with the panics of its corners turned into errors, and its time bounded.
fn parse(path: &Path, bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let fault = |reason: String| TokenizerError::File {
        path: path.to_owned(),
        reason: format!("not a tokenizer ({reason}); download the file again"),
    };
    let bytes = bytes.to_vec();
    let built = within(MAX_TIME, STACK_BYTES, move || built(&bytes)).map_err(|overrun| {
        fault(match overrun {
            Overrun::Late => format!("building it took more than {} seconds", MAX_TIME.as_secs()),
            Overrun::Panicked => "the parser panicked".into(),
            Overrun::NoThread => "there is no thread to build it in".into(),
        })
    })?;
    built.map_err(fault)
}

fn built(bytes: &[u8]) -> Result<Tokenizer, String> {
    let file: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if growth(&file) > MOST {
        return Err("its rewriting rules can make a text hundreds of times longer".into());
    }
    drop(file);
    tokenizers::Tokenizer::from_bytes(bytes).map(Tokenizer::new).map_err(|error| error.to_string())
}

fn writes_first(tokenizer: &Tokenizer, bos: u32) -> bool {
    let encoding = tokenizer.inner.encode("", true);
    encoding.is_ok_and(|encoding| encoding.get_ids().first() == Some(&bos))
}

fn from_vocab_and_merges(folder: &Path, config: &Value) -> Result<Tokenizer, TokenizerError> {
    let (vocab_path, merges_path) = (folder.join("vocab.json"), folder.join("merges.txt"));
    let (Some(vocab), Some(merges)) = (read(&vocab_path)?, read(&merges_path)?) else {
        return Err(TokenizerError::Missing(folder.to_owned()));
    };
    let vocab: BTreeMap<String, u32> = serde_json::from_slice(&vocab)
        .map_err(|error| fault(&vocab_path, &format!("not a vocabulary ({error})")))?;
    let merges = String::from_utf8(merges)
        .map_err(|error| fault(&merges_path, &format!("not UTF-8 text ({error})")))?;
    let class = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or("none");
    let pre = match class.trim_end_matches("Fast") {
        "Qwen2Tokenizer" => "qwen2",
        "GPT2Tokenizer" => "gpt-2",
        other => {
            let reason = format!("tokenizer_class {other:?} needs a tokenizer.json; download it");
            return Err(TokenizerError::File { path: folder.join("tokenizer_config.json"), reason });
        }
    };
    let pairs = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
    let added = config.get("added_tokens_decoder").map(added_tokens).unwrap_or_default();
    byte_level(pre, vocab, pairs, added).map(Tokenizer::new)
}

/// `{"151643": {"content": "<|endoftext|>", "special": true, ..}, ..}`
fn added_tokens(decoder: &Value) -> BTreeMap<u32, AddedToken> {
    let entries = decoder.as_object().into_iter().flatten();
    let token = |(id, token): (&String, &Value)| {
        let flag = |name: &str| token.get(name).and_then(Value::as_bool).unwrap_or(false);
        let added = AddedToken::from(token.get("content")?.as_str()?, flag("special"));
        let added = added.lstrip(flag("lstrip")).rstrip(flag("rstrip"));
        Some((id.parse().ok()?, added.normalized(flag("normalized")).single_word(flag("single_word"))))
    };
    entries.filter_map(token).collect()
}

fn end_ids(folder: &Path, config: &Value, tokenizer: &Tokenizer) -> Result<BTreeSet<u32>, TokenizerError> {
    let mut ids = BTreeSet::new();
    for name in ["generation_config.json", "config.json"] {
        let Some(json) = json(&folder.join(name))? else { continue };
        let nested = json.get("text_config").and_then(|text| text.get("eos_token_id"));
        for field in [json.get("eos_token_id"), nested].into_iter().flatten() {
            let list = field.as_array().map_or(std::slice::from_ref(field), Vec::as_slice);
            ids.extend(list.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()));
        }
    }
    ids.extend(config.get("eos_token").and_then(token_text).and_then(|token| tokenizer.token_id(&token)));
    Ok(ids)
}

/// A token is written as text or as an object with its text as `content`.
pub(crate) fn token_text(token: &Value) -> Option<String> {
    token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
}

fn json(path: &Path) -> Result<Option<Value>, TokenizerError> {
    bounded_file::read_json(path, MAX_FILE_BYTES).map_err(|reason| fault(path, &reason))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    bounded_file::read(path, MAX_FILE_BYTES).map_err(|reason| fault(path, &reason))
}

fn fault(path: &Path, reason: &str) -> TokenizerError {
    let reason = format!("{reason}; check the file, or download it again");
    TokenizerError::File { path: path.to_owned(), reason }
}
