//! Asking: which server, how often, and how long to wait in between.
//!
//! The key is read from the environment, sent, and nowhere else: whatever a server says is cleaned of it before it is
//! looked at.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use isocost_harness::request_log::{Attempt, Counter};
use isocost_harness::server::Server;
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

use super::event::Usage;
use super::stream::{AtTag, Failure, Piece, read, start};
use crate::load::LoadError;

/// Most seconds between two attempts.
const LONGEST_WAIT_S: f64 = 30.0;
/// Most seconds that a server may have a client wait.
const LONGEST_RETRY_AFTER_S: f64 = 600.0;
/// Silence that is as good as none.
const LONGEST_SILENCE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Bytes of an error page that are looked at.
const ERROR_BYTES: u64 = 1 << 16;

/// Several servers of one model, and how they are asked.
pub(super) struct Client {
    agent: Agent,
    servers: Vec<Place>,
    key: Option<String>,
    key_env: Option<String>,
    attempts: u32,
    back_off_s: f64,
}

struct Place {
    url: String,
    under_way: AtomicUsize,
    asked: AtomicUsize,
    /// Failures since it last answered.
    failed: AtomicUsize,
}

/// What a request is about, for its log.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) problem: &'a str,
    pub(super) trajectory: u32,
    pub(super) part: &'static str,
    /// Seconds that the trajectory's thought took before this answer.
    pub(super) before_s: Option<f64>,
}

