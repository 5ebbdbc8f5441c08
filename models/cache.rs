//! The key-value cache: blocks that sequences share until they differ (Kwon et al. 2023).
//!
//! Keys and values live in one preallocated pool per layer, cut into blocks of [`BLOCK`] tokens. A
//! [`Sequence`] is a list of blocks and a length, so rows of a batch have lengths of their own and
//! forking one costs a reference per full block and a copy of the last, partly filled one. This file
//! only does the book-keeping, which is the same for all devices; [`Pool`] keeps the tensors, which are written through
//! the slots handed out here.

mod pool;

use candle_core::{DType, Device, Result};

use crate::config::Config;
pub use pool::Pool;

/// Tokens in a block.
pub const BLOCK: usize = 16;

/// The pool of blocks and who uses them.
pub struct Cache {
    layers: Vec<Pool>,
    /// How many sequences use each block.
    users: Vec<u32>,
    free: Vec<u32>,
}

/// Tokens whose keys and values are in the cache. Give it back with [`Cache::release`].
#[derive(Debug, Default)]
pub struct Sequence {
    blocks: Vec<u32>,
    tokens: Vec<u32>,
    /// Tokens that it had at most, here or before it was forked off.
    longest: usize,
}

impl Sequence {
    /// Tokens in the cache.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether nothing is in the cache yet.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens themselves.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The length up to which the keys and values in the cache were calculated as parts of one sequence.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Where the pool keeps the token at `position`.
    pub fn slot(&self, position: usize) -> usize {
        self.blocks[position / BLOCK] as usize * BLOCK + position % BLOCK
    }

    /// The blocks in order.
    pub fn blocks(&self) -> &[u32] {
        &self.blocks
    }
}

impl Cache {
    /// Allocates room for `tokens` tokens, rounded up to whole blocks.
    ///
    /// # Errors
    /// If the device refuses the memory.
    pub fn new(config: &Config, tokens: usize, dtype: DType, device: &Device) -> Result<Self> {
        let blocks = tokens.div_ceil(BLOCK);
        let width = config.kv_heads * config.head_dim;
        let pool = |_| Pool::new(blocks, width, dtype, device);
        let layers = config.layers.iter().map(pool).collect::<Result<_>>()?;
        Ok(Self { layers, users: vec![0; blocks], free: (0..blocks as u32).rev().collect() })
    }

    /// Blocks that nobody uses.
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// Blocks in all.
    pub fn total_blocks(&self) -> usize {
        self.users.len()
    }

    /// Layers with keys and values of their own.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Keys and values of a layer.
    pub fn layer(&self, layer: usize) -> &Pool {
        &self.layers[layer]
    }

    /// Makes room for more tokens and returns their slots.
    ///
    /// # Errors
    /// If the pool is exhausted; the caller is expected to have planned for it.
    pub fn extend(&mut self, sequence: &mut Sequence, tokens: &[u32]) -> Result<Vec<u32>> {
        let (from, len) = (sequence.len(), sequence.len() + tokens.len());
        while sequence.blocks.len() * BLOCK < len {
            sequence.blocks.push(self.take()?);
        }
        sequence.tokens.extend_from_slice(tokens);
        sequence.longest = sequence.longest.max(len);
        Ok((from..len).map(|position| sequence.slot(position) as u32).collect())
    }

    /// A new sequence with the first `len` tokens of `sequence`. Full blocks are shared; a partly
    /// filled last one is copied, since both sequences will write to it.
    ///
    /// # Errors
    /// If the pool is exhausted.
    pub fn fork(&mut self, sequence: &Sequence, len: usize) -> Result<Sequence> {
        self.fork_sharing(sequence, len, len / BLOCK)
    }

    /// A new sequence with the same tokens and no shared block.
    ///
    /// # Errors
    /// If the pool is exhausted.
    pub fn copy(&mut self, sequence: &Sequence) -> Result<Sequence> {
        self.fork_sharing(sequence, sequence.len(), 0)
    }

