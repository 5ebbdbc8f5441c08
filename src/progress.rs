//! Progress on stderr: one bar per model, with rate, accuracy so far and time left.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use isocost_harness::outcome::Outcome;
use isocost_harness::trajectory::Trajectory;

/// The bars of one run.
pub(crate) struct Progress {
    bars: MultiProgress,
}

/// The bar of one model.
pub(crate) struct ModelProgress {
    bar: ProgressBar,
    tokens: u64,
    trajectories: u64,
    correct: u64,
}

impl Progress {
    /// Draws on stderr if that is a terminal, else nothing.
    pub(crate) fn new() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()) }
    }

    /// A bar for a model of whose `total` trajectories `done` are recorded already.
    pub(crate) fn model(&self, name: &str, done: u64, total: u64) -> ModelProgress {
        let style = ProgressStyle::with_template(
            "{prefix:12} {bar:28} {pos:>6}/{len} {elapsed:>4} left {eta:>4}  {msg}",
        );
        let bar = self.bars.add(ProgressBar::new(total).with_position(done));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        bar.reset_eta();
        ModelProgress { bar, tokens: 0, trajectories: 0, correct: 0 }
    }

    /// Prints a line above the bars.
    pub(crate) fn say(&self, line: &str) {
        if self.bars.println(line).is_err() || self.bars.is_hidden() {
            eprintln!("{line}");
        }
    }
}

impl ModelProgress {
    /// Counts a record.
    pub(crate) fn record(&mut self, record: &Trajectory) {
        self.trajectories += 1;
        self.tokens += record.sampled_tokens();
        let last = record.answers.last();
        self.correct += u64::from(last.is_some_and(|answer| answer.outcome == Outcome::Correct));
        let seconds = self.bar.elapsed().as_secs_f64().max(1e-3);
        let accuracy = self.correct as f64 / self.trajectories as f64;
        self.bar.set_message(format!("{:.0} tokens/s  accuracy {accuracy:.2}", self.tokens as f64 / seconds));
        self.bar.inc(1);
    }

    /// Leaves the bar as it stands.
    pub(crate) fn finish(&self) {
        self.bar.abandon();
    }
}
