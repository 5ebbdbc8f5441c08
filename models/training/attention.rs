//! Causal attention inside packed documents, with its gradient.
//!
//! Matrix products one document and head at a time: they waste the triangle above the diagonal and are
//! still several times faster than loops over keys.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use multiversion::multiversion;

use super::ops::{slice, with_slices};
use crate::lanes::{reduce, softmax};

/// Which earlier tokens each token of a packed batch attends to.
#[derive(Clone, Debug)]
pub struct Packing {
    /// Index of the first token of the document that token `i` belongs to.
    pub document_start: Vec<usize>,
}

/// Causal grouped-query attention inside each packed document.
///
/// Queries are `[tokens, heads * head_dim]`, keys and values `[tokens, kv_heads * head_dim]`. The
/// backward pass recomputes the probabilities instead of keeping them (Dao et al. 2022).
pub struct Attention {
    /// The documents.
    pub packing: std::sync::Arc<Packing>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "train-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        k: &CpuStorage,
        lk: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (slice(q, lq)?, slice(k, lk)?, slice(v, lv)?);
        let mut out = vec![0f32; q.len()];
        attend(self, q, k, v, &mut out);
        Ok((CpuStorage::F32(out), lq.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grads = with_slices([q, k, v, grad], |[q, k, v, grad]| {
            let mut grads = [vec![0f32; q.len()], vec![0f32; k.len()], vec![0f32; v.len()]];
            attend_grad(self, [q, k, v, grad], &mut grads);
            grads
        })?;
        let [dq, dk, dv] = grads;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device()).map(Some);
        Ok((tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?))
    }
}

/// A strided matrix inside a flat slice: rows are tokens of one document, columns a head's values.
#[derive(Clone, Copy)]
struct Matrix {
    offset: usize,
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Matrix {
    fn square(n: usize) -> Self {
        Self { offset: 0, rows: n, columns: n, row_stride: n, column_stride: 1 }
    }

    fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// One past the last element it touches.
    fn end(&self) -> usize {
        self.offset + (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// `to = keep * to + a * b`.
fn multiply((to, t): (&mut [f32], Matrix), (a, ma): (&[f32], Matrix), (b, mb): (&[f32], Matrix), keep: bool) {
    assert!(t.rows == ma.rows && t.columns == mb.columns && ma.columns == mb.rows);
    assert!(t.end() <= to.len() && ma.end() <= a.len() && mb.end() <= b.len());
    // SAFETY: the assertions above keep every access inside its slice, and `to` is borrowed alone.
    unsafe {
        gemm::gemm(
            t.rows,
            t.columns,
            ma.columns,
            to.as_mut_ptr().add(t.offset),
            t.column_stride as isize,
            t.row_stride as isize,
            keep,
            a.as_ptr().add(ma.offset),
            ma.column_stride as isize,
            ma.row_stride as isize,
            b.as_ptr().add(mb.offset),
            mb.column_stride as isize,
            mb.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

impl Attention {
    /// The documents' token ranges.
    fn documents(&self) -> Vec<std::ops::Range<usize>> {
        let starts = &self.packing.document_start;
        let mut documents: Vec<std::ops::Range<usize>> = Vec::new();
        for (token, &start) in starts.iter().enumerate() {
            match documents.last_mut() {
                Some(last) if last.start == start => last.end = token + 1,
                _ => documents.push(start..token + 1),
            }
        }
        documents
    }

    /// `head`'s queries of a document, and its group's keys or values.
    fn views(&self, document: &std::ops::Range<usize>, head: usize) -> (Matrix, Matrix) {
        let view = |heads: usize, head: usize| Matrix {
            offset: (document.start * heads + head) * self.head_dim,
            rows: document.len(),
            columns: self.head_dim,
            row_stride: heads * self.head_dim,
            column_stride: 1,
        };
        (view(self.heads, head), view(self.kv_heads, head / (self.heads / self.kv_heads)))
    }

    /// Causal attention probabilities of one head over one document, `[tokens, tokens]` into `p`.
    fn probabilities(&self, q: (&[f32], Matrix), k: (&[f32], Matrix), p: &mut Vec<f32>) {
        let n = q.1.rows;
        p.clear();
        p.resize(n * n, 0.0);
        multiply((p, Matrix::square(n)), q, (k.0, k.1.transposed()), false);
        causal_softmax(p, n, 1.0 / (self.head_dim as f32).sqrt());
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn causal_softmax(scores: &mut [f32], n: usize, scale: f32) {
    for (token, row) in scores.chunks_exact_mut(n).enumerate() {
        let (seen, hidden) = row.split_at_mut(token + 1);
        softmax(seen, scale);
        hidden.fill(0.0);
    }
}

/// `ds = p * (dp - sum(dp * p)) * scale`, row by row, into `dp`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn softmax_grad(p: &[f32], dp: &mut [f32], n: usize, scale: f32) {
    for (p, dp) in p.chunks_exact(n).zip(dp.chunks_exact_mut(n)) {
        for i in 0..n {
            dp[i] *= p[i];
        }
        let mean = reduce(dp, 0.0, |a, b| a + b);
        for i in 0..n {
            dp[i] = (dp[i] - p[i] * mean) * scale;
        }
    }
}

fn attend(op: &Attention, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32]) {
    let mut p = Vec::new();
    for document in op.documents() {
        for head in 0..op.heads {
            let (mq, mk) = op.views(&document, head);
            op.probabilities((q, mq), (k, mk), &mut p);
            multiply((out, mq), (&p, Matrix::square(document.len())), (v, mk), false);
        }
    }
}

fn attend_grad(op: &Attention, [q, k, v, grad]: [&[f32]; 4], [dq, dk, dv]: &mut [Vec<f32>; 3]) {
    let (mut p, mut ds) = (Vec::new(), Vec::new());
    for document in op.documents() {
        let n = document.len();
        let square = Matrix::square(n);
        for head in 0..op.heads {
            let (mq, mk) = op.views(&document, head);
            op.probabilities((q, mq), (k, mk), &mut p);
            multiply((dv, mk), (&p, square.transposed()), (grad, mq), true);
            ds.clear();
            ds.resize(n * n, 0.0);
            multiply((&mut ds, square), (grad, mq), (v, mk.transposed()), false);
            softmax_grad(&p, &mut ds, n, 1.0 / (op.head_dim as f32).sqrt());
            multiply((dq, mq), (&ds, square), (k, mk), false);
            multiply((dk, mk), (&ds, square.transposed()), (q, mq), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::ops::tests::{gradient_is_right, tensor};
    use super::*;

    #[test]
    fn attention_has_the_right_gradient_and_stays_inside_its_document() {
        let packing = Arc::new(Packing { document_start: vec![0, 0, 0, 3, 3] });
        let op = || Attention { packing: packing.clone(), heads: 2, kv_heads: 1, head_dim: 4 };
        let (q, k, v) = (tensor(&[5, 8], 0.1), tensor(&[5, 4], 0.9), tensor(&[5, 4], 1.7));
        gradient_is_right(&[5, 8], |q| q.apply_op3(&k, &v, op()).unwrap());
        gradient_is_right(&[5, 4], |k| q.apply_op3(k, &v, op()).unwrap());
        gradient_is_right(&[5, 4], |v| q.apply_op3(&k, v, op()).unwrap());
        let first = q.apply_op3(&k, &v, op()).unwrap().to_vec2::<f32>().unwrap()[3].clone();
        let own_value = v.to_vec2::<f32>().unwrap()[3].clone();
        assert!(first.iter().zip(own_value.iter().cycle()).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
