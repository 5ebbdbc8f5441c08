//! Chat templates: published ones render as the reference does, hostile ones are stopped.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use isocost_models::chat::{ChatError, ChatTemplate, Date, Message, RenderOptions};
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

fn render(template: &str) -> Result<String, ChatError> {
    ChatTemplate::new(template)?.render(&[Message::user("hello")], &RenderOptions::default())
}

fn exhausts(template: &str) {
    let start = Instant::now();
    let result = render(template);
    assert!(matches!(result, Err(ChatError::Exhausted(_))), "{template}: {:.200}", format!("{result:?}"));
    assert!(start.elapsed() < Duration::from_secs(5), "{template}: {:?}", start.elapsed());
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    exhausts("{% for i in range(9999) %}{% for j in range(9999) %}{{ i }}{% endfor %}{% endfor %}");
    exhausts("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}");
    exhausts("{% set x %}{% for i in range(9999) %}{% for j in range(9999) %}aaaaaaaa{% endfor %}{% endfor %}{% endset %}");
}

#[test]
fn a_template_that_grows_without_end_is_stopped() {
    let repeat = |body: &str| format!("{{% set n = namespace(x='ab', y=['a']) %}}{{% for i in range(60) %}}{body}{{% endfor %}}");
    exhausts(&repeat("{% set n.x = n.x ~ n.x %}"));
    exhausts(&repeat("{% set n.x = (n.x) + n.x %}"));
    exhausts(&repeat("{% set n.x = n.x|upper ~ (n.x ~ 'a')[1:] %}"));
    exhausts(&repeat("{% set n.x = n.x * 3 %}"));
    exhausts(&repeat("{% set n.x = [n.x, n.x]|join %}"));
    exhausts(&repeat("{% set n.x = n.x|replace('a', n.x) %}"));
    exhausts(&repeat("{% set n.x = n.x.replace('b', n.x) %}"));
    exhausts(&repeat("{% set n.x = n.x.join(['', '', '']) %}"));
    exhausts(&repeat("{% set n.x = ('a\\n' ~ n.x)|indent(9000000) %}"));
    exhausts(&repeat("{% set n.x = ('a\\n' ~ n.x)|indent(width=9000000) %}"));
    exhausts(&repeat("{% set x %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = x %}"));
    exhausts(&repeat("{% set n.y = n.y + n.y %}"));
    exhausts(&(repeat("{% set n.y = [n.y, n.y] %}") + "{{ n.y }}"));
    exhausts(&(repeat("{% set n.y = [n.y, n.y] %}") + "{{ n.y ~ '' }}"));
    exhausts(&(repeat("{% set n.y = [n.y, n.y] %}") + "{{ n.y|string }}"));
    exhausts(&(repeat("{% set n.y = [n.y, n.y] %}") + "{{ n.y|tojson }}"));
    exhausts(&(repeat("{% set n.y = [n.y, n.y] %}") + "{{ n.y|upper }}"));
}

#[test]
fn a_template_that_nests_or_loops_on_itself_does_not_crash() {
    let deep = "{% set n = namespace(x=[]) %}{% for i in range(90000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x|length }}";
    let _ = render(deep);
    assert!(render("{% set n = namespace() %}{% set n.me = n %}{{ n }}").is_err());
    assert!(render("{% set n = namespace() %}{% set n.me = n %}{{ n ~ '' }}").is_err());
    assert!(render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").is_err());
    let _ = render(&format!("{{{{ 'a'{} }}}}", " ~ 'a'".repeat(15_000)));
    let _ = render(&format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000)));
    assert_eq!(render("{{ 'aba'.count('') }}").unwrap(), "4");
}
