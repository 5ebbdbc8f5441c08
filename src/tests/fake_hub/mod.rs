//! A stand-in for the network: a server that speaks the hub's language over real files.
//!
//! It knows the two calls that a download needs: `/api/KIND/OWNER/NAME/revision/REVISION` lists a repository at a commit,
//! `/OWNER/NAME/resolve/REVISION/FILE` gives a file, large ones by a redirect to another address. It takes uploads too
//! ([`uploads`]). And it can misbehave in the ways that networks do.

mod uploads;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use sha2::Digest;

/// The only token that the hub knows.
pub(crate) const TOKEN: &str = "hf_SecretSecretSecret";

/// A repository at its only commit.
#[derive(Clone, Default)]
pub(crate) struct Repository {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Conditions have to be accepted, which nobody did.
    pub(crate) gated: bool,
}

/// How large files are served.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The next so many answers break off in their middle.
    BreakOff { answers: usize },
    /// Answers break off in their middle, and after the first there are none.
    BreakOffForGood,
    /// Parts are refused: whatever is asked for, the whole is sent.
    IgnoreRanges { break_off: usize },
    /// One byte of the content is wrong.
    Damage,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    /// Large files that were put here, by sha256.
    large: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    /// Method, path and range of every request.
    log: Vec<String>,
    shown_token: bool,
}

/// A running server; it ends with the process.
pub(crate) struct FakeHub {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct Request {
    method: String,
    path: String,
    from: Option<usize>,
    to: Option<usize>,
    token: Option<String>,
    body: Vec<u8>,
}

impl FakeHub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, base) = (state.clone(), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, base) = (shared.clone(), base.clone());
                std::thread::spawn(move || answer(stream, &state, &base));
            }
        });
        Self { address, state }
    }

    /// Publishes a repository: `models/OWNER/NAME` or `datasets/OWNER/NAME`.
    pub(crate) fn publish(&self, name: &str, repository: Repository) {
        self.state.lock().unwrap().repositories.insert(name.to_owned(), repository);
    }

    pub(crate) fn misbehave(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    /// A repository as it is now, if it is there.
    pub(crate) fn repository(&self, name: &str) -> Option<Repository> {
        self.state.lock().unwrap().repositories.get(name).cloned()
    }

    /// Whether a token was ever sent.
    pub(crate) fn saw_a_token(&self) -> bool {
        self.state.lock().unwrap().shown_token
    }
}

impl Repository {
    /// A folder's files at a commit of 40 times the same digit.
    pub(crate) fn of_folder(folder: &Path, digit: char) -> Self {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let files = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
        Self { commit: digit.to_string().repeat(40), files: files.collect(), gated: false }
    }

    /// With one more file.
    pub(crate) fn with(mut self, name: &str, content: &[u8]) -> Self {
        self.files.insert(name.to_owned(), content.to_vec());
        self
    }

    /// Without a file.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.files.remove(name).unwrap();
        self
    }
}

/// Content of which the hub keeps a pointer in git and the rest elsewhere.
fn is_large(content: &[u8]) -> bool {
    content.len() > 50_000
}

