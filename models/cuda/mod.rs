//! A step on an NVIDIA GPU, with kernels of this project.
//!
//! Between the matrix products, which are the library's, a layer is four kernels: norm, placing (bias, head norm, rotation,
//! cache), attention, gate. For up to four tokens the products are `product.cu`'s, with norms, gate and residual sums in
//! them, and each kernel is started while the one before still runs: small models are waiting for kernels more than for
//! memory. Kernels work in buffers that are allocated once a step, or once a graph: a decode step is captured as a CUDA graph and
//! replayed. [`plan`] cuts attention into pieces that fill the GPU.
//!
//! The kernels' sources run on a processor too (`tests/cuda`), which is how they are checked where there is no GPU.

pub mod plan;

#[cfg(feature = "cuda")]
mod attention;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(feature = "cuda")]
mod graph;
#[cfg(feature = "cuda")]
mod inputs;
#[cfg(feature = "cuda")]
mod network;
#[cfg(feature = "cuda")]
mod pool;
#[cfg(feature = "cuda")]
mod product;
#[cfg(feature = "cuda")]
mod sampler;

#[cfg(feature = "cuda")]
pub(crate) use gpu::free_bytes;
#[cfg(feature = "cuda")]
pub use gpu::open;
#[cfg(feature = "cuda")]
pub(crate) use network::{LayerWeights, Network, Parts};
#[cfg(feature = "cuda")]
pub(crate) use pool::{copy_blocks, write};
#[cfg(feature = "cuda")]
pub(crate) use sampler::draw_rows;
