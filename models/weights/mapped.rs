//! A file in the address space: read as memory, kept by the system's page cache.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::load::LoadError;

/// A mapped file.
pub(super) struct Mapped {
    path: PathBuf,
    map: Mmap,
}

impl Mapped {
    /// Maps a file.
    ///
    /// # Errors
    /// [`LoadError::Read`] if it cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        let file = File::open(path).map_err(|e| LoadError::read(path, &e))?;
        // SAFETY: the file is only read; changing a mapped file while it is in use is outside the
        // contract of this program, as of every other that maps its weights.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| LoadError::read(path, &e))?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Gives the pages of `part`, which were copied to where they are needed, back to the system: without
    /// this a model would take its size twice.
    pub(super) fn forget(&self, part: &[u8]) {
        #[cfg(unix)]
        {
            let start = part.as_ptr() as usize - self.map.as_ptr() as usize;
            // SAFETY: the mapping is read-only and backed by the file, so pages that are dropped come back
            // with the same content. A refusal costs memory and nothing else.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, part.len())
            };
        }
        #[cfg(not(unix))]
        let _ = part;
    }
}
