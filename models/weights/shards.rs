//! Weights in safetensors: one file, or shards with an index of which weight is where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use candle_core::DType;
use safetensors::SafeTensors;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::mapped::Mapped;
use super::stored::{Raw, Stored};
use crate::bounded_file;
use crate::load::LoadError;

/// The largest published index has 100 kB a hundred layers.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Mapped safetensors files.
pub(super) struct Shards {
    files: Vec<Mapped>,
    /// File, first byte, and description of every weight.
    weights: BTreeMap<String, (usize, usize, TensorInfo)>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    /// Maps the weights of a model folder.
    ///
    /// # Errors
    /// [`LoadError`] if a file is missing, truncated, or its header contradicts its size or the index.
    pub(super) fn open(folder: &Path) -> Result<Self, LoadError> {
        let index = Index::read(folder)?;
        let names = Index::files(index.as_ref());
        let mut shards = Self { files: vec![], weights: BTreeMap::new() };
        for name in &names {
            shards.add(&folder.join(name), names.len())?;
        }
        if let Some((path, index)) = index {
            shards.check(&index, &path)?;
        }
        Ok(shards)
    }

    fn add(&mut self, path: &Path, shards: usize) -> Result<(), LoadError> {
        if shards > 1 && !path.is_file() {
            let message = format!("this shard is missing, one of {shards}");
            return Err(LoadError::read(path, &message));
        }
        let file = Mapped::open(path).map_err(|error| only_pickle(path).unwrap_or(error))?;
        if file.bytes().starts_with(b"version https://git-lfs") {
            let message = "is a Git LFS pointer and not the weights: run git lfs pull in its folder";
            return Err(LoadError::other(&format!("{}: {message}", path.display())));
        }
        let (header, metadata) = SafeTensors::read_metadata(file.bytes())
            .map_err(|e| LoadError::malformed(path, &explain(&e.to_string())))?;
        let number = self.files.len();
        for (name, info) in metadata.tensors() {
            let start = 8 + header + info.data_offsets.0;
            if self.weights.insert(name.clone(), (number, start, info.clone())).is_some() {
                return Err(LoadError::malformed(path, &format!("has `{name}`, as another shard does")));
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// Every weight is in the shard that the index says.
    fn check(&self, index: &Index, path: &Path) -> Result<(), LoadError> {
        for (name, file) in &index.weight_map {
            let found = self.weights.get(name).map(|(number, ..)| self.files[*number].path());
            if found.and_then(Path::file_name) != Some(file.as_ref()) {
                let message = format!("says that `{name}` is in {file}, but it is not");
                return Err(LoadError::malformed(path, &message));
            }
        }
        Ok(())
    }

    pub(super) fn files(&self) -> &[Mapped] {
        &self.files
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.weights.keys()
    }

    /// The bytes of a weight and its file's number.
    pub(super) fn raw(&self, name: &str) -> Result<Option<Raw<'_>>, LoadError> {
        let Some((number, start, info)) = self.weights.get(name) else { return Ok(None) };
        let file = &self.files[*number];
        let dtype = match info.dtype {
            safetensors::Dtype::F32 => DType::F32,
            safetensors::Dtype::F16 => DType::F16,
            safetensors::Dtype::BF16 => DType::BF16,
            other => {
                let what = format!("weights stored as {other:?} (`{name}`)");
                return Err(LoadError::unsupported(file.path(), &what));
            }
        };
        let bytes = &file.bytes()[*start..][..info.data_offsets.1 - info.data_offsets.0];
        Ok(Some(Raw { stored: Stored::Numbers(dtype), shape: info.shape.clone(), bytes, file }))
    }
}

/// The files with a folder's weights, whether they exist or not.
///
/// # Errors
/// [`LoadError`] if there is an index and it is not one.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let index = Index::read(folder)?;
    Ok(Index::files(index.as_ref()).iter().map(|name| folder.join(name)).collect())
}

impl Index {
    fn files(index: Option<&(PathBuf, Self)>) -> BTreeSet<String> {
        match index {
            Some((_, index)) => index.weight_map.values().cloned().collect(),
            None => BTreeSet::from(["model.safetensors".to_owned()]),
        }
    }

    /// The folder's index and its path, if it has one.
    fn read(folder: &Path) -> Result<Option<(PathBuf, Self)>, LoadError> {
        let path = folder.join("model.safetensors.index.json");
        let malformed = |error: &dyn Display| LoadError::malformed(&path, error);
        let bytes = bounded_file::read(&path, MAX_INDEX_BYTES).map_err(|error| malformed(&error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let index: Self = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
        let outside = |name: &String| name.contains(['/', '\\']) || !name.ends_with(".safetensors");
        if index.weight_map.is_empty() || index.weight_map.values().any(outside) {
            return Err(malformed(&"names no shard, or one that is not a safetensors file in its folder"));
        }
        Ok(Some((path, index)))
    }
}

/// A folder that has its weights in pickle files.
fn only_pickle(path: &Path) -> Option<LoadError> {
    let pickled =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "bin" || end == "pt" || end == "pth");
    let mut paths = std::fs::read_dir(path.parent()?).ok()?.flatten().map(|entry| entry.path());
    let file = paths.find(pickled)?;
    let message =
        "is a pickle file, which could run anything and is never loaded: take the model with safetensors";
    Some(LoadError::other(&format!("{}: {message}", file.display())))
}

/// The safetensors library's message in words.
fn explain(message: &str) -> String {
    let message = message.lines().next().unwrap_or(message);
    if message.contains("incomplete metadata") {
        return "is truncated, or its header lies about sizes".into();
    }
    format!("is not valid safetensors, its header is wrong ({message})")
}
