//! Threads that stay awake for the length of a step, or of many.
//!
//! A step is some hundred short parallel loops with a little work for one thread between them, and so are steps that follow one another. A
//! thread that finds nothing to do goes to sleep within microseconds, and to wake it takes longer than many of the loops, and
//! as long as a third of a small model's step. So while steps run, idle threads look for work and, finding none, offer their processor to
//! whoever else wants it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

thread_local! {
    /// Whether the others are awake for what this thread does.
    static IS_HELPED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` inside the thread pool, whose other threads look out for parts of it until it is done.
pub(crate) fn awake<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if IS_HELPED.get() {
        return work();
    }
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let own = rayon::current_thread_index();
        for _ in 1..rayon::current_num_threads() {
            let done = &done;
            scope.spawn(move |_| {
                // The thread that does the work may come across this while it waits for others: it must not wait for itself.
                if rayon::current_thread_index() != own {
                    look_out(done);
                }
            });
        }
        // Also if the work panics.
        let _guard = Guard::new(&done);
        work()
    })
}

struct Guard<'a>(&'a AtomicBool);

impl<'a> Guard<'a> {
    fn new(done: &'a AtomicBool) -> Self {
        IS_HELPED.set(true);
        Self(done)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        IS_HELPED.set(false);
        self.0.store(true, Ordering::Release);
    }
}

fn look_out(done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() != Some(Yield::Executed) {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn work_is_done_by_all_and_nobody_waits_for_ever() {
        for _ in 0..200 {
            let sum: u64 = awake(|| (0..4).map(|_| (0..1000u64).into_par_iter().sum::<u64>()).sum());
            assert_eq!(sum, 4 * 499_500);
        }
    }

    #[test]
    fn what_is_done_within_other_work_has_the_same_helpers() {
        let sums = awake(|| [1, 2, 3].map(|n| awake(|| (0..n * 1000u64).into_par_iter().sum::<u64>())));
        assert_eq!(sums, [499_500, 1_999_000, 4_498_500]);
        assert!(awake(|| IS_HELPED.get()) && !IS_HELPED.get());
    }

    #[test]
    fn a_panic_comes_out_again() {
        assert!(std::panic::catch_unwind(|| awake(|| panic!("on purpose"))).is_err());
        assert!(std::panic::catch_unwind(|| awake(|| awake(|| panic!("on purpose")))).is_err());
        assert_eq!(awake(|| 1), 1);
    }
}
