//! An engine in a process of its own.
//!
//! What [`crate::crew`] asks comes in as a line of JSON each, and what the engine gives goes out as lines: steps and
//! trajectories as they happen, then what the device did. A worker whose lines nobody reads any more stops by itself.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::sync::mpsc;

use isocost_harness::engine::{Activity, Engine, Generated, Job, Settings};
use isocost_harness::step::Step;
use serde::{Deserialize, Serialize};

use crate::source::Source;

/// What a worker is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// To load a model; the first request, and only that.
    Load(Load),
    /// To sample.
    Sample {
        /// What of.
        jobs: Vec<Job>,
        /// How.
        settings: Settings,
    },
}

/// A model to load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Where it is on this machine.
    pub source: Source,
    /// Rows of a batch that are wanted, as many as fit.
    pub rows: usize,
    /// Most tokens of a row.
    pub row_tokens: usize,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The model is loaded, with so many rows.
    Loaded(usize),
    /// A step was made.
    Step(Step),
    /// A trajectory is complete; its job is counted within the request.
    Generated(Generated),
    /// All that was asked is done.
    Done(Activity),
    /// It cannot be done, and why.
    Failed(String),
}

/// Reads one request; none at the end of the input.
///
/// # Errors
/// What is wrong with the line or the pipe.
pub fn read_request(input: &mut impl BufRead) -> Result<Option<Request>, String> {
    let mut line = String::new();
    match input.read_line(&mut line) {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_str(&line).map(Some).map_err(|error| format!("no request: {error}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes one reply as a line.
///
/// # Errors
/// As the pipe says.
pub fn write_reply(output: &mut impl Write, reply: &Reply) -> std::io::Result<()> {
    let line = serde_json::to_string(reply).expect("a reply is plain data") + "\n";
    output.write_all(line.as_bytes()).and_then(|()| output.flush())
}

/// Samples what is asked with `engine` until the input ends.
///
/// # Errors
/// What is wrong with a request or a pipe.
pub fn serve(
    engine: &mut dyn Engine,
    input: &mut impl BufRead,
    output: &mut (impl Write + Send),
) -> Result<(), String> {
    let (sender, made) = mpsc::channel();
    engine.report_steps(sender);
    let mut steps = std::iter::from_fn(move || made.try_recv().ok().map(Reply::Step));
    while let Some(request) = read_request(input)? {
        let Request::Sample { jobs, settings } = request else { return Err("a second model".into()) };
        let mut written = Ok(());
        let sampled = engine.sample(&jobs, &settings, &mut |generated| {
            let mut replies = steps.by_ref().chain([Reply::Generated(generated)]);
            written = replies.try_for_each(|reply| write_reply(output, &reply));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let last = sampled.map_or_else(|error| Reply::Failed(error.to_string()), Reply::Done);
        let mut replies = steps.by_ref().chain([last]);
        written
            .and_then(|()| replies.try_for_each(|reply| write_reply(output, &reply)))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
