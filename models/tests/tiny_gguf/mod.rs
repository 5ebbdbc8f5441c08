//! Writes the tiny GGUF files that `scripts/parity_gguf.py` describes.
#![allow(dead_code)]

use std::path::Path;

use half::{bf16, f16};
use serde::Deserialize;
use serde_json::Value;

use crate::reference::words;

/// A file's description.
#[derive(Deserialize)]
pub(crate) struct TinyGguf {
    /// Key, type, value.
    pub(crate) values: Vec<(String, String, Value)>,
    pub(crate) tensors: Vec<TinyTensor>,
    pub(crate) rope_freqs: Option<Vec<f32>>,
}

#[derive(Deserialize, Clone)]
pub(crate) struct TinyTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) r#type: String,
    pub(crate) center: f64,
    pub(crate) scale: f64,
}

impl TinyGguf {
    pub(crate) fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parity_gguf/{name}.json"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let tensors =
            self.tensors.iter().map(|t| (t.name.clone(), t.shape.clone(), type_number(&t.r#type), t.data()));
        let freqs = self.rope_freqs.iter().map(|freqs| {
            let data = freqs.iter().flat_map(|f| f.to_le_bytes()).collect();
            ("rope_freqs.weight".to_owned(), vec![freqs.len()], 0, data)
        });
        let tensors: Vec<_> = tensors.chain(freqs).collect();
        let mut header = b"GGUF\x03\0\0\0".to_vec();
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((self.values.len() as u64).to_le_bytes());
        self.values.iter().for_each(|(key, kind, value)| put_value(&mut header, key, kind, value));
        let mut data: Vec<u8> = Vec::new();
        for (name, shape, kind, bytes) in &tensors {
            put_text(&mut header, name);
            header.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|size| header.extend((*size as u64).to_le_bytes()));
            header.extend(kind.to_le_bytes());
            header.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        header.resize(header.len().next_multiple_of(32), 0);
        [header, data].concat()
    }
}

impl TinyTensor {
    /// The tensor's bytes: random numbers, or random blocks with a set scale.
    pub(crate) fn data(&self) -> Vec<u8> {
        let count: usize = self.shape.iter().product();
        let Some(Block { bytes: size, numbers, spread, scale_at, minimum }) = block(&self.r#type) else {
            return self.numbers(count);
        };
        let blocks = count / numbers;
        let words = words(&self.name, (blocks * size).div_ceil(8));
        let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).take(blocks * size).collect();
        let d = f16::from_f64(self.scale / spread);
        for block in bytes.chunks_exact_mut(size) {
            block[scale_at..scale_at + 2].copy_from_slice(&d.to_le_bytes());
            if let Some((at, scales)) = minimum {
                block[at..at + 2].copy_from_slice(&f16::from_f32(d.to_f32() * scales).to_le_bytes());
            }
        }
        bytes
    }

    fn numbers(&self, count: usize) -> Vec<u8> {
        let scale = self.scale * if self.shape.len() > 1 { 3f64.sqrt() } else { 1.0 };
        let unit = |word: u64| (word >> 40) as f64 / f64::from(1 << 23) - 1.0;
        let numbers = words(&self.name, count).map(|word| (self.center + scale * unit(word)) as f32);
        match self.r#type.as_str() {
            "F32" => numbers.flat_map(f32::to_le_bytes).collect(),
            "F16" => numbers.flat_map(|x| f16::from_f32(x).to_le_bytes()).collect(),
            "BF16" => numbers.flat_map(|x| bf16::from_f32(x).to_le_bytes()).collect(),
            other => panic!("{other}"),
        }
    }
}

/// A kind of blocks.
struct Block {
    bytes: usize,
    numbers: usize,
    /// Standard deviation of the numbers of random blocks of scale 1.
    spread: f64,
    /// Where a block keeps its scale.
    scale_at: usize,
    /// Where it keeps its minimum's scale, and how many scales make the mean 0.
    minimum: Option<(usize, f32)>,
}

fn block(kind: &str) -> Option<Block> {
    let (bytes, numbers, spread, scale_at, minimum) = match kind {
        "Q4_0" => (18, 32, 4.6, 0, None),
        "Q4_1" => (20, 32, 4.6, 0, Some((2, -7.5))),
        "Q5_0" => (22, 32, 9.2, 0, None),
        "Q5_1" => (24, 32, 9.2, 0, Some((2, -15.5))),
        "Q8_0" => (34, 32, 73.9, 0, None),
        "Q2_K" => (84, 256, 13.9, 80, Some((82, 1.5))),
        "Q3_K" => (110, 256, 43.3, 108, None),
        "Q4_K" => (144, 256, 258.0, 0, Some((2, 7.5))),
        "Q5_K" => (176, 256, 527.0, 0, Some((2, 15.5))),
        "Q6_K" => (210, 256, 1367.0, 208, None),
        _ => return None,
    };
    Some(Block { bytes, numbers, spread, scale_at, minimum })
}

pub(crate) fn type_number(kind: &str) -> u32 {
    let numbers = [
        ("F32", 0),
        ("F16", 1),
        ("Q4_0", 2),
        ("Q4_1", 3),
        ("Q5_0", 6),
        ("Q5_1", 7),
        ("Q8_0", 8),
        ("Q2_K", 10),
        ("Q3_K", 11),
        ("Q4_K", 12),
        ("Q5_K", 13),
        ("Q6_K", 14),
        ("BF16", 30),
    ];
    numbers.iter().find(|(name, _)| *name == kind).unwrap().1
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn put_value(bytes: &mut Vec<u8>, key: &str, kind: &str, value: &Value) {
    put_text(bytes, key);
    let number = |kind: u32, bytes: &mut Vec<u8>| bytes.extend(kind.to_le_bytes());
    let list = || value.as_array().unwrap();
    match kind {
        "UINT32" => {
            number(4, bytes);
            bytes.extend((value.as_u64().unwrap() as u32).to_le_bytes());
        }
        "FLOAT32" => {
            number(6, bytes);
            bytes.extend((value.as_f64().unwrap() as f32).to_le_bytes());
        }
        "STRING" => {
            number(8, bytes);
            put_text(bytes, value.as_str().unwrap());
        }
        "STRINGS" => {
            number(9, bytes);
            number(8, bytes);
            bytes.extend((list().len() as u64).to_le_bytes());
            list().iter().for_each(|text| put_text(bytes, text.as_str().unwrap()));
        }
        "INT32S" => {
            number(9, bytes);
            number(5, bytes);
            bytes.extend((list().len() as u64).to_le_bytes());
            list().iter().for_each(|n| bytes.extend((n.as_i64().unwrap() as i32).to_le_bytes()));
        }
        other => panic!("{other}"),
    }
}
