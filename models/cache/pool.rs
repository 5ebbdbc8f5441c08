//! Where one layer's keys and values lie.
//!
//! Both are cut into blocks of [`BLOCK`] tokens. Within a block, values are kept token by token, and keys the other way
//! around, `[kv_heads * head_dim][BLOCK]`: sixteen neighbouring tokens' scores are sixteen neighbouring lanes of a vector, and
//! gathered blocks are the transposed matrix that queries are multiplied with.

use candle_core::{CpuStorage, DType, Device, InplaceOp1, InplaceOp2, Layout, Result, Tensor};
use half::vec::HalfBitsVecExt;

use super::BLOCK;

/// Keys and values of one layer.
pub struct Pool {
    keys: Tensor,
    values: Tensor,
}

impl Pool {
    /// Room for `blocks` blocks of tokens, `width` numbers each.
    ///
    /// # Errors
    /// If the device refuses the memory.
    pub fn new(blocks: usize, width: usize, dtype: DType, device: &Device) -> Result<Self> {
        Ok(Self {
            keys: zeros((blocks, width, BLOCK), dtype, device)?,
            values: zeros((blocks, BLOCK, width), dtype, device)?,
        })
    }

    /// `[blocks, kv_heads * head_dim, BLOCK]`
    pub fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// `[blocks, BLOCK, kv_heads * head_dim]`
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// Stores `keys` and `values` (`[slots.len(), kv_heads * head_dim]`) of new tokens, in place and in the pool's type.
    ///
    /// # Errors
    /// If shapes or types do not fit.
    pub fn write(&self, slots: &[u32], keys: &Tensor, values: &Tensor) -> Result<()> {
        let width = self.values.dim(2)?;
        let own = |rows: &Tensor| rows.to_dtype(self.keys.dtype())?.contiguous();
        let (keys, values) = (own(keys)?, own(values)?);
        #[cfg(feature = "cuda")]
        if self.keys.device().is_cuda() {
            return crate::cuda::write(self, &keys, &values, slots);
        }
        write(&self.keys, &keys, slots, Place::Key { width })?;
        write(&self.values, &values, slots, Place::Value { width })
    }

    /// Copies blocks of all pools, which are of one shape, onto others, `(from, to)`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn copy_blocks(pools: &[Self], pairs: &[(u32, u32)]) -> Result<()> {
        #[cfg(feature = "cuda")]
        if pools.first().is_some_and(|pool| pool.keys.device().is_cuda()) {
            return crate::cuda::copy_blocks(pools, pairs);
        }
        pools.iter().flat_map(|pool| [&pool.keys, &pool.values]).try_for_each(|pool| copy(pool, pairs))
    }
}

/// Zeros that take no memory on the CPU until they are written to: the system hands out zeroed pages on first use.
fn zeros(shape: (usize, usize, usize), dtype: DType, device: &Device) -> Result<Tensor> {
    // A vector of 16-bit floats would be filled one by one, a vector of integers is not.
    let bits = || vec![0u16; shape.0 * shape.1 * shape.2];
    match dtype {
        DType::BF16 if device.is_cpu() => {
            Tensor::from_vec(bits().reinterpret_into::<half::bf16>(), shape, device)
        }
        DType::F16 if device.is_cpu() => {
            Tensor::from_vec(bits().reinterpret_into::<half::f16>(), shape, device)
        }
        _ => Tensor::zeros(shape, dtype, device),
    }
}

/// Where a token's numbers lie in the flattened pool.
#[derive(Clone, Copy)]
enum Place {
    Key { width: usize },
    Value { width: usize },
}

impl Place {
    /// The place of the first number, and from each to the next.
    fn of(self, slot: u32) -> (usize, usize) {
        let (block, token) = (slot as usize / BLOCK, slot as usize % BLOCK);
        match self {
            Self::Key { width } => (block * width * BLOCK + token, BLOCK),
            Self::Value { width } => (slot as usize * width, 1),
        }
    }
}

