//! How much longer a tokenizer may make a text: a bound from its file, before it is built.
//!
//! Normalizers, pre-tokenizers and decoders are chains of rewritings, and a chain of fifty that each double a text asks for more
//! memory than there is, however short the text. The factors of a chain multiply. Published tokenizers of the supported families
//! stay below 20.

use serde_json::Value;

/// The most that is accepted.
pub(super) const MOST: f64 = 256.0;

/// Bytes that a tokenizer's file can make of one, at most.
pub(super) fn growth(file: &Value) -> f64 {
    let chains = ["normalizer", "pre_tokenizer", "decoder"].map(|part| file.get(part).map_or(1.0, of_part));
    // What is decoded is not what was encoded: the first two are one chain, the last another.
    (chains[0] * chains[1]).max(chains[2])
}

fn of_part(part: &Value) -> f64 {
    let parts =
        ["normalizers", "pretokenizers", "decoders"].iter().find_map(|list| part.get(*list)?.as_array());
    if let Some(parts) = parts {
        return parts.iter().map(of_part).product();
    }
    let bytes = |field: &str| part.get(field).and_then(Value::as_str).map_or(0, str::len) as f64;
    match part.get("type").and_then(Value::as_str).unwrap_or_default() {
        "Replace" => replaced(part, bytes("content")),
        "Prepend" => 1.0 + bytes("prepend"),
        // A byte becomes a letter of two.
        "ByteLevel" => 2.0,
        "NFC" | "NFD" | "Lowercase" | "Metaspace" | "BertNormalizer" => 3.0,
        // One ligature is eighteen letters.
        "NFKC" | "NFKD" => 11.0,
        "WordPiece" | "BPEDecoder" => 1.0 + bytes("prefix") + bytes("suffix"),
        // A table of any texts, which no supported family has.
        "Precompiled" => f64::INFINITY,
        _ => 1.0,
    }
}

/// An expression may match nothing, and so between any two bytes.
fn replaced(part: &Value, content: f64) -> f64 {
    match part.pointer("/pattern/String").and_then(Value::as_str).map(str::len) {
        Some(length) if length > 0 => (content / length as f64).max(1.0),
        _ => 1.0 + content,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chains_multiply_and_published_kinds_stay_small() {
        let qwen = json!({ "normalizer": { "type": "NFC" }, "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split" }, { "type": "ByteLevel" }] }, "decoder": { "type": "ByteLevel" } });
        assert_eq!(growth(&qwen), 6.0);
        let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" });
        let phi = json!({ "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "\u{2581}" }, replace] } });
        assert_eq!(growth(&phi), 12.0);
        let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
        let bomb = json!({ "decoder": { "type": "Sequence", "decoders": vec![double; 50] } });
        assert!(growth(&bomb) > 1e15);
        let between = json!({ "type": "Replace", "pattern": { "Regex": "" }, "content": "x".repeat(300) });
        assert!(growth(&json!({ "normalizer": between })) > MOST);
        assert_eq!(growth(&json!({ "normalizer": null })), 1.0);
    }
}
