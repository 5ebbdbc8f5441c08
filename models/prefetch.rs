//! Asking for memory before it is needed.
//!
//! A processor guesses what is read next from what was read last. It cannot guess where the next block of a cache lies, and it waits at
//! the beginning of each page and wherever a loop between two reads is longer than the part of the program it looks ahead in.

use std::sync::atomic::{Ordering, compiler_fence};

/// Bytes that come into a cache together.
pub(crate) const LINE: usize = 64;

/// Rows of activations from which on it pays to ask for weights: a processor asks for a few lines by itself, and multiplies so few rows
/// with them in less time than memory takes.
pub(crate) const ASKING_ROWS: usize = 4;

/// Lines from weights that are multiplied to those that are asked for.
pub(crate) const AHEAD: usize = 32;

/// Keeps a compiler from mixing what is read after it with what was read before: processors ask by themselves for what comes next only if
/// they are to read in order.
#[inline(always)]
pub(crate) fn in_order() {
    compiler_fence(Ordering::SeqCst);
}

/// Asks for all lines of so many values from a place on, which need not be any.
#[inline(always)]
pub(crate) fn ask_for_all<T>(first: *const T, count: usize) {
    for line in (0..count * size_of::<T>()).step_by(LINE) {
        ask_for(first.cast::<u8>().wrapping_add(line));
    }
}

/// Asks for the line at a place, which may be any, without waiting for it.
#[inline(always)]
pub(crate) fn ask_for<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint reads nothing.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