impl Client {
    pub(super) fn new(url: &str, server: &Server) -> Result<Self, LoadError> {
        let key = server.key_env.as_ref().map(|name| {
            let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty());
            value.map(|value| value.trim().to_owned()).ok_or_else(|| {
                LoadError::other(&format!("{url}: the environment variable {name} holds no key: set it"))
            })
        });
        let silence = Duration::try_from_secs_f64(server.silence_s).unwrap_or(LONGEST_SILENCE);
        let silence = Some(silence.min(LONGEST_SILENCE));
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A key goes to the server that it is meant for and to no other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(silence)
            .timeout_recv_response(silence)
            .timeout_per_read(silence)
            // llama-server says that it keeps connections, and closes them after a stream.
            .max_idle_connections(0)
            .build()
            .new_agent();
        let urls = [url].into_iter().chain(server.mirrors.iter().map(String::as_str));
        let place = |url: &str| Place {
            url: url.trim_end_matches('/').to_owned(),
            under_way: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        };
        Ok(Self {
            agent,
            servers: urls.map(place).collect(),
            key: key.transpose()?,
            key_env: server.key_env.clone(),
            attempts: server.attempts,
            back_off_s: server.back_off_s,
        })
    }

    /// Whether all servers answer at all.
    pub(super) fn check(&self) -> Result<(), String> {
        for place in &self.servers {
            let url = format!("{}/models", place.url);
            let mut request = self.agent.get(&url);
            if let Some(key) = &self.key {
                request = request.header("Authorization", format!("Bearer {key}"));
            }
            let response = request
                .call()
                .map_err(|error| self.clean(format!("{url}: {error}: is the server running?")))?;
            match self.refusal(response) {
                // Not every server lists its models.
                Ok(_) | Err(Failure::Passing(..)) => {}
                Err(Failure::Lasting(message)) if message.starts_with("404") => {}
                Err(Failure::Lasting(message)) => return Err(format!("{url}: {message}")),
            }
        }
        Ok(())
    }

    /// Asks until the answer is whole, or the attempts are used up, or there is no use in asking again. Failed attempts are
    /// logged; of the one that succeeded it is for the caller to say how many tokens it brought.
    pub(super) fn ask(
        &self,
        path: &str,
        body: &Value,
        at_tag: AtTag,
        about: About,
        log: &dyn Fn(Attempt),
    ) -> Result<(Piece, Attempt), String> {
        let prompt_tokens = body["prompt"].as_array().map(|ids| ids.len() as u32);
        let body = body.to_string();
        let mut tried = None;
        for attempt in 1.. {
            let at = self.choose(tried);
            let (place, mut piece) = (&self.servers[at], Piece::default());
            let result =
                place.counting(|| self.once(&format!("{}/{path}", place.url), &body, at_tag, &mut piece));
            let report = reported(&piece, about, attempt, &place.url);
            let report = Attempt { prompt_tokens: report.prompt_tokens.or(prompt_tokens), ..report };
            let (message, wait) = match result {
                Ok(()) => return Ok((piece, report)),
                Err(Failure::Lasting(message)) => (message, None),
                Err(Failure::Passing(message, wait)) => (message, Some(self.wait(wait, attempt))),
            };
            log(failed(report, &message));
            match wait.filter(|_| attempt < self.attempts) {
                Some(wait) => std::thread::sleep(wait),
                None if wait.is_some() => {
                    return Err(format!("{}: {message} (after {attempt} attempts)", place.url));
                }
                None => return Err(format!("{}: {message}", place.url)),
            }
            tried = Some(at);
        }
        unreachable!("attempts are counted from 1 and end")
    }

    /// The server with the fewest requests under way, where each failure since its last answer counts like one, and of several
    /// the one asked least; but another one than failed before, if there is one.
    fn choose(&self, failed: Option<usize>) -> usize {
        let others = (0..self.servers.len()).filter(|at| self.servers.len() == 1 || Some(*at) != failed);
        others.min_by_key(|at| self.servers[*at].load()).unwrap_or(0)
    }

    fn once(&self, url: &str, body: &str, at_tag: AtTag, piece: &mut Piece) -> Result<(), Failure> {
        let started = Instant::now();
        let result = self.stream(url, body, at_tag, started, piece);
        if result.is_err() {
            piece.seconds = started.elapsed().as_secs_f64();
        }
        result
    }

    fn stream(
        &self,
        url: &str,
        body: &str,
        at_tag: AtTag,
        started: Instant,
        piece: &mut Piece,
    ) -> Result<(), Failure> {
        let request = self.agent.post(url).header("Connection", "close");
        let mut request = request.header("Content-Type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let response = request.send(body);
        let response = response.map_err(|error| Failure::Passing(self.clean(error.to_string()), None))?;
        let mut response = self.refusal(response)?;
        let result = read(piece, response.body_mut().as_reader(), started, at_tag, &|line| self.clean(line));
        // A key can come in pieces, too.
        piece.text = self.clean(std::mem::take(&mut piece.text));
        piece.reasoning = self.clean(std::mem::take(&mut piece.reasoning));
        result
    }

    /// The response, unless its status says that there is none.
    fn refusal(&self, mut response: Response<Body>) -> Result<Response<Body>, Failure> {
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response);
        }
        let wait = response.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
        let text = response.body_mut().with_config().limit(ERROR_BYTES).read_to_string().unwrap_or_default();
        let said = start(self.clean(text).trim()).replace(['\n', '\r'], " ");
        let message = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
        match status {
            408 | 409 | 425 | 429 | 500.. => Err(Failure::Passing(message, wait)),
            401 | 403 => {
                let name = self.key_env.as_deref().unwrap_or("the one that key_env names");
                Err(Failure::Lasting(format!("{message}: check the key in the environment variable {name}")))
            }
            _ => Err(Failure::Lasting(message)),
        }
    }

    /// What a server says may hold the key it was sent.
    fn clean(&self, text: String) -> String {
        match &self.key {
            Some(key) if text.contains(key.as_str()) => text.replace(key.as_str(), "[key]"),
            _ => text,
        }
    }

    /// As long as the server says, and some more; else doubling with each attempt. Between half and one and a half times that
    /// mean, so that clients do not come back together.
    fn wait(&self, named: Option<Duration>, attempt: u32) -> Duration {
        let chance = (RandomState::new().build_hasher().finish() >> 11) as f64 / (1u64 << 53) as f64;
        match named {
            Some(named) => named + seconds(self.back_off_s, chance),
            None => seconds(self.back_off_s * f64::from(2u32.saturating_pow(attempt - 1)), 0.5 + chance),
        }
    }
}

/// A share of `mean` seconds, of which no more than [`LONGEST_WAIT_S`] count.
fn seconds(mean: f64, share: f64) -> Duration {
    Duration::from_secs_f64(mean.min(LONGEST_WAIT_S) * share)
}

