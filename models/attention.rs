//! Attention over the paged cache: every query token sees its own sequence up to itself, or the last tokens of
//! it where the layer has a window, and nothing else is read.
//!
//! On the CPU a fused kernel walks each sequence's blocks in place. Elsewhere, and as the reference the
//! kernel is tested against, plain tensor operations do the same one sequence at a time.

mod paged;
mod party;
mod product;
mod stored;
mod task;

use candle_core::{D, DType, Result, Tensor};

use crate::cache::{BLOCK, Pool};
use paged::Paged;

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
    /// Query heads that share a head of keys and values.
    fn sharing(&self) -> usize {
        self.queries / self.kv
    }

    /// The width of a head in whole vectors.
    fn padded(&self) -> usize {
        self.dim.next_multiple_of(product::LANES)
    }

    /// The first position that the last of `context` tokens sees.
    fn first_seen(&self, context: usize) -> usize {
        self.window.map_or(0, |window| context.saturating_sub(window))
    }
}

/// Attention of new tokens over the cache.
///
/// `q` is `[tokens, queries * dim]` with the spans' tokens one after another; returns the same.
///
/// # Errors
/// If shapes or types do not fit.
pub fn attend(q: &Tensor, cached: &Pool, heads: Heads, spans: &[Span]) -> Result<Tensor> {
    if !q.device().is_cpu() {
        return attend_by_gathering(q, cached, heads, spans);
    }
    let wide = q.to_dtype(DType::F32)?.contiguous()?;
    let paged = Paged { heads, spans };
    wide.apply_op3_no_bwd(cached.keys(), cached.values(), &paged)?.to_dtype(q.dtype())
}

/// The same with plain tensor operations: gather a sequence's keys and values, multiply, mask, sum.
///
/// # Errors
/// If shapes or types do not fit.
pub fn attend_by_gathering(q: &Tensor, cached: &Pool, heads: Heads, spans: &[Span]) -> Result<Tensor> {
    let (mut out, mut from) = (Vec::with_capacity(spans.len()), 0);
    for span in spans {
        out.push(attend_span(&q.narrow(0, from, span.len)?, cached, heads, span)?);
        from += span.len;
    }
    Tensor::cat(&out, 0)
}

