//! Sweeps, models, data and records that somebody made to hurt: what they say is shown and never obeyed.

mod program;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use program::{fails, folder_with, isocost, ran, stderr, stdout, succeeds, unsealed};

/// Clears the screen, colours, sets the window's title, turns text around, hides it.
const HOSTILE: &str =
    "=HYPERLINK(\u{1b}[2J\u{1b}[31m\u{1b}]0;owned\u{7}\u{202e}evil\u{2066}\u{200b}\u{9b}5m\r";

/// Characters that no terminal may get.
const COMMANDS: [char; 8] = ['\u{1b}', '\u{7}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{9b}', '\r', '\u{0}'];

fn harmless(output: &Output, asked: &str) {
    for text in [stdout(output), stderr(output)] {
        let found = COMMANDS.iter().find(|command| text.contains(**command));
        assert!(found.is_none(), "{asked}: {:?} in {text:?}", found.unwrap());
        assert!(!text.contains("panicked"), "{asked}: {text}");
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap().replace('\u{9b}', "\\u009b")
}

fn sweep(model: &str, source: &str, task: &str) -> String {
    format!(
        r#"
name = {name}
why = {name}
seed = 5
budgets = [0, 16]
n = [1, 2]
strategies = ["first", "maj"]

[sampling]
temperature = 0.8

[[models]]
name = {model}
source = {source}

[[tasks]]
name = {task}
problems = 3

[price]
device = {name}
usd_per_device_hour = 1.0
source = {name}
date = "2026-01-01"
"#,
        name = quoted(HOSTILE),
        model = quoted(model),
        source = quoted(source),
        task = quoted(task),
    )
}

/// A run from elsewhere whose sweep, model, price and texts are hostile. This program's own sweeps cannot have such names of
/// models; a manifest may have been written by anybody.
fn hostile_run() -> tempfile::TempDir {
    let folder = folder_with("s.toml", &sweep(HOSTILE, "bundled:reason-s", "countdown-3"));
    let refused = ran(&["run", "s.toml", "--out", "run"], folder.path());
    fails(&refused, &["must be printable"]);
    harmless(&refused, "run");
    let named = sweep("to-be-spoilt", "bundled:reason-s", "countdown-3");
    std::fs::write(folder.path().join("s.toml"), named).unwrap();
    let output = ran(&["run", "s.toml", "--out", "run"], folder.path());
    succeeds(&output);
    harmless(&output, "run");
    let manifest = folder.path().join("run/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"to-be-spoilt\"", &quoted(HOSTILE))).unwrap();
    let path = folder.path().join("run/trajectories.jsonl");
    let lines = unsealed(&std::fs::read_to_string(&path).unwrap());
    let spoil = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        for part in
            ["/reasoning", "/question", "/gold", "/answers/0/text", "/answers/0/extracted", "/answers/0/rule"]
        {
            if let Some(value) = record.pointer_mut(part) {
                *value = HOSTILE.into();
            }
        }
        record["model"] = HOSTILE.into();
        record.to_string() + "\n"
    };
    std::fs::write(path, lines.lines().map(spoil).collect::<String>()).unwrap();
    folder
}

#[test]
fn no_command_hands_a_terminal_what_a_run_says() {
    let folder = hostile_run();
    std::fs::create_dir(folder.path().join("other")).unwrap();
    for file in ["manifest.json", "trajectories.jsonl"] {
        std::fs::copy(folder.path().join("run").join(file), folder.path().join("other").join(file)).unwrap();
    }
    for asked in [
        "report run",
        "table run",
        "table run --leading",
        "table run -o md",
        "table run -o latex",
        "table run -o csv",
        "table run -o json",
        "table run -o card",
        "compare run other",
        "compare run other -o json",
        "compare run other -o md",
        "claims run",
        "claims plan s.toml",
        "plan s.toml --no-pilot",
        "score run --show-disagreements",
        "verify run --cells 1 --problems 1 --repeats 1 --time-limit 1",
        "replay run",
        "publish run",
    ] {
        let words: Vec<&str> = asked.split(' ').collect();
        harmless(&ran(&words, folder.path()), asked);
    }
    let json = ran(&["table", "run", "-o", "json"], folder.path());
    let cells: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(cells.to_string().contains("HYPERLINK"), "what is shown harmlessly says the same");
}

