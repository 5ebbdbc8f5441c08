//! Tokenizers from GGUF metadata: ids equal the reference's, headers that lie are errors.

use std::fs;
use std::path::Path;

use isocost_models::tokenizer::{GgufVocabulary, Specials, TokenKind, Tokenizer};
use serde_json::Value;

mod published;
use published::{data, pass_vectors, vectors};

#[test]
fn gguf_vocabularies_pass_their_vectors() {
    for name in ["gpt-2", "llama-spm", "phi-3"] {
        let Some(path) = data(&format!("gguf_vocab/ggml-vocab-{name}.gguf")) else { continue };
        let tokenizer = Tokenizer::from_gguf(&GgufVocabulary::from_file(&path).unwrap()).unwrap();
        pass_vectors(&tokenizer, &vectors(&path));
    }
}

#[test]
fn the_same_vocabulary_through_gguf_metadata_gives_the_same_ids() {
    for (pre, vector, file) in [
        ("qwen2", "qwen2", "qwen3/tokenizer.assembled.json"),
        ("llama-bpe", "llama-bpe", "llama3/tokenizer.assembled.json"),
    ] {
        let Some(path) = data(&format!("tokenizers/{file}")) else { continue };
        let Some(inp) = data(&format!("gguf_vocab/ggml-vocab-{vector}.gguf.inp")) else { continue };
        let tokenizer = Tokenizer::from_gguf(&as_gguf(&path, pre)).unwrap();
        pass_vectors(&tokenizer, &vectors(&inp.with_extension("")));
    }
}

/// A tokenizer.json written down as GGUF metadata.
fn as_gguf(path: &Path, pre: &str) -> GgufVocabulary {
    let json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let base =
        json["model"]["vocab"].as_object().unwrap().iter().map(|(t, id)| (id.as_u64().unwrap(), t.as_str()));
    let added = json["added_tokens"].as_array().unwrap();
    let added = added.iter().map(|t| (t["id"].as_u64().unwrap(), t["content"].as_str().unwrap()));
    let control: std::collections::BTreeSet<u64> = added.clone().map(|(id, _)| id).collect();
    let mut tokens: Vec<(u64, &str)> = base.chain(added).collect();
    tokens.sort_unstable();
    let pair = |pair: &Value| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    let kind = |(id, _): &(u64, &str)| TokenKind::from_gguf(if control.contains(id) { 3 } else { 1 });
    GgufVocabulary {
        model: "gpt2".into(),
        pre: Some(pre.into()),
        kinds: tokens.iter().map(kind).collect(),
        tokens: tokens.iter().map(|(_, token)| (*token).to_owned()).collect(),
        merges: json["model"]["merges"].as_array().unwrap().iter().map(pair).collect(),
        scores: Vec::new(),
        bos_id: None,
        eos_ids: vec![0],
        add_bos: None,
        add_space_prefix: None,
    }
}

/// A GGUF header with these metadata entries, each already encoded.
fn header(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0u64.to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    bytes.extend(entries.concat());
    bytes
}

fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&(key.len() as u64).to_le_bytes()[..], key.as_bytes(), &kind.to_le_bytes(), value].concat()
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn list(kind: u32, items: &[Vec<u8>]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(items.len() as u64).to_le_bytes(), &items.concat()].concat()
}

fn small_gguf() -> Vec<u8> {
    let tokens = ["<unk>", "</s>", "▁", "a", "b", "ab", "▁ab", "<0x21>"].map(text);
    let scores = [0.0f32, 0.0, -9.0, -8.0, -7.0, -1.0, -2.0, 0.0].map(|score| score.to_le_bytes().to_vec());
    let kinds = [2i32, 3, 1, 1, 1, 1, 1, 6].map(|kind| kind.to_le_bytes().to_vec());
    header(&[
        entry("general.name", 8, &text("small")),
        entry("tokenizer.ggml.model", 8, &text("llama")),
        entry("tokenizer.ggml.tokens", 9, &list(8, &tokens)),
        entry("tokenizer.ggml.scores", 9, &list(6, &scores)),
        entry("tokenizer.ggml.token_type", 9, &list(5, &kinds)),
        entry("tokenizer.ggml.eos_token_id", 4, &1u32.to_le_bytes()),
    ])
}

#[test]
fn a_sentencepiece_gguf_merges_by_score_and_falls_back_to_bytes() {
    let vocabulary = GgufVocabulary::read(&small_gguf()[..]).unwrap();
    let tokenizer = Tokenizer::from_gguf(&vocabulary).unwrap();
    assert_eq!(tokenizer.encode_user("ab ab!").unwrap(), [6, 6, 7]);
    assert_eq!(tokenizer.encode_text("ab</s>").unwrap(), [6, 1]);
    assert_eq!(tokenizer.decode(&[6, 6, 7], Specials::Keep).unwrap(), "ab ab!");
    assert_eq!(tokenizer.eos_ids(), [1]);
}

#[test]
fn a_gguf_header_that_lies_is_an_error() {
    let good = small_gguf();
    for cut in 0..good.len() {
        assert!(GgufVocabulary::read(&good[..cut]).is_err(), "cut at {cut}");
    }
    for place in 0..good.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[place] = value;
            if let Ok(vocabulary) = GgufVocabulary::read(&bad[..]) {
                let _ = Tokenizer::from_gguf(&vocabulary);
            }
        }
    }
    let nested = (0..10).fold(vec![], |inner, _| list(9, &[inner]));
    assert!(GgufVocabulary::read(&header(&[entry("x", 9, &nested)])[..]).is_err());
}

#[test]
fn an_unknown_gguf_tokenizer_is_not_guessed() {
    let mut vocabulary = GgufVocabulary::read(&small_gguf()[..]).unwrap();
    vocabulary.model = "gpt2".into();
    vocabulary.pre = Some("klingon".into());
    assert!(Tokenizer::from_gguf(&vocabulary).unwrap_err().to_string().contains("klingon"));
    vocabulary.model = "bert".into();
    assert!(Tokenizer::from_gguf(&vocabulary).unwrap_err().to_string().contains("bert"));
    vocabulary.tokens.clear();
    vocabulary.kinds = vec![TokenKind::Control];
    assert!(Tokenizer::from_gguf(&vocabulary).is_err());
}
