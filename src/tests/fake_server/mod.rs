//! A small server that speaks the OpenAI protocol, and misbehaves on request.
//!
//! Its model counts: asked to think it says 0 1 2 ... 9 and closes its thought, asked to answer it says 7. What it does
//! depends on the prompt alone, so whatever goes wrong on the way, the records must come out the same.

// Each test crate uses a part of it.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Ids of the bundled vocabulary: `<think>`, `</think>`, and 0.
const THINK: u64 = 2;
const CLOSE: u64 = 3;
const ZERO: u64 = 20;
/// Tokens of its thought.
const THOUGHT: usize = 10;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// `429 Too Many Requests`, and the request's key in the body.
    TooMany,
    /// `500`, and the request's key in the body.
    Broken,
    /// Headers and a piece, then silence.
    Stalls,
    /// A line that is no event.
    Garbage,
    /// An event that is no JSON, with the request's key in it.
    GarbageEvent,
    /// The connection is closed in the middle.
    ClosesHalfWay,
    /// The connection is closed at once.
    ClosesAtOnce,
    /// Every piece comes twice.
    RepeatsPieces,
    /// An error in the stream, with the request's key in it.
    ErrorEvent,
    /// `401`, and the request's key in the body.
    Refuses,
}

/// A running server.
pub(crate) struct FakeServer {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    troubles: VecDeque<Trouble>,
    always: Option<Trouble>,
    without_usage: bool,
    reasoning_field: bool,
    requests: Vec<(String, Value)>,
}

impl FakeServer {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { reasoning_field: true, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The next completions meet these, one each.
    pub(crate) fn next(&self, troubles: &[Trouble]) {
        self.state.lock().unwrap().troubles = troubles.iter().copied().collect();
    }

    /// All completions meet this.
    pub(crate) fn always(&self, trouble: Trouble) {
        self.state.lock().unwrap().always = Some(trouble);
    }

    /// Whatever went wrong is over.
    pub(crate) fn recovers(&self) {
        self.state.lock().unwrap().always = None;
    }

    /// It no longer counts tokens.
    pub(crate) fn counts_nothing(&self) {
        self.state.lock().unwrap().without_usage = true;
    }

    /// Thoughts of a chat come between tags.
    pub(crate) fn thinks_in_tags(&self) {
        self.state.lock().unwrap().reasoning_field = false;
    }