fn attend_span(q: &Tensor, cached: &Pool, heads: Heads, span: &Span) -> Result<Tensor> {
    let Heads { queries, kv, dim, .. } = heads;
    let (context, group) = (span.start + span.len, queries / kv);
    let blocks = Tensor::new(&span.blocks[..context.div_ceil(BLOCK)], q.device())?;
    let tokens = blocks.dim(0)? * BLOCK;
    let keys = cached.keys().index_select(&blocks, 0)?.transpose(0, 1)?.reshape((kv, dim, tokens))?;
    let values = cached.values().index_select(&blocks, 0)?.reshape((tokens, kv, dim))?.transpose(0, 1)?;
    let live = |t: Tensor, dim: usize| t.narrow(dim, 0, context)?.to_dtype(DType::F32)?.contiguous();
    let (keys, values) = (live(keys, 2)?, live(values, 1)?);
    // Heads that share keys and values are rows of one matrix.
    let q = q.to_dtype(DType::F32)?.reshape((span.len, kv, group, dim))?.permute((1, 2, 0, 3))?;
    let scores = (q.reshape((kv, group * span.len, dim))?.matmul(&keys)? * f64::from(heads.scale))?;
    let scores =
        scores.reshape((queries, span.len, context))?.broadcast_add(&mask(heads, span, q.device())?)?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?.reshape((kv, group * span.len, context))?;
    let out = weights.matmul(&values)?.reshape((queries, span.len, dim))?.transpose(0, 1)?;
    out.reshape((span.len, queries * dim))?.to_dtype(cached.keys().dtype())
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(rows: usize, columns: usize, phase: f32) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    /// Five blocks, full.
    fn pool(width: usize, dtype: DType) -> Pool {
        let pool = Pool::new(5, width, dtype, &Device::Cpu).unwrap();
        let rows = |phase: f32| tensor(5 * BLOCK, width, phase).to_dtype(dtype).unwrap();
        pool.write(&(0..5 * BLOCK as u32).collect::<Vec<_>>(), &rows(0.1), &rows(1.9)).unwrap();
        pool
    }

    /// New tokens of sequences that share blocks or do not, and a prompt that ends in the fifth block.
    fn spans() -> Vec<Span> {
        vec![
            Span { blocks: vec![3, 0], start: 20, len: 1 },
            Span { blocks: vec![4, 1], start: 0, len: 19 },
            Span { blocks: vec![3, 2], start: 16, len: 2 },
            // Two that share their first block with the one before, as forks of one prompt do.
            Span { blocks: vec![3, 1], start: 19, len: 1 },
            Span { blocks: vec![3, 0], start: 30, len: 1 },
            Span { blocks: vec![4, 1, 2, 0, 3], start: 50, len: 20 },
        ]
    }

    #[test]
    fn the_kernel_agrees_with_plain_tensor_operations() {
        let (spans, tokens) = (spans(), 44);
        for (dtype, window, dim) in [
            (DType::F32, None, 20),
            (DType::F16, None, 24),
            (DType::BF16, None, 64),
            (DType::F32, Some(5), 32),
            (DType::F32, Some(18), 3),
        ] {
            let q = tensor(tokens, 6 * dim, 0.7);
            let heads = Heads { queries: 6, kv: 2, dim, scale: 0.2, window };
            let pool = pool(2 * dim, dtype);
            let fast = attend(&q, &pool, heads, &spans).unwrap().to_vec2::<f32>().unwrap();
            let slow = attend_by_gathering(&q, &pool, heads, &spans).unwrap();
            let slow = slow.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            let tolerance = if dtype == DType::F32 { 1e-5 } else { 1e-2 };
            for (a, b) in fast.iter().flatten().zip(slow.iter().flatten()) {
                assert!((a - b).abs() < tolerance, "{dtype:?} {dim}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_row_gets_the_same_bits_alone_and_whatever_lies_behind_its_last_token() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let heads = Heads { queries: 6, kv: 2, dim: 40, scale: 0.2, window: None };
            let (q, pool) = (tensor(44, 240, 0.7), pool(80, dtype));
            let together = attend(&q, &pool, heads, &spans()).unwrap().to_vec2::<f32>().unwrap();
            let mut row = 0;
            for span in spans() {
                for position in span.start..span.start + span.len {
                    let own = Span { blocks: span.blocks.clone(), start: position, len: 1 };
                    let behind = spoilt_behind(&pool, &own);
                    let alone = attend(&q.narrow(0, row, 1).unwrap(), &behind, heads, &[own]).unwrap();
                    assert_eq!(alone.to_vec2::<f32>().unwrap()[0], together[row], "{dtype:?} {position}");
                    row += 1;
                }
            }
        }
    }

    /// A copy in which the slots of a token's last block that are behind it hold no numbers.
    fn spoilt_behind(pool: &Pool, span: &Span) -> Pool {
        let width = pool.values().dim(2).unwrap();
        let copy = Pool::new(5, width, pool.keys().dtype(), &Device::Cpu).unwrap();
        copy.keys().slice_set(pool.keys(), 0, 0).unwrap();
        copy.values().slice_set(pool.values(), 0, 0).unwrap();
        let (block, used) = (span.blocks[span.start / BLOCK] as usize, span.start % BLOCK + 1);
        let slots: Vec<u32> = (block * BLOCK + used..(block + 1) * BLOCK).map(|slot| slot as u32).collect();
        if !slots.is_empty() {
            let nothing = Tensor::full(f32::NAN, (slots.len(), width), &Device::Cpu).unwrap();
            copy.write(&slots, &nothing, &nothing).unwrap();
        }
        copy
    }
}
