//! What the device did, counted as it happens: steps one by one, and their sums.

use std::time::Instant;

use isocost_harness::engine::Activity;
use isocost_harness::step::{Step, StepKind};

use super::row::{Role, Row};

/// The books of one call. A step's clock runs from the end of the step before to its own end, and stands
/// still while records are handed over.
pub(super) struct Ledger<'a> {
    activity: Activity,
    observer: Option<&'a mut dyn FnMut(Step)>,
    step: Step,
    started: Instant,
    /// When the current step began.
    begun: Instant,
    /// Seconds of the current step that were spent handing records over.
    handing_over_s: f64,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(observer: Option<&'a mut dyn FnMut(Step)>) -> Self {
        let now = Instant::now();
        let (activity, step) = (Activity::default(), Step::default());
        Self { activity, observer, step, started: now, begun: now, handing_over_s: 0.0 }
    }

    /// Restarts the clocks.
    pub(super) fn start(&mut self) {
        self.started = Instant::now();
        self.begun = self.started;
    }

    /// A sequence was forked.
    pub(super) fn forked(&mut self) {
        self.step.load.forks += 1;
    }

    /// The device was out of memory.
    pub(super) fn halved(&mut self) {
        self.activity.halvings += 1;
    }

    /// A token was sampled.
    pub(super) fn sampled(&mut self) {
        self.step.load.sampled_tokens += 1;
    }

    /// The batch was run; `rows` still hold what they fed.
    pub(super) fn forward(&mut self, rows: &[Row], seconds: f64) {
        let prompts = rows
            .iter()
            .filter(|row| matches!(row.role, Role::ThinkingPrompt { .. } | Role::DirectPrompt { .. }))
            .count();
        for row in rows {
            let fed = row.pending.len();
            self.step.load.add_row((row.sequence.len() - fed) as u64, fed as u32);
        }
        self.step.kind = StepKind::of(prompts, rows.len() - prompts);
        self.step.forward_s = seconds;
    }

    /// Seconds went to what is no part of a step.
    pub(super) fn left_out(&mut self, seconds: f64) {
        self.handing_over_s += seconds;
    }

    /// The step is done: books it and begins the next.
    pub(super) fn close_step(&mut self) {
        self.step.seconds = (self.begun.elapsed().as_secs_f64() - self.handing_over_s).max(0.0);
        self.add(self.step);
        if let Some(observer) = &mut self.observer {
            observer(self.step);
        }
        self.activity.handing_over_s += self.handing_over_s;
        (self.step, self.handing_over_s, self.begun) = (Step::default(), 0.0, Instant::now());
    }

    fn add(&mut self, Step { load, forward_s, .. }: Step) {
        let activity = &mut self.activity;
        activity.steps += 1;
        activity.row_steps += u64::from(load.rows);
        activity.fed_tokens += u64::from(load.fed_tokens);
        activity.sampled_tokens += u64::from(load.sampled_tokens);
        activity.device_s += forward_s;
        activity.most_rows = activity.most_rows.max(u64::from(load.rows));
    }

    /// The sums, once nothing more will happen. What was sampled after the last step is in them too.
    pub(super) fn close(mut self) -> Activity {
        self.activity.sampled_tokens += u64::from(self.step.load.sampled_tokens);
        self.activity.handing_over_s += self.handing_over_s;
        self.activity.wall_s = self.started.elapsed().as_secs_f64();
        self.activity
    }
}
