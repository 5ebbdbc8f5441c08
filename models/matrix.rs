//! A matrix of weights, however it is stored and wherever it is.
//!
//! On the CPU this project's kernels multiply it ([`crate::packed`]), plain numbers and quantised ones alike: activations stay
//! `f32`, and what a row gives does not depend on the batch it is in. Other devices use the library, and so do kinds of quantised
//! blocks that have no panels; there activations are rounded to 8 bits a block and multiplied with the blocks in integers,
//! as llama.cpp does it.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Module, Result, Shape, Tensor};

use crate::packed::Packed;

/// `[out, in]` weights.
#[derive(Clone)]
pub enum Matrix {
    /// On the CPU.
    Packed(Arc<Packed>),
    /// Numbers.
    Dense(Tensor),
    /// Blocks of quantised numbers along each row.
    Quantised(Arc<QTensor>),
}

impl Matrix {
    /// A matrix of the numbers of a tensor `[out, in]`.
    ///
    /// # Errors
    /// If it has another rank.
    pub fn new(numbers: Tensor) -> Result<Self> {
        if numbers.device().is_cpu()
            && let Some(packed) = Packed::from_tensor(&numbers)?
        {
            return Ok(Self::Packed(Arc::new(packed)));
        }
        Ok(Self::Dense(numbers))
    }

    fn packed(&self) -> Option<&Packed> {
        match self {
            Self::Packed(packed) => Some(packed),
            _ => None,
        }
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        match self {
            Self::Packed(_) => Device::Cpu,
            Self::Dense(tensor) => tensor.device().clone(),
            Self::Quantised(blocks) => blocks.device(),
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Packed(packed) => packed.bytes(),
            Self::Dense(tensor) => (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64,
            Self::Quantised(blocks) => blocks.storage_size_in_bytes() as u64,
        }
    }

    /// How its numbers are stored: `bf16`, `q4k`.
    pub fn stored_as(&self) -> String {
        match self {
            Self::Packed(packed) => format!("{:?}", packed.encoding()).to_lowercase(),
            Self::Dense(tensor) => tensor.dtype().as_str().to_owned(),
            Self::Quantised(blocks) => format!("{:?}", blocks.dtype()).to_lowercase(),
        }
    }

    /// A square matrix that is stored in the same way, to time products with it.
    ///
    /// # Errors
    /// If the device has too little memory, or `side` is not whole blocks.
    pub(crate) fn square_like(&self, side: usize) -> Result<Self> {
        Ok(match self {
            Self::Packed(packed) => Self::Packed(Arc::new(Packed::zeros(packed.encoding(), side))),
            Self::Dense(tensor) => Self::Dense(noise(side, tensor.dtype(), tensor.device())?),
            Self::Quantised(blocks) => {
                let zeros = Tensor::zeros((side, side), DType::F32, &blocks.device())?;
                Self::Quantised(Arc::new(QTensor::quantize(&zeros, blocks.dtype())?))
            }
        })
    }

    /// The rows `ids` (`[tokens]`) as numbers, `[tokens, in]`.
    ///
    /// # Errors
    /// If an id is beyond the last row or the device fails.
    pub fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Self::Packed(packed) => {
                let ids = ids.to_vec1::<u32>()?;
                if let Some(id) = ids.iter().find(|id| **id as usize >= packed.out()) {
                    candle_core::bail!("there is no row {id} of {}", packed.out())
                }
                Tensor::from_vec(packed.rows(&ids), (ids.len(), packed.inner()), &Device::Cpu)
            }
            Self::Dense(tensor) => tensor.index_select(ids, 0),
            Self::Quantised(blocks) => blocks.embedding(ids),
        }
    }

    /// `x W^T`: `[tokens, in]` to `[tokens, out]`, in the type of `x`.
    ///
    /// # Errors
    /// If the shapes do not fit or the device fails.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Packed(_) => products([self], x).map(|[product]| product),
            Self::Dense(w) => x.matmul(&w.t()?),
            Self::Quantised(blocks) => QMatMul::QTensor(blocks.clone()).forward(&x.contiguous()?),
        }
    }
}

/// A square of normal random numbers. A GPU that multiplies zeros takes less power and so runs faster than it does with a model's numbers.
///
/// # Errors
/// If the device has too little memory.
pub(crate) fn noise(side: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    Tensor::randn(0f32, 1f32, (side, side), device)?.to_dtype(dtype)
}

