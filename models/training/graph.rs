//! The decoder as a differentiable graph: packed documents in, one loss out.
//!
//! The same network as [`crate::decoder`], written for training: no cache, whole documents, gradients.
//! A test checks that both give the same logits from the same weights.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::attention::Attention;
use super::data::Batch;
use super::ops::{CrossEntropy, RmsNorm, Rope, SwiGlu};
use super::recipe::Shape;

/// Weights by their Hugging Face name.
pub type Weights = BTreeMap<String, Var>;

/// Gaussian weights of standard deviation 0.02 (output projections smaller by the square root of twice
/// the layers, Radford et al. 2019), norms at one.
pub fn initial_weights(shape: &Shape, vocab: usize, seed: u64) -> Result<Weights> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let residual = 1.0 / (2.0 * shape.layers as f32).sqrt();
    let mut weights = Weights::new();
    for (name, dims) in weight_shapes(shape, vocab) {
        let count = dims.iter().product();
        let scale = if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") {
            residual
        } else {
            1.0
        };
        let values: Vec<f32> = if dims.len() == 1 {
            vec![1.0; count]
        } else {
            (0..count).map(|_| gaussian(&mut rng) * shape.init_std * scale).collect()
        };
        weights.insert(name, Var::from_vec(values, dims, &Device::Cpu)?);
    }
    Ok(weights)
}

/// A standard normal draw (Box and Muller 1958).
fn gaussian(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}

/// Name and dimensions of every weight of a Qwen3 decoder with tied embeddings.
pub fn weight_shapes(shape: &Shape, vocab: usize) -> Vec<(String, Vec<usize>)> {
    let (d, f) = (shape.width, shape.feed_forward);
    let (q, kv) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocab, d]),
        ("model.norm.weight".to_owned(), vec![d]),
    ];
    for layer in 0..shape.layers {
        let per_layer: [(&str, Vec<usize>); 11] = [
            ("input_layernorm", vec![d]),
            ("self_attn.q_proj", vec![q, d]),
            ("self_attn.k_proj", vec![kv, d]),
            ("self_attn.v_proj", vec![kv, d]),
            ("self_attn.o_proj", vec![d, q]),
            ("self_attn.q_norm", vec![shape.head_dim]),
            ("self_attn.k_norm", vec![shape.head_dim]),
            ("post_attention_layernorm", vec![d]),
            ("mlp.gate_proj", vec![f, d]),
            ("mlp.up_proj", vec![f, d]),
            ("mlp.down_proj", vec![d, f]),
        ];
        shapes.extend(per_layer.into_iter().map(|(n, s)| (format!("model.layers.{layer}.{n}.weight"), s)));
    }
    shapes
}

/// Mean loss of a batch in nats per trained-on token.
pub fn loss(weights: &Weights, shape: &Shape, batch: &Batch) -> Result<Tensor> {
    logits(weights, shape, batch)?.apply_op1(CrossEntropy { targets: batch.targets.clone() })
}

/// `[tokens, vocab]` logits of a batch.
pub fn logits(weights: &Weights, shape: &Shape, batch: &Batch) -> Result<Tensor> {
    let graph = Graph { weights, shape, batch, angles: angles(shape, batch) };
    let ids = Tensor::new(batch.tokens.as_slice(), &Device::Cpu)?;
    let embedding = graph.weight("model.embed_tokens");
    let mut x = embedding.index_select(&ids, 0)?;
    for layer in 0..shape.layers {
        x = graph.layer(&x, layer)?;
    }
    graph.norm(&x, "model.norm")?.matmul(&embedding.t()?)
}

type Angles = (Arc<Vec<f32>>, Arc<Vec<f32>>);

fn angles(shape: &Shape, batch: &Batch) -> Angles {
    let half = shape.head_dim / 2;
    let frequency = |i: usize| 1.0 / shape.rope_theta.powf(2.0 * i as f64 / shape.head_dim as f64);
    let angles: Vec<f64> =
        batch.positions.iter().flat_map(|&p| (0..half).map(move |i| f64::from(p) * frequency(i))).collect();
    let table = |f: fn(f64) -> f64| Arc::new(angles.iter().map(|&a| f(a) as f32).collect::<Vec<_>>());
    (table(f64::cos), table(f64::sin))
}

struct Graph<'a> {
    weights: &'a Weights,
    shape: &'a Shape,
    batch: &'a Batch,
    angles: Angles,
}

impl Graph<'_> {
    fn weight(&self, name: &str) -> &Tensor {
        self.weights[&format!("{name}.weight")].as_tensor()
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        x.matmul(&self.weight(name).t()?)
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        x.apply_op2(self.weight(name), RmsNorm { eps: self.shape.norm_eps as f32 })
    }

    fn rope(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        let (cos, sin) = self.angles.clone();
        x.apply_op1(Rope { cos, sin, heads, head_dim: self.shape.head_dim })
    }

    fn layer(&self, x: &Tensor, layer: usize) -> Result<Tensor> {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let shape = self.shape;
        let h = self.norm(x, &name("input_layernorm"))?;
        let q = self.norm(&self.linear(&h, &name("self_attn.q_proj"))?, &name("self_attn.q_norm"))?;
        let k = self.norm(&self.linear(&h, &name("self_attn.k_proj"))?, &name("self_attn.k_norm"))?;
        let v = self.linear(&h, &name("self_attn.v_proj"))?;
        let attention = Attention {
            packing: self.batch.packing.clone(),
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
        };
        let attended =
            self.rope(&q, shape.heads)?.apply_op3(&self.rope(&k, shape.kv_heads)?, &v, attention)?;
        let x = (x + self.linear(&attended, &name("self_attn.o_proj"))?)?;
        let h = self.norm(&x, &name("post_attention_layernorm"))?;
        let gate = self.linear(&h, &name("mlp.gate_proj"))?;
        let up = self.linear(&h, &name("mlp.up_proj"))?;
        &x + self.linear(&gate.apply_op2(&up, SwiGlu)?, &name("mlp.down_proj"))?
    }
}

/// Loss and gradients of `batches`, one thread each; gradients are averaged in batch order, so the
/// result does not depend on timing.
pub fn gradients(
    weights: &Weights,
    shape: &Shape,
    batches: &[Batch],
) -> Result<(f32, BTreeMap<String, Vec<f32>>)> {
    let results: Vec<Result<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            batches.iter().map(|batch| scope.spawn(move || one_batch(weights, shape, batch))).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| candle_core::bail!("a worker died")))
            .collect()
    });
    let (mut total, mut sum) = (0f32, BTreeMap::<String, Vec<f32>>::new());
    let share = 1.0 / batches.len() as f32;
    for result in results {
        let (loss, grads) = result?;
        total += loss * share;
        for (name, grad) in grads {
            let into = sum.entry(name).or_insert_with(|| vec![0.0; grad.len()]);
            into.iter_mut().zip(grad).for_each(|(s, g)| *s += g * share);
        }
    }
    Ok((total, sum))
}

fn one_batch(weights: &Weights, shape: &Shape, batch: &Batch) -> Result<(f32, BTreeMap<String, Vec<f32>>)> {
    let loss = loss(weights, shape, batch)?;
    let grads = loss.backward()?;
    let mut by_name = BTreeMap::new();
    for (name, var) in weights {
        let Some(grad) = grads.get(var) else { candle_core::bail!("{name} has no gradient") };
        by_name.insert(name.clone(), grad.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?);
    }
    Ok((loss.to_scalar()?, by_name))
}
