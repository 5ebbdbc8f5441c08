//! The vocabulary of a GGUF file: what its header calls `tokenizer.ggml.*`.

use std::io::Read;
use std::path::Path;

use super::{GgufVocabulary, TokenKind, TokenizerError};
use crate::gguf::{Field, Header};

impl GgufVocabulary {
    /// Reads the vocabulary of a GGUF file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let fault = |error: std::io::Error| TokenizerError::File {
            path: path.to_owned(),
            reason: format!("{error}; download the file again"),
        };
        Header::open(path).map(|header| Self::from_header(&header)).map_err(fault)
    }

    /// Reads the vocabulary from the bytes of a GGUF file.
    pub fn read(bytes: impl Read) -> Result<Self, std::io::Error> {
        Header::read(bytes).map(|header| Self::from_header(&header))
    }

    /// Takes the vocabulary from a header.
    pub fn from_header(header: &Header) -> Self {
        let name = |name: &str| format!("tokenizer.ggml.{name}");
        let list = |field: &str| header.list(&name(field));
        let number = |field: &str| header.number(&name(field));
        let id = |field: &str| number(field).map(|id| id as u32);
        Self {
            model: header.text(&name("model")).unwrap_or_default().to_owned(),
            pre: header.text(&name("pre")).map(str::to_owned),
            tokens: texts(list("tokens")),
            merges: texts(list("merges")),
            scores: numbers(list("scores")).map(|score| score as f32).collect(),
            kinds: numbers(list("token_type")).map(|kind| TokenKind::from_gguf(kind as i64)).collect(),
            bos_id: id("bos_token_id"),
            eos_ids: [id("eos_token_id"), id("eot_token_id")].into_iter().flatten().collect(),
            add_bos: number("add_bos_token").map(|yes| yes != 0.0),
            add_space_prefix: number("add_space_prefix").map(|yes| yes != 0.0),
        }
    }
}

/// An element of another type keeps its place, so that ids stay aligned.
fn texts(list: &[Field]) -> Vec<String> {
    let text = |field: &Field| if let Field::Text(text) = field { text.clone() } else { String::new() };
    list.iter().map(text).collect()
}

fn numbers(list: &[Field]) -> impl Iterator<Item = f64> {
    list.iter().map(|field| if let Field::Number(number) = field { *number } else { 0.0 })
}
