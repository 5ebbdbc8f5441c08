//! Handing results over while the next ones are made.
//!
//! Writing a trajectory's text, grading it and recording it takes about as long as sampling some tokens. The device need not wait for
//! that: sampling has a thread of its own, and what it completes is taken in by the thread that asked.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

/// Results that may wait to be taken in before the making of more has to wait for them.
const AHEAD: usize = 64;

/// Runs `make` on a thread of its own and hands to `take_in`, on this one and in the same order, whatever it gives away. Once `take_in` has
/// had enough, which `make` can look up at any time, nothing more is handed over, and whoever gives something away is told to stop.
pub(crate) fn overlapped<T: Send, R: Send>(
    make: impl FnOnce(&mut (dyn FnMut(T) -> ControlFlow<()> + Send), &AtomicBool) -> R + Send,
    mut take_in: impl FnMut(T) -> ControlFlow<()>,
) -> R {
    let (to, from) = mpsc::sync_channel(AHEAD);
    let enough = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let maker = scope.spawn(move || {
            make(&mut |made| to.send(made).map_or(ControlFlow::Break(()), ControlFlow::Continue), enough)
        });
        let flow = from.into_iter().try_for_each(&mut take_in);
        enough.store(flow.is_break(), Ordering::Relaxed);
        maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            |i| if i > 0 || wait.recv().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) },
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
    fn a_panic_while_making_comes_out_again() {
        let made = || overlapped(|_, _| panic!("on purpose"), |(): ()| ControlFlow::Continue(()));
        assert!(std::panic::catch_unwind(made).is_err());
    }
}
