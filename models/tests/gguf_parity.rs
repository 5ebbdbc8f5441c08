//! GGUF files against the dequantised model in the reference implementation, and against llama.cpp.
//!
//! Dequantised, the logits must be those of the reference. As they are stored, most blocks meet activations of 16 bits here, bf16
//! such of bf16, and f16 none that are rounded; all blocks in llama.cpp, and a few kinds here, meet 8 bits. The cache has 16
//! bits. The error must be no more than llama.cpp's own, and where activations have 16 bits a tenth of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use isocost_models::cache::{Cache, Sequence};
use isocost_models::checkpoint::Checkpoint;
use isocost_models::decoder::{Decoder, Feed};
use isocost_models::engine::LocalEngine;
use isocost_models::gguf::Header;
use isocost_models::load::LoadError;
use isocost_models::memory::MemoryPlan;
use isocost_models::source::Source;

mod reference;
mod tiny_gguf;
use reference::{difference, length, project, tokens, worst};
use tiny_gguf::TinyGguf;

/// Each with the error that llama.cpp's own logits may have, and with ours.
///
/// llama.cpp rounds what it multiplies with a matrix to the matrix's own kind: 8 bits a block for quantised ones
/// (2^-9 of the block's largest at most), 8 bits for bf16, 11 for f16. Two layers of seven matrices add that up to a few
/// times as much. What it keeps in f32, its logits keep, too.
const FILES: [(&str, f64, f64); 9] = [
    ("llama-q4_0", 3e-2, 1e-3),
    ("llama-q4_1", 3e-2, 3e-2),
    ("llama-q5_k_m", 3e-2, 1e-3),
    ("qwen2-f16", 1e-3, 1e-3),
    ("qwen2-q5_0", 3e-2, 1e-3),
    ("qwen2-q8_0", 3e-2, 1e-3),
    ("qwen3-bf16", 4e-3, 4e-3),
    ("qwen3-q2_k", 3e-2, 3e-2),
    ("qwen3-q4_k_m", 3e-2, 1e-3),
];

fn references(name: &str) -> HashMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parity_gguf/{name}.safetensors"));
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn prompt() -> Vec<u32> {
    tokens("prompt", 200)
}

fn load(path: &Path, dtype: Option<DType>) -> Result<Decoder, LoadError> {
    let header = Header::open(path).map_err(|e| LoadError::malformed(path, &e))?;
    let (config, weights) = Checkpoint::gguf_network(path, &Arc::new(header), dtype, &Device::Cpu)?;
    Decoder::load(config, &weights)
}

fn logits(decoder: &Decoder, ids: &[u32]) -> Vec<Vec<f32>> {
    let mut cache = Cache::new(decoder.config(), 512, decoder.dtype(), &Device::Cpu).unwrap();
    let mut sequence = Sequence::default();
    let mut feeds = [Feed { sequence: &mut sequence, tokens: ids }];
    decoder.step_with_all_logits(&mut cache, &mut feeds).unwrap().to_vec2().unwrap()
}

/// Root mean square over positions of the difference of two projections, relative to the logits.
fn spread(logits: &[Vec<f32>], a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let size: f64 = logits.iter().map(|row| length(row).powi(2)).sum();
    let error: f64 = a.iter().zip(b).map(|(a, b)| difference(a, b).powi(2)).sum();
    (error / size).sqrt()
}

#[test]
fn gguf_files_give_the_dequantised_models_logits_and_llama_cpps_up_to_its_rounding() {
    let folder = tempfile::tempdir().unwrap();
    println!(
        "dequantised: largest relative error of the logits. In blocks: root mean square of ours, of the reference"
    );
    println!("with activations rounded likewise, and between the two; the same for llama.cpp's own logits");
    println!(
        "{:14} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "file", "dequantised", "in blocks", "rounded", "between", "llama.cpp", "between"
    );
    for (name, llama_rounds, we_round) in FILES {
        let path = folder.path().join(format!("{name}.gguf"));
        std::fs::write(&path, TinyGguf::open(name).bytes()).unwrap();
        let references = references(name);
        let stored = |name: &str| references.get(name).map(|rows| rows.to_vec2::<f32>().unwrap());
        let exact = stored("dequantised").unwrap();
        let error = worst(&logits(&load(&path, Some(DType::F32)).unwrap(), &prompt()), &exact);
        assert!(error < 1e-4, "{name}: dequantised {error:.1e}");
        let blocks = logits(&load(&path, None).unwrap(), &prompt());
        let ours: Vec<Vec<f32>> = blocks.iter().map(|row| project(row)).collect();
        let own = spread(&blocks, &ours, &exact);
        print!("{name:14} {error:>12.1e} {own:>10.1e}");
        assert!(own < we_round, "{name}: {own:.1e}");
        for (theirs, most) in [("rounded", f64::INFINITY), ("llama_cpp", llama_rounds)] {
            let theirs = stored(theirs).unwrap();
            let (their, apart) = (spread(&blocks, &theirs, &exact), spread(&blocks, &ours, &theirs));
            print!(" {their:>10.1e} {apart:>10.1e}");
            // Two samples of rounding; a block read wrongly is off by tens of times.
            assert!(their < most, "{name}: {their:.1e}");
            if their == 0.0 {
                continue; // This reference rounds for blocks only; llama.cpp rounds for 16 bits too.
            }
            assert!(own < 2.0 * their + 1e-5, "{name}: {own:.1e} against {their:.1e}");
            assert!(
                apart < 1.5 * own.hypot(their) + 1e-5,
                "{name}: {apart:.1e} apart, {own:.1e} and {their:.1e}"
            );
        }
        println!();
    }
}