#[test]
fn no_cell_of_a_table_is_a_formula() {
    let folder = hostile_run();
    succeeds(&ran(&["report", "run"], folder.path()));
    let printed = stdout(&ran(&["table", "run", "-o", "csv"], folder.path()));
    let written = ["cells.csv", "prices.csv"]
        .map(|name| std::fs::read_to_string(folder.path().join("run").join(name)).unwrap());
    for text in [printed, written[0].clone(), written[1].clone()] {
        assert!(text.contains("'=HYPERLINK"), "{text}");
        for cell in text.lines().skip(1).flat_map(|line| line.split(',')).map(|cell| cell.trim_matches('"')) {
            let is_number = cell.parse::<f64>().is_ok();
            assert!(is_number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
        }
    }
    for page in ["report.md", "report.html", "cells.json", "claims.json", "figures"] {
        let path = folder.path().join("run").join(page);
        let files: Vec<PathBuf> = match std::fs::read_dir(&path) {
            Ok(entries) => entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|end| end == "svg"))
                .collect(),
            Err(_) => vec![path],
        };
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{}", file.display());
        }
    }
}

#[test]
fn a_data_set_is_shown_and_asked_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let row = serde_json::json!({ "q": HOSTILE, "a": HOSTILE });
    std::fs::write(folder.path().join("d.jsonl"), format!("{row}\n")).unwrap();
    let task = format!(
        "name = {0}\nwhy = {0}\nlicence = {0}\ninstructions = {0}\nanswer_tokens = 8\n[judge.answer]\nanswer_type = \"number\"\n\
         [[sources]]\nfrom = {{ path = \"d.jsonl\" }}\nfields = {{ question = \"q\", gold = \"a\" }}",
        quoted(HOSTILE)
    );
    std::fs::write(folder.path().join("t.toml"), task).unwrap();
    for asked in ["tasks preview t.toml", "tasks show t.toml"] {
        let words: Vec<&str> = asked.split(' ').collect();
        let output = ran(&words, folder.path());
        succeeds(&output);
        harmless(&output, asked);
    }
    let line = serde_json::json!({ "id": HOSTILE, "gold": HOSTILE, "completion": format!("\\boxed{{{HOSTILE}}}"), "task": HOSTILE });
    let mut grade = isocost(&["grade"], folder.path()).stdin(Stdio::piped()).spawn().unwrap();
    grade.stdin.take().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    harmless(&grade.wait_with_output().unwrap(), "grade");
    for asked in
        [["run", HOSTILE], ["tasks", HOSTILE], ["table", HOSTILE], ["generate", HOSTILE], ["import", HOSTILE]]
    {
        // The shell of a person who pastes it; clap quotes what it does not know, so only what the program says itself counts.
        let output = ran(&asked, folder.path());
        if asked[0] == "run" || asked[0] == "table" {
            harmless(&output, asked[0]);
        }
    }
}

/// A copy of a bundled model whose token for 7 commands a terminal.
fn model_that_commands(folder: &Path) {
    let from = isocost_models::bundled::folder("bundled:reason-s").unwrap();
    let to = folder.join("model");
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let path = to.join("tokenizer.json");
    let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let vocabulary = file["model"]["vocab"].as_object_mut().unwrap();
    let id = vocabulary.remove("7").unwrap();
    vocabulary.insert(format!("7{HOSTILE}"), id);
    std::fs::write(&path, file.to_string()).unwrap();
}

