//! The card of a run as a data set of the Hugging Face hub: a `README.md` whose front matter names the files, the
//! leading table, and for each model a block of results in the form of a model card's `model-index`.
//!
//! Front matter is YAML. Every text in it is written as a JSON string, which YAML reads as a double-quoted one, so
//! a name cannot become a key, a list or a directive.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cell_tables::way_name;
use crate::escape;
use crate::leading::{leading_cells, leading_table};
use crate::row::Row;

/// What a card says.
#[derive(Clone, Debug)]
pub struct Card<'a> {
    /// The run's name.
    pub name: &'a str,
    /// The question it answers.
    pub why: &'a str,
    /// The command that made it.
    pub command: &'a str,
    /// As [`crate::conditions::conditions`] gives them.
    pub conditions: &'a [(String, String)],
    /// The cells.
    pub rows: &'a [Row],
    /// Of each model: where it was published, if that is known.
    pub published: &'a [(String, String)],
    /// Data files that lie beside the card.
    pub files: &'a [String],
}

/// Files that make a configuration of the data set, with its name.
const CONFIGS: [(&str, &str); 5] = [
    ("cells", "cells.parquet"),
    ("trajectories", "trajectories.jsonl"),
    ("prices", "prices.csv"),
    ("latency", "latency.csv"),
    ("steps", "steps.parquet"),
];

/// The card as Markdown.
pub fn card(card: &Card) -> String {
    let mut text = format!("---\n{}---\n\n# {}\n", front_matter(card), escape::markdown(card.name));
    let _ = write!(text, "\n{}\n", escape::markdown(&escape::one_line(card.why)));
    let mut table = leading_table(card.rows, "What each model buys");
    table.footnotes.push(crate::conditions::sentence(card.conditions));
    let _ = write!(text, "\n{}", table.markdown());
    text.push_str(FILES);
    let _ = write!(text, "\n## How it was made\n\n{}", escape::markdown_code_in("sh", card.command));
    text.push_str(&results(card));
    text
}

const FILES: &str = "\n## Files\n\n\
- `cells.parquet`, `cells.csv`, `cells.json`: a row for each cell (model, task, budget, n, strategy), all digits; \
`cells.schema.json` describes each column. Absent is null, never 0.\n\
- `trajectories.jsonl`, where it is included: a line for each sampled chain, with its answer at every budget; \
`trajectory.schema.json` describes the line.\n\
- `manifest.json`: everything that identifies the run: sweep, seeds, hashes of models and problems, device, commit.\n\
- `report.html`: the report, one file for any browser.\n";

fn front_matter(card: &Card) -> String {
    let is_there = |file: &str| card.files.iter().any(|known| known == file);
    let configs = CONFIGS.iter().filter(|(_, file)| is_there(file));
    let configs: Vec<Value> = configs
        .enumerate()
        .map(|(at, (name, file))| {
            let mut config = json!({ "config_name": name, "data_files": file });
            if at == 0 {
                config["default"] = true.into();
            }
            config
        })
        .collect();
    let matter = json!({
        "pretty_name": card.name,
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["isocost", "reasoning", "test-time-compute", "benchmark", "cost"],
        "configs": configs,
    });
    let mut text = String::new();
    yaml(&matter, 0, &mut text);
    text
}

/// A block of results for each model, to be pasted into its own card.
fn results(card: &Card) -> String {
    let mut text = "\n## Results for model cards\n".to_owned();
    let cells = leading_cells(card.rows);
    let mut models: Vec<&str> = Vec::new();
    for row in &cells {
        if !models.contains(&row.cell.model.as_str()) {
            models.push(&row.cell.model);
        }
    }
    for model in models {
        let mut block = String::new();
        let own = cells.iter().filter(|row| row.cell.model == model).map(|row| result(card, row));
        let index = json!({ "model-index": [{ "name": model, "results": own.collect::<Vec<_>>() }] });
        yaml(&index, 0, &mut block);
        let _ = write!(text, "\n{}", escape::markdown_code_in("yaml", &block));
    }
    text
}

/// One cell as `model-index` has it: percent for accuracy, as the hub's own boards do.
fn result(card: &Card, row: &Row) -> Value {
    let at = format!("budget {}, {}", row.cell.budget, way_name(row.cell.strategy, row.cell.n));
    let mut metrics = Vec::new();
    let mut metric = |kind: &str, name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            metrics.push(json!({ "type": kind, "name": format!("{name} ({at})"), "value": value }));
        }
    };
    let percent = |value: f64| (value * 1000.0).round() / 10.0;
    metric("accuracy", "accuracy, %", row.accuracy.map(|accuracy| percent(accuracy.value)));
    metric(
        "accuracy_ci_low",
        "accuracy, lower end of the 95 % interval, %",
        row.accuracy.map(|a| percent(a.ci_low)),
    );
    metric(
        "accuracy_ci_high",
        "accuracy, upper end of the 95 % interval, %",
        row.accuracy.map(|a| percent(a.ci_high)),
    );
    metric("tokens", "mean reasoning tokens of a completion", Some(rounded(row.reasoning_tokens_mean)));
    metric("device_seconds", "device seconds a problem", Some(rounded(row.device_s_mean)));
    metric("usd", "dollars a correct answer", row.usd_per_correct().map(|usd| rounded(usd.value)));
    let mut result = json!({
        "task": { "type": "text-generation", "name": "reasoning" },
        "dataset": { "name": row.cell.task, "type": row.cell.task },
        "metrics": metrics,
    });
    if let Some((_, place)) = card.published.iter().find(|(model, _)| *model == row.cell.model) {
        result["source"] = json!({ "name": format!("isocost run {} of {place}", card.name) });
    }
    result
}

/// Three significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// A value as block YAML, indented by `depth` steps.
fn yaml(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let _ = write!(text, "{indent}{key}:");
                nested(value, depth, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut lines = String::new();
                yaml(item, depth + 1, &mut lines);
                let _ = write!(text, "{indent}- {}", lines.trim_start());
            }
        }
        scalar => {
            let _ = writeln!(text, "{indent}{}", plain(scalar));
        }
    }
}

/// What follows a key.
fn nested(value: &Value, depth: usize, text: &mut String) {
    let is_empty = value.as_array().is_some_and(Vec::is_empty);
    if is_empty {
        text.push_str(" []\n");
    } else if value.is_array() || value.is_object() {
        text.push('\n');
        yaml(value, depth + 1, text);
    } else {
        let _ = writeln!(text, " {}", plain(value));
    }
}

/// JSON's scalars are YAML's; what YAML does not print is written out first.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| Value::from(escape::visible(text)).to_string())
}
