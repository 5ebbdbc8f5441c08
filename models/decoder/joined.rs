//! The decoder's weights as the kernels for NVIDIA GPUs take them.
//!
//! Projections of the same numbers become one matrix, of which the separate ones are then views: nothing is kept twice.

use candle_core::{DType, Result, Tensor};

use super::layer::Layer;
use crate::config::Config;
use crate::cuda::{LayerWeights, Network, Parts};
use crate::linear::Linear;
use crate::matrix::Matrix;

/// The decoder for this project's kernels, if they can do it: on an NVIDIA GPU, with weights that are not quantised.
pub(super) fn network(
    config: &Config,
    dtype: DType,
    embedding: &Matrix,
    layers: &mut [Layer],
    norm: &Tensor,
    head: &Linear,
) -> Result<Option<Network>> {
    let (Matrix::Dense(embedding), Some(head)) = (embedding, head.numbers()) else { return Ok(None) };
    let device = norm.device();
    let is_dense = layers.iter().all(Layer::is_dense);
    if !device.is_cuda() || !is_dense || !Network::fits(config, dtype) {
        return Ok(None);
    }
    let layers = layers.iter_mut().map(Layer::joined).collect::<Result<_>>()?;
    let parts = Parts { embedding: embedding.clone(), layers, norm: norm.clone(), head: head.clone() };
    Network::new(config, dtype, device, parts).map(Some)
}

impl Layer {
    fn is_dense(&self) -> bool {
        let all = [&self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down];
        all.iter().all(|linear| linear.numbers().is_some())
    }

    fn joined(&mut self) -> Result<LayerWeights> {
        let qkv_bias = match (self.q.bias(), self.k.bias(), self.v.bias()) {
            (Some(q), Some(k), Some(v)) => Some(Tensor::cat(&[q, k, v], 0)?),
            _ => None,
        };
        Ok(LayerWeights {
            kind: self.kind,
            attention_norm: self.attention_norm.clone(),
            qkv: join(&mut [&mut self.q, &mut self.k, &mut self.v])?,
            qkv_bias,
            qk_norm: self.qk_norm.clone(),
            o: numbers(&self.o)?,
            attention_out_norm: self.attention_out_norm.clone(),
            mlp_norm: self.mlp_norm.clone(),
            gate_up: join(&mut [&mut self.gate, &mut self.up])?,
            down: numbers(&self.down)?,
            mlp_out_norm: self.mlp_out_norm.clone(),
        })
    }
}

fn numbers(linear: &Linear) -> Result<Tensor> {
    linear.numbers().cloned().ok_or_else(|| candle_core::Error::Msg("weights are quantised".into()))
}

/// One matrix, of which the given ones become views.
fn join(linears: &mut [&mut Linear]) -> Result<Tensor> {
    let parts = linears.iter().map(|linear| numbers(linear)).collect::<Result<Vec<_>>>()?;
    let whole = Tensor::cat(&parts, 0)?;
    let mut from = 0;
    for (linear, part) in linears.iter_mut().zip(parts) {
        let rows = part.dim(0)?;
        **linear = Linear::new(Matrix::Dense(whole.narrow(0, from, rows)?), linear.bias().cloned());
        from += rows;
    }
    Ok(whole)
}
