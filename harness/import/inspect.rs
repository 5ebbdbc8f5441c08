//! inspect_ai: an eval log in JSON.
//!
//! One object: `eval` (task, model) and `samples`, each with `id`, `epoch`, `target` (one or several), `output`
//! (choices, usage, time), `scores` (name to value) and perhaps an `error`. Epochs of a sample are its trajectories.

use std::path::Path;

use serde_json::Value;

use super::{Names, Read, gold, verdict};
use crate::grade_lines::as_text;
use crate::imported::Imported;

pub(super) fn read(path: &Path, names: &Names) -> Result<Read, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{error}: a log in JSON is wanted (inspect log convert --to json)"))?;
    let log: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let samples = log.get("samples").and_then(Value::as_array).ok_or("has no `samples`")?;
    let of_eval = |name: &str| log.pointer(&format!("/eval/{name}")).and_then(as_text);
    let model = names.model.clone().or_else(|| of_eval("model")).unwrap_or("unnamed".into());
    let task = names.task.clone().or_else(|| of_eval("task")).unwrap_or("unnamed".into());
    let mut read = Read::default();
    for (number, sample) in samples.iter().enumerate() {
        match completion(sample, &model) {
            Ok(completion) => read.completions.push(Imported { task: task.clone(), ..completion }),
            Err(reason) => read.leave_out(&format!("sample {}", number + 1), &reason),
        }
    }
    Ok(read)
}

fn completion(sample: &Value, model: &str) -> Result<Imported, String> {
    let choice = sample.pointer("/output/choices/0");
    let completion = choice.and_then(|choice| choice.pointer("/message/content")).and_then(content);
    let error = sample.pointer("/error/message").and_then(as_text).filter(|_| completion.is_none());
    let given_correct = sample.get("scores").and_then(score);
    if completion.is_none() && error.is_none() && given_correct.is_none() {
        return Err("has no output".into());
    }
    let usage = |name: &str| sample.pointer("/output/usage").and_then(|usage| usage.get(name)?.as_u64());
    let used = sample.get("model_usage").and_then(|usage| usage.get(model));
    Ok(Imported {
        model: model.to_owned(),
        problem: sample.get("id").and_then(as_text).ok_or("has no `id`")?,
        golds: targets(sample),
        complete: choice.and_then(|choice| choice.get("stop_reason")?.as_str()).and_then(is_complete),
        completion,
        given_correct,
        reasoning_tokens: usage("reasoning_tokens"),
        sampled_tokens: usage("output_tokens"),
        seconds: ["/output/time", "/working_time"].iter().find_map(|at| sample.pointer(at)?.as_f64()),
        usd: used.and_then(|used| used.get("total_cost")?.as_f64()),
        error,
        ..Imported::default()
    })
}

fn is_complete(stop_reason: &str) -> Option<bool> {
    match stop_reason {
        "stop" => Some(true),
        "max_tokens" | "model_length" => Some(false),
        _ => None,
    }
}

/// The text after the reasoning, which stands in parts of its own.
fn content(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            Some(texts.join("\n"))
        }
        _ => None,
    }
}

fn targets(sample: &Value) -> Vec<String> {
    let texts: Vec<String> = match sample.get("target") {
        Some(Value::Array(targets)) => targets.iter().filter_map(as_text).collect(),
        Some(target) => as_text(target).into_iter().collect(),
        None => vec![],
    };
    texts.iter().map(|text| gold(text)).filter(|gold| !gold.is_empty()).collect()
}

/// The first score that says right or wrong.
fn score(scores: &Value) -> Option<bool> {
    scores.as_object()?.values().find_map(|score| verdict(score.get("value")?))
}
