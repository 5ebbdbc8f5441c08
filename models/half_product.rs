//! `x W^T` for weights of 16 bits on the CPU.
//!
//! Matrix libraries widen the whole of W to `f32` at every call, which reads and writes it three times over. Here a task
//! widens a few rows of W at a time into its own cache and multiplies all of x with them, so W passes through memory
//! once and in 16 bits. Sums are `f32`, rounded once at the end, and every output is summed in
//! the same order whatever the batch is.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use multiversion::multiversion;
use rayon::prelude::*;

/// Rows of W that one task widens.
const BLOCK: usize = 16;
/// Rows of x and of W whose products are summed side by side.
const TILE: usize = 4;
const LANES: usize = 16;

/// `[tokens, in]` and `[out, in]` to `[tokens, out]`, all of the same 16-bit type.
///
/// # Errors
/// If shapes or types do not fit.
pub fn half_product(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2_no_bwd(w, &HalfProduct)
}

struct HalfProduct;

impl CustomOp2 for HalfProduct {
    fn name(&self) -> &'static str {
        "half-product"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, inner) = lx.shape().dims2()?;
        let (out, w_inner) = lw.shape().dims2()?;
        if inner != w_inner || !lw.is_contiguous() {
            candle_core::bail!("{inner} columns cannot be multiplied with {w_inner}")
        }
        let (x_from, w_from) = (lx.start_offset(), lw.start_offset());
        let product = match (x, w) {
            (CpuStorage::BF16(x), CpuStorage::BF16(w)) => {
                let (x, w) = (&x[x_from..][..tokens * inner], &w[w_from..][..out * inner]);
                CpuStorage::BF16(multiply(x, w, inner, out))
            }
            (CpuStorage::F16(x), CpuStorage::F16(w)) => {
                let (x, w) = (&x[x_from..][..tokens * inner], &w[w_from..][..out * inner]);
                CpuStorage::F16(multiply(x, w, inner, out))
            }
            _ => candle_core::bail!("both factors must be bf16, or both f16"),
        };
        Ok((product, Shape::from((tokens, out))))
    }
}

/// A 16-bit number that widens to `f32`.
trait Half: Copy + Send + Sync {
    const ZERO: Self;
    fn widen(from: &[Self], to: &mut [f32]);
    fn narrow(from: f32) -> Self;
}

impl Half for bf16 {
    const ZERO: Self = Self::ZERO;

    fn widen(from: &[Self], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }

    fn narrow(from: f32) -> Self {
        Self::from_f32(from)
    }
}

impl Half for f16 {
    const ZERO: Self = Self::ZERO;

    fn widen(from: &[Self], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }

    fn narrow(from: f32) -> Self {
        Self::from_f32(from)
    }
}

fn multiply<T: Half>(x: &[T], w: &[T], inner: usize, out: usize) -> Vec<T> {
    let tokens = x.len() / inner;
    let mut wide_x = vec![0f32; x.len()];
    T::widen(x, &mut wide_x);
    // Columns of the product, one after another, so that every task writes a piece of its own.
    let mut columns = vec![T::ZERO; out * tokens];
    columns.par_chunks_mut(BLOCK * tokens).zip(w.par_chunks(BLOCK * inner)).for_each_init(
        || (vec![0f32; BLOCK * inner], vec![0f32; BLOCK * tokens]),
        |(wide_w, sums), (columns, w)| {
            let (wide_w, sums) = (&mut wide_w[..w.len()], &mut sums[..columns.len()]);
            T::widen(w, wide_w);
            block(&wide_x, wide_w, sums, inner);
            for (column, sum) in columns.iter_mut().zip(sums) {
                *column = T::narrow(*sum);
            }
        },
    );
    if tokens == 1 { columns } else { transposed(&columns, tokens) }
}

/// `[columns, rows]` to `[rows, columns]`.
fn transposed<T: Half>(columns: &[T], rows: usize) -> Vec<T> {
    let width = columns.len() / rows;
    let mut out = vec![T::ZERO; columns.len()];
    out.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
        for (column, out) in out.iter_mut().enumerate() {
            *out = columns[column * rows + row];
        }
    });
    out
}

