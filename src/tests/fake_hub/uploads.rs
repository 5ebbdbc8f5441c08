//! The calls that an upload needs: create, preupload, git-LFS's batch, putting large files, commit.

use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Repository, Request, State, TOKEN, is_large, respond, sha256};

/// Answers a request that sends something.
pub(super) fn receive(stream: TcpStream, state: &mut State, request: &Request, base: &str) {
    let path = request.path.trim_start_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    if let ["put", oid] = parts[..] {
        assert!(request.token.is_none(), "the token goes to the hub alone");
        assert_eq!(sha256(&request.body), oid);
        state.large.insert(oid.to_owned(), request.body.clone());
        return respond(stream, 200, &[], b"");
    }
    if request.token.as_deref() != Some(TOKEN) {
        return respond(stream, 401, &[], br#"{"error":"Invalid username or password."}"#);
    }
    let (status, answer) = match parts[..] {
        ["api", "repos", "create"] => create(state, &body(request)),
        ["api", "datasets", _, _, "preupload", "main"] => (200, modes(&body(request))),
        ["datasets", _, _, "info", "lfs", "objects", "batch"] => (200, batch(state, &body(request), base)),
        ["api", "datasets", owner, name, "commit", "main"] => {
            commit(state, &format!("datasets/{owner}/{name}"), &request.body);
            (200, json!({ "commitOid": "c".repeat(40) }))
        }
        _ => (404, json!({ "error": "what?" })),
    };
    respond(stream, status, &[("Content-Type", "application/json")], answer.to_string().as_bytes());
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn create(state: &mut State, asked: &Value) -> (u16, Value) {
    let text = |key: &str| asked[key].as_str().unwrap().to_owned();
    assert_eq!(text("type"), "dataset");
    let name = format!("datasets/{}/{}", text("organization"), text("name"));
    if state.repositories.contains_key(&name) {
        return (409, json!({ "error": "You already created this dataset repo" }));
    }
    state.repositories.insert(name, Repository { commit: "b".repeat(40), ..Repository::default() });
    (200, json!({ "url": "somewhere" }))
}

fn modes(asked: &Value) -> Value {
    let mode = |file: &Value| {
        let size = file["size"].as_u64().unwrap() as usize;
        assert!(BASE64_STANDARD.decode(file["sample"].as_str().unwrap()).unwrap().len() == size.min(512));
        let is_lfs = is_large(&vec![0; size]) || file["path"].as_str().unwrap().ends_with(".parquet");
        json!({ "path": file["path"], "uploadMode": if is_lfs { "lfs" } else { "regular" }, "shouldIgnore": false })
    };
    json!({ "files": asked["files"].as_array().unwrap().iter().map(mode).collect::<Vec<_>>() })
}

/// What is there already needs no action.
fn batch(state: &State, asked: &Value, base: &str) -> Value {
    let object = |object: &Value| {
        let oid = object["oid"].as_str().unwrap();
        let mut answer = object.clone();
        if !state.large.contains_key(oid) {
            answer["actions"] =
                json!({ "upload": { "href": format!("{base}/put/{oid}"), "header": { "X-Put": "yes" } } });
        }
        answer
    };
    json!({ "transfer": "basic", "objects": asked["objects"].as_array().unwrap().iter().map(object).collect::<Vec<_>>() })
}

fn commit(state: &mut State, name: &str, lines: &[u8]) {
    let lines: Vec<Value> =
        String::from_utf8_lossy(lines).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["key"], "header");
    for line in &lines[1..] {
        let value = &line["value"];
        let text = |key: &str| value[key].as_str().unwrap();
        let content = match line["key"].as_str().unwrap() {
            "file" => BASE64_STANDARD.decode(text("content")).unwrap(),
            "lfsFile" => state.large[text("oid")].clone(),
            other => panic!("no operation {other}"),
        };
        state.repositories.get_mut(name).unwrap().files.insert(text("path").to_owned(), content);
    }
}
