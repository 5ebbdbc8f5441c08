//! Weights of a checkpoint, handed out by name with their shape checked.
//!
//! Files are mapped, not read: a weight is copied once, to where it is needed and in the type in which it is needed, and its
//! pages are given back. Names are those of the hub's checkpoints whatever the file. Every weight must be
//! asked for: one that is left over means that the configuration describes another network.

mod gguf;
mod mapped;
mod shards;
mod source;
mod stored;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{DType, Device, Tensor};

use crate::gguf::Header;
use crate::load::LoadError;
use crate::matrix::Matrix;
use crate::packed::Packed;
use crate::panel::Encoding;
use gguf::GgufFile;
pub(crate) use gguf::theirs;
use mapped::Mapped;
use shards::Shards;
#[cfg(feature = "hub")]
pub(crate) use shards::weight_files;
use source::Source;
use stored::{Raw, Stored};

/// Mapped weights.
pub struct Weights {
    source: Arc<Source>,
    dtype: Option<DType>,
    device: Device,
    asked: RefCell<BTreeSet<String>>,
    /// Whether names, shapes and types are all that is wanted.
    only_described: bool,
}

impl Weights {
    /// Maps the weights of a model folder, for use as `dtype` on `device`; `None` keeps the type they are stored in.
    ///
    /// # Errors
    /// [`LoadError`] if a file is missing, truncated, or its header contradicts its size.
    pub fn open(folder: &Path, dtype: Option<DType>, device: &Device) -> Result<Self, LoadError> {
        Ok(Self::new(Source::Shards(Shards::open(folder)?), dtype, device))
    }

    /// Maps the weights of a GGUF file. `None` keeps quantised blocks as they are, with `f32` between them; a
    /// type turns every weight into numbers of that type.
    ///
    /// # Errors
    /// [`LoadError`] if the file cannot be read.
    pub fn open_gguf(
        path: &Path,
        header: Arc<Header>,
        dtype: Option<DType>,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let file = GgufFile::new(Mapped::open(path)?, header);
        Ok(Self::new(Source::Gguf(file), dtype, device))
    }

    /// Weights of any shape that are drawn when they are asked for, to time a network without its checkpoint.
    pub fn random(dtype: DType, device: &Device) -> Self {
        Self::new(Source::Random, Some(dtype), device)
    }

    /// The same names and shapes with zeros that take no memory, to see whether a configuration fits them.
    pub(crate) fn described(&self) -> Self {
        let (source, asked) = (self.source.clone(), self.asked.clone());
        Self { source, dtype: self.dtype, device: Device::Cpu, asked, only_described: true }
    }

    fn new(source: Source, dtype: Option<DType>, device: &Device) -> Self {
        let (source, device) = (Arc::new(source), device.clone());
        Self { source, dtype, device, asked: RefCell::default(), only_described: false }
    }

    /// The type of the cache, and of activations but on the CPU, where they are `f32`.
    ///
    /// # Errors
    /// [`LoadError`] if the embedding, whose type decides, is missing or of an unknown type.
    pub fn dtype(&self) -> Result<DType, LoadError> {
        if let Some(dtype) = self.dtype {
            return Ok(dtype);
        }
        match (&*self.source, self.source.raw("model.embed_tokens.weight")?.stored) {
            (Source::Gguf(_), _) if !self.device.is_cpu() => Ok(DType::F32),
            (_, Stored::Numbers(dtype)) => Ok(dtype),
            // Rounding to blocks cost more digits than this leaves out.
            (_, Stored::Blocks(_)) => Ok(DType::F16),
        }
    }