#[test]
fn a_gguf_file_is_a_whole_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, TinyGguf::open("qwen3-q4_k_m").bytes()).unwrap();
    let opened = Checkpoint::open(&Source::at(&path), None, &Device::Cpu).unwrap();
    assert_eq!(opened.conversation.tokenizer.encode_text("a t<|special_6|>").unwrap(), [64, 256, 263]);
    assert_eq!(opened.conversation.tokenizer.eos_ids(), [263]);
    let messages = [isocost_models::chat::Message::user("hi")];
    let text = opened.conversation.template.unwrap().render(&messages, &Default::default()).unwrap();
    assert_eq!(text, "<|special_0|>hi<|special_1|>");
    assert_eq!(opened.weights.parameters().unwrap(), 264 * 256 * 2 + 256 + 2 * 590_464);
}

#[test]
fn a_model_is_called_and_its_memory_planned_as_it_will_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = vec![];
    for (name, dtype) in FILES.iter().flat_map(|(name, ..)| [None, Some(DType::BF16)].map(|d| (name, d))) {
        let path = folder.path().join(format!("{name}.gguf"));
        std::fs::write(&path, TinyGguf::open(name).bytes()).unwrap();
        let checkpoint = Checkpoint::open(&Source::at(&path), dtype, &Device::Cpu).unwrap();
        let decoder = load(&path, dtype).unwrap();
        let stored_as = checkpoint.weights.stored_as().unwrap();
        assert_eq!(stored_as, decoder.stored_as(), "{name} as {dtype:?}");
        let plan = LocalEngine::plan_memory(&checkpoint, &Device::Cpu, (1, 64)).unwrap();
        let types = (decoder.dtype(), DType::F32);
        let loaded = MemoryPlan::new(decoder.config(), plan.weights_bytes, types, plan.free_bytes, (1, 64));
        assert_eq!(plan, loaded, "{name} as {dtype:?}");
        // All weights of a layer and the head, which the embedding is too where it is tied, and the norms.
        let moved = decoder.traffic().weights_bytes;
        assert!(plan.weights_bytes as f64 > 0.95 * moved as f64, "{name}: {plan} but {moved} a step");
        names.push(stored_as);
    }
    assert!(names.iter().any(|name| name == "q4k+q6k") && names.iter().any(|name| name == "bf16"));
}

/// What is wrong with a file, how to do it, and what the message must say.
type Lie<T> = (&'static str, fn(&mut T), &'static str);

#[test]
fn metadata_that_contradicts_the_tensors_is_a_clear_error() {
    let lies: [Lie<TinyGguf>; 8] = [
        ("architecture", |f| set(f, "architecture", "mamba".into()), "unknown architecture `mamba`"),
        ("more layers", |f| set(f, "block_count", 3.into()), "has no weight"),
        ("fewer layers", |f| set(f, "block_count", 1.into()), "has no place"),
        ("width", |f| set(f, "embedding_length", 128.into()), "asks for"),
        ("no heads", |f| set(f, "head_count", 0.into()), "a size is 0"),
        ("rope scaling", |f| set(f, "scaling.type", "su".into()), "rope scaling `su`"),
        ("rope factor", |f| set(f, "scaling.factor", 0.into()), "scaling.factor"),
        ("context", |f| f.values.retain(|(key, ..)| !key.ends_with("context_length")), "context_length"),
    ];
    for (what, spoil, expected) in lies {
        let mut file = TinyGguf::open("llama-q5_k_m");
        spoil(&mut file);
        refused(what, &file.bytes(), expected);
    }
}

#[test]
fn a_directory_that_lies_about_a_tensor_is_a_clear_error() {
    let lies: [Lie<Vec<u8>>; 7] = [
        ("IQ2_XXS", |b| put(b, 20, &16u32.to_le_bytes()), "an IQ type (number 16)"),
        ("no such type", |b| put(b, 20, &4242u32.to_le_bytes()), "number 4242"),
        ("far offset", |b| put(b, 24, &(1u64 << 40).to_le_bytes()), "its offset is wrong"),
        ("overflowing offset", |b| put(b, 24, &u64::MAX.to_le_bytes()), "its offset is wrong"),
        ("crooked offset", |b| put(b, 24, &3u64.to_le_bytes()), "two tensors in one place"),
        ("parts of blocks", |b| put(b, 4, &250u64.to_le_bytes()), "whole blocks"),
        ("huge", |b| put(b, 12, &(u64::MAX / 512).to_le_bytes()), "two tensors in one place"),
    ];
    for (what, spoil, expected) in lies {
        let mut bytes = TinyGguf::open("llama-q5_k_m").bytes();
        spoil(&mut bytes);
        refused(what, &bytes, expected);
    }
    let bytes = TinyGguf::open("llama-q5_k_m").bytes();
    refused("cut short", &bytes[..bytes.len() - 20_000], "its offset is wrong");
    refused("cut in the header", &bytes[..900], "cut short");
}

fn refused(what: &str, bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, bytes).unwrap();
    let error = load(&path, None).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(expected) && error.contains("tiny.gguf"), "{what}: {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn set(file: &mut TinyGguf, key: &str, value: serde_json::Value) {
    file.values.iter_mut().find(|(known, ..)| known.ends_with(key)).unwrap().2 = value;
}

/// Overwrites the directory's entry of the embedding: rank at 0, columns at 4, rows at 12, type at 20, offset at 24.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let name = b"token_embd.weight";
    let start = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    bytes[start + at..start + at + value.len()].copy_from_slice(value);
}
