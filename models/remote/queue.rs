//! The trajectories that are wanted, dealt out to threads one at a time, and what came of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use isocost_harness::engine::{Activity, Generated, Job, Settings, Sink};

use super::Wanted;

/// Trajectories that may fail before the server is given up.
const MOST_FAILED: usize = 4;

/// What nobody works on yet.
pub(super) struct Queue<'a> {
    left: Mutex<std::vec::IntoIter<Wanted<'a>>>,
    /// Trajectories there were.
    pub(super) asked: usize,
    is_stopped: AtomicBool,
}

impl<'a> Queue<'a> {
    pub(super) fn new(jobs: &'a [Job], settings: &'a Settings) -> Self {
        let of_job = |(number, job): (usize, &'a Job)| {
            job.trajectories.iter().map(move |&trajectory| Wanted { job, number, trajectory, settings })
        };
        let wanted: Vec<Wanted> = jobs.iter().enumerate().flat_map(of_job).collect();
        let asked = wanted.len();
        Self { left: Mutex::new(wanted.into_iter()), asked, is_stopped: AtomicBool::new(false) }
    }

    /// The next one, until no more is wanted.
    pub(super) fn next(&self) -> Option<Wanted<'a>> {
        self.left.lock().ok()?.next().filter(|_| !self.is_stopped())
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

/// What came of those that were asked for.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) activity: Activity,
    pub(super) failures: Vec<String>,
}

impl Collected {
    /// Hands a trajectory over, or counts its failure; ends the queue once that was enough.
    pub(super) fn take(&mut self, result: Result<Generated, String>, queue: &Queue, sink: &mut Sink) {
        match result {
            Ok(generated) => {
                self.activity.sampled_tokens += sampled(&generated);
                let begun = Instant::now();
                if !queue.is_stopped() && sink(generated).is_break() {
                    queue.stop();
                }
                self.activity.handing_over_s += begun.elapsed().as_secs_f64();
            }
            Err(message) => self.failures.push(message),
        }
        if self.failures.len() >= MOST_FAILED {
            queue.stop();
        }
    }
}

fn sampled(generated: &Generated) -> u64 {
    let answers: u64 = generated.answers.iter().map(|answer| u64::from(answer.answer_tokens)).sum();
    u64::from(generated.reasoning_tokens) + answers
}
