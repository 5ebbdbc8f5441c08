//! What `scripts/parity.py` wrote, and the weights it wrote it for.
#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;
use serde_json::Value;

const PROJECTIONS: usize = 4;

/// The references of one family.
pub(crate) struct Reference {
    pub(crate) name: String,
    /// `config.json` as the hub has it.
    pub(crate) config: Value,
    /// The same as `transformers` saves it.
    pub(crate) config_saved: Value,
    /// Tokens before the greedy continuation.
    pub(crate) greedy_from: usize,
    /// Length of a shorter prompt that was run too.
    pub(crate) short: Option<usize>,
    weights: BTreeMap<String, Law>,
    arrays: HashMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Described {
    config: Value,
    config_saved: Value,
    weights: BTreeMap<String, Law>,
    greedy_from: usize,
    short: Option<usize>,
}

/// How a weight is made from the hash of its name.
#[derive(Clone, Deserialize)]
pub(crate) struct Law {
    pub(crate) shape: Vec<usize>,
    pub(crate) center: f64,
    pub(crate) scale: f64,
}

/// Of the tree that the test runs in, if that is said: a test may be carried to another machine.
fn folder() -> PathBuf {
    let crate_root =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&crate_root).join("tests/parity")
}

impl Reference {
    pub(crate) fn open(name: &str) -> Self {
        let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let described: Described = serde_json::from_str(&text).unwrap();
        let path = folder().join(format!("{name}.safetensors"));
        Self {
            name: name.to_owned(),
            config: described.config,
            config_saved: described.config_saved,
            greedy_from: described.greedy_from,
            short: described.short,
            weights: described.weights,
            arrays: candle_core::safetensors::load(path, &Device::Cpu).unwrap(),
        }
    }

    /// The same family with heads so many times as wide. Its stored arrays mean nothing then.
    pub(crate) fn with_wider_heads(mut self, factor: usize) -> Self {
        let head_dim = self.config["head_dim"].as_u64().unwrap() * factor as u64;
        self.config["head_dim"] = head_dim.into();
        self.name = format!("{}, heads of {head_dim}", self.name);
        for (name, law) in &mut self.weights {
            let is = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
            if is(&["q_proj", "k_proj", "v_proj", "q_norm", "k_norm"]) {
                law.shape[0] *= factor;
            } else if is(&["o_proj"]) {
                law.shape[1] *= factor;
            }
        }
        self
    }

    /// Projected logits, one row for each position.
    pub(crate) fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        self.arrays[name].to_vec2().unwrap()
    }

    /// The greedy continuation.
    pub(crate) fn greedy(&self) -> Vec<u32> {
        self.arrays["greedy"].to_vec1().unwrap()
    }

    /// Writes the checkpoint as the hub has it: config.json and one safetensors file, or several with an index.
    pub(crate) fn write_checkpoint(&self, folder: &Path, shards: usize) {
        std::fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        let weights: Vec<(String, Tensor)> =
            self.weights.iter().map(|(name, law)| (name.clone(), law.tensor(name))).collect();
        let mut index = BTreeMap::new();
        for (i, part) in weights.chunks(weights.len().div_ceil(shards)).enumerate() {
            let file = match shards {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{shards:05}.safetensors", i + 1),
            };
            let tensors: HashMap<String, Tensor> = part.iter().cloned().collect();
            candle_core::safetensors::save(&tensors, folder.join(&file)).unwrap();
            index.extend(part.iter().map(|(name, _)| (name.clone(), file.clone())));
        }
        if shards > 1 {
            let index = serde_json::json!({"metadata": {}, "weight_map": index});
            std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
        }
    }
}

impl Law {
    fn tensor(&self, name: &str) -> Tensor {
        let unit = |word: u64| (word >> 40) as f64 / f64::from(1 << 23) - 1.0;
        let count = self.shape.iter().product();
        let values = words(name, count).map(|word| (self.center + self.scale * unit(word)) as f32);
        Tensor::from_vec(values.collect::<Vec<_>>(), self.shape.as_slice(), &Device::Cpu).unwrap()
    }
}

/// 64-bit words that depend on `name` alone (FNV-1a, then splitmix64).
pub(crate) fn words(name: &str, count: usize) -> impl Iterator<Item = u64> {
    let hash = |seed: u64, byte: u8| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    (1..=count as u64).map(move |i| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Tokens that depend on `name` alone.
pub(crate) fn tokens(name: &str, count: usize) -> Vec<u32> {
    words(name, count).map(|word| (word % 256) as u32).collect()
}

/// Logits times random signs: a few numbers that no error in any logit leaves as they are.
pub(crate) fn project(logits: &[f32]) -> Vec<f32> {
    let signs: Vec<f64> = words("projections", PROJECTIONS * logits.len())
        .map(|word| if word >> 63 == 1 { -1.0 } else { 1.0 })
        .collect();
    let dot = |signs: &[f64]| signs.iter().zip(logits).map(|(s, l)| s * f64::from(*l)).sum::<f64>() as f32;
    signs.chunks(logits.len()).map(dot).collect()
}

/// Length of the difference of two projected rows: as long as that of the rows themselves, up to chance.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / PROJECTIONS as f64).sqrt()
}

/// Length of a row of logits.
pub(crate) fn length(logits: &[f32]) -> f64 {
    logits.iter().map(|logit| f64::from(*logit).powi(2)).sum::<f64>().sqrt()
}

/// Largest error over positions, relative to the length of the logits there.
pub(crate) fn worst(logits: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    assert_eq!(logits.len(), expected.len());
    let error = |(l, e): (&Vec<f32>, &Vec<f32>)| difference(&project(l), e) / length(l);
    logits.iter().zip(expected).map(error).fold(0.0, f64::max)
}