    fn fork_sharing(&mut self, sequence: &Sequence, len: usize, shared: usize) -> Result<Sequence> {
        assert!(len <= sequence.len(), "a fork cannot be longer than its origin");
        let mut blocks = sequence.blocks[..shared].to_vec();
        blocks.iter().for_each(|&block| self.users[block as usize] += 1);
        if let Err(error) = self.copied(&sequence.blocks[shared..len.div_ceil(BLOCK)], &mut blocks) {
            blocks.into_iter().for_each(|block| self.release_block(block));
            return Err(error);
        }
        let longest = if len == 0 { 0 } else { sequence.longest };
        Ok(Sequence { blocks, tokens: sequence.tokens[..len].to_vec(), longest })
    }

    /// Forgets all tokens from position `len` on.
    ///
    /// # Errors
    /// If a block that becomes partly filled is shared and the pool is exhausted.
    pub fn truncate(&mut self, sequence: &mut Sequence, len: usize) -> Result<()> {
        let kept = self.fork(sequence, len)?;
        self.release(std::mem::replace(sequence, kept));
        Ok(())
    }

    /// Undoes the last extension of a sequence: it has its first `len` tokens again.
    pub fn take_back(&mut self, sequence: &mut Sequence, len: usize) {
        for block in sequence.blocks.split_off(len.div_ceil(BLOCK)) {
            self.release_block(block);
        }
        sequence.tokens.truncate(len);
        if len == 0 {
            sequence.longest = 0;
        }
    }

    /// Gives a sequence's blocks back.
    pub fn release(&mut self, sequence: Sequence) {
        for block in sequence.blocks {
            self.release_block(block);
        }
    }

    fn release_block(&mut self, block: u32) {
        self.users[block as usize] -= 1;
        if self.users[block as usize] == 0 {
            self.free.push(block);
        }
    }

    fn take(&mut self) -> Result<u32> {
        let Some(block) = self.free.pop() else { candle_core::bail!("the key-value cache is full") };
        self.users[block as usize] = 1;
        Ok(block)
    }