/// The seconds that a server names, if they are any; it may also name a date, which is not looked at.
fn retry_after(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_RETRY_AFTER_S)).ok()
}

impl Place {
    fn load(&self) -> (usize, usize) {
        let [under_way, failed, asked] =
            [&self.under_way, &self.failed, &self.asked].map(|count| count.load(Ordering::Relaxed));
        (under_way + failed, asked)
    }

    /// Does a request, which is under way meanwhile.
    fn counting(&self, request: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.asked.fetch_add(1, Ordering::Relaxed);
        let result = request();
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        match &result {
            Ok(()) => self.failed.store(0, Ordering::Relaxed),
            Err(_) => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
        }
        result
    }
}

/// A failed attempt may have been charged for what it brought until then.
fn failed(report: Attempt, message: &str) -> Attempt {
    let counted_by = report.counted_by.or((report.pieces > 0).then_some(Counter::Pieces));
    let completion_tokens = report.completion_tokens.or((report.pieces > 0).then_some(report.pieces));
    Attempt { failure: Some(message.to_owned()), completion_tokens, counted_by, ..report }
}

fn reported(piece: &Piece, about: About, attempt: u32, url: &str) -> Attempt {
    let mut gaps = piece.gaps_s.clone();
    gaps.sort_by(f64::total_cmp);
    let gap = |share: f64| {
        gaps.get(((gaps.len() as f64 * share) as usize).min(gaps.len().saturating_sub(1))).copied()
    };
    let usage = piece.usage.as_ref();
    let ttfa_s =
        piece.first_s[1].filter(|_| about.part != "thought").map(|s| s + about.before_s.unwrap_or(0.0));
    Attempt {
        problem: about.problem.to_owned(),
        trajectory: about.trajectory,
        part: about.part.to_owned(),
        attempt,
        server: url.to_owned(),
        failure: None,
        prompt_tokens: usage.map(|usage| usage.prompt_tokens),
        cached_tokens: usage.and_then(Usage::cached_tokens),
        completion_tokens: usage.map(|usage| usage.completion_tokens),
        counted_by: usage.map(|_| Counter::Usage),
        pieces: piece.counts[0] + piece.counts[1],
        ttft_s: piece.first_s[0],
        ttfa_s,
        itl_p50_s: gap(0.5),
        itl_p99_s: gap(0.99),
        e2e_s: piece.seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_when_is_not_asked_before_and_others_after_a_wait_that_doubles() {
        let server: Server = serde_json::from_value(serde_json::json!({ "model": "m" })).unwrap();
        let client = Client::new("http://h/v1", &server).unwrap();
        for (attempt, mean) in [(1, 0.5), (2, 1.0), (3, 2.0), (40, LONGEST_WAIT_S)] {
            let waits: Vec<f64> = (0..50).map(|_| client.wait(None, attempt).as_secs_f64()).collect();
            assert!(waits.iter().all(|s| (0.5 * mean..=1.5 * mean).contains(s)), "{waits:?}");
            assert!(waits.iter().any(|s| *s != waits[0]), "clients would come back together");
        }
        let named = Duration::from_secs(90);
        let waits: Vec<Duration> = (0..50).map(|_| client.wait(Some(named), 1)).collect();
        assert!(waits.iter().all(|wait| *wait >= named && *wait <= named + Duration::from_millis(500)));
    }

    #[test]
    fn what_a_server_or_a_sweep_says_of_time_is_no_reason_to_panic() {
        let named = |text: &str| retry_after(text).map(|wait| wait.as_secs_f64());
        let told = [" 1.5", "-3", "1e300", "inf", "nan", "Wed, 21 Oct 2026 07:28:00 GMT"].map(named);
        assert_eq!(told, [Some(1.5), Some(0.0), Some(600.0), Some(600.0), None, None]);
        let long = serde_json::json!({ "model": "m", "silence_s": 1e20, "back_off_s": 1e20 });
        let client = Client::new("http://h/v1", &serde_json::from_value(long).unwrap()).unwrap();
        let longest = Duration::from_secs_f64(1.5 * LONGEST_WAIT_S);
        assert!(client.wait(None, 40) <= longest && client.wait(Some(Duration::ZERO), 1) <= longest);
    }
}
