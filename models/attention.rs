//! Attention over the paged cache: every query token sees its own sequence up to itself, or the last tokens of
//! it where the layer has a window, and nothing else is read.
//!
//! On the CPU a fused kernel walks each sequence's blocks in place. Elsewhere, and as the reference the
//! kernel is tested against, plain tensor operations do the same one sequence at a time.

use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::cache::BLOCK;
use crate::lanes::{add_scaled, dot, softmax};

/// Some new tokens of one sequence. Their keys and values are already in the cache.
#[derive(Clone, Debug)]
pub struct Span {
    /// The sequence's blocks.
    pub blocks: Vec<u32>,
    /// Position of the first new token.
    pub start: usize,
    /// Number of new tokens.
    pub len: usize,
}

/// A layer's heads: their sizes and what they see.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads.
    pub queries: usize,
    /// Key and value heads; divides `queries`.
    pub kv: usize,
    /// Width of a head.
    pub dim: usize,
    /// What scores are multiplied with.
    pub scale: f32,
    /// A token sees at most so many tokens, itself included.
    pub window: Option<usize>,
}

impl Heads {
    /// The first position that the last of `context` tokens sees.
    fn first_seen(&self, context: usize) -> usize {
        self.window.map_or(0, |window| context.saturating_sub(window))
    }
}

/// Attention of new tokens over the cache.
///
/// `q` is `[tokens, queries * dim]` with the spans' tokens one after another; `keys` and `values` are
/// `[slots, kv * dim]`. Returns `[tokens, queries * dim]`.
///
/// # Errors
/// If shapes or types do not fit.
pub fn attend(q: &Tensor, keys: &Tensor, values: &Tensor, heads: Heads, spans: &[Span]) -> Result<Tensor> {
    if !q.device().is_cpu() {
        return attend_by_gathering(q, keys, values, heads, spans);
    }
    let out =
        q.to_dtype(DType::F32)?.contiguous()?.apply_op3_no_bwd(keys, values, &Paged { heads, spans })?;
    out.to_dtype(q.dtype())
}

/// The same with plain tensor operations: gather a sequence's keys and values, multiply, mask, sum.
///
/// # Errors
/// If shapes or types do not fit.
pub fn attend_by_gathering(
    q: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    heads: Heads,
    spans: &[Span],
) -> Result<Tensor> {
    let (mut out, mut from) = (Vec::with_capacity(spans.len()), 0);
    for span in spans {
        out.push(attend_span(&q.narrow(0, from, span.len)?, keys, values, heads, span)?);
        from += span.len;
    }
    Tensor::cat(&out, 0)
}

fn attend_span(q: &Tensor, keys: &Tensor, values: &Tensor, heads: Heads, span: &Span) -> Result<Tensor> {
    let context = span.start + span.len;
    let slots: Vec<u32> =
        (0..context).map(|p| span.blocks[p / BLOCK] * BLOCK as u32 + (p % BLOCK) as u32).collect();
    let slots = Tensor::new(slots, q.device())?;
    let group = heads.queries / heads.kv;
    let gather = |pool: &Tensor| -> Result<Tensor> {
        let rows =
            pool.index_select(&slots, 0)?.to_dtype(DType::F32)?.reshape((context, heads.kv, 1, heads.dim))?;
        let rows = rows.broadcast_as((context, heads.kv, group, heads.dim))?;
        rows.reshape((context, heads.queries, heads.dim))?.transpose(0, 1)?.contiguous()
    };
    let q = q.to_dtype(DType::F32)?.reshape((span.len, heads.queries, heads.dim))?.transpose(0, 1)?;
    let scores = q.contiguous()?.matmul(&gather(keys)?.transpose(1, 2)?)?;
    let scores = (scores * f64::from(heads.scale))?.broadcast_add(&mask(heads, span, q.device())?)?;
    let out = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&gather(values)?)?;
    out.transpose(0, 1)?.reshape((span.len, heads.queries * heads.dim))?.to_dtype(keys.dtype())
}

/// `[len, context]`: minus infinity where a token would see its future, or beyond its window.
fn mask(heads: Heads, span: &Span, device: &candle_core::Device) -> Result<Tensor> {
    let context = span.start + span.len;
    let hidden = |token: usize| {
        let position = span.start + token;
        let seen = heads.first_seen(position + 1)..=position;
        (0..context).map(move |key| if seen.contains(&key) { 0.0 } else { f32::NEG_INFINITY })
    };
    Tensor::from_vec((0..span.len).flat_map(hidden).collect::<Vec<_>>(), (span.len, context), device)
}

struct Paged<'a> {
    heads: Heads,
    spans: &'a [Span],
}