/// The products of one `x` with several matrices of the same width.
///
/// # Errors
/// If the shapes do not fit or the device fails.
pub(crate) fn products<const N: usize>(matrices: [&Matrix; N], x: &Tensor) -> Result<[Tensor; N]> {
    let packed: Vec<&Packed> = matrices.iter().filter_map(|matrix| matrix.packed()).collect();
    let products = if packed.len() == N {
        let (tokens, mut from) = (x.dim(0)?, 0);
        let y = x
            .to_dtype(DType::F32)?
            .contiguous()?
            .apply_op1_no_bwd(&Multiply(&packed))?
            .to_dtype(x.dtype())?;
        let part = |packed: &&Packed| {
            let part = y.narrow(0, from, tokens * packed.out())?.reshape((tokens, packed.out()));
            from += tokens * packed.out();
            part
        };
        packed.iter().map(part).collect::<Result<Vec<_>>>()?
    } else {
        matrices.iter().map(|matrix| matrix.product(x)).collect::<Result<Vec<_>>>()?
    };
    Ok(products.try_into().unwrap_or_else(|_| unreachable!("one for each matrix")))
}

/// Products one after another, as one row of numbers.
struct Multiply<'a>(&'a [&'a Packed]);

impl CustomOp1 for Multiply<'_> {
    fn name(&self) -> &'static str {
        "packed-product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, inner) = layout.shape().dims2()?;
        if let Some(other) = self.0.iter().find(|packed| packed.inner() != inner) {
            candle_core::bail!("{inner} numbers do not fit weights of {}", other.inner())
        }
        let x = &x.as_slice::<f32>()?[layout.start_offset()..][..tokens * inner];
        let y = Packed::multiply(self.0, x);
        let shape = Shape::from(y.len());
        Ok((CpuStorage::F32(y), shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::Encoding;
    use candle_core::quantized::GgmlDType;

    fn tensor(rows: usize, columns: usize, phase: f32) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    fn packed(blocks: &QTensor) -> Matrix {
        let (out, inner) = blocks.shape().dims2().unwrap();
        let encoding = Encoding::of_blocks(blocks.dtype()).unwrap();
        Matrix::Packed(Arc::new(Packed::new(&blocks.data().unwrap(), encoding, out, inner)))
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    /// Every encoding, with the numbers that the library says it stands for.
    fn encodings(inner: usize) -> Vec<(String, Matrix, Tensor)> {
        let w = tensor(75, inner, 1.1);
        let plain = [DType::F32, DType::F16, DType::BF16].into_iter().map(|dtype| {
            let stored = w.to_dtype(dtype).unwrap();
            let meant = stored.to_dtype(DType::F32).unwrap();
            (format!("{dtype:?}"), Matrix::new(stored).unwrap(), meant)
        });
        use GgmlDType::{Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
        let kinds = [Q4_0, Q5_0, Q8_0, Q4K, Q5K, Q6K].into_iter();
        let blocks = kinds.filter(|kind| inner.is_multiple_of(kind.block_size())).map(|kind| {
            let blocks = QTensor::quantize(&w, kind).unwrap();
            (format!("{kind:?}"), packed(&blocks), blocks.dequantize(&Device::Cpu).unwrap())
        });
        plain.chain(blocks).collect()
    }

    #[test]
    fn rows_of_every_encoding_are_the_numbers_it_stands_for() {
        for inner in [24, 25, 96, 768] {
            for (name, matrix, meant) in encodings(inner) {
                let rows = matrix.rows(&Tensor::new(&[0u32, 31, 74, 32], &Device::Cpu).unwrap()).unwrap();
                let meant =
                    meant.index_select(&Tensor::new(&[0u32, 31, 74, 32], &Device::Cpu).unwrap(), 0).unwrap();
                assert!(largest_difference(&rows, &meant) < 1e-6, "{name} {inner}");
            }
        }
    }

    #[test]
    fn zeros_are_stored_as_the_matrix_is_and_take_as_many_bytes_a_number() {
        for (name, matrix, _) in encodings(768) {
            let zeros = matrix.square_like(256).unwrap();
            assert_eq!(zeros.stored_as(), matrix.stored_as(), "{name}");
            let (bytes, numbers) = (matrix.bytes() as f64, (75usize.next_multiple_of(32) * 768) as f64);
            assert!((zeros.bytes() as f64 / 65536.0 / (bytes / numbers) - 1.0).abs() < 0.01, "{name}");
            let product = zeros.product(&tensor(3, 256, 0.3)).unwrap();
            assert_eq!(largest_difference(&product, &product.zeros_like().unwrap()), 0.0, "{name}");
        }
    }

    #[test]
    fn products_of_every_encoding_and_shape_agree_with_those_of_64_bits() {
        for (tokens, inner) in
            [(1, 96), (2, 24), (5, 256), (7, 768), (12, 768), (13, 25), (50, 896), (400, 32)]
        {
            let x = tensor(tokens, inner, 0.3);
            for (name, matrix, meant) in encodings(inner) {
                let x = match name.as_str() {
                    "BF16" => x.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap(),
                    _ if !name.starts_with('Q') => x.clone(),
                    _ => as_integers(&x, if name.ends_with('K') { 256 } else { 64 }),
                };
                let long = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
                let slow = long(&x).matmul(&long(&meant).t().unwrap()).unwrap().to_dtype(DType::F32).unwrap();
                let difference = largest_difference(&matrix.product(&x).unwrap(), &slow);
                assert!(difference < 2e-4, "{name} {tokens}x{inner}: {difference}");
            }
        }
    }

    /// What activations become to meet blocks: multiples of the largest of so many, of which 32,639 make that one.
    fn as_integers(x: &Tensor, of_a_block: usize) -> Tensor {
        let mut rows = x.to_vec2::<f32>().unwrap();
        for block in rows.iter_mut().flat_map(|row| row.chunks_mut(of_a_block)) {
            let largest = block.iter().fold(0f64, |largest, x| largest.max(f64::from(*x).abs()));
            for x in block {
                *x = ((f64::from(*x) / largest * 32639.0).round() * largest / 32639.0) as f32;
            }
        }
        Tensor::new(rows, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_row_is_the_same_to_the_last_bit_in_every_batch() {
        let x = tensor(51, 300, 0.3);
        for (name, matrix, _) in encodings(300).into_iter().chain(encodings(768)) {
            let x = if name.starts_with('Q') { tensor(51, 768, 0.3) } else { x.clone() };
            let Ok(together) = matrix.product(&x) else { continue };
            let together = together.to_vec2::<f32>().unwrap();
            for (row, expected) in together.iter().enumerate() {
                let alone = matrix.product(&x.narrow(0, row, 1).unwrap()).unwrap();
                assert_eq!(&alone.to_vec2::<f32>().unwrap()[0], expected, "{name}");
            }
        }
    }

    #[test]
    fn an_output_is_the_sum_over_groups_of_32_of_a_chain_of_multiply_adds() {
        for (tokens, dtype) in [DType::F32, DType::F16, DType::BF16]
            .into_iter()
            .flat_map(|dtype| [3, 40].map(|tokens| (tokens, dtype)))
        {
            let (x, w) = (tensor(tokens, 201, 0.3), tensor(40, 201, 1.1).to_dtype(dtype).unwrap());
            let fast = Matrix::new(w.clone()).unwrap().product(&x).unwrap().to_vec2::<f32>().unwrap();
            let met = if dtype == DType::BF16 { x.to_dtype(dtype).unwrap() } else { x };
            let numbers = |t: &Tensor| t.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            for (x, fast) in numbers(&met).iter().zip(&fast) {
                for (w, fast) in numbers(&w).iter().zip(fast) {
                    let chain = |(x, w): (&[f32], &[f32])| {
                        x.iter().zip(w).fold(0f32, |sum, (x, w)| x.mul_add(*w, sum))
                    };
                    let groups = x.chunks(32).zip(w.chunks(32)).map(chain);
                    assert_eq!(*fast, groups.fold(0f32, |sum, group| sum + group), "{tokens} {dtype:?}");
                }
            }
        }
    }

    #[test]
    fn the_librarys_product_of_blocks_is_the_dequantised_one_up_to_8_bits_of_activations() {
        let (x, w) = (tensor(3, 512, 0.3), tensor(40, 512, 1.1));
        for kind in [GgmlDType::Q4_1, GgmlDType::Q5_1, GgmlDType::Q2K, GgmlDType::Q3K] {
            let blocks = Arc::new(QTensor::quantize(&w, kind).unwrap());
            let plain = Matrix::Dense(blocks.dequantize(&Device::Cpu).unwrap()).product(&x).unwrap();
            let difference = (Matrix::Quantised(blocks).product(&x).unwrap() - &plain).unwrap();
            let size = |t: &Tensor| t.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let error = size(&difference) / size(&plain);
            assert!(error < 1e-2, "{kind:?}: {error}");
        }
    }
}
