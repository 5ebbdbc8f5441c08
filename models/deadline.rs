//! A job that may never end, or overflow its stack, or panic: a stranger's template, a stranger's regular expressions.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overrun {
    /// It was not done in time, and is left behind; the program goes on to say so and end.
    Late,
    /// It panicked.
    Panicked,
    /// The system gave no thread.
    NoThread,
}

/// Does a job in a thread of its own, with this much stack and time.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    stack_bytes: usize,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Overrun> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("bounded".into()).stack_size(stack_bytes);
    thread.spawn(move || drop(sender.send(job()))).map_err(|_| Overrun::NoThread)?;
    receiver.recv_timeout(limit).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => Overrun::Late,
        mpsc::RecvTimeoutError::Disconnected => Overrun::Panicked,
    })
}
