//! A streamed answer, as it arrives: lines of server-sent events, each with a piece of text.

use std::io::{BufRead, Read};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// A server that sends more has lost its mind.
const MOST_BYTES: u64 = 64 << 20;

/// What has arrived of a completion.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The text; of a chat, what is no thought.
    pub(super) text: String,
    /// The thought that a chat server tells apart.
    pub(super) reasoning: String,
    /// Token ids, where the server tells.
    pub(super) ids: Vec<u32>,
    /// `stop` or `length`; absent if the client stopped at the tag it waited for.
    pub(super) finish: Option<String>,
    /// The tag was there; the text ends before it.
    pub(super) closed: bool,
    /// It ended twice: what a proxy sends again is not what the model said.
    ended_twice: bool,
    pub(super) usage: Option<Usage>,
    /// Pieces of the thought and of the text.
    pub(super) counts: [u32; 2],
    /// Seconds to the first piece, and to the first that is no thought.
    pub(super) first_s: [Option<f64>; 2],
    pub(super) gaps_s: Vec<f64>,
    pub(super) seconds: f64,
}

/// Tokens as the server counts them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: u32,
    #[serde(default)]
    pub(super) completion_tokens: u32,
    #[serde(default)]
    completion_tokens_details: Option<Details>,
}

#[derive(Clone, Debug, Deserialize)]
struct Details {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
}

impl Usage {
    pub(super) fn reasoning_tokens(&self) -> Option<u32> {
        self.completion_tokens_details.as_ref()?.reasoning_tokens
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may pass; the server may say when.
    Passing(String, Option<Duration>),
    /// It will not.
    Lasting(String),
}

/// One event.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    token_ids: Option<Vec<u32>>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default, alias = "reasoning")]
    reasoning_content: Option<String>,
}

/// Reads a stream to its end, or to `tag`, into `piece`, which holds what arrived also if that fails. `clean` is applied to
/// every line before anything else.
pub(super) fn read(
    piece: &mut Piece,
    body: impl Read,
    started: Instant,
    tag: Option<&str>,
    clean: &dyn Fn(String) -> String,
) -> Result<(), Failure> {
    let mut last = started;
    for line in std::io::BufReader::new(body.take(MOST_BYTES)).lines() {
        let line = clean(line.map_err(|error| passing(format!("the stream broke off ({error})")))?);
        piece.seconds = started.elapsed().as_secs_f64();
        let Some(data) = line.strip_prefix("data:").map(str::trim) else {
            let is_quiet = line.is_empty() || line.starts_with(':') || is_field(&line);
            if is_quiet {
                continue;
            } else {
                return Err(passing(format!("no stream of events: {}", start(&line))));
            }
        };
        if data == "[DONE]" {
            return piece.check();
        }
        let event: Event = serde_json::from_str(data)
            .map_err(|_| passing(format!("an event that is no completion: {}", start(data))))?;
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            return Err(passing(format!("an error in the stream: {}", start(&error.to_string()))));
        }
        piece.usage = event.usage.or(piece.usage.take());
        for choice in event.choices {
            if piece.take(choice, &mut last, started) && tag.is_some_and(|tag| piece.cut_at(tag)) {
                return Ok(());
            }
        }
    }
    Err(passing("the stream broke off before its end".into()))
}

/// The other fields of server-sent events.
fn is_field(line: &str) -> bool {
    ["event:", "id:", "retry:"].iter().any(|field| line.starts_with(field))
}

fn passing(message: String) -> Failure {
    Failure::Passing(message, None)
}

/// The first words of something unexpected.
pub(super) fn start(text: &str) -> String {
    text.chars().take(160).collect()
}

impl Piece {
    /// Takes what an event brought; whether that was any text.
    fn take(&mut self, choice: Choice, last: &mut Instant, started: Instant) -> bool {
        let delta = choice.delta.unwrap_or_default();
        let thought = delta.reasoning_content.unwrap_or_default();
        let text = choice.text.or(delta.content).unwrap_or_default();
        self.ended_twice |= self.finish.is_some() && choice.finish_reason.is_some();
        self.finish = choice.finish_reason.or(self.finish.take());
        self.ids.extend(choice.token_ids.unwrap_or_default());
        let arrived = [!thought.is_empty(), !text.is_empty()];
        if arrived == [false, false] {
            return false;
        }
        let is_first = self.first_s[0].is_none();
        let now = Instant::now();
        if !is_first {
            self.gaps_s.push(now.duration_since(*last).as_secs_f64());
        }
        *last = now;
        let seconds = now.duration_since(started).as_secs_f64();
        self.first_s[0].get_or_insert(seconds);
        if arrived[1] {
            self.first_s[1].get_or_insert(seconds);
        }
        self.counts[0] += u32::from(arrived[0]);
        self.counts[1] += u32::from(arrived[1]);
        self.reasoning += &thought;
        self.text += &text;
        true
    }

    /// Whether the tag has come; what follows it is forgotten.
    fn cut_at(&mut self, tag: &str) -> bool {
        let Some(at) = self.text.find(tag) else { return false };
        self.text.truncate(at);
        self.closed = true;
        true
    }

    /// A stream that is whole says why it ended, and has no more pieces than tokens.
    fn check(&self) -> Result<(), Failure> {
        let pieces = self.counts[0] + self.counts[1];
        match (&self.finish, &self.usage) {
            (None, _) => Err(passing("the stream ended without a reason".into())),
            _ if self.ended_twice => {
                Err(passing("the stream ended twice: it holds pieces more than once".into()))
            }
            (_, Some(usage)) if pieces > usage.completion_tokens => Err(passing(format!(
                "{pieces} pieces of text for {} tokens: some came twice",
                usage.completion_tokens
            ))),
            _ => Ok(()),
        }
    }
}
