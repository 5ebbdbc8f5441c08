//! A server as an engine: any that speaks the OpenAI protocol.
//!
//! Each trajectory is a few requests, one after the other; several trajectories are under way at once. With the served
//! model's tokenizer a thought is sampled piece by piece up to each budget ([`continued`]), and every answer starts from
//! exactly the tokens that a request with that budget would have produced; the server's prefix cache makes that cheap.
//! Without it there is one chat request for each trajectory ([`chat`]), and a sweep may ask only for what that can
//! express. A request that fails for a reason that may pass is tried again ([`client`]); every attempt is reported. What
//! differs between servers is in [`request`] (what they are told) and [`event`] (what they say).

mod chat;
mod client;
mod continued;
mod event;
mod request;
mod said;
mod stream;

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use isocost_harness::cell::Budget;
use isocost_harness::engine::{Activity, Engine, EngineError, Generated, GeneratedAnswer, Job, Settings};
use isocost_harness::request_log::Attempt;
use isocost_harness::server::Server;
use serde_json::{Value, json};

use crate::chat::ChatTemplate;
use crate::conversation::Conversation;
use crate::load::LoadError;
use client::{About, Client};

/// Trajectories that may fail before the server is given up.
const MOST_FAILED: usize = 4;

/// A served model, ready to sample.
pub struct RemoteEngine {
    client: Client,
    server: Server,
    conversation: Option<Conversation>,
    attempts: Option<Sender<Attempt>>,
}

/// One trajectory that is wanted.
struct Wanted<'a> {
    job: &'a Job,
    number: usize,
    trajectory: u32,
    settings: &'a Settings,
}

impl RemoteEngine {
    /// A server at a base URL; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`LoadError`] if the variable that should hold its key does not.
    pub fn new(url: &str, server: &Server, conversation: Option<Conversation>) -> Result<Self, LoadError> {
        Ok(Self { client: Client::new(url, server)?, server: server.clone(), conversation, attempts: None })
    }

    /// Asks for one token, to know now and not at the first problem that nobody answers there.
    ///
    /// # Errors
    /// [`LoadError`] in one line, with what the server said.
    pub fn check(&self) -> Result<(), LoadError> {
        self.client.check().map_err(|message| LoadError::other(&message))
    }

    fn trajectory(&self, wanted: &Wanted, log: &dyn Fn(Attempt)) -> Result<Generated, String> {
        match &self.conversation {
            Some(conversation) if self.server.is_continued() => {
                continued::sample(self, conversation, wanted, log)
            }
            _ => chat::sample(self, wanted, log),
        }
    }
}

/// What identifies a served model in a manifest. Nobody can see its weights.
pub fn facts(server: &Server, conversation: Option<&Conversation>) -> Value {
    let continued = conversation.filter(|_| server.is_continued());
    let budgets = match continued {
        Some(_) => "exact at every budget: its text is continued token by token",
        None => {
            "only what one chat request expresses, and that exactly: whole thoughts, and thoughts cut without an answer"
        }
    };
    let mut facts = json!({ "served_as": server.model, "budgets": budgets });
    if let Some(conversation) = continued {
        let template = conversation.template.as_ref().map(ChatTemplate::sha256).unwrap_or_default();
        facts["template_sha256"] = template.into();
        facts["forced_tokens"] = conversation.forced_tokens().into();
        if let Some(tokens) = conversation.direct_extra_tokens() {
            facts["direct_extra_tokens"] = tokens.into();
        }
    }
    facts
}

impl Engine for RemoteEngine {
    fn sample(
        &mut self,
        jobs: &[Job],
        settings: &Settings,
        sink: &mut dyn FnMut(Generated) -> ControlFlow<()>,
    ) -> Result<Activity, EngineError> {
        let started = Instant::now();
        let all = jobs.iter().enumerate().flat_map(|(number, job)| {
            job.trajectories.iter().map(move |&trajectory| Wanted { job, number, trajectory, settings })
        });
        let all: Vec<Wanted> = all.collect();
        let asked = all.len();
        let (queue, stop) = (Mutex::new(all.into_iter()), AtomicBool::new(false));
        let (engine, log) = (&*self, self.attempts.clone());
        let (mut activity, mut failures) = (Activity::default(), Vec::new());
        std::thread::scope(|scope| {
            let (sender, done) = mpsc::channel();
            for _ in 0..(engine.server.concurrency as usize).min(asked) {
                let (sender, queue, stop, log) = (sender.clone(), &queue, &stop, log.clone());
                scope.spawn(move || {
                    // Nobody listening any more is no reason to stop.
                    let log = |attempt| {
                        if let Some(log) = &log {
                            let _ = log.send(attempt);
                        }
                    };
                    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
                    while let Some(wanted) = next().filter(|_| !stop.load(Ordering::Relaxed)) {
                        if sender.send(engine.trajectory(&wanted, &log)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for result in done {
                match result {
                    Ok(generated) => {
                        activity.sampled_tokens += sampled(&generated);
                        let handing_over = Instant::now();
                        if !stop.load(Ordering::Relaxed) && sink(generated).is_break() {
                            stop.store(true, Ordering::Relaxed);
                        }
                        activity.handing_over_s += handing_over.elapsed().as_secs_f64();
                    }
                    Err(message) => failures.push(message),
                }
                if failures.len() >= MOST_FAILED {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        activity.wall_s = started.elapsed().as_secs_f64();
        match failures.pop() {
            Some(message) => Err(EngineError::Server { failed: failures.len() + 1, asked, message }),
            None => Ok(activity),
        }
    }

    fn report_attempts(&mut self, to: Sender<Attempt>) {
        self.attempts = Some(to);
    }

    fn prompt_tokens(&self, job: &Job) -> Result<usize, EngineError> {
        let message = "only the server can count its tokens".to_owned();
        let unknown = EngineError::Prompt { problem: job.problem.clone(), message };
        self.conversation.as_ref().map_or(Err(unknown), |c| c.encode(job, true).map(|ids| ids.len()))
    }
}

fn sampled(generated: &Generated) -> u64 {
    let answers: u64 = generated.answers.iter().map(|answer| u64::from(answer.answer_tokens)).sum();
    u64::from(generated.reasoning_tokens) + answers
}

/// The completion ends where the budget does.
fn without_answer(
    budget: Budget,
    complete: bool,
    reasoning_tokens: u32,
    reasoning_s: f64,
) -> GeneratedAnswer {
    GeneratedAnswer {
        budget,
        forced: false,
        reasoning_tokens,
        text: String::new(),
        ids: vec![],
        logprobs: vec![],
        answer_tokens: 0,
        complete,
        logprob_sum: None,
        reasoning_s,
        answer_s: 0.0,
    }
}

impl Wanted<'_> {
    fn about(&self, part: &'static str, before_s: Option<f64>) -> About<'_> {
        About { problem: &self.job.problem, trajectory: self.trajectory, part, before_s }
    }
}