impl CustomOp3 for Paged<'_> {
    fn name(&self) -> &'static str {
        "paged-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        keys: &CpuStorage,
        _: &Layout,
        values: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let q = &q.as_slice::<f32>()?[lq.start_offset()..];
        let out = match (keys, values) {
            (CpuStorage::F32(k), CpuStorage::F32(v)) => self.run(q, k, v, lq.dims()[0]),
            (CpuStorage::F16(k), CpuStorage::F16(v)) => self.run(q, k, v, lq.dims()[0]),
            (CpuStorage::BF16(k), CpuStorage::BF16(v)) => self.run(q, k, v, lq.dims()[0]),
            _ => candle_core::bail!("the cache must be f32, f16 or bf16"),
        };
        Ok((CpuStorage::F32(out), lq.shape().clone()))
    }
}

impl Paged<'_> {
    fn run<T: Copy + Sync + Into<f32>>(
        &self,
        q: &[f32],
        keys: &[T],
        values: &[T],
        tokens: usize,
    ) -> Vec<f32> {
        let width = self.heads.queries * self.heads.dim;
        let mut out = vec![0f32; tokens * width];
        let places: Vec<(&Span, usize)> =
            self.spans.iter().flat_map(|span| (1..=span.len).map(move |i| (span, span.start + i))).collect();
        out.par_chunks_exact_mut(width).zip(q.par_chunks_exact(width)).zip(&places).for_each_init(
            Vec::new,
            |scores, ((out, q), (span, context))| {
                for group in 0..self.heads.kv {
                    attend_group(self.heads, group, q, keys, values, &span.blocks, *context, scores, out);
                }
            },
        );
        out
    }
}

/// One token's query heads that share key and value head `group`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
#[allow(clippy::too_many_arguments)]
fn attend_group<T: Copy + Into<f32>>(
    heads: Heads,
    group: usize,
    q: &[f32],
    keys: &[T],
    values: &[T],
    blocks: &[u32],
    context: usize,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let (dim, width) = (heads.dim, heads.kv * heads.dim);
    let shared = heads.queries / heads.kv;
    let (q, out) =
        (&q[group * shared * dim..][..shared * dim], &mut out[group * shared * dim..][..shared * dim]);
    let first = heads.first_seen(context);
    let seen = context - first;
    scores.clear();
    scores.resize(shared * seen, 0.0);
    for (start, block) in (0..context).step_by(BLOCK).zip(blocks).skip(first / BLOCK) {
        let (low, high) = (first.max(start), context.min(start + BLOCK));
        let rows = &keys[(*block as usize * BLOCK + low - start) * width..][..(high - low) * width];
        for (place, row) in (low - first..).zip(rows.chunks_exact(width)) {
            let key = &row[group * dim..][..dim];
            for (head, q) in q.chunks_exact(dim).enumerate() {
                scores[head * seen + place] = dot(q, key);
            }
        }
    }
    for scores in scores.chunks_exact_mut(seen) {
        softmax(scores, heads.scale);
    }
    for (start, block) in (0..context).step_by(BLOCK).zip(blocks).skip(first / BLOCK) {
        let (low, high) = (first.max(start), context.min(start + BLOCK));
        let rows = &values[(*block as usize * BLOCK + low - start) * width..][..(high - low) * width];
        for (place, row) in (low - first..).zip(rows.chunks_exact(width)) {
            let value = &row[group * dim..][..dim];
            for (head, out) in out.chunks_exact_mut(dim).enumerate() {
                add_scaled(out, scores[head * seen + place], value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(rows: usize, columns: usize, phase: f32) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    #[test]
    fn the_kernel_agrees_with_plain_tensor_operations() {
        let (keys, values) = (tensor(80, 40, 0.1), tensor(80, 40, 1.9));
        let spans = [
            Span { blocks: vec![3, 0], start: 20, len: 1 },
            Span { blocks: vec![4, 1], start: 0, len: 19 },
            Span { blocks: vec![3, 2], start: 16, len: 2 },
        ];
        let q = tensor(22, 120, 0.7);
        for (dtype, window) in [
            (DType::F32, None),
            (DType::F16, None),
            (DType::BF16, None),
            (DType::F32, Some(5)),
            (DType::F32, Some(18)),
        ] {
            let heads = Heads { queries: 6, kv: 2, dim: 20, scale: 0.2, window };
            let (keys, values) = (keys.to_dtype(dtype).unwrap(), values.to_dtype(dtype).unwrap());
            let fast = attend(&q, &keys, &values, heads, &spans).unwrap().to_vec2::<f32>().unwrap();
            let slow = attend_by_gathering(&q, &keys, &values, heads, &spans).unwrap();
            let slow = slow.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            let tolerance = if dtype == DType::F32 { 1e-5 } else { 1e-2 };
            for (a, b) in fast.iter().flatten().zip(slow.iter().flatten()) {
                assert!((a - b).abs() < tolerance, "{dtype:?}: {a} {b}");
            }
        }
    }
}
