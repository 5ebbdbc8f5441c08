//! The four operations of the training graph whose gradient candle lacks or composes slowly.
//!
//! Each is a candle custom op with a hand-written backward pass, over flat `f32` slices on the CPU.
//! A test compares every gradient with finite differences.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Storage, Tensor};
use multiversion::multiversion;

use crate::lanes::{exp, reduce, softmax};

/// Which earlier tokens each token of a packed batch attends to.
#[derive(Clone, Debug)]
pub struct Packing {
    /// Index of the first token of the document that token `i` belongs to.
    pub document_start: Vec<usize>,
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::Msg("training ops take contiguous tensors".into()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Runs `f` on the values of contiguous CPU tensors.
fn with_slices<const N: usize, R>(tensors: [&Tensor; N], f: impl FnOnce([&[f32]; N]) -> R) -> Result<R> {
    let tensors = tensors.map(Tensor::contiguous);
    let mut guards = Vec::with_capacity(N);
    for tensor in &tensors {
        guards
            .push(tensor.as_ref().map_err(|e| candle_core::Error::Msg(e.to_string()))?.storage_and_layout());
    }
    let mut slices = [&[][..]; N];
    for (values, (storage, layout)) in slices.iter_mut().zip(&guards) {
        match &**storage {
            Storage::Cpu(cpu) => *values = slice(cpu, layout)?,
            _ => candle_core::bail!("training runs on the CPU"),
        }
    }
    Ok(f(slices))
}

/// `y = x / rms(x) * weight` over rows of `weight.len()` values (Zhang and Sennrich 2019).
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "train-rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (slice(x, lx)?, slice(w, lw)?);
        let mut y = Vec::with_capacity(x.len());
        for row in x.chunks_exact(w.len()) {
            let scale = inverse_rms(row, self.eps);
            y.extend(row.iter().zip(w).map(|(x, w)| x * scale * w));
        }
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = with_slices([x, w, grad], |[x, w, g]| rms_norm_grad(x, w, g, self.eps))?;
        let device = x.device();
        Ok((Some(Tensor::from_vec(dx, x.shape(), device)?), Some(Tensor::from_vec(dw, w.shape(), device)?)))
    }
}

fn inverse_rms(row: &[f32], eps: f32) -> f32 {
    let mean_square = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
    1.0 / (mean_square + eps).sqrt()
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn rms_norm_grad(x: &[f32], w: &[f32], grad: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let width = w.len();
    let mut dx = vec![0f32; x.len()];
    let mut dw = vec![0f32; width];
    for ((x, g), dx) in x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let scale = inverse_rms(x, eps);
        let mut projection = 0f32;
        for i in 0..width {
            dw[i] += g[i] * x[i] * scale;
            projection += g[i] * w[i] * x[i];
        }
        let projection = projection * scale * scale * scale / width as f32;
        for i in 0..width {
            dx[i] = g[i] * w[i] * scale - x[i] * projection;
        }
    }
    (dx, dw)
}

