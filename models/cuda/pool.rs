//! What happens to the cache besides a step: blocks are copied, and keys and values that were calculated elsewhere stored.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::DevicePtr;
use candle_core::{Result, Tensor};

use super::gpu::{Arg, Blocks, Gpu, address};
use crate::cache::Pool;

/// Copies blocks of every layer onto others, `(from, to)`, with one launch: a sequence forks between two steps, and
/// everything waits for it.
pub(crate) fn copy_blocks(pools: &[Pool], pairs: &[(u32, u32)]) -> Result<()> {
    let Some(first) = pools.first().map(Pool::keys) else { return Ok(()) };
    let gpu = Gpu::new(first.device())?;
    let stream = gpu.device().cuda_stream();
    let mut words = Vec::with_capacity(2 * pools.len() + pairs.len());
    for pool in pools {
        words.extend([address(pool.keys())?, address(pool.values())?]);
    }
    words.extend(pairs.iter().map(|(from, to)| u64::from(*to) << 32 | u64::from(*from)));
    let words = stream.clone_htod(&words).w()?;
    let eights = first.elem_count() / first.dim(0)? / 8;
    let args =
        [Arg::At(words.device_ptr(&stream).0), Arg::Number(pools.len() as u32), Arg::Number(eights as u32)];
    let name = format!("copy_blocks_{}", first.dtype().as_str());
    gpu.launch(&name, Blocks::of([pairs.len() * pools.len(), eights.div_ceil(256)], 256), &args)
}

/// Stores keys and values (`[slots.len(), width]`) of new tokens in a pool.
pub(crate) fn write(pool: &Pool, new_keys: &Tensor, new_values: &Tensor, slots: &[u32]) -> Result<()> {
    let (keys, values) = (pool.keys(), pool.values());
    let width = values.dim(2)?;
    let at_slots = Tensor::new(slots, keys.device())?;
    let tensors = [new_keys, new_values, &at_slots, keys, values].map(address);
    let mut args = tensors.into_iter().map(|at| at.map(Arg::At)).collect::<Result<Vec<_>>>()?;
    args.push(Arg::Number(width as u32));
    let name = format!("write_{}", keys.dtype().as_str());
    Gpu::new(keys.device())?.launch(&name, Blocks::of([slots.len(), width.div_ceil(256)], 256), &args)
}
