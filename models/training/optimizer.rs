//! AdamW (Loshchilov and Hutter 2019) whose state can be saved and resumed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Result, Tensor};

use super::graph::Weights;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.95;
const EPS: f32 = 1e-8;
/// Gradients longer than this are scaled down to it (Pascanu et al. 2013).
const LARGEST_NORM: f32 = 1.0;

/// First and second moments of every weight.
#[derive(Default)]
pub struct AdamW {
    moments: BTreeMap<String, (Vec<f32>, Vec<f32>)>,
    steps: i32,
}

impl AdamW {
    /// One update; returns the gradient's norm before clipping.
    pub fn step(
        &mut self,
        weights: &Weights,
        grads: &BTreeMap<String, Vec<f32>>,
        rate: f32,
        weight_decay: f32,
    ) -> Result<f32> {
        self.steps += 1;
        let norm = grads.values().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
        let clip = (LARGEST_NORM / norm.max(1e-12)).min(1.0);
        let (fix1, fix2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        for (name, var) in weights {
            let grad = &grads[name];
            let (m, v) = self
                .moments
                .entry(name.clone())
                .or_insert_with(|| (vec![0.0; grad.len()], vec![0.0; grad.len()]));
            let mut values = var.flatten_all()?.to_vec1::<f32>()?;
            let decay = if var.dims().len() > 1 { 1.0 - rate * weight_decay } else { 1.0 };
            for i in 0..grad.len() {
                let g = grad[i] * clip;
                m[i] = BETA1 * m[i] + (1.0 - BETA1) * g;
                v[i] = BETA2 * v[i] + (1.0 - BETA2) * g * g;
                values[i] = values[i] * decay - rate * (m[i] / fix1) / ((v[i] / fix2).sqrt() + EPS);
            }
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?)?;
        }
        Ok(norm)
    }

    /// Writes the moments to a safetensors file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = HashMap::new();
        for (name, (m, v)) in &self.moments {
            tensors.insert(format!("{name}.m"), Tensor::new(m.as_slice(), &Device::Cpu)?);
            tensors.insert(format!("{name}.v"), Tensor::new(v.as_slice(), &Device::Cpu)?);
        }
        tensors.insert("steps".into(), Tensor::new(&[self.steps as u32], &Device::Cpu)?);
        candle_core::safetensors::save(&tensors, path)
    }

    /// Reads what [`AdamW::save`] wrote.
    pub fn load(path: &Path) -> Result<Self> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
        let mut state = Self { steps: tensors["steps"].to_vec1::<u32>()?[0] as i32, ..Self::default() };
        for (name, m) in &tensors {
            let Some(weight) = name.strip_suffix(".m") else { continue };
            let v = tensors[&format!("{weight}.v")].to_vec1()?;
            state.moments.insert(weight.to_owned(), (m.to_vec1()?, v));
        }
        Ok(state)
    }
}
