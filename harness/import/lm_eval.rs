//! lm-evaluation-harness: `samples_TASK_DATE.jsonl`.
//!
//! A line is one document under one filter: `doc_id`, `target`, `resps` (of each request, its repeats), `filter`,
//! `metrics` (names) and a field for each of those. A document that went through several filters has a line for each, with
//! the same responses; the first filter counts. The file names neither model nor seconds nor tokens.

use std::path::Path;

use serde_json::Value;

use super::{Names, Read, gold, task_in_name, verdict};
use crate::data_file::{self, Row};
use crate::fields::text;
use crate::imported::Imported;

pub(super) fn read(path: &Path, names: &Names) -> Result<Read, String> {
    let rows = data_file::rows(path)?;
    let filter = rows.first().and_then(|row| row.get("filter")).cloned();
    let task = names.task.clone().or_else(|| task_in_name(path, "samples_")).unwrap_or("unnamed".into());
    let mut read = Read::default();
    for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.get("filter") == filter.as_ref()) {
        match completions(row, &task, names) {
            Ok(completions) => read.completions.extend(completions),
            Err(reason) => read.leave_out(&format!("row {}", number + 1), &reason),
        }
    }
    let others = rows.iter().filter(|row| row.get("filter") != filter.as_ref()).count();
    if let Some(filter) = filter.filter(|_| others > 0) {
        read.notes
            .push(format!("{others} lines of other filters than {filter} hold the same responses: left out"));
    }
    Ok(read)
}

fn completions(row: &Row, task: &str, names: &Names) -> Result<Vec<Imported>, String> {
    let problem = text(row, "doc_id")?;
    let target = text(row, "target")?;
    let responses = responses(row);
    let one = |response: Option<String>| Imported {
        model: names.model.clone().unwrap_or("unnamed".into()),
        task: task.to_owned(),
        problem: problem.clone(),
        golds: if response.is_some() { vec![gold(&target)] } else { vec![] },
        // Of several repeats the metric is about what a filter made of them all.
        given_correct: (responses.len() <= 1).then(|| metric(row)).flatten(),
        completion: response,
        ..Imported::default()
    };
    if responses.is_empty() {
        let scored = one(None);
        return scored.given_correct.map(|_| vec![scored]).ok_or("has neither a text nor a 0 or 1".into());
    }
    Ok(responses.iter().map(|response| one(Some(response.clone()))).collect())
}

/// The texts of all repeats; none for choices that were scored by their probability.
fn responses(row: &Row) -> Vec<String> {
    let requests = row.get("resps").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let repeats = requests.iter().filter_map(Value::as_array).flatten();
    repeats.filter_map(|repeat| repeat.as_str().map(str::to_owned)).collect()
}

/// The first metric that says right or wrong.
fn metric(row: &Row) -> Option<bool> {
    let names = row.get("metrics").and_then(Value::as_array)?;
    names.iter().filter_map(Value::as_str).find_map(|name| verdict(row.get(name)?))
}
