//! lighteval: `details_TASK_DATE.parquet`.
//!
//! A row is one document: `__doc__` (or `doc`: query, choices, gold_index, id), `__model_response__` (text and
//! output_tokens, one of each sample) and `__metric__` (name to value). The file names neither model nor seconds.

use std::path::Path;

use serde_json::Value;

use super::{Names, Read, gold, task_in_name, verdict};
use crate::data_file::{self, Row};
use crate::grade_lines::as_text;
use crate::imported::Imported;

pub(super) fn read(path: &Path, names: &Names) -> Result<Read, String> {
    let named = names.task.clone().or_else(|| task_in_name(path, "details_"));
    let mut read = Read::default();
    for (number, row) in data_file::rows(path)?.iter().enumerate() {
        match completions(row, number, named.as_deref(), names) {
            Ok(completions) => read.completions.extend(completions),
            Err(reason) => read.leave_out(&format!("row {}", number + 1), &reason),
        }
    }
    Ok(read)
}

/// A part of a row, under either of its names.
fn part<'a>(row: &'a Row, name: &str) -> Result<&'a Value, String> {
    row.get(&format!("__{name}__")).or_else(|| row.get(name)).ok_or(format!("no column `__{name}__`"))
}

fn completions(row: &Row, number: usize, task: Option<&str>, names: &Names) -> Result<Vec<Imported>, String> {
    let (doc, response) = (part(row, "doc")?, part(row, "model_response")?);
    let texts: Vec<&str> = list(response, "text").iter().filter_map(Value::as_str).collect();
    if texts.is_empty() {
        return Err("has no text (choices scored by their probability are not completions)".into());
    }
    let tokens: Vec<Option<u64>> = list(response, "output_tokens")
        .iter()
        .map(|ids| ids.as_array().map(|ids| ids.len() as u64))
        .collect();
    let given = part(row, "metric").ok().filter(|_| texts.len() == 1).and_then(metric);
    let id = doc.get("id").and_then(as_text).filter(|id| !id.is_empty());
    let one = |(i, text): (usize, &&str)| Imported {
        model: names.model.clone().unwrap_or("unnamed".into()),
        task: task
            .map(str::to_owned)
            .or_else(|| doc.get("task_name").and_then(as_text))
            .unwrap_or("unnamed".into()),
        problem: id.clone().unwrap_or_else(|| number.to_string()),
        golds: golds(doc),
        completion: Some((*text).to_owned()),
        given_correct: given,
        sampled_tokens: tokens.get(i).copied().flatten().filter(|count| *count > 0),
        ..Imported::default()
    };
    Ok(texts.iter().enumerate().map(one).collect())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The choices that the gold index, or indices, point at.
fn golds(doc: &Value) -> Vec<String> {
    let choices = list(doc, "choices");
    let indices: Vec<usize> = match doc.get("gold_index") {
        Some(Value::Array(indices)) => indices.iter().filter_map(Value::as_u64).map(|i| i as usize).collect(),
        Some(Value::Number(index)) => index.as_u64().map(|i| i as usize).into_iter().collect(),
        _ => vec![],
    };
    indices.iter().filter_map(|i| choices.get(*i)).filter_map(as_text).map(|text| gold(&text)).collect()
}

/// The first metric that says right or wrong.
fn metric(metrics: &Value) -> Option<bool> {
    metrics.as_object()?.values().find_map(verdict)
}
