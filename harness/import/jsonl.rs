//! Plain JSON lines, for whatever has no format here.
//!
//! `{"problem_id", "gold", "completion" or "answer" or "correct"}`, and where they are known `"model"`, `"task"`,
//! `"sample"` (its number among the problem's, from 0), `"complete"`, `"score"`, `"reasoning_tokens"`, `"answer_tokens"`,
//! `"seconds"`, `"usd"`. Tokens of a completion are known where both counts are; 0 reasoning tokens is a count, too.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Names, Read, gold, verdict};
use crate::data_file::{self, Row};
use crate::grade_lines::as_text;
use crate::imported::Imported;

/// What a line may say.
const KNOWN: [&str; 14] = [
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
    "usd",
];

pub(super) fn read(path: &Path, names: &Names) -> Result<Read, String> {
    let mut read = Read::default();
    let mut unknown = BTreeSet::new();
    for (number, row) in data_file::rows(path)?.iter().enumerate() {
        unknown.extend(row.keys().filter(|key| !KNOWN.contains(&key.as_str())).cloned());
        let place = format!("row {}", number + 1);
        match completion(row, names).and_then(|completion| Ok((completion, sample(row)?))) {
            Ok((completion, sample)) => {
                read.said.extend(sample.map(|sample| (read.completions.len(), (sample, place))));
                read.completions.push(completion);
            }
            Err(reason) => read.leave_out(&place, &reason),
        }
    }
    if !unknown.is_empty() {
        let list = unknown.into_iter().collect::<Vec<_>>().join(", ");
        read.notes.push(format!("these fields mean nothing here: {list}"));
    }
    Ok(read)
}

/// The completion's number among its problem's, if the row says it.
fn sample(row: &Row) -> Result<Option<u32>, String> {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let said = row.get("sample").filter(|value| !value.is_null());
    said.map(|value| number(value).ok_or_else(|| "its `sample` is no number from 0".to_owned())).transpose()
}

/// Tokens of thought and answer together, where both are known.
fn sampled(reasoning: Option<u64>, answer: Option<u64>) -> Result<Option<u64>, String> {
    let sum = |(reasoning, answer): (u64, u64)| {
        reasoning.checked_add(answer).ok_or("has more tokens than there can be".into())
    };
    reasoning.zip(answer).map(sum).transpose()
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
        sampled_tokens: sampled(reasoning_tokens, answer_tokens)?,
        seconds: row.get("seconds").and_then(Value::as_f64),
        usd: row.get("usd").and_then(Value::as_f64),
        ..Imported::default()
    })
}
