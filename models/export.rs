//! A bundled model as a GGUF file, for other programs to run or serve.
//!
//! The bundled tokenizer is a list of words between spaces. GGUF has no such kind, but its byte-pair kind has tokens that are
//! cut out of any text before anything else is done (user-defined ones), the longest first. So each word becomes such a
//! token with the space before it (` 36`), and what marks turns and thoughts becomes one without. Nothing is left for
//! pairs to be merged of: the list of merges is empty, and single spaces that stand before a marker are no token and vanish.
//! Ids, and so the network, stay as they are. Text that does not begin with a space loses its first word; a template's
//! never does.

use std::fmt::Display;
use std::io::Cursor;
use std::path::Path;

use candle_core::quantized::gguf_file::{Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Error, Tensor};
use isocost_harness::model_shape::ModelShape;

use crate::checkpoint::Checkpoint;
use crate::load::LoadError;
use crate::source::Source;
use crate::weights::theirs;

/// Numbers that `tokenizer.ggml.token_type` gives kinds of tokens.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
/// The number of a list's items that are texts.
const TEXT: u32 = 8;
const MERGES: &str = "tokenizer.ggml.merges";

/// Writes a model with words for tokens as a GGUF file in `f32`.
///
/// # Errors
/// [`LoadError`] if the model is of another kind, or the file cannot be written.
pub fn gguf(source: &Source, to: &Path) -> Result<(), LoadError> {
    let checkpoint = Checkpoint::open(source, Some(DType::F32), &Device::Cpu)?;
    let unable = |what: &str| LoadError::unsupported(&source.path, &what);
    if checkpoint.config.family != "qwen3" {
        return Err(unable("an export of another architecture than qwen3"));
    }
    let values = [
        sizes(&checkpoint),
        tokenizer(&checkpoint).ok_or_else(|| unable("a tokenizer of other than words"))?,
    ];
    let values: Vec<(&str, &Value)> = values.iter().flatten().map(|(name, value)| (*name, value)).collect();
    let fail = |error: Error| unwritten(to, &error);
    let tensors = tensors(source).map_err(fail)?;
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = Cursor::new(Vec::new());
    write(&mut file, &values, &tensors).map_err(fail)?;
    let mut bytes = file.into_inner();
    mark_merges_as_texts(&mut bytes);
    std::fs::write(to, bytes).map_err(|error| unwritten(to, &error))
}

fn unwritten(to: &Path, error: &dyn Display) -> LoadError {
    LoadError::other(&format!("{}: cannot be written ({error}): choose another place", to.display()))
}

/// The library writes an empty list as one of numbers, and llama.cpp insists on texts.
fn mark_merges_as_texts(file: &mut [u8]) {
    let key = MERGES.as_bytes();
    let end = file.windows(key.len()).position(|bytes| bytes == key).map(|at| at + key.len());
    // After the key come the type of the value, a list, and that of its items.
    if let Some(items) = end.and_then(|end| file.get_mut(end + 4..end + 8)) {
        items.copy_from_slice(&TEXT.to_le_bytes());
    }
}

type Values = Vec<(&'static str, Value)>;

fn sizes(checkpoint: &Checkpoint) -> Values {
    let config = &checkpoint.config;
    let ModelShape { layers, width, feed_forward, heads, kv_heads, head_dim, .. } = config.shape();
    let count = |count: u64| Value::U32(count as u32);
    vec![
        ("general.architecture", Value::String("qwen3".into())),
        ("general.name", Value::String(checkpoint.conversation.card.hub_id.clone())),
        ("qwen3.block_count", count(layers)),
        ("qwen3.embedding_length", count(width)),
        ("qwen3.feed_forward_length", count(feed_forward)),
        ("qwen3.context_length", count(config.context as u64)),
        ("qwen3.attention.head_count", count(heads)),
        ("qwen3.attention.head_count_kv", count(kv_heads)),
        ("qwen3.attention.key_length", count(head_dim)),
        ("qwen3.attention.value_length", count(head_dim)),
        ("qwen3.attention.layer_norm_rms_epsilon", Value::F32(config.norm_eps as f32)),
        ("qwen3.rope.freq_base", Value::F32(config.rotations.first().map_or(1e4, |r| r.theta as f32))),
    ]
}

/// The vocabulary, if each of its tokens is a word.
fn tokenizer(checkpoint: &Checkpoint) -> Option<Values> {
    let conversation = &checkpoint.conversation;
    let tokenizer = &conversation.tokenizer;
    let thinking = conversation.card.thinking.as_ref();
    let is_tag =
        |word: &str| thinking.is_some_and(|thinking| word == thinking.open || word == thinking.close);
    let (mut tokens, mut kinds) = (vec![], vec![]);
    for id in 0..checkpoint.config.vocab as u32 {
        let word = tokenizer.token(id)?;
        if tokenizer.encode_text(&word).ok()? != [id] || word.contains(char::is_whitespace) {
            return None;
        }
        let is_control = tokenizer.control_tokens().contains(&word);
        // A server writes no control tokens, but the tags of a thought must be seen.
        kinds.push(Value::I32(if is_control && !is_tag(&word) { CONTROL } else { USER_DEFINED }));
        tokens.push(Value::String(if is_control { word } else { format!(" {word}") }));
    }
    let template = conversation.template.as_ref().map(|template| template.source().to_owned());
    Some(vec![
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("gpt-2".into())),
        ("tokenizer.ggml.tokens", Value::Array(tokens)),
        ("tokenizer.ggml.token_type", Value::Array(kinds)),
        (MERGES, Value::Array(vec![])),
        ("tokenizer.ggml.eos_token_id", Value::U32(*tokenizer.eos_ids().first()?)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
        ("tokenizer.chat_template", Value::String(template?)),
    ])
}

/// All weights under the names that GGUF files use.
fn tensors(source: &Source) -> Result<Vec<(String, QTensor)>, Error> {
    let stored = candle_core::safetensors::load(source.path.join("model.safetensors"), &Device::Cpu)?;
    let mut stored: Vec<(String, Tensor)> = stored.into_iter().collect();
    stored.sort_by(|(a, _), (b, _)| a.cmp(b));
    let renamed = |(name, tensor): (String, Tensor)| {
        let name = theirs(&name).ok_or_else(|| Error::Msg(format!("{name} has no name in GGUF files")))?;
        Ok((name, QTensor::quantize(&tensor.to_dtype(DType::F32)?, GgmlDType::F32)?))
    };
    stored.into_iter().map(renamed).collect()
}
