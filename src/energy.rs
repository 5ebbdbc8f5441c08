//! Energy of a run: windows of about ten seconds, each of one model on one task.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use isocost_harness::energy::append_energy;
use isocost_models::engine::Device;
use isocost_models::meter::{Watch, Why, meters_of};
use serde_json::json;

use crate::log;

/// Length of a window; a counter that starts again must not do so twice within one.
const WINDOW: Duration = Duration::from_secs(10);
/// Seconds of doing nothing, before anything is measured.
const IDLE_S: f64 = 2.0;

/// Reads whatever meters there are of what runs on `device`; which, or why there are none, is said on stderr.
pub(crate) fn start_meters(device: &Device) -> Watch {
    let (meters, absent) = meters_of(device);
    for meter in &meters {
        let meter = meter.name();
        log::event("energy", json!({ "meter": meter }), || format!("energy: {meter}"));
    }
    if meters.is_empty() {
        let here = absent.iter().filter(|absent| absent.why != Why::OtherSystem);
        let reasons: Vec<String> = here.map(|a| format!("{}: {}", a.meter, a.reason)).collect();
        log::say(&format!("energy is not measured ({})", reasons.join("; ")));
    }
    let mut watch = Watch::start(meters);
    watch.measure_idle(IDLE_S);
    watch
}

/// A run's `energy.jsonl`, being written.
pub(crate) struct EnergyLog {
    watch: Watch,
    run: PathBuf,
    since: Instant,
}

impl EnergyLog {
    /// Starts to measure for the run in `run` on `device`.
    pub(crate) fn start(run: &Path, device: &Device) -> Self {
        Self { watch: start_meters(device), run: run.to_owned(), since: Instant::now() }
    }

    /// For what the meters of this machine cannot tell apart, or do not see.
    pub(crate) fn without_meters(run: &Path) -> Self {
        Self { watch: Watch::start(vec![]), run: run.to_owned(), since: Instant::now() }
    }

    /// Begins a window: what happened before belongs to nobody.
    pub(crate) fn begin(&mut self) {
        self.watch.cut();
        self.since = Instant::now();
    }

    /// Ends a window if it is long enough.
    pub(crate) fn tick(&mut self, model: &str, task: &str) -> Result<()> {
        if self.since.elapsed() < WINDOW { Ok(()) } else { self.end(model, task) }
    }

    /// Ends a window and begins the next.
    pub(crate) fn end(&mut self, model: &str, task: &str) -> Result<()> {
        self.since = Instant::now();
        Ok(append_energy(&self.run, model, task, self.watch.cut())?)
    }
}
