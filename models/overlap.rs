//! Handing results over while the next ones are made.
//!
//! Writing a trajectory's text, grading it and recording it takes about as long as sampling some tokens. The device need not wait for
//! that: what is made waits in a queue, and a thread of the pool that has nothing else to do takes it in, one result at a time and in
//! order. No thread of its own does: where all processors are busy, the system would let it push aside the one that samples.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::Yield;

/// Results that may wait to be taken in before the making of more has to wait for them.
const AHEAD: usize = 64;

/// Runs `make` and hands to `take_in`, on another thread and in the same order, whatever it gives away. Once `take_in` has
/// had enough, which `make` can look up at any time, nothing more is handed over, and whoever gives something away is told to stop.
pub(crate) fn overlapped<T: Send, R>(
    make: impl FnOnce(&mut (dyn FnMut(T) -> ControlFlow<()> + Send), &AtomicBool) -> R,
    take_in: impl FnMut(T) -> ControlFlow<()> + Send,
) -> R {
    let (line, taker, enough) = (&Line::new(), &Mutex::new(take_in), &AtomicBool::new(false));
    rayon::in_place_scope(|scope| {
        let mut give = |made| {
            line.wait_for_a_place(enough);
            if line.push(made) {
                scope.spawn(|_| line.serve(&mut *locked(taker), enough));
            }
            if enough.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        make(&mut give, enough)
    })
}

/// What waits to be taken in.
struct Line<T>(Mutex<Waiting<T>>);

struct Waiting<T> {
    results: VecDeque<T>,
    /// Whether some thread takes them in, or is about to.
    is_served: bool,
}

impl<T> Line<T> {
    fn new() -> Self {
        Self(Mutex::new(Waiting { results: VecDeque::new(), is_served: false }))
    }

    /// Adds a result. Returns whether somebody must be found to serve.
    fn push(&self, made: T) -> bool {
        let mut waiting = locked(&self.0);
        waiting.results.push_back(made);
        !std::mem::replace(&mut waiting.is_served, true)
    }

    fn next(&self) -> Option<T> {
        let mut waiting = locked(&self.0);
        let next = waiting.results.pop_front();
        waiting.is_served = next.is_some();
        next
    }

    /// Takes in all that is there, unless it is enough.
    fn serve(&self, take_in: &mut dyn FnMut(T) -> ControlFlow<()>, enough: &AtomicBool) {
        let guard = Enough(enough);
        while let Some(made) = self.next() {
            if take_in(made).is_break() {
                return;
            }
        }
        std::mem::forget(guard);
    }

    fn wait_for_a_place(&self, enough: &AtomicBool) {
        while locked(&self.0).results.len() >= AHEAD && !enough.load(Ordering::Relaxed) {
            if rayon::yield_now() != Some(Yield::Executed) {
                std::thread::yield_now();
            }
        }
    }
}

/// Set where it is dropped, also by a panic.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A panic elsewhere comes out by itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    #[test]
    fn everything_arrives_in_order_and_the_result_comes_back() {
        let mut taken = vec![];
        let sum = overlapped(
            |give, _| (0..1000).filter(|i| give(*i).is_continue()).sum::<i32>(),
            |i| {
                taken.push(i);
                ControlFlow::Continue(())
            },
        );
        assert_eq!((sum, taken), (499_500, (0..1000).collect()));
    }

    #[test]
    fn making_goes_on_while_something_is_taken_in() {
        let (made, wait) = mpsc::channel();
        let all_made = overlapped(
            |give, _| {
                let given = (0..10).all(|i| give(i).is_continue());
                made.send(()).is_ok() && given
            },
            // The first is only taken in once the last was made.
            move |i| {
                if i > 0 || wait.recv().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        assert!(all_made);
    }

    #[test]
    fn who_has_had_enough_is_given_nothing_more_and_the_making_stops() {
        let mut taken = 0;
        let made = overlapped(
            |give, _| (0..).find(|i| give(*i).is_break()),
            |_| {
                taken += 1;
                if taken == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert!(taken == 3 && made.is_some_and(|made| made <= 3 + AHEAD as i32), "{made:?}");
    }

    #[test]
    fn who_makes_something_for_long_sees_that_it_is_not_wanted() {
        let made = overlapped(
            |give, enough| {
                let is_given = give(1).is_continue();
                while !enough.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                is_given
            },
            |_| ControlFlow::Break(()),
        );
        assert!(made);
    }

    #[test]
    fn an_only_thread_takes_in_what_it_made_before_there_is_too_much_of_it() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let (mut taken, made) = (0, &AtomicUsize::new(0));
        pool.install(|| {
            overlapped(
                |give, _| while made.fetch_add(1, Ordering::Relaxed) < 1000 && give(()).is_continue() {},
                |()| {
                    taken += 1;
                    assert!(made.load(Ordering::Relaxed) <= taken + AHEAD + 1);
                    ControlFlow::Continue(())
                },
            );
        });
        assert_eq!(taken, 1000);
    }

    #[test]
    fn a_panic_comes_out_again_and_ends_the_making() {
        let made = || overlapped(|_, _| panic!("on purpose"), |(): ()| ControlFlow::Continue(()));
        assert!(std::panic::catch_unwind(made).is_err());
        let taken = || overlapped(|give, _| while give(()).is_continue() {}, |()| panic!("on purpose"));
        assert!(std::panic::catch_unwind(taken).is_err());
    }
}
