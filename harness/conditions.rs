//! The conditions under which a run's numbers hold: what stands under every table that leaves the run.
//!
//! A number without its device, its sampling and its price is a rumour. These are the few that decide whether two tables
//! may be compared; the manifest holds all of them.

use crate::engine::Sampling;
use crate::manifest::{Identity, Manifest};
use crate::price::Price;
use crate::row::Row;

/// Names with values, in the order shown. What the manifest does not say is left out.
pub fn conditions(manifest: &Manifest, rows: &[Row]) -> Vec<(String, String)> {
    let Identity { sweep, .. } = &manifest.identity;
    let said = |key: &str| manifest.provenance.get(key).cloned();
    let mut found: Vec<(&str, Option<String>)> = vec![
        ("device", said("device")),
        ("engine", said("isocost").map(|version| format!("isocost {version}"))),
        ("numbers", numbers(manifest)),
        ("sampling", Some(sampling(&sweep.sampling))),
        ("seed", Some(sweep.seed.to_string())),
        ("problems", Some(span(rows.iter().map(|row| row.problems))).filter(|text| !text.is_empty())),
        ("trajectories", Some(format!("{} of each problem", sweep.trajectories()))),
    ];
    found.extend(sweep.all_prices().map(|price| ("price", Some(priced(price)))));
    found.push(("commit", commit(manifest)));
    found.push(("started", said("started")));
    found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// All that the manifest says, for the run's own report.
pub fn all(manifest: &Manifest) -> Vec<(String, String)> {
    let sweep = &manifest.identity.sweep;
    let sampling = &sweep.sampling;
    let mut conditions: Vec<(String, String)> =
        manifest.provenance.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(shard) = manifest.identity.shard {
        conditions.push(("shard".into(), format!("{shard}: only this part of the problems")));
    }
    conditions.push(("seed".into(), sweep.seed.to_string()));
    conditions.push(("temperature".into(), sampling.temperature.to_string()));
    conditions.push(("rows in a batch".into(), sweep.rows.to_string()));
    for price in sweep.all_prices() {
        conditions.push((format!("price {}", price.label()), priced(price)));
    }
    if let Some(verifier) = &sweep.verifier {
        let (seconds, usd) = (verifier.device_s_per_answer, verifier.usd_per_answer);
        conditions
            .push(("verifier".into(), format!("{seconds} s and ${usd} an answer ({})", verifier.source)));
    }
    for (task, sha256) in &manifest.identity.problems_sha256 {
        conditions.push((format!("problems of {task}"), format!("sha256 {sha256}")));
    }
    for (model, facts) in &manifest.identity.models {
        if let Some(budgets) = facts.get("budgets").and_then(|text| text.as_str()) {
            conditions.push((format!("budgets of {model}"), budgets.to_owned()));
        }
        conditions.push((format!("weights of {model}"), weights(facts)));
    }
    conditions
}

/// The conditions in a line.
pub fn sentence(conditions: &[(String, String)]) -> String {
    let parts: Vec<String> = conditions.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("Conditions: {}.", parts.join("; "))
}

/// Types of the models' numbers: one if all have the same.
fn numbers(manifest: &Manifest) -> Option<String> {
    let of = |(name, facts): (&String, &serde_json::Value)| {
        Some((name.clone(), facts.get("dtype")?.as_str()?.to_owned()))
    };
    let types: Vec<(String, String)> = manifest.identity.models.iter().filter_map(of).collect();
    let (_, first) = types.first()?;
    if types.iter().all(|(_, dtype)| dtype == first) {
        return Some(first.clone());
    }
    Some(types.iter().map(|(name, dtype)| format!("{name} {dtype}")).collect::<Vec<_>>().join(", "))
}

/// How tokens were drawn.
pub fn sampling(sampling: &Sampling) -> String {
    let Sampling { temperature, top_k, top_p, min_p } = sampling;
    let mut text = format!("temperature {temperature}");
    text.extend(top_k.map(|k| format!(", top-k {k}")));
    text.extend(top_p.map(|p| format!(", top-p {p}")));
    text.extend(min_p.map(|p| format!(", min-p {p}")));
    text
}

fn priced(price: &Price) -> String {
    format!("{} for {} ({}, {})", price.terms(), price.device, price.source, price.date)
}

/// The build's commit, and whether it was that commit alone.
fn commit(manifest: &Manifest) -> Option<String> {
    let commit = manifest.provenance.get("git_commit")?;
    let short = commit.get(..12).unwrap_or(commit);
    Some(match manifest.provenance.get("git_tree").map(String::as_str) {
        Some("clean") | None => short.to_owned(),
        Some(tree) => format!("{short} ({tree})"),
    })
}

fn span(counts: impl Iterator<Item = usize> + Clone) -> String {
    match (counts.clone().min(), counts.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => String::new(),
    }
}

/// The hash of a model's weights; of several files the first, and how many there are.
fn weights(facts: &serde_json::Value) -> String {
    let hashes = facts.get("weights_sha256").and_then(|list| list.as_array()).map_or(&[][..], Vec::as_slice);
    match hashes {
        [] => "sha256 unknown".into(),
        [one] => format!("sha256 {}", one.as_str().unwrap_or("unknown")),
        [first, ..] => {
            let first = first.as_str().unwrap_or("unknown");
            format!("sha256 {first}, of the first of {} files; manifest.json has all", hashes.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_of_one_of_several_weight_files_is_not_given_for_all() {
        let of = |hashes: &[&str]| weights(&json!({ "weights_sha256": hashes }));
        assert_eq!(of(&["ab"]), "sha256 ab");
        assert_eq!(of(&["ab", "cd", "ef"]), "sha256 ab, of the first of 3 files; manifest.json has all");
        assert_eq!(weights(&json!({ "served_as": "m" })), "sha256 unknown");
    }
}
