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
mod queue;
mod request;
mod said;
mod stream;

use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use isocost_harness::cell::Budget;
use isocost_harness::engine::{
    Activity, Engine, EngineError, Generated, GeneratedAnswer, Job, Settings, Sink,
};
use isocost_harness::request_log::Attempt;
use isocost_harness::server::Server;
use serde_json::{Value, json};

use crate::chat::ChatTemplate;
use crate::conversation::Conversation;
use crate::load::LoadError;
use client::{About, Client};
use queue::{Collected, Queue};

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

    /// Asks for one trajectory after the other, as long as any is wanted and anybody takes them.
    fn work(
        &self,
        queue: &Queue,
        done: &Sender<Result<Generated, String>>,
        attempts: Option<&Sender<Attempt>>,
    ) {
        let log = |attempt| {
            // Nobody listening any more is no reason to stop.
            if let Some(to) = attempts {
                let _ = to.send(attempt);
            }
        };
        while let Some(wanted) = queue.next() {
            if done.send(self.trajectory(&wanted, &log)).is_err() {
                return;
            }
        }
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
        sink: &mut Sink,
    ) -> Result<Activity, EngineError> {
        let (started, engine) = (Instant::now(), &*self);
        let (queue, mut collected) = (Queue::new(jobs, settings), Collected::default());
        std::thread::scope(|scope| {
            let (sender, done) = mpsc::channel();
            for _ in 0..(engine.server.concurrency as usize).min(queue.asked) {
                let (queue, sender, log) = (&queue, sender.clone(), engine.attempts.clone());
                scope.spawn(move || engine.work(queue, &sender, log.as_ref()));
            }
            drop(sender);
            done.into_iter().for_each(|result| collected.take(result, &queue, sink));
        });
        let Collected { mut activity, mut failures } = collected;
        activity.wall_s = started.elapsed().as_secs_f64();
        match failures.pop() {
            Some(message) => {
                Err(EngineError::Server { failed: failures.len() + 1, asked: queue.asked, message })
            }
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
