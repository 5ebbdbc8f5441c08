//! What the device did, as noted by every start of a run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::energy;
use crate::engine::Activity;
use crate::json_lines;
use crate::request_log;
use crate::run_error::RunError;
use crate::sweep::Sweep;

/// What the device did for one model, task and series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityNote {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Forced continuations.
    pub waits: u32,
    /// What it did.
    pub activity: Activity,
}

/// What the device did, as noted by every start of the run.
///
/// # Errors
/// [`RunError::File`] if the file cannot be read.
pub fn read_activity(path: &Path) -> Result<Vec<ActivityNote>, RunError> {
    json_lines::read(&path.join("activity.jsonl"))
}

/// Sentences about a run in which so much was recorded: its speed, what filled its time, requests and energy.
///
/// # Errors
/// [`RunError::File`] if a file is there and cannot be read.
pub fn sentences(path: &Path, sweep: &Sweep, records: usize) -> Result<Vec<String>, RunError> {
    let mut total = Activity::default();
    for note in read_activity(path)? {
        total.add(&note.activity);
    }
    let attempts = request_log::read_attempts(path)?;
    let requests = request_log::summary(&attempts, &sweep.all_prices().collect::<Vec<_>>());
    let energy = energy::summary(&energy::read_energy(path)?);
    Ok([of_device(&total, records), total.incidents, requests, energy].concat())
}

fn of_device(total: &Activity, records: usize) -> Vec<String> {
    if total.steps == 0 {
        return vec![format!("{records} trajectories recorded.")];
    }
    let rate = total.sampled_tokens as f64 / total.wall_s;
    let outside = 100.0 * (1.0 - total.device_s / total.wall_s);
    let rows = total.row_steps as f64 / total.steps as f64;
    let filled = 100.0 * rows / total.most_rows as f64;
    let mut lines = vec![
        format!("{records} trajectories, {} tokens sampled at {rate:.0} a second.", total.sampled_tokens),
        format!(
            "{} forward passes with {rows:.1} rows on average, {filled:.0} % of the {} that there were places for; \
             {outside:.1} % of the time was spent outside them.",
            total.steps, total.most_rows
        ),
    ];
    lines.extend(total.others_s.map(|others_s| contention(others_s / total.wall_s)));
    if total.halvings > 0 {
        let times = total.halvings;
        lines.push(format!("The device ran out of memory {times} times; the batch was halved each time."));
    }
    lines
}

/// How idle the machine was.
pub fn contention(share: f64) -> String {
    let warning = if share > 0.05 { ": these seconds are not those of an idle machine" } else { "" };
    format!("Others took {:.1} % of the processors' time meanwhile{warning}.", 100.0 * share)
}
