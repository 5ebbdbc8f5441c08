//! Progress on stderr: one bar per file that is fetched; of a run a live table, a line for each model.

use std::cell::{Cell, RefCell};
use std::fmt;
#[cfg(feature = "hub")]
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use isocost_harness::escape::visible;
use isocost_harness::sampling::TaskInRun;
#[cfg(feature = "hub")]
use isocost_harness::source::HubFile;
use isocost_harness::sweep::Sweep;
use isocost_harness::trajectory::Trajectory;
#[cfg(feature = "hub")]
use isocost_models::hub::{Hub, HubError};
use isocost_models::load::LoadError;
use isocost_models::source::{News, Source};
use serde_json::json;

use crate::live::{self, LiveTable};
use crate::log;
use crate::so_far::{SoFar, Standing};

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
            News::Note(text) => log::say(text),
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
                log::event("fetched", json!({ "file": file, "bytes": of }), || {
                    format!("fetched {file} ({})", HumanBytes(of))
                });
            }
        }
    }
}

fn download_bar(file: &str, size: u64) -> ProgressBar {
    let style = "{prefix:20!} {wide_bar} {bytes:>10}/{total_bytes} {bytes_per_sec} left {eta}";
    let target = if log::is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(size), target);
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(visible(file));
    bar
}

/// Shortest time between two `progress` events of a model.
const EVERY: Duration = Duration::from_secs(5);

/// The live table of one run, or its events.
pub(crate) struct Progress {
    bars: MultiProgress,
    /// Widths of the longest names of models and tasks.
    widths: (usize, usize),
    is_headed: Cell<bool>,
}

/// One model's line of it.
pub(crate) struct ModelProgress {
    so_far: Arc<Mutex<SoFar>>,
    bar: ProgressBar,
    told: Instant,
}

impl Progress {
    /// Draws on stderr if that is a terminal; else there is a line for each model, or events.
    pub(crate) fn new(sweep: &Sweep, tasks: &[TaskInRun]) -> Self {
        let widest = |names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| console::measure_text_width(&visible(name))).max().unwrap_or(0)
        };
        let names = widest(&mut sweep.models.iter().map(|model| &model.name));
        let tasks = widest(&mut tasks.iter().map(|task| &task.task.name));
        let target = if log::is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bars = MultiProgress::with_draw_target(target);
        Self { bars, widths: (names, tasks), is_headed: Cell::new(false) }
    }

    /// A line for a model.
    pub(crate) fn model(&self, so_far: SoFar) -> ModelProgress {
        let so_far = Arc::new(Mutex::new(so_far));
        let widths = self.widths;
        if self.bars.is_hidden() {
            return ModelProgress { so_far, bar: ProgressBar::hidden(), told: Instant::now() };
        }
        if !self.is_headed.replace(true) {
            self.bars.add(line(move |table| table.header(), widths)).abandon();
        }
        let shown = so_far.clone();
        let bar = self.bars.add(line(move |table| table.line(&lock(&shown).standing()), widths));
        bar.enable_steady_tick(Duration::from_millis(200));
        ModelProgress { so_far, bar, told: Instant::now() }
    }

    /// Says a line, above the table if there is one.
    pub(crate) fn say(&self, line: &str) {
        if self.is_headed.get() {
            let _ = self.bars.println(log::on_terminal(line));
        } else {
            log::say(line);
        }
    }
}

/// A line of the table, drawn anew for the terminal as wide as it is then.
fn line(
    text: impl Fn(&LiveTable) -> String + Clone + Send + Sync + 'static,
    widths: (usize, usize),
) -> ProgressBar {
    let write = move |_: &ProgressState, to: &mut dyn fmt::Write| {
        let table = LiveTable::fitting(log::width().unwrap_or(80), widths);
        let _ = to.write_str(&text(&table));
    };
    let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1).with_style(style.with_key("line", write))
}

fn lock(so_far: &Mutex<SoFar>) -> MutexGuard<'_, SoFar> {
    so_far.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ModelProgress {
    /// Counts a record.
    pub(crate) fn record(&mut self, record: &Trajectory) {
        let mut so_far = lock(&self.so_far);
        so_far.record(record);
        if log::is_json() && self.told.elapsed() >= EVERY {
            log::event("progress", so_far.standing(), String::new);
            self.told = Instant::now();
        }
    }
}

impl Drop for ModelProgress {
    /// The line stays as it stands; where there is no table, it is said now.
    fn drop(&mut self) {
        lock(&self.so_far).finish();
        if self.bar.is_hidden() {
            let standing = lock(&self.so_far).standing();
            log::event("model", &standing, || summary(&standing));
        }
        self.bar.abandon();
    }
}

/// A model's line where there is no table.
fn summary(standing: &Standing) -> String {
    let Standing { model, trajectories, of, seconds, .. } = standing;
    let task = standing.task.as_deref().unwrap_or("nothing");
    format!(
        "{model}: {trajectories} of {of} trajectories, {} tokens a second, rows {} filled, {task} {}, {}, {}",
        live::whole(standing.tokens_per_s),
        live::percent(standing.row_use),
        live::share(standing.accuracy.as_ref()),
        standing.usd.map_or("no price".into(), live::dollars),
        live::clock(*seconds),
    )
}