#[test]
fn what_a_model_generates_does_not_reach_a_terminal_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    model_that_commands(folder.path());
    let id = |token: &str| {
        let bundled = isocost_models::bundled::folder("bundled:reason-s").unwrap();
        isocost_models::tokenizer::Tokenizer::from_folder(bundled)
            .unwrap()
            .token_id(token)
            .unwrap()
            .to_string()
    };
    let prompt = [id("3"), id("7"), id("7")].join(",");
    for more in [&["--logprobs"][..], &["-o", "json"], &[]] {
        let asked = [
            "generate",
            "./model",
            "--token-ids",
            &prompt,
            "--temperature",
            "3",
            "--max-tokens",
            "60",
            "--n",
            "4",
        ];
        let output = ran(&[&asked[..], more].concat(), folder.path());
        succeeds(&output);
        harmless(&output, "generate");
        assert!(stdout(&output).contains("evil"), "the token was drawn: {}", stdout(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_model_folder_that_leads_to_other_files_is_refused_and_tells_nothing_of_them() {
    let folder = folder_with("s.toml", &sweep("m", "./model", "countdown-3"));
    model_that_commands(folder.path());
    std::fs::write(folder.path().join("key"), "-----BEGIN PRIVATE KEY----- planted").unwrap();
    std::fs::remove_file(folder.path().join("model/config.json")).unwrap();
    std::os::unix::fs::symlink("../key", folder.path().join("model/config.json")).unwrap();
    for asked in [
        "run s.toml --out out",
        "generate ./model --prompt 1",
        "models show ./model",
        "bench -m ./model -n 1",
        "calibrate ./model",
    ] {
        let words: Vec<&str> = asked.split(' ').collect();
        let message = fails(&ran(&words, folder.path()), &["config.json", "leads out of the model's folder"]);
        assert!(!message.contains("planted") && !message.contains("BEGIN"), "{message}");
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_task_file_reads_nothing_outside_of_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let task = |place: &str| {
        format!(
            "name = \"t\"\nwhy = \"w\"\nlicence = \"MIT\"\nanswer_tokens = 8\n[judge.answer]\nanswer_type = \"number\"\n\
             [[sources]]\nfrom = {{ path = \"{place}\" }}\nfields = {{ question = \"text\", gold = \"text\" }}"
        )
    };
    for place in ["/etc/passwd", "../../../../etc/passwd", "a/../../../etc/hosts"] {
        std::fs::write(folder.path().join("t.toml"), task(place)).unwrap();
        fails(&ran(&["tasks", "preview", "t.toml"], folder.path()), &["leads out of where a task may read"]);
    }
}

/// Answers every request with 401 and all that was sent.
fn echoing_hub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut sent = [0; 4096];
            let length = stream.read(&mut sent).unwrap_or(0);
            let body = String::from_utf8_lossy(&sent[..length]).into_owned();
            let head = format!(
                "HTTP/1.1 401 Unauthorized\r\nX-Error-Message: {}\r\nContent-Length: {}\r\n\r\n",
                body.replace(['\r', '\n'], " "),
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

#[cfg(feature = "hub")]
#[test]
fn the_hubs_token_is_told_to_nobody() {
    let folder = folder_with("s.toml", &sweep("m", "hub:o/n", "countdown-3"));
    let token = "hf_plantedABCDEFGHIJ";
    for hub in [echoing_hub(), "http://127.0.0.1:9".to_owned(), "nonsense".to_owned()] {
        for asked in [
            "models fetch hub:o/n",
            "run s.toml --out out",
            "generate hub:o/n --prompt 1",
            "tasks preview gsm8k",
            "doctor",
        ] {
            let words: Vec<&str> = asked.split(' ').collect();
            let mut command = isocost(&words, folder.path());
            command.env("HF_TOKEN", token).env("HF_ENDPOINT", &hub).env("HF_HOME", folder.path().join("hub"));
            let output = command.env_remove("ISOCOST_DATA").env("NO_PROXY", "127.0.0.1").output().unwrap();
            let said = stdout(&output) + &stderr(&output);
            assert!(!said.contains(token), "{asked} at {hub}: {said}");
        }
    }
    let mut pending = vec![folder.path().to_owned()];
    while let Some(path) = pending.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => pending.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => assert!(
                !String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(token),
                "{}",
                path.display()
            ),
        }
    }
}