    /// Path and body of every completion asked for.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((path, headers, body)) = request(&mut reader) {
        let mut stream = stream.try_clone().unwrap();
        if path.ends_with("/models") {
            let _ = stream.write_all(&response("200 OK", r#"{"data":[]}"#));
            continue;
        }
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (trouble, without_usage, reasoning_field) = {
            let mut state = state.lock().unwrap();
            state.requests.push((path.clone(), body.clone()));
            (state.always.or(state.troubles.pop_front()), state.without_usage, state.reasoning_field)
        };
        let mut events = if path.ends_with("/chat/completions") {
            chat(&body, reasoning_field)
        } else {
            completion(&body)
        };
        if without_usage {
            events.iter_mut().for_each(|event| drop(event.as_object_mut().unwrap().remove("usage")));
        }
        if !write(&mut stream, &events, trouble, &headers) {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String, Vec<u8>)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        if line.to_ascii_lowercase().starts_with("authorization") {
            headers = line.trim().to_owned();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, headers, body))
}

fn response(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nRetry-After: 0\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Writes the events of a stream, or what goes wrong with it; whether the connection is still of use.
fn write(stream: &mut TcpStream, events: &[Value], trouble: Option<Trouble>, headers: &str) -> bool {
    let said = json!({ "error": { "message": format!("you sent {headers}") } }).to_string();
    let status = match trouble {
        Some(Trouble::TooMany) => Some("429 Too Many Requests"),
        Some(Trouble::Broken) => Some("500 Internal Server Error"),
        Some(Trouble::Refuses) => Some("401 Unauthorized"),
        Some(Trouble::ClosesAtOnce) => return false,
        _ => None,
    };
    if let Some(status) = status {
        return stream.write_all(&response(status, &said)).is_ok();
    }
    let mut lines: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    lines.push("data: [DONE]\n\n".into());
    match trouble {
        Some(Trouble::Garbage) => lines.insert(1, "<html>a proxy speaks</html>\n".into()),
        Some(Trouble::GarbageEvent) => lines.insert(1, format!("data: {{ {headers}\n\n")),
        Some(Trouble::ErrorEvent) => lines.insert(1, format!("data: {said}\n\n")),
        Some(Trouble::RepeatsPieces) => {
            lines = lines.iter().flat_map(|line| [line.clone(), line.clone()]).collect()
        }
        Some(Trouble::ClosesHalfWay | Trouble::Stalls) => lines.truncate(1),
        _ => {}
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    let written = stream.write_all((head.to_owned() + &lines.concat()).as_bytes());
    if trouble == Some(Trouble::Stalls) {
        std::thread::sleep(Duration::from_secs(6));
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    drop(written);
    false
}

/// What the model says after these token ids, `</think>` as words.
fn words(prompt: &[u64]) -> Vec<String> {
    let opened = prompt.iter().position(|id| *id == THINK).unwrap();
    let thought = &prompt[opened + 1..];
    if thought.contains(&CLOSE) {
        return vec![" 7".into()];
    }
    let rest = (thought.len()..THOUGHT).map(|number| format!(" {number}"));
    // A thought that was sent back differently would be told here.
    assert!(thought.iter().enumerate().all(|(at, id)| *id == ZERO + at as u64), "{thought:?}");
    rest.chain(["</think>".into(), " 7".into()]).collect()
}

fn completion(body: &Value) -> Vec<Value> {
    let prompt: Vec<u64> = body["prompt"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    let most = body["max_tokens"].as_u64().unwrap() as usize;
    let said = words(&prompt);
    let is_cut = said.len() >= most;
    let tokens = said.len().min(most) + usize::from(!is_cut);
    let text = |word: &String| json!({ "choices": [{ "text": word, "index": 0 }] });
    let mut events: Vec<Value> = said.iter().take(most).map(text).collect();
    let reason = if is_cut { "length" } else { "stop" };
    events.push(json!({ "choices": [{ "text": "", "finish_reason": reason }] }));
    events.push(
        json!({ "choices": [], "usage": { "prompt_tokens": prompt.len(), "completion_tokens": tokens } }),
    );
    events
}

fn chat(body: &Value, reasoning_field: bool) -> Vec<Value> {
    assert_eq!(body["messages"].as_array().unwrap().last().unwrap()["role"], "user");
    let most = body["max_tokens"].as_u64().unwrap_or(1000) as usize;
    let delta = |field: &str, word: &str| json!({ "choices": [{ "delta": { field: word }, "index": 0 }] });
    let thought: Vec<String> = (0..THOUGHT).map(|number| format!(" {number}")).collect();
    let (open, close) = if reasoning_field { (vec![], vec![]) } else { (vec!["<think>"], vec!["</think>"]) };
    let field = if reasoning_field { "reasoning_content" } else { "content" };
    let words = thought.iter().map(|word| delta(field, word));
    let tags = |tags: Vec<&str>| tags.iter().map(|tag| delta("content", tag)).collect::<Vec<_>>();
    let said: Vec<Value> =
        tags(open).into_iter().chain(words).chain(tags(close)).chain([delta("content", " 7")]).collect();
    let is_cut = said.len() >= most;
    let tokens = said.len().min(most) + usize::from(!is_cut);
    let mut events: Vec<Value> = said.into_iter().take(most).collect();
    let reason = if is_cut { "length" } else { "stop" };
    events.push(json!({ "choices": [{ "delta": {}, "finish_reason": reason }] }));
    let details = json!({ "reasoning_tokens": THOUGHT.min(tokens) });
    let usage =
        json!({ "prompt_tokens": 12, "completion_tokens": tokens, "completion_tokens_details": details });
    events.push(json!({ "choices": [], "usage": usage }));
    events
}