/// All rows of x against some rows of W: `[w rows, tokens]` sums.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn block(x: &[f32], w: &[f32], sums: &mut [f32], inner: usize) {
    let (tokens, rows) = (x.len() / inner, w.len() / inner);
    for token in (0..tokens).step_by(TILE) {
        let count = TILE.min(tokens - token);
        for row in (0..rows).step_by(TILE) {
            let height = TILE.min(rows - row);
            let (x, w) = (&x[token * inner..], &w[row * inner..]);
            let products = match (count, height) {
                (TILE, TILE) => tile::<TILE, TILE>(x, w, inner),
                (1, TILE) => widened::<1, TILE>(tile::<1, TILE>(x, w, inner)),
                _ => edge(x, w, inner, count, height),
            };
            for (i, products) in products.iter().enumerate().take(count) {
                for (j, product) in products.iter().enumerate().take(height) {
                    sums[(row + j) * tokens + token + i] = *product;
                }
            }
        }
    }
}

#[inline(always)]
fn widened<const R: usize, const C: usize>(part: [[f32; C]; R]) -> [[f32; TILE]; TILE] {
    let mut whole = [[0f32; TILE]; TILE];
    for i in 0..R {
        for j in 0..C {
            whole[i][j] = part[i][j];
        }
    }
    whole
}

/// Fewer than a tile's rows, one product at a time.
#[inline(always)]
fn edge(x: &[f32], w: &[f32], inner: usize, count: usize, height: usize) -> [[f32; TILE]; TILE] {
    let mut products = [[0f32; TILE]; TILE];
    for i in 0..count {
        for j in 0..height {
            products[i][j] = tile::<1, 1>(&x[i * inner..], &w[j * inner..], inner)[0][0];
        }
    }
    products
}

/// `R` rows of x against `C` rows of W, each product summed in sixteen lanes and then halved.
#[inline(always)]
fn tile<const R: usize, const C: usize>(x: &[f32], w: &[f32], inner: usize) -> [[f32; C]; R] {
    let mut lanes = [[[0f32; LANES]; C]; R];
    let whole = inner / LANES * LANES;
    let mut at = 0;
    while at < whole {
        for i in 0..R {
            let x = &x[i * inner + at..][..LANES];
            for j in 0..C {
                let w = &w[j * inner + at..][..LANES];
                for lane in 0..LANES {
                    lanes[i][j][lane] = x[lane].mul_add(w[lane], lanes[i][j][lane]);
                }
            }
        }
        at += LANES;
    }
    let mut sums = [[0f32; C]; R];
    for i in 0..R {
        for j in 0..C {
            let lanes = &mut lanes[i][j];
            for half in [8, 4, 2, 1] {
                for lane in 0..half {
                    lanes[lane] += lanes[lane + half];
                }
            }
            sums[i][j] = lanes[0];
            for k in whole..inner {
                sums[i][j] = x[i * inner + k].mul_add(w[j * inner + k], sums[i][j]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn tensor(rows: usize, columns: usize, phase: f32, dtype: DType) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<Vec<f32>> {
        tensor.to_dtype(DType::F32).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn the_product_is_the_wide_one_rounded_once() {
        for dtype in [DType::BF16, DType::F16] {
            for (tokens, inner, out) in [(1, 64, 121), (7, 24, 10), (37, 100, 33), (4, 16, 16)] {
                let (x, w) = (tensor(tokens, inner, 0.3, dtype), tensor(out, inner, 1.1, dtype));
                let wide = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
                let slow = wide(&x).matmul(&wide(&w).t().unwrap()).unwrap();
                let (fast, slow) = (numbers(&half_product(&x, &w).unwrap()), numbers(&slow));
                let step = if dtype == DType::BF16 { 2f32.powi(-8) } else { 2f32.powi(-11) };
                for (a, b) in fast.iter().flatten().zip(slow.iter().flatten()) {
                    assert!((a - b).abs() <= b.abs() * step + 1e-5, "{tokens}x{inner}x{out}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_to_the_last_bit_in_every_batch() {
        let (x, w) = (tensor(33, 100, 0.3, DType::BF16), tensor(31, 100, 1.1, DType::BF16));
        let together = numbers(&half_product(&x, &w).unwrap());
        for (row, expected) in together.iter().enumerate() {
            let alone = half_product(&x.narrow(0, row, 1).unwrap(), &w).unwrap();
            assert_eq!(&numbers(&alone)[0], expected);
        }
    }

    #[test]
    fn factors_that_do_not_fit_are_an_error() {
        let (x, w) = (tensor(2, 10, 0.3, DType::BF16), tensor(3, 11, 1.1, DType::BF16));
        assert!(half_product(&x, &w).is_err());
        assert!(half_product(&x, &tensor(3, 10, 1.1, DType::F16)).is_err());
    }
}