fn hex(digest: impl IntoIterator<Item = u8>) -> String {
    digest.into_iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(content: &[u8]) -> String {
    hex(sha2::Sha256::digest(content))
}

fn git_hash(content: &[u8]) -> String {
    let head = format!("blob {}\0", content.len());
    hex(sha1::Sha1::digest([head.as_bytes(), content].concat()))
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut request = Request { method: words.next()?, path: words.next()?, ..Request::default() };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "authorization" => request.token = Some(value.trim_start_matches("Bearer ").to_owned()),
            "content-length" => request.body.resize(value.parse().ok()?, 0),
            "range" => {
                let (from, to) = value.trim_start_matches("bytes=").split_once('-')?;
                (request.from, request.to) = (from.parse().ok(), to.parse().ok());
            }
            _ => {}
        }
    }
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn answer(stream: TcpStream, state: &Mutex<State>, base: &str) {
    let Some(request) = read_request(&stream) else { return };
    let mut state = state.lock().unwrap();
    let range = request.from.map_or("whole".into(), |from| format!("from {from}"));
    let is_probe = request.to == Some(0);
    if !is_probe {
        state.log.push(format!("{} {range}", request.path));
    }
    state.shown_token |= request.token.is_some();
    if request.method != "GET" && request.method != "HEAD" {
        return uploads::receive(stream, &mut state, &request, base);
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts[..] {
        ["api", kind, owner, name, "revision", revision] => {
            assert_eq!(query, "blobs=true");
            list(stream, &state, &request, &format!("{kind}/{owner}/{name}"), revision);
        }
        ["cdn", hash] => {
            let content = state.repositories.values().flat_map(|r| r.files.values());
            let content = content.into_iter().find(|content| sha256(content) == hash).cloned();
            serve_large(stream, &mut state, &request, content.unwrap());
        }
        ["datasets", owner, name, "resolve", commit, ..] => {
            let file = parts[5..].join("/");
            resolve(stream, &state, &request, &format!("datasets/{owner}/{name}"), commit, &file, base);
        }
        [owner, name, "resolve", commit, ..] => {
            let file = parts[4..].join("/");
            resolve(stream, &state, &request, &format!("models/{owner}/{name}"), commit, &file, base);
        }
        _ => respond(stream, 404, &[], b"what?"),
    }
}

fn list(stream: TcpStream, state: &State, request: &Request, name: &str, revision: &str) {
    if request.token.as_ref().is_some_and(|token| token != TOKEN) {
        return respond(
            stream,
            401,
            &[("X-Error-Message", "Invalid credentials in Authorization header")],
            b"",
        );
    }
    let Some(repository) = state.repositories.get(name) else {
        let status = if request.token.is_some() { 404 } else { 401 };
        return respond(stream, status, &[("X-Error-Code", "RepoNotFound")], b"");
    };
    if revision != "main" && revision != repository.commit {
        return respond(stream, 404, &[("X-Error-Code", "RevisionNotFound")], b"");
    }
    let file = |(name, content): (&String, &Vec<u8>)| {
        let mut file = json!({ "rfilename": name, "size": content.len(), "blobId": git_hash(content) });
        if is_large(content) {
            file["lfs"] = json!({ "sha256": sha256(content), "size": content.len(), "pointerSize": 134 });
        }
        file
    };
    let gated = if repository.gated { json!("manual") } else { json!(false) };
    let files: Vec<_> = repository.files.iter().map(file).collect();
    let body = json!({ "id": name, "sha": repository.commit, "gated": gated, "siblings": files });
    respond(stream, 200, &[("Content-Type", "application/json")], body.to_string().as_bytes());
}

fn resolve(
    stream: TcpStream,
    state: &State,
    request: &Request,
    name: &str,
    commit: &str,
    file: &str,
    base: &str,
) {
    let repository = &state.repositories[name];
    assert_eq!(commit, repository.commit, "files are asked for at a commit, not at a branch");
    if repository.gated {
        let status = if request.token.is_some() { 403 } else { 401 };
        return respond(stream, status, &[("X-Error-Code", "GatedRepo")], b"");
    }
    let content = &repository.files[file];
    if is_large(content) {
        let hash = sha256(content);
        let (place, tag) = (format!("{base}/cdn/{hash}"), format!("\"{hash}\""));
        let head = [
            ("Location", place.as_str()),
            ("X-Repo-Commit", commit),
            ("X-Linked-Etag", &tag),
            ("ETag", "\"x\""),
        ];
        return respond(stream, 302, &head, b"");
    }
    let tag = format!("\"{}\"", git_hash(content));
    send(stream, request, content, &[("X-Repo-Commit", commit), ("ETag", &tag)], usize::MAX);
}

/// A large file, with the fault that is due. Probes for the size always succeed.
fn serve_large(stream: TcpStream, state: &mut State, request: &Request, mut content: Vec<u8>) {
    let half = content.len() / 2;
    if request.to == Some(0) {
        return send(stream, request, &content, &[], usize::MAX);
    }
    match state.fault {
        Fault::None => send(stream, request, &content, &[], usize::MAX),
        Fault::BreakOff { answers: 0 } => send(stream, request, &content, &[], usize::MAX),
        Fault::BreakOff { answers } => {
            state.fault = Fault::BreakOff { answers: answers - 1 };
            send(stream, request, &content, &[], half / 2);
        }
        Fault::BreakOffForGood if request.from == Some(0) => send(stream, request, &content, &[], half),
        Fault::BreakOffForGood => respond(stream, 503, &[], b""),
        Fault::IgnoreRanges { break_off } => {
            state.fault = Fault::IgnoreRanges { break_off: break_off.saturating_sub(1) };
            let whole = Request::default();
            send(stream, &whole, &content, &[], if break_off > 0 { half } else { usize::MAX });
        }
        Fault::Damage => {
            content[half] ^= 1;
            send(stream, request, &content, &[], usize::MAX);
        }
    }
}

/// The part of a content that was asked for, of which at most `most` bytes are sent.
fn send(stream: TcpStream, request: &Request, content: &[u8], head: &[(&str, &str)], most: usize) {
    let from = request.from.unwrap_or(0);
    if from >= content.len() {
        return respond(stream, 416, &[], b"");
    }
    let end = request.to.map_or(content.len(), |to| (to + 1).min(content.len()));
    let part = &content[from..end];
    let (length, range) = (part.len().to_string(), format!("bytes {from}-{}/{}", end - 1, content.len()));
    let mut head = head.to_vec();
    head.push(("Content-Length", &length));
    if request.from.is_some() {
        head.push(("Content-Range", &range));
    }
    write(stream, if request.from.is_some() { 206 } else { 200 }, &head, &part[..part.len().min(most)]);
}

fn respond(stream: TcpStream, status: u16, head: &[(&str, &str)], body: &[u8]) {
    let length = body.len().to_string();
    write(stream, status, &[head, &[("Content-Length", &length)]].concat(), body);
}

fn write(mut stream: TcpStream, status: u16, head: &[(&str, &str)], body: &[u8]) {
    let lines: String = head.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} Status\r\n{lines}Connection: close\r\n\r\n");
    // A client that has gone away is its own business.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}
