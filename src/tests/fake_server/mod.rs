//! A small server that speaks the OpenAI protocol in the dialect of one server or another, and misbehaves on request.
//!
//! Its model counts: asked to think it says 0 1 2 ... 9 and closes its thought, asked to answer it says 7. What it does
//! depends on the prompt alone, so whatever goes wrong on the way, the records must come out the same.

// Each test crate uses a part of it.
#![allow(dead_code)]

mod dialect;
mod trouble;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

#[allow(unused_imports)]
pub(crate) use dialect::{Dialect, LOGPROB};
#[allow(unused_imports)]
pub(crate) use trouble::{PASSING, Trouble};

/// A running server.
pub(crate) struct FakeServer {
    url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    troubles: VecDeque<Trouble>,
    always: Option<Trouble>,
    dialect: Dialect,
    /// Tokens of its thought.
    thought: usize,
    /// Time between two events.
    pace: Duration,
    requests: Vec<(String, Value)>,
    keeps_requests: bool,
    under_way: usize,
    most_under_way: usize,
}

impl FakeServer {
    /// Starts one on a free port, which speaks plainly.
    pub(crate) fn start() -> Self {
        Self::speaking(Dialect::plain())
    }

    pub(crate) fn speaking(dialect: Dialect) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            troubles: VecDeque::new(),
            always: None,
            dialect,
            thought: 10,
            pace: Duration::ZERO,
            requests: vec![],
            keeps_requests: true,
            under_way: 0,
            most_under_way: 0,
        }));
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

    /// All completions meet this, or nothing any more.
    pub(crate) fn always(&self, trouble: Option<Trouble>) {
        self.state.lock().unwrap().always = trouble;
    }

    /// Events come this long after each other.
    pub(crate) fn paced(self, pace: Duration) -> Self {
        self.state.lock().unwrap().pace = pace;
        self
    }

    /// Its thoughts have so many tokens, at most 100, and it forgets what it was asked.
    pub(crate) fn thinking_long(self, tokens: usize) -> Self {
        let mut state = self.state.lock().unwrap();
        (state.thought, state.keeps_requests) = (tokens, false);
        drop(state);
        self
    }

    /// Path and body of every completion asked for.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Most requests at one time.
    pub(crate) fn most_under_way(&self) -> usize {
        self.state.lock().unwrap().most_under_way
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = request(&mut reader) {
        if request.path.ends_with("/models") {
            let _ = stream.write_all(&response("200 OK", r#"{"data":[]}"#));
            continue;
        }
        if !answer(&mut stream, request, state) {
            return;
        }
    }
}

/// Answers a request; whether the connection is still of use.
fn answer(stream: &mut TcpStream, request: Request, state: &Mutex<State>) -> bool {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let (trouble, dialect, thought, pace) = {
        let mut state = state.lock().unwrap();
        if state.keeps_requests {
            state.requests.push((request.path.clone(), body.clone()));
        }
        state.under_way += 1;
        state.most_under_way = state.most_under_way.max(state.under_way);
        (state.always.or(state.troubles.pop_front()), state.dialect, state.thought, state.pace)
    };
    let events = if request.path.ends_with("/chat/completions") {
        dialect.chat(&body, thought)
    } else {
        dialect.completion(&body, thought)
    };
    let under_way = UnderWay(state);
    match trouble {
        Some(trouble) => trouble.write(stream, &events, &request.authorization),
        None => stream_events(stream, &events, dialect.last_word(), pace, under_way).is_ok(),
    }
}

/// A request under way, as long as it lives.
struct UnderWay<'a>(&'a Mutex<State>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().under_way -= 1;
    }
}

/// Writes the events of a stream one by one, each as a chunk. Who reads the last one may ask again at once, so the request is over
/// before that.
fn stream_events(
    stream: &mut TcpStream,
    events: &[Value],
    last: Option<String>,
    pace: Duration,
    under_way: UnderWay,
) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    let mut under_way = Some(under_way);
    let mut events = events.iter().map(Value::to_string).chain(last).peekable();
    while let Some(event) = events.next() {
        std::thread::sleep(pace);
        under_way = under_way.filter(|_| events.peek().is_some());
        let line = format!("data: {event}\n\n");
        stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())?;
    }
    stream.write_all(b"0\r\n\r\n")
}

struct Request {
    path: String,
    authorization: String,
    body: Vec<u8>,
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut authorization, mut length) = (String::new(), 0);
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
            authorization = line.trim().to_owned();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, authorization, body })
}

fn response(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nRetry-After: 0\r\n\r\n{body}", body.len())
        .into_bytes()
}
