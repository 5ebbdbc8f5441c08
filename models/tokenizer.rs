//! Tokenizers: from text to the ids a model was trained on, and back.
//!
//! A tokenizer has two layers. The *model* (byte-pair merges) turns any text into ids; *added tokens* such as
//! `<|im_end|>` or `<think>` are cut out of the text before the model sees it, and steer the decoder. Which texts may
//! contain added tokens is a question of trust, so there is a call for each answer:
//!
//! | text | call | added tokens | BOS |
//! |---|---|---|---|
//! | a rendered chat prompt | [`Tokenizer::encode_prompt`] | recognised, except in what the messages said | as the template wrote it |
//! | our own strings, such as a forced answer | [`Tokenizer::encode_text`] | recognised | no |
//! | anybody's text | [`Tokenizer::encode_user`] | ordinary characters | no |
//! | a document without a template | [`Tokenizer::encode_document`] | recognised | added once, if the tokenizer adds it |
//!
//! Contract: the ids equal those of the `tokenizers` library for the same text; every failure is a
//! [`TokenizerError`]; a file too large to be a tokenizer is refused before it is read, one that makes texts explode before it
//! is built, and a text that is not read in [`MAX_TIME`] is given up: regular expressions of strangers can take for ever.

mod gguf;
mod gguf_metadata;
mod growth;
mod load;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokenizers::{Model, ModelWrapper, OffsetType, PreTokenizedString, PreTokenizer};

pub use gguf::{GgufVocabulary, TokenKind};
pub(crate) use load::token_text;

use crate::chat::{Guard, Prompt};
use crate::deadline::{Overrun, within};

/// For one text, which takes milliseconds; and for building a tokenizer, which takes a second.
pub const MAX_TIME: Duration = Duration::from_secs(30);
/// The longest published tokens are a few hundred spaces.
const MAX_TOKEN_BYTES: usize = 1 << 14;
/// The main thread's usual stack.
const STACK_BYTES: usize = 8 << 20;

/// What can go wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The folder holds no tokenizer that can be read.
    #[error(
        "{0}: no tokenizer (looked for tokenizer.json, and for vocab.json with merges.txt): download one of them"
    )]
    Missing(PathBuf),
    /// A file could not be read, or is not what its name says.
    #[error("{path}: {reason}")]
    File {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The parts of a tokenizer do not fit together.
    #[error("tokenizer cannot be built: {0}; convert or download the model again")]
    Broken(String),
    /// The tokenizer can write ids for which the model has no embedding.
    #[error(
        "the tokenizer has ids up to {largest} but the model has {model} embedding rows: they belong to \
         different models, use the tokenizer from the model's own folder"
    )]
    DoesNotFit {
        /// The largest id the tokenizer can write.
        largest: u32,
        /// The rows of the model's embedding.
        model: usize,
    },
    /// Encoding or decoding failed.
    #[error("text cannot be tokenized: {0}; check the tokenizer's file")]
    Text(String),
}

/// What is done with added tokens such as `<|im_end|>` when ids become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Specials {
    /// They are written out.
    Keep,
    /// Those that the tokenizer calls special are left out; thinking tags usually are not special.
    Drop,
}

/// A model's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    largest_id: u32,
    longest_bytes: usize,
    bos_id: Option<u32>,
    adds_bos: bool,
    eos_ids: Vec<u32>,
    control_tokens: Vec<String>,
}

impl Tokenizer {
    /// Wraps a tokenizer that was built elsewhere; it has no BOS and no end ids yet.
    pub fn new(inner: tokenizers::Tokenizer) -> Self {
        let vocabulary = inner.get_vocab(true);
        let largest_id = vocabulary.values().copied().max().unwrap_or(0);
        let longest_bytes = vocabulary.keys().map(String::len).max().unwrap_or(0);
        let added = inner.get_added_tokens_decoder();
        let is_control = |token: &&tokenizers::AddedToken| token.special || is_bracketed(&token.content);
        let control: BTreeSet<_> =
            added.values().filter(is_control).map(|token| token.content.clone()).collect();
        let control_tokens = control.into_iter().collect();
        let inner = Arc::new(inner);
        Self {
            inner,
            largest_id,
            longest_bytes,
            bos_id: None,
            adds_bos: false,
            eos_ids: Vec::new(),
            control_tokens,
        }
    }

    /// Sets the id that begins a document and whether this tokenizer writes it.
    pub fn with_bos(mut self, id: Option<u32>, adds_bos: bool) -> Self {
        (self.bos_id, self.adds_bos) = (id, adds_bos);
        self
    }

    /// Sets the ids that end a completion.
    pub fn with_eos(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.eos_ids = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        self
    }

    /// The ids of a rendered prompt. What its messages said cannot become a control token; BOS is there if and only
    /// if the template wrote it, as in `transformers`.
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, TokenizerError> {
        let (inner, prompt) = (self.inner.clone(), prompt.clone());
        in_time(move || {
            let vocabulary = inner.get_added_vocabulary();
            let mut pieces = vocabulary.extract_and_normalize(inner.get_normalizer(), prompt.marked());
            let unmark = |text: &mut tokenizers::NormalizedString| {
                prompt.marks().try_for_each(|(mark, char)| text.replace(mark, char.encode_utf8(&mut [0; 4])))
            };
            pieces.normalize(unmark).map_err(text_error)?;
            ids(&inner, pieces)
        })
    }

