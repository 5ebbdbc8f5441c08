//! Tokenizers from GGUF metadata.
//!
//! A GGUF file carries its vocabulary as arrays and names the algorithm instead of describing it: `gpt2` is byte-level
//! byte-pair encoding, cut into words by the regular expression that `tokenizer.ggml.pre` names; `llama` is
//! SentencePiece, where merges are not listed but implied by the scores, and unknown characters fall back to bytes.
//! Both become an ordinary tokenizer here. A name that is not known is an error: the nearest guess would tokenize
//! almost right.

use std::collections::{BTreeMap, HashMap};

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NFC, Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as Splitters;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior,
};

use super::{Tokenizer, TokenizerError};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DIGIT: &str = r"\p{N}";

/// What a token of a GGUF vocabulary is, as in `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A piece of text.
    Normal,
    /// Stands for what has no token.
    Unknown,
    /// Steers the model: `<|im_end|>`.
    Control,
    /// Is cut out of any text, like `<think>`.
    UserDefined,
    /// An id without a use.
    Unused,
    /// One byte, spelled `<0x0A>`.
    Byte,
}

impl TokenKind {
    /// The kind that a number in `token_type` means; unknown numbers are ordinary text.
    pub fn from_gguf(number: i64) -> Self {
        match number {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

/// The `tokenizer.ggml.*` metadata of a GGUF file, already parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufVocabulary {
    /// `model`: `gpt2` or `llama`.
    pub model: String,
    /// `pre`: how text is cut into words before merging; only for `gpt2`.
    pub pre: Option<String>,
    /// `tokens`: the spelling of each id.
    pub tokens: Vec<String>,
    /// `merges`: pairs separated by a space, best first; only for `gpt2`.
    pub merges: Vec<String>,
    /// `scores`: the log-probability of each id; only for `llama`.
    pub scores: Vec<f32>,
    /// `token_type` of each id; empty if the file has none.
    pub kinds: Vec<TokenKind>,
    /// `bos_token_id`.
    pub bos_id: Option<u32>,
    /// `eos_token_id`, and `eot_token_id` where there is one.
    pub eos_ids: Vec<u32>,
    /// `add_bos_token`.
    pub add_bos: Option<bool>,
    /// `add_space_prefix`.
    pub add_space_prefix: Option<bool>,
}

impl Tokenizer {
    /// Builds the tokenizer that a GGUF file describes.
    pub fn from_gguf(vocabulary: &GgufVocabulary) -> Result<Self, TokenizerError> {
        if vocabulary.tokens.is_empty() {
            return Err(TokenizerError::Broken("the GGUF file has no tokens".to_owned()));
        }
        let sentencepiece = vocabulary.model == "llama";
        let tokenizer = match vocabulary.model.as_str() {
            "gpt2" => {
                let pre = vocabulary.pre.as_deref().unwrap_or("none");
                let ids = (0u32..).zip(&vocabulary.tokens).map(|(id, token)| (token.clone(), id)).collect();
                byte_level(pre, ids, vocabulary.merges.iter().map(String::as_str), vocabulary.added())?
            }
            "llama" => sentence_piece(vocabulary)?,
            other => {
                return Err(TokenizerError::Broken(format!("unknown tokenizer model {other:?} in GGUF")));
            }
        };
        let adds_bos = vocabulary.add_bos.unwrap_or(sentencepiece);
        let eos = vocabulary.eos_ids.iter().copied();
        Ok(Self::new(tokenizer).with_bos(vocabulary.bos_id, adds_bos).with_eos(eos))
    }
}

impl GgufVocabulary {
    fn kind(&self, id: usize) -> TokenKind {
        self.kinds.get(id).copied().unwrap_or(TokenKind::Normal)
    }

    fn added(&self) -> BTreeMap<u32, AddedToken> {
        let added = |(id, token): (u32, &String)| {
            let kind = self.kind(id as usize);
            let is_added = matches!(kind, TokenKind::Control | TokenKind::UserDefined) && !token.is_empty();
            let added = AddedToken::from(token.clone(), kind == TokenKind::Control).normalized(false);
            is_added.then_some((id, added))
        };
        (0u32..).zip(&self.tokens).filter_map(added).collect()
    }

    /// SentencePiece merges any two neighbours whose union is a token, the best-scored union first.
    fn implied_merges(&self) -> Vec<(String, String)> {
        let ids: HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, t)| (t.as_str(), id)).collect();
        let mut pieces: Vec<usize> = (0..self.tokens.len()).filter(|&id| self.merges_into(id)).collect();
        let score = |id: usize| self.scores.get(id).copied().unwrap_or(f32::NEG_INFINITY);
        pieces.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        let mut merges = Vec::new();
        for piece in pieces {
            let token = &self.tokens[piece];
            let splits = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
            let known = splits.filter_map(|(l, r)| Some((ids.get(l)?, ids.get(r)?, l, r)));
            let mut known: Vec<_> = known.collect();
            known.sort_unstable();
            merges.extend(known.into_iter().map(|(_, _, left, right)| (left.to_owned(), right.to_owned())));
        }
        merges
    }

