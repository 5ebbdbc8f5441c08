//! What memory comes from: mimalloc, in place of the system's allocator.
//!
//! A step allocates some thousand times, on all threads, and what one of them has asked for another one gives back. The C library's
//! threads wait for each other then, and a step of a bundled model takes 1.1 to 1.2 times as long.

use std::ffi::{c_int, c_long};

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc's third version; the bindings leave it out.
const PURGE_DELAY: c_int = 15;

/// Keeps freed pages for longer than any step takes. To get fresh ones, which the system clears, for every intermediate result
/// takes a twentieth of the time of reading a prompt.
pub(crate) fn keep_freed_pages() {
    const KEPT_MS: c_long = 10_000;
    // SAFETY: sets an option that the allocator looks up whenever pages are freed.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, KEPT_MS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_that_is_set_is_the_delay_with_which_pages_are_given_back() {
        // SAFETY: reads an option.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // The library's own default, which no other option has.
        assert_eq!(delay(), 1000);
        keep_freed_pages();
        assert_eq!(delay(), 10_000);
    }
}
