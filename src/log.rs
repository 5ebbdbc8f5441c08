//! What is said on stderr while something runs: lines for a person, or one JSON object per event for a program.
//!
//! Text from models, files and the network is made harmless here, once for all: a control character is written
//! out (JSON escapes it by itself). On a terminal, lines are folded between words.

use std::sync::OnceLock;

use clap::ValueEnum;
use console::Term;
use isocost_harness::escape::visible;
use serde::Serialize;
use serde_json::json;

use crate::output;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines and a live table.
    #[default]
    Text,
    /// One JSON object per event, with its name in `event`.
    Json,
}

/// The process's one format: set once, before anything is said.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Chooses the format; the first choice holds.
pub(crate) fn set_format(format: LogFormat) {
    let _ = FORMAT.set(format);
}

/// Whether events are written as JSON.
pub(crate) fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// A remark: a line, or an event `note`.
pub(crate) fn say(text: &str) {
    event("note", json!({ "text": text }), || text.to_owned());
}

/// An event: its fields as JSON, or what `text` says of it.
pub(crate) fn event(name: &str, fields: impl Serialize, text: impl FnOnce() -> String) {
    if is_json() { write_line(&as_json(name, fields)) } else { write_line(&on_terminal(&text())) }
}

/// `{"event": NAME, FIELDS...}` on one line.
fn as_json(name: &str, fields: impl Serialize) -> String {
    let mut object = json!({ "event": name });
    if let (Some(object), Ok(serde_json::Value::Object(fields))) =
        (object.as_object_mut(), serde_json::to_value(fields))
    {
        object.extend(fields);
    }
    object.to_string()
}

/// Harmless, and folded if stderr is a terminal.
pub(crate) fn on_terminal(text: &str) -> String {
    let lines: Vec<String> = output::known(text).lines().map(visible).collect();
    match width() {
        Some(width) => lines.iter().map(|line| folded(line, width, 4)).collect::<Vec<_>>().join("\n"),
        None => lines.join("\n"),
    }
}

/// Columns of the terminal that stderr is; `None` if it is none.
pub(crate) fn width() -> Option<usize> {
    let term = Term::stderr();
    term.is_term().then(|| term.size_checked().map_or(80, |(_, columns)| usize::from(columns)))
}

/// A harmless line for stdout, with its end: folded if that is a terminal, further parts indented by so much.
pub(crate) fn for_reader(line: &str, indent: usize) -> String {
    let (term, line) = (Term::stdout(), visible(line));
    let width = term.size_checked().filter(|_| term.is_term()).map(|(_, columns)| usize::from(columns));
    width.map_or(line.clone(), |width| folded(&line, width, indent)) + "\n"
}

/// A line broken between words so that each part is narrower than `width`; further parts are indented.
pub(crate) fn folded(line: &str, width: usize, indent: usize) -> String {
    let mut parts = vec![String::new()];
    for (at, word) in line.split(' ').enumerate() {
        let last = parts.last_mut().expect("it begins with one part");
        let needed = console::measure_text_width(last) + 1 + console::measure_text_width(word);
        if needed >= width && !last.trim().is_empty() {
            parts.push(" ".repeat(indent) + word);
        } else {
            last.push_str(if at == 0 { "" } else { " " });
            last.push_str(word);
        }
    }
    parts.join("\n")
}

fn write_line(line: &str) {
    output::remark(format_args!("{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json_with_its_name_whatever_is_in_it() {
        let line = as_json("note", json!({ "text": "a\n\u{1b}[31mb" }));
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["event"], &read["text"]), (&json!("note"), &json!("a\n\u{1b}[31mb")));
    }

    #[test]
    fn lines_are_folded_between_words_and_long_words_stand_alone() {
        assert_eq!(folded("one two three", 80, 4), "one two three");
        assert_eq!(folded("one two three four", 10, 4), "one two\n    three\n    four");
        assert_eq!(folded("  indented is kept", 12, 4), "  indented\n    is kept");
        assert_eq!(folded("/a/path/that/is/long", 8, 4), "/a/path/that/is/long");
        assert_eq!(folded("模型 模型 模型", 12, 4), "模型 模型\n    模型");
    }
}