    /// The ids of text of our own, in which added tokens are meant.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.encode_prompt(&Prompt::plain(text))
    }

    /// The ids of anybody's text: `<|im_end|>` is ten characters.
    pub fn encode_user(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let (inner, text) = (self.inner.clone(), text.to_owned());
        in_time(move || {
            let mut pieces = PreTokenizedString::from(text);
            if let Some(normalizer) = inner.get_normalizer() {
                use tokenizers::Normalizer;
                pieces.normalize(|text| normalizer.normalize(text)).map_err(text_error)?;
            }
            ids(&inner, pieces)
        })
    }

    /// What of a text this tokenizer has no token for, and reads as its unknown one.
    pub fn unknown_parts(&self, text: &str) -> Vec<String> {
        let unknown = match self.inner.get_model() {
            ModelWrapper::WordLevel(model) => self.token_id(&model.unk_token),
            ModelWrapper::WordPiece(model) => self.token_id(&model.unk_token),
            ModelWrapper::BPE(model) => model.unk_token.as_ref().and_then(|token| self.token_id(token)),
            ModelWrapper::Unigram(_) => None,
        };
        let Some((unknown, encoded)) = unknown.zip(self.inner.encode(text, false).ok()) else {
            return vec![];
        };
        let read = encoded.get_ids().iter().zip(encoded.get_offsets()).filter(|(id, _)| **id == unknown);
        read.filter_map(|(_, (from, to))| text.get(*from..*to).map(str::to_owned)).collect()
    }

    /// The ids of a text that no template wrapped: with BOS if this tokenizer adds it and the text does not have it.
    pub fn encode_document(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = self.encode_text(text)?;
        if let Some(bos) = self.bos_id.filter(|bos| self.adds_bos && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of some ids. Bytes that are not UTF-8 become U+FFFD; ids without a token are left out.
    pub fn decode(&self, ids: &[u32], specials: Specials) -> Result<String, TokenizerError> {
        self.inner.decode(ids, specials == Specials::Drop).map_err(text_error)
    }

    /// The id of one token, added or not.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of one id, as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// One more than the largest id that encoding can give.
    pub fn vocab_size(&self) -> usize {
        self.largest_id as usize + 1
    }

    /// The id that begins a document, if there is one.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// The ids that end a completion, ascending.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// The added tokens that steer a model: those called special, and those in brackets (`<think>`, `[INST]`), since
    /// several publishers leave their turn and thinking tags unflagged.
    pub fn control_tokens(&self) -> &[String] {
        &self.control_tokens
    }

    /// What keeps these control tokens out of rendered messages.
    pub fn guard(&self) -> Guard {
        Guard::new(self.control_tokens.iter().map(String::as_str))
    }

    /// Checks that the model has an embedding for every id; models may have more rows than ids. A token that is a book
    /// would make every completion one.
    pub fn check_fits(&self, embedding_rows: usize) -> Result<(), TokenizerError> {
        if self.longest_bytes > MAX_TOKEN_BYTES {
            let (longest, most) = (self.longest_bytes, MAX_TOKEN_BYTES);
            return Err(TokenizerError::Broken(format!("a token of {longest} bytes; the most is {most}")));
        }
        let largest = self.eos_ids.last().copied().unwrap_or(0).max(self.largest_id);
        if largest as usize >= embedding_rows {
            return Err(TokenizerError::DoesNotFit { largest, model: embedding_rows });
        }
        Ok(())
    }
}

/// A text's tokens, unless they take too long.
fn in_time(
    job: impl FnOnce() -> Result<Vec<u32>, TokenizerError> + Send + 'static,
) -> Result<Vec<u32>, TokenizerError> {
    within(MAX_TIME, STACK_BYTES, job).unwrap_or_else(|overrun| {
        Err(TokenizerError::Text(match overrun {
            Overrun::Late => format!("it took more than {} seconds", MAX_TIME.as_secs()),
            Overrun::Panicked => "the tokenizer panicked".into(),
            Overrun::NoThread => "there is no thread to do it in".into(),
        }))
    })
}

fn ids(inner: &tokenizers::Tokenizer, mut pieces: PreTokenizedString) -> Result<Vec<u32>, TokenizerError> {
    if let Some(splitter) = inner.get_pre_tokenizer() {
        splitter.pre_tokenize(&mut pieces).map_err(text_error)?;
    }
    pieces.tokenize(|piece| inner.get_model().tokenize(piece.get())).map_err(text_error)?;
    let encoding = pieces.into_encoding(None, 0, OffsetType::None).map_err(text_error)?;
    Ok(encoding.get_ids().to_vec())
}

fn is_bracketed(token: &str) -> bool {
    (token.starts_with('<') && token.ends_with('>')) || (token.starts_with('[') && token.ends_with(']'))
}

fn text_error(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Text(error.to_string())
}
