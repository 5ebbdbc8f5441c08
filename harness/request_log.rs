//! What was asked of servers: every attempt of every request, with what it took, also of those that failed.
//!
//! `requests.jsonl` of a run has one line for each attempt. Times are the client's: network and the server's queue are in
//! them. A failed attempt has been paid for all the same, so it stands there too.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::json_lines;
use crate::price::Price;
use crate::rounding::significant;
use crate::run_error::RunError;
use crate::statistics::quantile;

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
    /// Tokens of the prompt, as the server says, else as they were sent; absent if neither is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Those of them that the server had in its prefix cache, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u32>,
    /// Tokens generated, as `counted_by` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u32>,
    /// Who counted them; absent if nothing came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_by: Option<Counter>,
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

/// Who counted the tokens that an attempt brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// The server, in its `usage`.
    Usage,
    /// The server, by the ids that it sent.
    Ids,
    /// The tokenizer here, from the text.
    Tokenizer,
    /// Nobody: they are the pieces of a stream that broke off.
    Pieces,
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

/// What the attempts of a run say, in a few sentences for each model. Of the prices, those by the token are charged.
pub fn summary(attempts: &[LoggedAttempt], prices: &[&Price]) -> Vec<String> {
    let mut models: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for logged in attempts {
        models.entry(&logged.model).or_default().push(&logged.attempt);
    }
    let sentences = |(model, attempts): (&&str, &Vec<&Attempt>)| {
        [asked(model, attempts), counted(attempts), cached(attempts), charged(attempts, prices)].concat()
    };
    models.iter().map(sentences).collect()
}

fn asked(model: &str, attempts: &[&Attempt]) -> String {
    let (failed, done): (Vec<&Attempt>, Vec<&Attempt>) =
        attempts.iter().partition(|attempt| attempt.failure.is_some());
    let failed_s: f64 = failed.iter().map(|attempt| attempt.e2e_s).sum();
    format!(
        "{model} was asked {} times; {} attempts failed and took {} s. Seconds are the client's, with network and queue: \
         {}{}{}.",
        attempts.len(),
        failed.len(),
        significant(failed_s),
        percentiles("first token", done.iter().filter_map(|attempt| attempt.ttft_s)),
        percentiles(", first answer token", done.iter().filter_map(|attempt| attempt.ttfa_s)),
        percentiles(", between tokens", done.iter().filter_map(|attempt| attempt.itl_p50_s)),
    )
}

/// Which counts there are, and of how many requests.
fn counted(attempts: &[&Attempt]) -> String {
    let count = |wanted| attempts.iter().filter(|attempt| attempt.counted_by == Some(wanted)).count();
    let counts = [
        (count(Counter::Usage), "by the server"),
        (count(Counter::Ids), "by the ids that it sent"),
        (count(Counter::Tokenizer), "by the tokenizer here"),
        (count(Counter::Pieces), "by the pieces of a stream that broke off"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, whom)| format!("{whom} in {count} requests"))
        .collect();
    if parts.is_empty() { String::new() } else { format!(" Tokens were counted {}.", parts.join(", ")) }
}

fn cached(attempts: &[&Attempt]) -> String {
    let told = attempts.iter().filter_map(|attempt| Some((attempt.cached_tokens?, attempt.prompt_tokens?)));
    let (cached, all) =
        told.fold((0.0, 0.0), |(cached, all), (c, a)| (cached + f64::from(c), all + f64::from(a)));
    if all == 0.0 {
        return String::new();
    }
    format!(" Its prefix cache had {:.1} % of the {all} prompt tokens.", 100.0 * cached / all)
}

/// What the attempts cost at each price by the token. A failed one is charged if it had begun to answer.
fn charged(attempts: &[&Attempt], prices: &[&Price]) -> String {
    let sentence = |price: &&Price| {
        let api = price.api?;
        let usd = |attempt: &&&Attempt| {
            let [prompt, cached, sampled] =
                [attempt.prompt_tokens, attempt.cached_tokens, attempt.completion_tokens]
                    .map(|count| f64::from(count.unwrap_or(0)));
            if attempt.counted_by.is_some() { api.usd_of_request(prompt, cached, sampled) } else { 0.0 }
        };
        let all: f64 = attempts.iter().map(|attempt| usd(&attempt)).sum();
        let failed = attempts.iter().filter(|attempt| attempt.failure.is_some());
        let failed: f64 = failed.map(|attempt| usd(&attempt)).sum();
        Some(format!(
            " At {} all its requests cost ${}, failed ones ${} of it; no cell is charged for those.",
            price.label(),
            significant(all),
            significant(failed)
        ))
    };
    prices.iter().filter_map(sentence).collect()
}

/// Half, nine and ninety-nine of a hundred of some seconds.
fn percentiles(what: &str, seconds: impl Iterator<Item = f64>) -> String {
    let mut seconds: Vec<f64> = seconds.collect();
    seconds.sort_by(f64::total_cmp);
    let [Some(p50), Some(p90), Some(p99)] = [0.5, 0.9, 0.99].map(|share| quantile(&seconds, share)) else {
        return String::new();
    };
    let [p50, p90, p99] = [p50, p90, p99].map(significant);
    format!("{what} p50 {p50}, p90 {p90}, p99 {p99} s")
}
