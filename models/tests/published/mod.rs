//! Published files and vectors which are not part of the repository.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use isocost_models::tokenizer::Tokenizer;

/// Downloaded data that is not part of the repository; a test that needs it says so and passes without.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ISOCOST_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")));
    let path = root.join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent; set ISOCOST_DATA to the data folder", path.display());
        return None;
    }
    Some(path)
}

/// Texts and ids of a llama.cpp test vector.
pub(crate) fn vectors(gguf: &Path) -> Vec<(String, Vec<u32>)> {
    let read = |end: &str| fs::read_to_string(format!("{}{end}", gguf.display())).unwrap();
    let (texts, ids) = (read(".inp"), read(".out"));
    let ids = ids.split('\n').map(|line| line.split_whitespace().map(|id| id.parse().unwrap()).collect());
    texts.split("\n__ggml_vocab_test__\n").map(str::to_owned).zip(ids).collect()
}

pub(crate) fn pass_vectors(tokenizer: &Tokenizer, vectors: &[(String, Vec<u32>)]) {
    let wrong: Vec<_> =
        vectors.iter().filter(|(text, ids)| tokenizer.encode_user(text).unwrap() != *ids).collect();
    let got = wrong.first().map(|(text, _)| tokenizer.encode_user(text));
    assert!(wrong.is_empty(), "{} of {} wrong: {:?} got {got:?}", wrong.len(), vectors.len(), wrong[0]);
    assert_eq!(vectors.len(), 47);
}
