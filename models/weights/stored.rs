//! A weight as its file has it, before it is placed anywhere.

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use super::mapped::Mapped;

/// A weight as its file has it.
pub(super) struct Raw<'a> {
    pub(super) stored: Stored,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: &'a [u8],
    pub(super) file: &'a Mapped,
}

/// How a file stores numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stored {
    /// One by one.
    Numbers(DType),
    /// As quantised blocks along each row.
    Blocks(GgmlDType),
}

impl Raw<'_> {
    pub(super) fn elements(&self) -> u64 {
        self.shape.iter().map(|n| *n as u64).product()
    }
}

impl Stored {
    /// `bf16`, `q4k`.
    pub(super) fn name(self) -> String {
        match self {
            Self::Numbers(dtype) => dtype.as_str().to_owned(),
            Self::Blocks(kind) => format!("{kind:?}").to_lowercase(),
        }
    }

    pub(super) fn of(dtype: GgmlDType) -> Self {
        match dtype {
            GgmlDType::F32 => Self::Numbers(DType::F32),
            GgmlDType::F16 => Self::Numbers(DType::F16),
            GgmlDType::BF16 => Self::Numbers(DType::BF16),
            blocks => Self::Blocks(blocks),
        }
    }
}
