//! Whether the program was started without a stdout (`isocost table RUN -o csv >&-`).
//!
//! Rust's runtime opens `/dev/null` in the place of a closed descriptor before `main`, and what is printed would be lost without an
//! error. So the loader is made to look before that.

use std::io::Error;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

#[cfg(unix)]
#[used]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static BEFORE_MAIN: extern "C" fn() = look;

#[cfg(unix)]
extern "C" fn look() {
    // SAFETY: it asks for the flags of a descriptor, which may be any number.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    IS_CLOSED.store(flags == -1, Relaxed);
}

/// What writing to stdout would have said.
pub(crate) fn error() -> Option<Error> {
    IS_CLOSED.load(Relaxed).then(|| Error::other("it is closed"))
}