    /// Whether there is a weight of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    /// The weight `name` as numbers; it must have the given shape. On the CPU they are `f32`, as all activations are.
    ///
    /// # Errors
    /// [`LoadError`] if it is missing or shaped otherwise.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        if matches!(*self.source, Source::Random) {
            return self.draw(shape).map_err(|e| LoadError::other(&e));
        }
        self.load(name, shape, 0..shape[0], |stored, bytes, shape| self.numbers(stored, bytes, shape))
    }

    /// The weight `name` as a matrix, quantised if it is stored so and no type was asked for.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Matrix, LoadError> {
        self.rows(name, shape, 0..shape[0])
    }

    /// Some rows of the weight `name`, whose whole shape is given.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn rows(&self, name: &str, shape: [usize; 2], rows: Range<usize>) -> Result<Matrix, LoadError> {
        if matches!(*self.source, Source::Random) {
            let drawn = self.draw(&[rows.len(), shape[1]]).and_then(Matrix::new);
            return drawn.map_err(|e| LoadError::other(&e));
        }
        self.load(name, &shape, rows, |stored, bytes, shape| self.place(stored, bytes, shape))
    }

    /// Every weight must have been asked for, except the copy of a tied head that some publishers leave in.
    ///
    /// # Errors
    /// [`LoadError`] naming a weight that the configuration has no place for.
    pub fn check_all_asked(&self, tied: bool) -> Result<(), LoadError> {
        let asked = self.asked.borrow();
        let ignored =
            |name: &str| name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
        let left_over = |name: &String| !asked.contains(name) && !ignored(name);
        match self.source.names().into_iter().find(left_over) {
            None => Ok(()),
            Some(name) => Err(LoadError::malformed(
                self.source.path(),
                &format!("has a weight `{name}`, for which the configuration has no place"),
            )),
        }
    }

    /// Numbers in all weights together.
    ///
    /// # Errors
    /// [`LoadError`] if a weight's description makes no sense.
    pub fn parameters(&self) -> Result<u64, LoadError> {
        self.source.names().iter().map(|name| self.source.raw(name).map(|raw| raw.elements())).sum()
    }

    /// Bytes of all weights together in the type they are used in.
    ///
    /// # Errors
    /// As [`Weights::parameters`].
    pub fn bytes(&self) -> Result<u64, LoadError> {
        let bytes = |raw: Raw| match self.placed(raw.stored) {
            _ if raw.shape.len() < 2 && self.device.is_cpu() => raw.elements() * 4,
            Stored::Blocks(_) => raw.bytes.len() as u64,
            Stored::Numbers(dtype) => raw.elements() * dtype.size_in_bytes() as u64,
        };
        self.source.names().iter().map(|name| self.source.raw(name).map(bytes)).sum()
    }

    /// The types in which the files store numbers: `bf16`, `q4k`.
    ///
    /// # Errors
    /// As [`Weights::parameters`].
    pub fn stored_types(&self) -> Result<BTreeSet<String>, LoadError> {
        self.source.names().iter().map(|name| self.source.raw(name).map(|raw| raw.stored.name())).collect()
    }

    /// How the matrices of the layers will be stored, as [`crate::decoder::Decoder::stored_as`] says once they are loaded.
    ///
    /// # Errors
    /// As [`Weights::parameters`].
    pub fn stored_as(&self) -> Result<String, LoadError> {
        let mut kinds = BTreeSet::new();
        for name in self.source.names().iter().filter(|name| name.starts_with("model.layers.")) {
            let raw = self.source.raw(name)?;
            kinds.extend((raw.shape.len() == 2).then(|| self.placed(raw.stored).name()));
        }
        Ok(kinds.into_iter().collect::<Vec<_>>().join("+"))
    }

    /// How a matrix that is stored so will be stored on the device: [`Weights::place`] in types.
    fn placed(&self, stored: Stored) -> Stored {
        match stored {
            Stored::Numbers(dtype) if !(self.device.is_cpu() && self.kept(stored).is_some()) => {
                Stored::Numbers(self.wanted(dtype))
            }
            Stored::Blocks(_) => self.dtype.map_or(stored, Stored::Numbers),
            kept => kept,
        }
    }

    /// The weight files, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        self.source.files()
    }

    fn dtype_or_f32(&self) -> DType {
        self.dtype.unwrap_or(DType::F32)
    }

    /// Hands the bytes of some rows of a weight to `place`, and then gives their pages back.
    fn load<T>(
        &self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
        place: impl Fn(Stored, &[u8], &[usize]) -> candle_core::Result<T>,
    ) -> Result<T, LoadError> {
        let raw = self.source.raw(name)?;
        self.asked.borrow_mut().insert(name.to_owned());
        if raw.shape != shape {
            let message =
                format!("weight `{name}` is {:?}, but the configuration asks for {shape:?}", raw.shape);
            return Err(LoadError::malformed(raw.file.path(), &message));
        }
        let width = raw.bytes.len() / shape[0];
        let part = &raw.bytes[rows.start * width..rows.end * width];
        let shape = [&[rows.len()], &shape[1..]].concat();
        let loaded = match self.interleaved_heads(name) {
            Some(heads) => place(raw.stored, &gguf::halves(part, shape[0], heads), &shape),
            None => place(raw.stored, part, &shape),
        };
        raw.file.forget(part);
        loaded.map_err(|e| LoadError::malformed(raw.file.path(), &format!("weight `{name}`: {e}")))
    }

    /// Small numbers around 0 for a matrix, ones for a norm or a bias.
    fn draw(&self, shape: &[usize]) -> candle_core::Result<Tensor> {
        match shape {
            [_] => Tensor::ones(shape, self.number_type(), &self.device),
            _ => Tensor::randn(0f32, 0.02, shape, &self.device)?.to_dtype(self.dtype_or_f32()),
        }
    }

    /// The type of activations, and of what is added to them or multiplied with them one by one.
    fn number_type(&self) -> DType {
        if self.device.is_cpu() { DType::F32 } else { self.dtype_or_f32() }
    }

    fn interleaved_heads(&self, name: &str) -> Option<usize> {
        if self.only_described { None } else { self.source.interleaved_heads(name) }
    }

    /// A weight's numbers on the device.
    fn numbers(&self, stored: Stored, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
        if self.only_described {
            return zeros(shape);
        }
        let (numbers, own) = match stored {
            Stored::Numbers(dtype) => (Tensor::from_raw_buffer(bytes, dtype, shape, &self.device)?, dtype),
            Stored::Blocks(kind) => {
                let blocks = qtensor_from_ggml(kind, bytes, shape.to_vec(), &self.device)?;
                (blocks.dequantize(&self.device)?, DType::F32)
            }
        };
        numbers.to_dtype(if self.device.is_cpu() { DType::F32 } else { self.wanted(own) })
    }

    /// A matrix on the device, in the type that was asked for or else as it is stored.
    fn place(&self, stored: Stored, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Matrix> {
        if self.only_described {
            return zeros(shape).map(Matrix::Dense);
        }
        if let (true, Some(encoding)) = (self.device.is_cpu(), self.kept(stored)) {
            return Ok(Matrix::Packed(Arc::new(Packed::new(bytes, encoding, shape[0], shape[1]))));
        }
        match (stored, self.dtype) {
            (Stored::Blocks(kind), None) => {
                let blocks = qtensor_from_ggml(kind, bytes, shape.to_vec(), &self.device)?;
                Ok(Matrix::Quantised(Arc::new(blocks)))
            }
            (Stored::Blocks(kind), Some(wanted)) => {
                let blocks = qtensor_from_ggml(kind, bytes, shape.to_vec(), &self.device)?;
                Matrix::new(blocks.dequantize(&self.device)?.to_dtype(wanted)?)
            }
            (Stored::Numbers(dtype), _) => {
                let numbers = Tensor::from_raw_buffer(bytes, dtype, shape, &self.device)?;
                Matrix::new(numbers.to_dtype(self.wanted(dtype))?)
            }
        }
    }

    /// The type that numbers stored as `own` are used in; between quantised blocks that is `f32`.
    fn wanted(&self, own: DType) -> DType {
        let own = if matches!(*self.source, Source::Gguf(_)) { DType::F32 } else { own };
        self.dtype.unwrap_or(own)
    }

    /// The encoding of what is kept as it is stored.
    fn kept(&self, stored: Stored) -> Option<Encoding> {
        match stored {
            Stored::Numbers(dtype) if self.dtype.is_none_or(|wanted| wanted == dtype) => {
                Encoding::of_numbers(dtype)
            }
            Stored::Blocks(kind) if self.dtype.is_none() => Encoding::of_blocks(kind),
            _ => None,
        }
    }
}

/// Zeros that all lie in the same place.
fn zeros(shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::zeros(1, DType::F32, &Device::Cpu)?.broadcast_as(shape)
}
