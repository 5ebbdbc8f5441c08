//! Operations of the training graph whose gradient candle lacks or composes slowly; attention is in
//! [`super::attention`].
//!
//! Each is a candle custom op with a hand-written backward pass, over flat `f32` slices on the CPU.
//! A test compares every gradient with finite differences.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Storage, Tensor};
use multiversion::multiversion;

use crate::lanes::exp;

/// The values of a contiguous tensor.
pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::Msg("training ops take contiguous tensors".into()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Runs `f` on the values of contiguous CPU tensors.
pub(super) fn with_slices<const N: usize, R>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> R,
) -> Result<R> {
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
pub(crate) mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use std::sync::Arc;

    pub(crate) fn values(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
    }

    /// Compares the gradient of `sum(f(x) * c)` with central differences at every element of `x`.
    pub(crate) fn gradient_is_right(shape: &[usize], f: impl Fn(&Tensor) -> Tensor) {
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

    pub(crate) fn tensor(shape: &[usize], phase: f32) -> Tensor {
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
    fn cross_entropy_has_the_right_gradient_and_skips_prompts() {
        let targets = Arc::new(vec![Some(1), None, Some(0)]);
        gradient_is_right(&[3, 4], |x| x.apply_op1(CrossEntropy { targets: targets.clone() }).unwrap());
    }
}
