//! Chat templates: published ones render as the reference does, hostile ones are stopped.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use isocost_models::chat::{ChatError, ChatTemplate, Date, Guard, Message, OffSwitch, RenderOptions, ThinkState};
use serde_json::Value;

/// Downloaded data that is not part of the repository; a test that needs it says so and passes without.
fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ISOCOST_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")));
    let path = root.join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent; set ISOCOST_DATA to the data folder", path.display());
        return None;
    }
    Some(path)
}

fn template_text(root: &std::path::Path, name: &str) -> String {
    let (file, field) = name.split_once('#').map_or((name, None), |(file, field)| (file, Some(field)));
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    match field {
        None => text,
        Some(field) => serde_json::from_str::<Value>(&text).unwrap()[field].as_str().unwrap().to_owned(),
    }
}

#[test]
fn published_templates_render_as_the_reference_does() {
    let Some(path) = data("chat_templates/expected_renders.jsonl") else { return };
    let root = path.parent().unwrap().parent().unwrap();
    let (mut right, mut wrong) = (0, Vec::new());
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = format!("{} {}", row["template"].as_str().unwrap(), row["case"].as_str().unwrap());
        let result = render_row(root, &row);
        match (&result, row["rendered"].as_str()) {
            (Ok(text), Some(expected)) if text == expected => right += 1,
            (Err(ChatError::Refused(_)), None) => right += 1,
            (Ok(text), Some(expected)) => wrong.push(format!("{name}: {}", first_difference(text, expected))),
            _ => wrong.push(format!("{name}: {result:?}")),
        }
    }
    assert!(wrong.is_empty(), "{right} right, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(right, 287);
}

fn render_row(root: &std::path::Path, row: &Value) -> Result<String, ChatError> {
    let context = &row["context"];
    let messages: Vec<Message> = serde_json::from_value(context["messages"].clone()).unwrap();
    let template = ChatTemplate::new(template_text(root, row["template"].as_str().unwrap()))?;
    let token = |name: &str| context[name].as_str().map(str::to_owned);
    let template = template.with_tokens(token("bos_token"), token("eos_token"));
    let options = RenderOptions {
        add_generation_prompt: context["add_generation_prompt"].as_bool().unwrap(),
        enable_thinking: context.get("enable_thinking").and_then(Value::as_bool),
        today: Date::new(2025, 1, 15).unwrap(),
        ..Default::default()
    };
    template.render(&messages, &options)
}

fn first_difference(got: &str, want: &str) -> String {
    let same = got.chars().zip(want.chars()).take_while(|(a, b)| a == b).count();
    let tail = |text: &str| text.chars().skip(same.saturating_sub(10)).take(60).collect::<String>();
    format!("at {same}: got {:?}, want {:?}", tail(got), tail(want))
}
