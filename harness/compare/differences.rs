//! What two manifests say differently, the weightiest first.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Matching, Side};

/// Something that both manifests say, and not alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What, as a path: `device`, `model reason-s dtype`.
    pub what: String,
    /// In the base run; absent if it is not said there.
    pub base: Option<String>,
    /// In the other run.
    pub other: Option<String>,
}

/// Of where a run comes from: what can change its numbers. When and by which words it was started cannot.
const PROVENANCE: [&str; 5] = ["device", "host", "isocost", "git_commit", "git_tree"];

/// Parts of a sweep that are listed elsewhere, or are remarks.
const ELSEWHERE: [&str; 3] = ["why", "models", "tasks"];

/// Characters of a value that are shown.
const SHOWN: usize = 40;

/// Everything that differs; equal manifests give nothing.
pub(super) fn differences(base: &Side, other: &Side, matching: &Matching) -> Vec<Difference> {
    let left = facts(base, |model| Some(model.to_owned()));
    // A model of the other run goes by its counterpart's name.
    let names = base.manifest.identity.sweep.models.iter().map(|model| model.name.as_str());
    let pairs: Vec<(&str, &str)> =
        names.filter_map(|name| Some((name, matching.counterpart(base, other, name)?))).collect();
    let right = facts(other, |model| {
        pairs.iter().find(|(_, there)| *there == model).map(|(here, _)| (*here).to_owned())
    });
    let find = |facts: &[(String, String)], what: &str| {
        facts.iter().find(|(known, _)| known == what).map(|(_, value)| value.clone())
    };
    let new = right.iter().filter(|(what, _)| find(&left, what).is_none());
    let all = left.iter().chain(new).map(|(what, _)| what.clone());
    let difference = |what: String| Difference { base: find(&left, &what), other: find(&right, &what), what };
    let mut found: Vec<Difference> = all.map(difference).filter(|d| d.base != d.other).collect();
    found.iter_mut().for_each(Difference::shorten);
    found
}

impl Difference {
    fn shorten(&mut self) {
        for value in [&mut self.base, &mut self.other].into_iter().flatten() {
            *value = short(value);
        }
    }
}

/// A hash by its beginning; a long text by its beginning and hash.
fn short(value: &str) -> String {
    let is_hash = value.len() >= 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        return value[..12].to_owned();
    }
    if value.chars().count() <= SHOWN {
        return value.to_owned();
    }
    let hash = format!("{:x}", Sha256::digest(value));
    format!("{}… (sha256 {})", value.chars().take(SHOWN - 12).collect::<String>(), &hash[..8])
}

/// Names with values, in the order they are shown. `name` gives a model's name, absent if it is not compared.
fn facts(side: &Side, name: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let identity = &side.manifest.identity;
    let said = |key: &&str| Some(((*key).to_owned(), side.manifest.provenance.get(*key)?.clone()));
    let mut facts: Vec<(String, String)> = PROVENANCE.iter().filter_map(said).collect();
    let sweep = serde_json::to_value(&identity.sweep).unwrap_or_default();
    for model in &identity.sweep.models {
        let Some(name) = name(&model.name) else { continue };
        let place = format!("model {name}");
        facts.push((format!("{place} name"), model.name.clone()));
        flatten(&place, &serde_json::to_value(model).unwrap_or_default(), &["name"], &mut facts);
        flatten(&place, identity.models.get(&model.name).unwrap_or(&Value::Null), &["shape"], &mut facts);
    }
    for (task, sha256) in &identity.problems_sha256 {
        facts.push((format!("task {task} problems_sha256"), sha256.clone()));
    }
    for task in sweep["tasks"].as_array().into_iter().flatten() {
        let place = format!("task {}", task["name"].as_str().unwrap_or_default());
        flatten(&place, task, &["name"], &mut facts);
    }
    flatten("sweep", &sweep, &ELSEWHERE, &mut facts);
    facts.push(("schema".to_owned(), identity.schema.to_string()));
    facts
}

/// Every leaf under its path, in words; lists are leaves.
fn flatten(place: &str, value: &Value, without: &[&str], facts: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(key, _)| !without.contains(&key.as_str())) {
                flatten(&format!("{place} {key}"), value, &[], facts);
            }
        }
        Value::String(text) => facts.push((place.to_owned(), text.clone())),
        Value::Array(items) if items.len() == 1 && items[0].is_string() => {
            flatten(place, &items[0], &[], facts);
        }
        other => facts.push((place.to_owned(), other.to_string())),
    }
}
