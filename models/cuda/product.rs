//! Products of weights with tokens: few tokens by a kernel that reads the weights at memory's speed, and does what lies around the
//! product as well; many by the library.

use candle_core::cuda_backend::cudarc::cublas::{result as cublas, sys as blas};
use candle_core::{DType, Error, Result, Tensor};

use super::gpu::{Arg, Blocks, Gpu, UNASKED_SHARED_BYTES, address};

/// Tokens up to which `product.cu` is used.
const FEW_TOKENS: usize = 4;
/// Warps of a block of `product.cu`, and numbers that each takes of a row before it waits for the first.
const WARPS: usize = 4;
const UNDER_WAY: usize = 4 * 32 * 8;
/// Warps on a processor that keep its memory busy.
const ENOUGH_WARPS: usize = 16;

/// What becomes of the sums; the numbers are those of `product.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Store = 0,
    /// Added to what is there.
    Add = 1,
    /// The first half of them gates the second half.
    Silu = 2,
    Gelu = 3,
}

/// A norm's weights and what keeps it from dividing by 0.
pub(super) type Norm<'a> = (&'a Tensor, f64);

impl Gpu {
    /// Whether [`Gpu::small_product`] can do it.
    pub(super) fn is_small(weight: &Tensor, tokens: usize) -> bool {
        let inner = weight.dims().last().copied().unwrap_or(0);
        tokens <= FEW_TOKENS && inner.is_multiple_of(8)
    }

    /// Whether it can norm `x` before.
    pub(super) fn can_norm(weight: &Tensor, tokens: usize) -> bool {
        Self::is_small(weight, tokens) && normed_bytes(weight, tokens) <= UNASKED_SHARED_BYTES
    }

    /// `y = x W^T` for `[out, in]` weights and `tokens` rows of `x`; `y` is of their type or, as logits are, `f32`.
    pub(super) fn product(&self, weight: &Tensor, x: &Tensor, y: &Tensor, tokens: usize) -> Result<()> {
        if Self::is_small(weight, tokens) {
            return self.small_product(weight, (x, None), (y, Finish::Store), tokens);
        }
        self.library_product(weight, x, y, tokens)
    }

    /// The same for few tokens, with `x` normed before, and with another end.
    pub(super) fn small_product(
        &self,
        weight: &Tensor,
        (x, norm): (&Tensor, Option<Norm>),
        (y, finish): (&Tensor, Finish),
        tokens: usize,
    ) -> Result<()> {
        let (out, inner) = weight.dims2()?;
        let rows = if matches!(finish, Finish::Silu | Finish::Gelu) { out / 2 } else { out };
        // A warp takes two rows.
        let pairs = out.div_ceil(2);
        let sharing = sharing(pairs, inner, self.processors);
        let args = [
            Arg::At(address(weight)?),
            Arg::At(address(x)?),
            Arg::At(norm.map_or(Ok(0), |(weights, _)| address(weights))?),
            Arg::At(address(y)?),
            Arg::Number(inner as u32),
            Arg::Number(rows as u32),
            Arg::Number(sharing as u32),
            Arg::Number(finish as u32),
            Arg::Real(norm.map_or(0.0, |(_, eps)| eps as f32)),
        ];
        let kernel = if y.dtype() == weight.dtype() { "product" } else { "logits" };
        let name = format!("{kernel}_{tokens}_{}", weight.dtype().as_str());
        let shared_bytes = norm.map_or(0, |_| normed_bytes(weight, tokens));
        let blocks =
            Blocks { shared_bytes, ..Blocks::of([(pairs * sharing).div_ceil(WARPS), 1], 32 * WARPS) };
        self.follow(&name, blocks, &args)
    }

    fn library_product(&self, weight: &Tensor, x: &Tensor, y: &Tensor, tokens: usize) -> Result<()> {
        use blas::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
        let (out, inner) = weight.dims2()?;
        let number = |tensor: &Tensor| match tensor.dtype() {
            DType::F32 => blas::cudaDataType::CUDA_R_32F,
            DType::F16 => blas::cudaDataType::CUDA_R_16F,
            _ => blas::cudaDataType::CUDA_R_16BF,
        };
        let (one, zero) = (1f32, 0f32);
        // The library counts columns first: y^T = W x^T.
        // SAFETY: the sizes are those of the tensors, and all of them outlive the call on their stream.
        unsafe {
            cublas::gemm_ex(
                *self.device().cublas_handle().handle(),
                CUBLAS_OP_T,
                CUBLAS_OP_N,
                out as i32,
                tokens as i32,
                inner as i32,
                (&raw const one).cast(),
                address(weight)? as *const _,
                number(weight),
                inner as i32,
                address(x)? as *const _,
                number(x),
                inner as i32,
                (&raw const zero).cast(),
                address(y)? as *mut _,
                number(y),
                out as i32,
                blas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                // The one for tensor cores may round `f32` to 16 bits.
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(Error::wrap)
    }
}

/// Memory for the normed tokens.
fn normed_bytes(weight: &Tensor, tokens: usize) -> usize {
    tokens * weight.dims().last().copied().unwrap_or(0) * weight.dtype().size_in_bytes()
}

/// How many warps take a pair of rows together: more of them where there are few pairs, or there would be too little under
/// way to keep memory busy; but not so many that one has less to ask for than it can.
fn sharing(pairs: usize, inner: usize, processors: usize) -> usize {
    let mut sharing = 1;
    while sharing < WARPS && pairs * sharing < ENOUGH_WARPS * processors && inner >= 2 * sharing * UNDER_WAY {
        sharing *= 2;
    }
    sharing
}
