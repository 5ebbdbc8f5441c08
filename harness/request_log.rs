//! What was asked of servers: every attempt of every request, with what it took, also of those that failed.
//!
//! `requests.jsonl` of a run has one line for each attempt. Times are the client's: network and the server's queue are in
//! them. A failed attempt has been paid for all the same, so it stands there too.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::json_lines;
use crate::rounding::significant;
use crate::run_directory::RunError;

/// One attempt of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The problem's id.
    pub problem: String,
    /// The trajectory's number.
    pub trajectory: u32,
    /// What was wanted: `thought`, `answer` or `chat`.
    pub part: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Base URL.
    pub server: String,
    /// Why it failed; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Tokens of the prompt, where the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Tokens generated, where the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u32>,
    /// Pieces of text that arrived; most servers send one for each token.
    pub pieces: u32,
    /// Seconds to the first piece (TTFT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_s: Option<f64>,
    /// Seconds from the trajectory's first request to this answer's first piece (TTFA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttfa_s: Option<f64>,
    /// Median gap between pieces in seconds (ITL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itl_p50_s: Option<f64>,
    /// The gap that 99 of 100 do not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itl_p99_s: Option<f64>,
    /// Seconds of the attempt (E2E).
    pub e2e_s: f64,
}

/// An attempt with whose it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedAttempt {
    /// The model's name in the sweep.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// The attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
}

/// Appends attempts to a run's `requests.jsonl`.
///
/// # Errors
/// [`RunError::File`].
pub fn append_attempts(
    run: &Path,
    model: &str,
    task: &str,
    attempts: impl Iterator<Item = Attempt>,
) -> Result<(), RunError> {
    let logged = |attempt| LoggedAttempt { model: model.to_owned(), task: task.to_owned(), attempt };
    json_lines::append(&run.join("requests.jsonl"), attempts.map(logged))
}

/// All attempts of a run; lines that are none are left out.
///
/// # Errors
/// [`RunError::File`] if the file is there and cannot be read.
pub fn read_attempts(run: &Path) -> Result<Vec<LoggedAttempt>, RunError> {
    json_lines::read(&run.join("requests.jsonl"))
}

/// What the attempts of a run say, in a sentence for each model.
pub fn summary(attempts: &[LoggedAttempt]) -> Vec<String> {
    let mut models: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for logged in attempts {
        models.entry(&logged.model).or_default().push(&logged.attempt);
    }
    models.iter().map(|(model, attempts)| sentence(model, attempts)).collect()
}

fn sentence(model: &str, attempts: &[&Attempt]) -> String {
    let (failed, done): (Vec<&Attempt>, Vec<&Attempt>) =
        attempts.iter().partition(|attempt| attempt.failure.is_some());
    let failed_s: f64 = failed.iter().map(|attempt| attempt.e2e_s).sum();
    let counted = done.iter().filter(|attempt| attempt.completion_tokens.is_some()).count();
    format!(
        "{model} was asked {} times; {} attempts failed and took {} s. Seconds are the client's, with network and queue: \
         {}{}{}. The server counted the tokens of {counted} of {} requests; the others were counted here.",
        attempts.len(),
        failed.len(),
        significant(failed_s),
        percentiles("first token", done.iter().filter_map(|attempt| attempt.ttft_s)),
        percentiles(", first answer token", done.iter().filter_map(|attempt| attempt.ttfa_s)),
        percentiles(", between tokens", done.iter().filter_map(|attempt| attempt.itl_p50_s)),
        done.len(),
    )
}

/// Half, nine and ninety-nine of a hundred of some seconds.
fn percentiles(what: &str, seconds: impl Iterator<Item = f64>) -> String {
    let mut seconds: Vec<f64> = seconds.collect();
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| seconds.get(((seconds.len() as f64 * share) as usize).min(seconds.len() - 1));
    let [Some(p50), Some(p90), Some(p99)] = (match seconds.len() {
        0 => [None; 3],
        _ => [0.5, 0.9, 0.99].map(at),
    }) else {
        return String::new();
    };
    let [p50, p90, p99] = [p50, p90, p99].map(|s| significant(*s));
    format!("{what} p50 {p50}, p90 {p90}, p99 {p99} s")
}
