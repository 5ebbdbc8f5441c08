//! Memory for weights, in large pages where the system has them.
//!
//! A step reads every weight once, so that each page of memory has to be found anew, and what a processor reads ahead of a program ends with
//! the page. Linux hands out pages of 2 MiB instead of 4 KiB to who asks, but only where a whole one fits, and many a
//! matrix is smaller than that. So matrices lie one behind the other in large chunks, and a chunk goes back to the system when
//! the last of them is dropped.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Zeroable;
use memmap2::MmapMut;

/// Bytes of a chunk, at least. The system finds memory for it where it is written to.
const CHUNK: usize = 64 << 20;

/// A chunk and how much of it is given away.
static OPEN: Mutex<(Weak<Chunk>, usize)> = Mutex::new((Weak::new(), 0));

/// Memory from the system, all zeros at first.
#[derive(Debug)]
struct Chunk {
    start: *mut u8,
    /// Only kept.
    map: MmapMut,
}

// SAFETY: slabs have parts of their own, so that nobody else reads or writes what lies at the pointer.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    fn new(bytes: usize) -> std::io::Result<Self> {
        let mut map = MmapMut::map_anon(bytes)?;
        // Who is refused reads as fast as without.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { start: map.as_mut_ptr(), map })
    }
}

/// A part of a chunk that nobody else has.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunk: Arc<Chunk>,
    /// Of the first value, in bytes.
    offset: usize,
    count: usize,
    values: PhantomData<T>,
}

impl<T: Zeroable + Copy> Slab<T> {
    /// So many zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        let layout = Layout::array::<T>(count).unwrap_or_else(|_| panic!("more memory than there can be"));
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = open.1.next_multiple_of(layout.align());
        let has_room = |chunk: &Arc<Chunk>| offset + layout.size() <= chunk.map.len();
        let (chunk, offset) = match open.0.upgrade().filter(has_room) {
            Some(chunk) => (chunk, offset),
            None => {
                let chunk =
                    Chunk::new(layout.size().max(CHUNK)).unwrap_or_else(|_| handle_alloc_error(layout));
                (Arc::new(chunk), 0)
            }
        };
        *open = (Arc::downgrade(&chunk), offset + layout.size());
        Self { chunk, offset, count, values: PhantomData }
    }
}

impl<T> Deref for Slab<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the part lies in the chunk, is aligned, and zeros are values.
        unsafe { std::slice::from_raw_parts(self.chunk.start.add(self.offset).cast(), self.count) }
    }
}

impl<T> DerefMut for Slab<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nobody else has this part.
        unsafe { std::slice::from_raw_parts_mut(self.chunk.start.add(self.offset).cast(), self.count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_are_zeros_that_nobody_else_writes_to_and_share_a_chunk() {
        let mut slabs: Vec<Slab<u64>> = (1..50).map(|count| Slab::zeros(1000 * count)).collect();
        for (i, slab) in slabs.iter_mut().enumerate() {
            assert!(slab.len() == 1000 * (i + 1) && slab.iter().all(|word| *word == 0));
            slab.fill(i as u64 + 1);
        }
        let bytes = Slab::<u8>::zeros(3);
        let words = Slab::<[u64; 2]>::zeros(1);
        assert!(bytes.iter().all(|byte| *byte == 0) && words[0] == [0, 0]);
        for (i, slab) in slabs.iter().enumerate() {
            assert!(slab.iter().all(|word| *word == i as u64 + 1));
        }
    }

    #[test]
    fn what_fits_no_chunk_has_its_own_and_none_outlives_its_slabs() {
        let slab = Slab::<u64>::zeros(CHUNK / 8 + 1);
        assert!(slab.chunk.map.len() > CHUNK && slab[CHUNK / 8] == 0);
        let chunk = Arc::downgrade(&slab.chunk);
        drop(slab);
        assert!(chunk.upgrade().is_none());
    }
}