/// `silu(gate) * up`, element by element (Shazeer 2020).
pub struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "train-swiglu"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        lg: &Layout,
        u: &CpuStorage,
        lu: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (slice(g, lg)?, slice(u, lu)?);
        let mut y = vec![0f32; gate.len()];
        swiglu(gate, up, &mut y);
        Ok((CpuStorage::F32(y), lg.shape().clone()))
    }

    fn bwd(
        &self,
        g: &Tensor,
        u: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dg, du) = with_slices([g, u, grad], |[gate, up, grad]| {
            let (mut dg, mut du) = (vec![0f32; gate.len()], vec![0f32; gate.len()]);
            swiglu_grad(gate, up, grad, &mut dg, &mut du);
            (dg, du)
        })?;
        Ok((
            Some(Tensor::from_vec(dg, g.shape(), g.device())?),
            Some(Tensor::from_vec(du, u.shape(), u.device())?),
        ))
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn swiglu(gate: &[f32], up: &[f32], y: &mut [f32]) {
    for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
        *y = g / (1.0 + exp(-g)) * u;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn swiglu_grad(gate: &[f32], up: &[f32], grad: &[f32], dg: &mut [f32], du: &mut [f32]) {
    for i in 0..gate.len() {
        let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
        du[i] = grad[i] * gate[i] * sigmoid;
        dg[i] = grad[i] * up[i] * sigmoid * (1.0 + gate[i] * (1.0 - sigmoid));
    }
}

/// Rotary position embedding over `[tokens, heads, head_dim]`, halves rotated (Su et al. 2021).
///
/// A rotation, so its gradient is the rotation by the opposite angle.
pub struct Rope {
    /// `[tokens, head_dim / 2]` cosines.
    pub cos: std::sync::Arc<Vec<f32>>,
    /// `[tokens, head_dim / 2]` sines.
    pub sin: std::sync::Arc<Vec<f32>>,
    /// Heads of the rotated tensor.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl Rope {
    fn rotate(&self, x: &[f32], direction: f32) -> Vec<f32> {
        let (half, mut y) = (self.head_dim / 2, vec![0f32; x.len()]);
        for (i, (x, y)) in x.chunks_exact(self.head_dim).zip(y.chunks_exact_mut(self.head_dim)).enumerate() {
            let angle = i / self.heads * half;
            for j in 0..half {
                let (cos, sin) = (self.cos[angle + j], direction * self.sin[angle + j]);
                y[j] = x[j] * cos - x[j + half] * sin;
                y[j + half] = x[j + half] * cos + x[j] * sin;
            }
        }
        y
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "train-rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.rotate(slice(x, layout)?, 1.0)), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = with_slices([grad], |[g]| self.rotate(g, -1.0))?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
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

/// Mean cross entropy in nats of `[tokens, vocab]` logits over the tokens that have a target.
pub struct CrossEntropy {
    /// The next token, or `None` where the loss does not look (prompts).
    pub targets: std::sync::Arc<Vec<Option<u32>>>,
}

impl CrossEntropy {
    fn count(&self) -> f32 {
        self.targets.iter().flatten().count().max(1) as f32
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "train-cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = slice(logits, layout)?;
        let vocab = layout.dims()[1];
        let total: f32 = logits
            .chunks_exact(vocab)
            .zip(&*self.targets)
            .filter_map(|(row, target)| target.map(|t| log_sum_exp(row) - row[t as usize]))
            .sum();
        Ok((CpuStorage::F32(vec![total / self.count()]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (vocab, scale) = (logits.dim(1)?, grad.to_scalar::<f32>()? / self.count());
        let d = with_slices([logits], |[logits]| {
            let mut d = vec![0f32; logits.len()];
            let rows = logits.chunks_exact(vocab).zip(d.chunks_exact_mut(vocab)).zip(&*self.targets);
            for ((row, d), target) in rows {
                let Some(target) = target else { continue };
                let norm = log_sum_exp(row);
                d.iter_mut().zip(row).for_each(|(d, x)| *d = exp(x - norm) * scale);
                d[*target as usize] -= scale;
            }
            d
        })?;
        Ok(Some(Tensor::from_vec(d, logits.shape(), logits.device())?))
    }
}

fn log_sum_exp(row: &[f32]) -> f32 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    max + row.iter().map(|x| exp(x - max)).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use std::sync::Arc;

    fn values(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
    }

    /// Compares the gradient of `sum(f(x) * c)` with central differences at every element of `x`.
    fn gradient_is_right(shape: &[usize], f: impl Fn(&Tensor) -> Tensor) {
        let n: usize = shape.iter().product();
        let x = values(n, 0.3);
        let var = Var::from_vec(x.clone(), shape, &Device::Cpu).unwrap();
        let out = f(var.as_tensor());
        let c = Tensor::from_vec(values(out.elem_count(), 1.1), out.shape(), &Device::Cpu).unwrap();
        let value = |x: &Tensor| (f(x) * &c).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let grads = (out * &c).unwrap().sum_all().unwrap().backward().unwrap();
        let grad = grads.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for i in 0..n {
            let at = |delta: f32| {
                let mut x = x.clone();
                x[i] += delta;
                value(&Tensor::from_vec(x, shape, &Device::Cpu).unwrap())
            };
            let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((numeric - grad[i]).abs() < 2e-2 * (1.0 + grad[i].abs()), "{i}: {numeric} {}", grad[i]);
        }
    }

    fn tensor(shape: &[usize], phase: f32) -> Tensor {
        Tensor::from_vec(values(shape.iter().product(), phase), shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn rms_norm_has_the_right_gradient() {
        let (x, w) = (tensor(&[3, 8], 0.5), tensor(&[8], 2.0));
        gradient_is_right(&[3, 8], |x| x.apply_op2(&w, RmsNorm { eps: 1e-6 }).unwrap());
        gradient_is_right(&[8], |w| x.apply_op2(w, RmsNorm { eps: 1e-6 }).unwrap());
    }

    #[test]
    fn swiglu_has_the_right_gradient() {
        let other = tensor(&[3, 5], 2.0);
        gradient_is_right(&[3, 5], |x| x.apply_op2(&other, SwiGlu).unwrap());
        gradient_is_right(&[3, 5], |x| other.apply_op2(x, SwiGlu).unwrap());
    }

    #[test]
    fn rope_has_the_right_gradient() {
        let angles = values(12, 0.0);
        let cos: Arc<Vec<f32>> = Arc::new(angles.iter().map(|a| a.cos()).collect());
        let sin: Arc<Vec<f32>> = Arc::new(angles.iter().map(|a| a.sin()).collect());
        let rope = || Rope { cos: cos.clone(), sin: sin.clone(), heads: 2, head_dim: 6 };
        gradient_is_right(&[4, 12], |x| x.apply_op1(rope()).unwrap());
    }

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

    #[test]
    fn cross_entropy_has_the_right_gradient_and_skips_prompts() {
        let targets = Arc::new(vec![Some(1), None, Some(0)]);
        gradient_is_right(&[3, 4], |x| x.apply_op1(CrossEntropy { targets: targets.clone() }).unwrap());
    }
}