    /// Adds new blocks that hold what others do. After an error those that were taken are among them.
    fn copied(&mut self, from: &[u32], blocks: &mut Vec<u32>) -> Result<()> {
        let mut pairs = Vec::with_capacity(from.len());
        for &block in from {
            let copy = self.take()?;
            blocks.push(copy);
            pairs.push((block, copy));
        }
        if pairs.is_empty() {
            return Ok(());
        }
        Pool::copy_blocks(&self.layers, &pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Tensor;

    use crate::config::{Bias, LayerKind};

    fn cache(tokens: usize) -> Cache {
        let config = Config {
            family: "qwen3".into(),
            vocab: 8,
            width: 4,
            feed_forward: 4,
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            layers: vec![LayerKind { rotation: None, window: None }; 2],
            rotations: vec![],
            norm_eps: 1e-6,
            context: 64,
            tied: true,
            qk_norm: true,
            bias: Bias::default(),
            fused: false,
            gemma: None,
            eos: vec![],
        };
        Cache::new(&config, tokens, DType::F32, &Device::Cpu).unwrap()
    }

    fn write(cache: &mut Cache, sequence: &mut Sequence, values: &[f32]) {
        let slots = cache.extend(sequence, &vec![7; values.len()]).unwrap();
        let rows: Vec<f32> = values.iter().flat_map(|v| [*v, -v]).collect();
        let rows = Tensor::from_vec(rows, (values.len(), 2), &Device::Cpu).unwrap();
        for pool in &cache.layers {
            pool.write(&slots, &rows, &rows).unwrap();
        }
    }

    fn read(cache: &Cache, sequence: &Sequence) -> Vec<f32> {
        let keys = cache.layers[1].keys().to_vec3::<f32>().unwrap();
        let values = cache.layers[1].values().to_vec3::<f32>().unwrap();
        let at = |position: usize| {
            let (block, token) = (sequence.slot(position) / BLOCK, sequence.slot(position) % BLOCK);
            assert_eq!(keys[block][1][token], values[block][token][1]);
            values[block][token][0]
        };
        (0..sequence.len()).map(at).collect()
    }

    fn counted(from: usize, to: usize) -> Vec<f32> {
        (from..to).map(|i| i as f32).collect()
    }

    #[test]
    fn a_fork_shares_the_past_and_has_its_own_future() {
        let mut cache = cache(96);
        let mut main = Sequence::default();
        write(&mut cache, &mut main, &counted(0, 21));
        let mut fork = cache.fork(&main, 18).unwrap();
        assert_eq!(cache.free_blocks(), 3, "one full block is shared, one partly filled block copied");
        write(&mut cache, &mut fork, &[100.0, 101.0]);
        write(&mut cache, &mut main, &[21.0]);
        assert_eq!(read(&cache, &main), counted(0, 22));
        assert_eq!(read(&cache, &fork), [&counted(0, 18)[..], &[100.0, 101.0]].concat());
    }

    #[test]
    fn a_copy_shares_nothing() {
        let mut cache = cache(96);
        let mut main = Sequence::default();
        write(&mut cache, &mut main, &counted(0, 35));
        let copy = cache.copy(&main).unwrap();
        assert!(copy.blocks().iter().all(|block| !main.blocks().contains(block)));
        cache.release(main);
        assert_eq!((read(&cache, &copy), cache.free_blocks()), (counted(0, 35), 3));
    }

    #[test]
    fn released_blocks_are_used_again_and_shared_ones_are_kept() {
        let mut cache = cache(64);
        let mut main = Sequence::default();
        write(&mut cache, &mut main, &counted(0, 32));
        let fork = cache.fork(&main, 32).unwrap();
        cache.release(main);
        assert_eq!(read(&cache, &fork), counted(0, 32));
        cache.release(fork);
        assert_eq!(cache.free_blocks(), 4);
    }

    #[test]
    fn truncating_forgets_and_writing_goes_on() {
        let mut cache = cache(64);
        let mut main = Sequence::default();
        write(&mut cache, &mut main, &counted(0, 20));
        let fork = cache.fork(&main, 20).unwrap();
        cache.truncate(&mut main, 5).unwrap();
        write(&mut cache, &mut main, &[7.0]);
        assert_eq!(read(&cache, &main), [0.0, 1.0, 2.0, 3.0, 4.0, 7.0]);
        assert_eq!(read(&cache, &fork), counted(0, 20));
    }

    #[test]
    fn an_extension_can_be_taken_back_and_made_again() {
        let mut cache = cache(64);
        let mut main = Sequence::default();
        write(&mut cache, &mut main, &counted(0, 20));
        cache.extend(&mut main, &[0; 30]).unwrap();
        cache.take_back(&mut main, 20);
        assert_eq!(cache.free_blocks(), 2);
        write(&mut cache, &mut main, &counted(20, 35));
        assert_eq!(read(&cache, &main), counted(0, 35));
    }

    #[test]
    fn a_full_cache_is_an_error_and_not_a_panic() {
        let mut cache = cache(16);
        assert!(cache.extend(&mut Sequence::default(), &[0; 17]).is_err());
    }

    #[test]
    fn a_fork_for_which_there_is_no_room_takes_nothing() {
        let mut cache = cache(64);
        let mut main = Sequence::default();
        write(&mut cache, &mut main, &counted(0, 35));
        assert!(cache.copy(&main).is_err(), "three blocks, and one is free");
        assert_eq!(cache.free_blocks(), 1);
        let last = cache.fork(&main, 34).unwrap();
        assert!(cache.fork(&main, 35).is_err());
        cache.release(last);
        cache.release(main);
        assert_eq!(cache.free_blocks(), 4);
    }
}
