//! A streamed answer, as it arrives: lines of server-sent events, each with a piece of text.

use std::io::{BufRead, Read};
use std::time::{Duration, Instant};

use super::event::{Choice, Event, Usage};

/// A server that sends more has lost its mind.
const MOST_BYTES: u64 = 64 << 20;

/// What has arrived of a completion.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The text; of a chat, what is no thought.
    pub(super) text: String,
    /// The thought that a chat server tells apart.
    pub(super) reasoning: String,
    /// Token ids, where the server tells; with those that closed or ended it.
    pub(super) ids: Vec<u32>,
    /// Log-probabilities of as many tokens, where the server tells.
    pub(super) logprobs: Vec<f64>,
    /// `stop` or `length`; absent if the client stopped at the tag it waited for.
    pub(super) finish: Option<String>,
    /// The tag was there; the text ends before it, or begins after it.
    pub(super) closed: bool,
    /// It ended twice: what a proxy sends again is not what the model said.
    ended_twice: bool,
    pub(super) usage: Option<Usage>,
    /// Pieces of the thought and of the text.
    pub(super) counts: [u32; 2],
    /// Pieces of nothing but blanks.
    blanks: u32,
    /// Seconds to the first piece, and to the first that is no thought.
    pub(super) first_s: [Option<f64>; 2],
    pub(super) gaps_s: Vec<f64>,
    pub(super) seconds: f64,
}

/// What is done at the tag that closes a thought.
#[derive(Clone, Copy)]
pub(super) enum AtTag<'a> {
    /// No tag is looked for.
    GoOn,
    /// No more is wanted.
    Stop(&'a str),
    /// What came before is the thought, and what follows the answer.
    Split(&'a str),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may pass; the server may say when.
    Passing(String, Option<Duration>),
    /// It will not.
    Lasting(String),
}

/// Reads a stream to its end, or to the tag where that stops it, into `piece`, which holds what arrived also if that fails.
/// `clean` is applied to every line before anything else.
pub(super) fn read(
    piece: &mut Piece,
    body: impl Read,
    started: Instant,
    at_tag: AtTag,
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
            let length = piece.text.len();
            if piece.take(choice, &mut last, started) && piece.stops(at_tag, length) {
                return Ok(());
            }
        }
    }
    // `transformers serve` ends its streams without the word.
    match piece.finish {
        Some(_) => piece.check(),
        None => Err(passing("the stream broke off before its end".into())),
    }
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
    fn take(&mut self, mut choice: Choice, last: &mut Instant, started: Instant) -> bool {
        let [thought, text] = choice.texts();
        self.ids.extend(choice.ids());
        self.logprobs.extend(choice.logprobs());
        self.ended_twice |= self.finish.is_some() && choice.finish_reason.is_some();
        self.finish = choice.finish_reason.or(self.finish.take());
        let arrived = [!thought.is_empty(), !text.is_empty()];
        if arrived[0] && self.text.trim().is_empty() {
            // What came before a thought stands for its tag.
            self.text.clear();
            self.first_s[1] = None;
        }
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
        self.blanks += u32::from(thought.trim().is_empty() && text.trim().is_empty());
        self.counts[0] += u32::from(arrived[0]);
        self.counts[1] += u32::from(arrived[1]);
        self.reasoning += &thought;
        self.text += &text;
        true
    }

    /// Does what is to be done at the tag, if that has come with what follows `length` bytes; whether that was to stop.
    fn stops(&mut self, at_tag: AtTag, length: usize) -> bool {
        let (AtTag::Stop(tag) | AtTag::Split(tag)) = at_tag else { return false };
        if self.closed || !self.reasoning.is_empty() {
            return false;
        }
        let from = (0..=length.saturating_sub(tag.len())).rev().find(|at| self.text.is_char_boundary(*at));
        let from = from.unwrap_or(0);
        let Some(at) = self.text[from..].find(tag) else { return false };
        let rest = self.text.split_off(from + at).split_off(tag.len());
        self.closed = true;
        if matches!(at_tag, AtTag::Split(_)) {
            self.reasoning = std::mem::replace(&mut self.text, rest);
            // The tag was a piece as well.
            self.counts = [self.counts[1] - 1, 0];
            self.first_s[1] = None;
        }
        matches!(at_tag, AtTag::Stop(_))
    }

    /// A stream that is whole says why it ended, and has no more pieces than tokens.
    fn check(&self) -> Result<(), Failure> {
        // Where a server takes the thought out of the text, it may leave a blank where a tag was.
        let is_taken_out = !self.reasoning.is_empty() && !self.closed;
        let blanks = if is_taken_out { self.blanks } else { 0 };
        let pieces = self.counts[0] + self.counts[1] - blanks;
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
