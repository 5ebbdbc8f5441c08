//! From a folder on disk to a decoder on a device.
//!
//! A model folder is what the Hugging Face hub serves: `config.json`, `model.safetensors` (or shards
//! with an index), `tokenizer.json`, a chat template. Weights are mapped, not read; nothing in a folder
//! is ever executed, and pickle files are not looked at.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use crate::engine::file_sha256;

/// Why a model cannot be loaded: one line with the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("{}: cannot be read ({message}): check the path, or fetch the model again", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
    /// A file's content makes no sense.
    #[error("{}: {message}: fetch the model again, or mend the file", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// No decoder for this family.
    #[error("{}: unknown architecture `{family}`: this program runs qwen2, qwen3 and llama", path.display())]
    UnknownArchitecture {
        /// The configuration.
        path: PathBuf,
        /// Its `model_type`.
        family: String,
    },
    /// Another part of loading failed, with its own file and remedy in the message.
    #[error("{0}")]
    Other(String),
}

impl LoadError {
    /// A file that cannot be opened.
    pub fn read(path: &Path, error: &dyn Display) -> Self {
        Self::Read { path: path.to_owned(), message: error.to_string() }
    }

    /// The message of another part of loading.
    pub fn other(error: &dyn Display) -> Self {
        Self::Other(error.to_string())
    }

    /// A file whose content makes no sense.
    pub fn malformed(path: &Path, error: &dyn Display) -> Self {
        let message = error.to_string();
        Self::Malformed { path: path.to_owned(), message: message.lines().next().unwrap_or("").to_owned() }
    }
}

/// Mapped weights, handed out by name with their shape checked.
pub struct Weights {
    /// `None` for random weights.
    tensors: Option<MmapedSafetensors>,
    files: Vec<PathBuf>,
    dtype: DType,
    device: Device,
}

#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

impl Weights {
    /// Maps the weights of a model folder; they become `dtype` on `device` when they are asked for.
    ///
    /// # Errors
    /// [`LoadError`] if a file is missing, truncated, or its header contradicts its size.
    pub fn open(folder: &Path, dtype: DType, device: &Device) -> Result<Self, LoadError> {
        let files = weight_files(folder)?;
        for file in &files {
            std::fs::File::open(file).map_err(|e| LoadError::read(file, &e))?;
        }
        // SAFETY: the files are only read; changing a mapped file while it is in use is outside the
        // contract of this program, as of every other that maps its weights.
        let tensors = unsafe { MmapedSafetensors::multi(&files) }
            .map_err(|e| LoadError::malformed(&files[0], &explain(&e.to_string())))?;
        Ok(Self { tensors: Some(tensors), files, dtype, device: device.clone() })
    }

    /// Weights of any shape that are drawn when they are asked for, to time a network without its checkpoint.
    pub fn random(dtype: DType, device: &Device) -> Self {
        Self { tensors: None, files: vec![], dtype, device: device.clone() }
    }

    /// The weight `name`, which must have the given shape.
    ///
    /// # Errors
    /// [`LoadError`] if it is missing or shaped otherwise.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        let Some(tensors) = &self.tensors else { return self.draw(shape) };
        let view = tensors
            .get(name)
            .map_err(|_| LoadError::malformed(&self.files[0], &format!("has no weight `{name}`")))?;
        if view.shape() != shape {
            let message =
                format!("weight `{name}` is {:?}, but config.json asks for {shape:?}", view.shape());
            return Err(LoadError::malformed(&self.files[0], &message));
        }
        tensors
            .load(name, &self.device)
            .and_then(|tensor| tensor.to_dtype(self.dtype))
            .map_err(|e| LoadError::malformed(&self.files[0], &e))
    }

    /// Small numbers around 0 for a matrix, ones for a norm or a bias.
    fn draw(&self, shape: &[usize]) -> Result<Tensor, LoadError> {
        let drawn = match shape {
            [_] => Tensor::ones(shape, self.dtype, &self.device),
            _ => Tensor::randn(0f32, 0.02, shape, &self.device).and_then(|t| t.to_dtype(self.dtype)),
        };
        drawn.map_err(|e| LoadError::other(&e))
    }

    /// Numbers in all weights together.
    pub fn parameters(&self) -> u64 {
        let count = |shape: &[usize]| shape.iter().map(|n| *n as u64).product::<u64>();
        let tensors = self.tensors.iter().flat_map(MmapedSafetensors::tensors);
        tensors.map(|(_, view)| count(view.shape())).sum()
    }

    /// sha256 of every weight file.
    ///
    /// # Errors
    /// [`LoadError::Read`] if a file cannot be read to its end.
    pub fn sha256(&self) -> Result<Vec<String>, LoadError> {
        let hash = |file: &PathBuf| file_sha256(file).map_err(|e| LoadError::read(file, &e));
        self.files.iter().map(hash).collect()
    }
}

/// The safetensors library's message in words.
fn explain(message: &str) -> String {
    let message = message.lines().next().unwrap_or(message);
    if message.contains("incomplete metadata") {
        return "is truncated, or its header lies about sizes".into();
    }
    format!("is not valid safetensors, its header is wrong ({message})")
}

fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let index = folder.join("model.safetensors.index.json");
    let Ok(text) = std::fs::read_to_string(&index) else { return Ok(vec![folder.join("model.safetensors")]) };
    let parsed: Index = serde_json::from_str(&text).map_err(|e| LoadError::malformed(&index, &e))?;
    let mut names: Vec<&String> = parsed.weight_map.values().collect();
    names.sort();
    names.dedup();
    if names.is_empty() || names.iter().any(|name| name.contains(['/', '\\'])) {
        return Err(LoadError::malformed(&index, &"names no shard, or one outside its folder"));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
