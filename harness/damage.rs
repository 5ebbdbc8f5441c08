//! What a report says of lines that could not be read: nothing is left out silently.
//!
//! A damaged record is left out of every table, and sampled again by the next `run`, which sets its line aside in
//! `torn.jsonl`, as `score` does. A damaged line of the other logs cannot be had again; numbers that come from them are too small by it.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use crate::activity::ActivityNote;
use crate::energy::LoggedWindow;
use crate::json_lines;
use crate::observations::Observations;
use crate::request_log::LoggedAttempt;
use crate::run_error::{RunError, file_error};
use crate::step_log::LoggedStep;

/// Of records that were read: that so many lines were left out, if any.
pub fn left_out(lines: usize) -> Option<String> {
    (lines > 0).then(|| {
        format!(
            "{lines} lines of trajectories.jsonl are torn, damaged or doubled and were left out; isocost run sets them aside \
             and samples again what is lacking."
        )
    })
}

/// Sentences about a run's damaged lines, those that were mended included; none for a run that met no damage.
///
/// # Errors
/// [`RunError::File`] if a file is there and cannot be read.
pub fn sentences(run: &Path, observations: &Observations) -> Result<Vec<String>, RunError> {
    let mut said: Vec<String> = left_out(observations.left_out()).into_iter().collect();
    let aside = set_aside(run)?;
    if aside > 0 {
        said.push(format!("{aside} torn, damaged or doubled lines were set aside in torn.jsonl; isocost run samples again what is lacking."));
    }
    let damaged = [
        ("steps.jsonl", json_lines::for_each(&run.join("steps.jsonl"), |_: LoggedStep| {})?),
        ("activity.jsonl", json_lines::for_each(&run.join("activity.jsonl"), |_: ActivityNote| {})?),
        ("energy.jsonl", json_lines::for_each(&run.join("energy.jsonl"), |_: LoggedWindow| {})?),
        ("requests.jsonl", json_lines::for_each(&run.join("requests.jsonl"), |_: LoggedAttempt| {})?),
    ];
    for (file, count) in damaged.into_iter().filter(|(_, count)| *count > 0) {
        said.push(format!(
            "{count} lines of {file} cannot be read and are not in the numbers that come from it."
        ));
    }
    Ok(said)
}

/// Lines of a run that were set aside so far.
fn set_aside(run: &Path) -> Result<usize, RunError> {
    let path = run.join("torn.jsonl");
    match File::open(&path) {
        Ok(file) => Ok(BufReader::new(file).split(b'\n').map_while(Result::ok).count()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(file_error(&path)(error)),
    }
}