fn write(pool: &Tensor, rows: &Tensor, slots: &[u32], place: Place) -> Result<()> {
    let device = pool.device();
    if device.is_cpu() {
        return pool.inplace_op2(rows, &Write { slots, place });
    }
    let (tokens, width) = rows.dims2()?;
    let starts: Vec<u32> = slots.iter().map(|slot| place.of(*slot).0 as u32).collect();
    let step = place.of(0).1 as u32;
    let steps = Tensor::arange_step(0, width as u32 * step, step, device)?;
    let index = Tensor::from_vec(starts, (tokens, 1), device)?.broadcast_add(&steps)?;
    pool.flatten_all()?.scatter_set(&index.flatten_all()?, &rows.flatten_all()?, 0)
}

fn copy(pool: &Tensor, pairs: &[(u32, u32)]) -> Result<()> {
    if pool.device().is_cpu() {
        return pool.inplace_op1(&CopyBlocks { pairs });
    }
    for (from, to) in pairs {
        // A selection copies this block; `narrow` and `copy` would copy the whole pool.
        let block = pool.index_select(&Tensor::new(&[*from], pool.device())?, 0)?;
        pool.slice_set(&block, 0, *to as usize)?;
    }
    Ok(())
}

struct CopyBlocks<'a> {
    pairs: &'a [(u32, u32)],
}

impl InplaceOp1 for CopyBlocks<'_> {
    fn name(&self) -> &'static str {
        "copy-blocks"
    }

    fn cpu_fwd(&self, pool: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let block = layout.dims()[1] * layout.dims()[2];
        match pool {
            CpuStorage::F32(pool) => self.blocks(pool, block),
            CpuStorage::F16(pool) => self.blocks(pool, block),
            CpuStorage::BF16(pool) => self.blocks(pool, block),
            _ => candle_core::bail!("the cache holds a type that it was not made for"),
        }
        Ok(())
    }
}

impl CopyBlocks<'_> {
    fn blocks<T: Copy>(&self, pool: &mut [T], block: usize) {
        for (from, to) in self.pairs {
            let start = *from as usize * block;
            pool.copy_within(start..start + block, *to as usize * block);
        }
    }
}

struct Write<'a> {
    slots: &'a [u32],
    place: Place,
}

impl InplaceOp2 for Write<'_> {
    fn name(&self) -> &'static str {
        "write-cache"
    }

    fn cpu_fwd(&self, pool: &mut CpuStorage, _: &Layout, rows: &CpuStorage, layout: &Layout) -> Result<()> {
        use CpuStorage::{BF16, F16, F32};
        let (width, start) = (layout.dims()[1], layout.start_offset());
        match (pool, rows) {
            (F32(pool), F32(rows)) => self.scatter(pool, &rows[start..], width),
            (F16(pool), F16(rows)) => self.scatter(pool, &rows[start..], width),
            (BF16(pool), BF16(rows)) => self.scatter(pool, &rows[start..], width),
            _ => candle_core::bail!("the cache holds another type than the rows written to it"),
        }
        Ok(())
    }
}

impl Write<'_> {
    fn scatter<T: Copy>(&self, pool: &mut [T], rows: &[T], width: usize) {
        for (slot, row) in self.slots.iter().zip(rows.chunks_exact(width)) {
            let (start, step) = self.place.of(*slot);
            for (to, from) in pool[start..].iter_mut().step_by(step).zip(row) {
                *to = *from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_copied_in_every_type_and_one_after_the_other() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let pool = Pool::new(4, 3, dtype, &Device::Cpu).unwrap();
            let rows: Vec<f32> = (0..3 * BLOCK as u32).map(|i| i as f32).collect();
            let rows = Tensor::from_vec(rows, (BLOCK, 3), &Device::Cpu).unwrap();
            pool.write(&(0..BLOCK as u32).collect::<Vec<_>>(), &rows, &(&rows + 1.0).unwrap()).unwrap();
            let block = |tensor: &Tensor, at: usize| {
                tensor.get(at).unwrap().to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap()
            };
            Pool::copy_blocks(std::slice::from_ref(&pool), &[(0, 2), (2, 1)]).unwrap();
            for tensor in [pool.keys(), pool.values()] {
                assert!(block(tensor, 0)[2][1] > 0.0);
                assert_eq!([block(tensor, 1), block(tensor, 2)], [block(tensor, 0), block(tensor, 0)]);
                assert_eq!(block(tensor, 3)[2][1], 0.0);
            }
        }
    }
}
