//! Threads that stay awake for the length of a step.
//!
//! A step is some hundred short parallel loops with a little work for one thread between them. A thread that finds nothing to do goes
//! to sleep within microseconds, and to wake it takes longer than many of the loops. So while a step runs, idle threads look for
//! work and, finding none, offer their processor to whoever else wants it.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

/// Does `work` inside the thread pool, whose other threads look out for parts of it until it is done.
pub(crate) fn awake<T: Send>(work: impl FnOnce() -> T + Send) -> T {
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
        let _guard = Guard(&done);
        work()
    })
}

/// Does many steps on a thread of the pool: to carry each of them there takes longer than some of a small model's operations.
pub(crate) fn in_pool<T: Send>(steps: impl FnOnce() -> T + Send) -> T {
    // The only thread of a pool is left to whoever takes in what the steps give.
    if rayon::current_num_threads() < 2 { steps() } else { rayon::scope(|_| steps()) }
}

struct Guard<'a>(&'a AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
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
    fn a_panic_comes_out_again() {
        assert!(std::panic::catch_unwind(|| awake(|| panic!("on purpose"))).is_err());
    }
}
