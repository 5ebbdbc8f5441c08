//! Plain JSON lines, for whatever has no format here.
//!
//! `{"problem_id", "gold", "completion" or "answer" or "correct"}`, and where they are known `"model"`, `"task"`,
//! `"sample"`, `"complete"`, `"score"`, `"reasoning_tokens"`, `"answer_tokens"`, `"seconds"`, `"usd"`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Names, Read, gold, verdict};
use crate::data_file::{self, Row};
use crate::grade_lines::as_text;
use crate::imported::Imported;

/// What a line may say.
const KNOWN: [&str; 13] = [
    "problem_id",
    "gold",
    "completion",
    "answer",
    "correct",
    "model",
    "task",
    "sample",
    "complete",
    "score",
    "reasoning_tokens",
    "answer_tokens",
    "seconds",
];

pub(super) fn read(path: &Path, names: &Names) -> Result<Read, String> {
    let mut read = Read::default();
    let mut unknown = BTreeSet::new();
    for (number, row) in data_file::rows(path)?.iter().enumerate() {
        unknown.extend(row.keys().filter(|key| !KNOWN.contains(&key.as_str()) && *key != "usd").cloned());
        match completion(row, names) {
            Ok(completion) => read.completions.push(completion),
            Err(reason) => read.leave_out(&format!("row {}", number + 1), &reason),
        }
    }
    if !unknown.is_empty() {
        let list = unknown.into_iter().collect::<Vec<_>>().join(", ");
        read.notes.push(format!("these fields mean nothing here: {list}"));
    }
    Ok(read)
}

fn completion(row: &Row, names: &Names) -> Result<Imported, String> {
    let text = |name: &str| row.get(name).and_then(as_text);
    let given_correct = row.get("correct").and_then(verdict);
    let (completion, answer) = (text("completion"), text("answer"));
    if completion.is_none() && answer.is_none() && given_correct.is_none() {
        return Err("has none of `completion`, `answer` and `correct`".into());
    }
    let golds: Vec<String> = text("gold").iter().map(|text| gold(text)).collect();
    if golds.is_empty() && given_correct.is_none() {
        return Err("has neither `gold` nor `correct`".into());
    }
    let count = |name: &str| row.get(name).and_then(Value::as_u64);
    let (reasoning_tokens, answer_tokens) = (count("reasoning_tokens"), count("answer_tokens"));
    Ok(Imported {
        model: text("model").or(names.model.clone()).unwrap_or("unnamed".into()),
        task: text("task").or(names.task.clone()).unwrap_or("unnamed".into()),
        problem: text("problem_id").ok_or("has no `problem_id`")?,
        golds,
        completion,
        answer,
        complete: row.get("complete").and_then(Value::as_bool),
        given_correct,
        score: row.get("score").and_then(Value::as_f64),
        reasoning_tokens,
        sampled_tokens: answer_tokens.map(|tokens| tokens + reasoning_tokens.unwrap_or(0)),
        seconds: row.get("seconds").and_then(Value::as_f64),
        usd: row.get("usd").and_then(Value::as_f64),
        ..Imported::default()
    })
}
