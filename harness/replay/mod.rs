//! Replay: trajectories, a surface and a serving policy give what requests would have waited and cost.
//!
//! A request is one problem with its n completions. The batch is played step by step as the engine's scheduler
//! would run it: the prompt is read once and forked, completions decode together, a finished row leaves the batch
//! and another takes its place. Each step's seconds come from the surface. Nothing is generated.
//!
//! Steps in which no row joins, leaves or turns are equal but for a growing context, and their cost is a straight
//! line in it, so a stretch of them is taken at once; a simulator that walks step by step stays in
//! the tests and agrees to rounding.

mod batch;
mod course;
mod latency;

pub use course::{Course, Dialect};
pub use latency::{Latency, Percentiles, Weighted};

use crate::step::Load;
use crate::step_energy::Energy;
use crate::surface::Surface;
use batch::Batch;

/// The completions of one problem, asked for together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The course of each.
    pub completions: Vec<Course>,
}

/// What a stretch of equal steps costs.
pub trait Cost {
    /// Seconds of a step with this load. Must be straight in `attended_tokens`.
    fn seconds(&self, load: &Load) -> f64;

    /// Joules of a step that takes `seconds`; absent where they were not measured.
    fn joules(&self, _load: &Load, _seconds: f64) -> Option<f64> {
        None
    }

    /// Whether the load lies within what was measured.
    fn covers(&self, _load: &Load) -> bool {
        true
    }
}

impl Cost for Surface {
    fn seconds(&self, load: &Load) -> f64 {
        self.cost.seconds(load)
    }

    fn joules(&self, load: &Load, seconds: f64) -> Option<f64> {
        self.energy.map(|energy: Energy| energy.joules(load, seconds))
    }

    fn covers(&self, load: &Load) -> bool {
        Self::covers(self, load)
    }
}

/// How requests are served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Serving {
    /// One user: requests one after another, each with the whole device, in batches of at most so many rows.
    OneUser {
        /// Most rows of a step.
        rows: u32,
    },
    /// More requests than can be served: a place in the batch never stays empty while one waits.
    Saturated {
        /// Rows of a step.
        rows: u32,
    },
}

/// What requests waited and cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// From a request's start to the end of its prompt's step, one for each request.
    pub ttft_s: Vec<f64>,
    /// From a request's start to the first token of an answer, one for each completion that answers.
    pub ttfa_s: Vec<f64>,
    /// Gaps between tokens of a completion, with how many there were of each.
    pub itl_s: Weighted,
    /// From a request's start to the end of its last completion, one for each request.
    pub e2e_s: Vec<f64>,
    /// Seconds that the device worked.
    pub device_s: f64,
    /// Joules, if the surface has them.
    pub joules: Option<f64>,
    /// Steps.
    pub steps: u64,
    /// Steps beyond what the surface was measured for.
    pub extrapolated_steps: u64,
}

/// Plays `requests` in order.
pub fn replay(requests: &[Request], serving: Serving, cost: &dyn Cost) -> Replayed {
    let mut replayed = Replayed::default();
    match serving {
        Serving::Saturated { rows } => Batch::new(requests, rows, cost).play(&mut replayed),
        Serving::OneUser { rows } => {
            requests.chunks(1).for_each(|one| Batch::new(one, rows, cost).play(&mut replayed));
        }
    }
    replayed
}

/// The largest batch, a power of two up to `most_rows`, at which 99 of 100 gaps between tokens are at most
/// `itl_limit_s`; `None` if not even one row is that fast.
pub fn largest_batch_within(
    requests: &[Request],
    most_rows: u32,
    itl_limit_s: f64,
    cost: &dyn Cost,
) -> Option<u32> {
    let ladder = std::iter::successors(Some(1u32), |rows| rows.checked_mul(2));
    let fast = |rows: &u32| {
        let replayed = replay(requests, Serving::Saturated { rows: *rows }, cost);
        replayed.itl_s.percentile(0.99).is_none_or(|itl| itl <= itl_limit_s)
    };
    ladder.take_while(|rows| *rows <= most_rows).take_while(fast).last()
}

#[cfg(test)]
mod tests;
