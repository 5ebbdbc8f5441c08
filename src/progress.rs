//! Progress on stderr: one bar per file that is fetched; one per model, with rate, accuracy so far and time left.

use std::cell::RefCell;
#[cfg(feature = "hub")]
use std::path::PathBuf;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use isocost_harness::outcome::Outcome;
#[cfg(feature = "hub")]
use isocost_harness::source::HubFile;
use isocost_harness::trajectory::Trajectory;
#[cfg(feature = "hub")]
use isocost_models::hub::{Hub, HubError};
use isocost_models::load::LoadError;
use isocost_models::source::{News, Source};

/// Files that arrive from the hub, one after the other.
pub(crate) struct Downloads {
    /// The file under way.
    current: RefCell<(String, ProgressBar)>,
}

impl Downloads {
    /// Resolves a model's name; what has to be fetched is shown as it arrives.
    pub(crate) fn resolve(name: &str) -> Result<Source, LoadError> {
        let downloads = Self { current: RefCell::new((String::new(), ProgressBar::hidden())) };
        Source::resolve(name, &|news| downloads.hear(news))
    }

    /// A file of a data set, from the hub's cache or the hub.
    #[cfg(feature = "hub")]
    pub(crate) fn data_set_file(place: &HubFile) -> Result<PathBuf, HubError> {
        let downloads = Self { current: RefCell::new((String::new(), ProgressBar::hidden())) };
        let HubFile { repository, revision, file } = place;
        let found =
            Hub::from_env()?.data_set_file(repository, revision, file, &|news| downloads.hear(news))?;
        Ok(found.path)
    }

    fn hear(&self, news: News) {
        match news {
            News::Note(text) => eprintln!("{text}"),
            News::Arrived { file, bytes, of } => self.arrived(file, bytes, of),
        }
    }

    fn arrived(&self, file: &str, bytes: u64, of: u64) {
        let mut current = self.current.borrow_mut();
        if current.0 != file {
            *current = (file.to_owned(), download_bar(file, of));
        }
        current.1.set_position(bytes);
        if bytes == of {
            current.1.abandon();
            if current.1.is_hidden() {
                eprintln!("fetched {file} ({})", HumanBytes(of));
            }
        }
    }
}

fn download_bar(file: &str, size: u64) -> ProgressBar {
    let style = "{prefix:34} {bar:28} {bytes:>10}/{total_bytes} {bytes_per_sec} left {eta}";
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(file.to_owned());
    bar
}

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
