//! Model folders with one thing wrong in each: refused before anything is written, with the file and the remedy.

mod program;

use std::path::{Path, PathBuf};

use program::{folder_with, ran, stderr};

const SWEEP: &str = r#"
name = "small"
why = "a test"
seed = 5
budgets = [0, 16]
n = [1]
strategies = ["first"]

[sampling]
temperature = 0.8

[[models]]
name = "s"
source = "model"

[[tasks]]
name = "chain"
problems = 2
"#;

/// A copy of a bundled model that can be spoilt.
fn copied_model(folder: &Path) -> PathBuf {
    let from = isocost_models::bundled::folder("bundled:reason-s").unwrap();
    let to = folder.join("model");
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} lacks {from}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn spoilt_model_folders_are_refused_with_the_file_and_the_remedy() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil, &str); 14] = [
        (
            "model.safetensors",
            |m| replace(&m.join("config.json"), "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1"),
            "has no place",
        ),
        (
            "model.safetensors",
            |m| replace(&m.join("config.json"), "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4"),
            "has no weight `model.layers.3",
        ),
        (
            "model.safetensors",
            |m| {
                replace(
                    &m.join("config.json"),
                    "\"tie_word_embeddings\": true",
                    "\"tie_word_embeddings\": false",
                )
            },
            "has no weight `lm_head.weight`",
        ),
        ("config.json", |m| replace(&m.join("config.json"), "\"silu\"", "\"relu2\""), "activation `relu2`"),
        (
            "config.json",
            |m| {
                let dynamic = "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}, \"rope_theta\"";
                replace(&m.join("config.json"), "\"rope_theta\"", dynamic);
            },
            "rope type `dynamic`",
        ),
        (
            "model-00002-of-00002.safetensors",
            |m| {
                std::fs::rename(m.join("model.safetensors"), m.join("model-00001-of-00002.safetensors"))
                    .unwrap();
                let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
                std::fs::write(m.join("model.safetensors.index.json"), index).unwrap();
            },
            "this shard is missing, one of 2",
        ),
        (
            "model.safetensors",
            |m| std::fs::remove_file(m.join("model.safetensors")).unwrap(),
            "cannot be read",
        ),
        (
            "model.safetensors",
            |m| edit(&m.join("model.safetensors"), |b| b.truncate(b.len() / 2)),
            "truncated",
        ),
        (
            "model.safetensors",
            |m| edit(&m.join("model.safetensors"), |b| b[0..8].fill(0xff)),
            "header is wrong",
        ),
        (
            "model.safetensors",
            |m| replace(&m.join("config.json"), "\"hidden_size\": 64", "\"hidden_size\": 96"),
            "asks for",
        ),
        (
            "config.json",
            |m| replace(&m.join("config.json"), "\"qwen3\"", "\"mamba\""),
            "unknown architecture `mamba`",
        ),
        ("config.json", |m| edit(&m.join("config.json"), |b| b.truncate(20)), "fetch"),
        (
            "tokenizer.json",
            |m| replace(&m.join("config.json"), "\"vocab_size\": 121", "\"vocab_size\": 64"),
            "tokenizer",
        ),
        (
            "tokenizer_config.json",
            |m| replace(&m.join("tokenizer_config.json"), "{%- endfor", "{%- endfore"),
            "template",
        ),
    ];
    for (file, spoil, expected) in cases {
        let folder = folder_with("small.toml", SWEEP);
        let model = copied_model(folder.path());
        spoil(&model);
        let output = ran(&["run", "small.toml", "--out", "out"], folder.path());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{file}: {message}");
        assert_eq!(message.lines().filter(|line| line.starts_with("isocost: ")).count(), 1, "{message}");
        assert!(message.contains(expected), "{file}: {message}");
        assert!(!folder.path().join("out").exists());
    }
}