    /// Long tokens would make this quadratic; SentencePiece's are at most 16 characters, whitespace runs longer.
    fn merges_into(&self, id: usize) -> bool {
        self.kind(id) == TokenKind::Normal && self.tokens[id].len() <= 256
    }
}

/// Byte-level byte-pair encoding, with the words that `pre` cuts.
pub(super) fn byte_level<'a>(
    pre: &str,
    ids: BTreeMap<String, u32>,
    merges: impl Iterator<Item = &'a str>,
    added: BTreeMap<u32, AddedToken>,
) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let (patterns, whole_words, composes): (&[&str], bool, bool) = match pre {
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" => (&[GPT2], false, false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" => {
            (&[DIGIT, GPT2], false, false)
        }
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" => (&[LLAMA3], true, false),
        "dbrx" | "smaug-bpe" => (&[LLAMA3], false, false),
        "qwen2" | "deepseek-r1-qwen" => (&[QWEN2], false, true),
        "stablelm2" | "hunyuan" => (&[QWEN2], false, false),
        "gpt-4o" | "llama4" => (&[GPT4O], false, false),
        other => {
            let known =
                "gpt-2, smollm, llama-bpe, dbrx, qwen2, deepseek-r1-qwen, gpt-4o and their kin are known";
            return Err(TokenizerError::Broken(format!("unknown pre-tokenizer {other:?} ({known})")));
        }
    };
    let pair = |line: &str| {
        let split = line.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
        split.ok_or_else(|| TokenizerError::Broken(format!("merge {line:?} is not a pair")))
    };
    let merges = merges.map(pair).collect::<Result<Vec<_>, _>>()?;
    let model =
        BPE::builder().vocab_and_merges(ids.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges);
    let mut tokenizer = tokenizers::Tokenizer::new(model.ignore_merges(whole_words).build().map_err(broken)?);
    let mut splitters = Vec::new();
    for pattern in patterns {
        let pattern = SplitPattern::Regex((*pattern).to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(broken)?;
        splitters.push(PreTokenizerWrapper::Split(split));
    }
    let bytes = ByteLevel::new(false, true, false);
    splitters.push(PreTokenizerWrapper::ByteLevel(bytes));
    tokenizer.with_pre_tokenizer(Some(Splitters::new(splitters)));
    tokenizer.with_decoder(Some(bytes));
    if composes {
        tokenizer.with_normalizer(Some(NFC)).map_err(broken)?;
    }
    with_added(tokenizer, added)
}

fn sentence_piece(vocabulary: &GgufVocabulary) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let ids = (0u32..).zip(&vocabulary.tokens).map(|(id, token)| (token.clone(), id));
    let unknown = (0..vocabulary.tokens.len()).find(|&id| vocabulary.kind(id) == TokenKind::Unknown);
    let mut model = BPE::builder()
        .vocab_and_merges(ids.collect::<tokenizers::models::bpe::Vocab>(), vocabulary.implied_merges())
        .byte_fallback(true)
        .fuse_unk(true);
    if let Some(unknown) = unknown {
        model = model.unk_token(vocabulary.tokens[unknown].clone());
    }
    let mut tokenizer = tokenizers::Tokenizer::new(model.build().map_err(broken)?);
    let spaces = Replace::new(" ", "▁").map_err(broken)?;
    let mut normalizers = vec![NormalizerWrapper::Replace(spaces)];
    let mut decoders = vec![
        DecoderWrapper::Replace(Replace::new("▁", " ").map_err(broken)?),
        DecoderWrapper::ByteFallback(ByteFallback::default()),
        DecoderWrapper::Fuse(Fuse::default()),
    ];
    if vocabulary.add_space_prefix.unwrap_or(true) {
        normalizers.insert(0, NormalizerWrapper::Prepend(Prepend::new("▁".to_owned())));
        decoders.push(DecoderWrapper::Strip(Strip::new(' ', 1, 0)));
    }
    tokenizer.with_normalizer(Some(Normalizers::new(normalizers))).map_err(broken)?;
    tokenizer.with_decoder(Some(Decoders::new(decoders)));
    with_added(tokenizer, vocabulary.added())
}

/// Adds tokens under exactly their ids.
fn with_added(
    mut tokenizer: tokenizers::Tokenizer,
    added: BTreeMap<u32, AddedToken>,
) -> Result<tokenizers::Tokenizer, TokenizerError> {
    tokenizer.add_tokens(added.values().cloned()).map_err(broken)?;
    for (id, token) in added {
        let got = tokenizer.token_to_id(&token.content);
        if got != Some(id) {
            let content = token.content;
            return Err(TokenizerError::Broken(format!(
                "added token {content:?} should have id {id}, has {got:?}"
            )));
        }
    }
    Ok(tokenizer)
}

fn broken(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Broken(error.to_string())
}
