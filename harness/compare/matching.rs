//! Which cells of two runs are compared.
//!
//! A cell is the same if task, waits, budget, n and strategy are, and the model: named in a pair by the person who
//! compares, else of the same name, else the only one of both runs.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::Side;
use crate::cell::Cell;
use crate::row::Row;

/// How cells find their counterpart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// Names of a model in the base run and in the other.
    pub models: Vec<(String, String)>,
    /// Only cells of which all of these hold.
    pub only: Vec<Only>,
}

/// A condition on cells of the base run: `budget=64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    key: &'static str,
    value: String,
}

const KEYS: [&str; 6] = ["model", "task", "waits", "budget", "n", "strategy"];

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
        let known = KEYS.into_iter().find(|known| *known == key.trim());
        let key = known.ok_or_else(|| format!("`{key}` is none of {}", KEYS.join(", ")))?;
        Ok(Self { key, value: value.trim().to_owned() })
    }
}

impl Only {
    fn holds(&self, cell: &Cell) -> bool {
        let value = match self.key {
            "model" => cell.model.clone(),
            "task" => cell.task.clone(),
            "waits" => cell.waits.to_string(),
            "budget" => cell.budget.to_string(),
            "n" => cell.n.to_string(),
            _ => cell.strategy.to_string(),
        };
        value == self.value
    }
}

impl Matching {
    /// The other run's name of a model of the base run.
    pub(super) fn counterpart<'a>(
        &'a self,
        base: &Side<'a>,
        other: &Side<'a>,
        model: &str,
    ) -> Option<&'a str> {
        if let Some((_, named)) = self.models.iter().find(|(left, _)| left == model) {
            return Some(named);
        }
        let (left, right) = (models(base), models(other));
        let same = right.iter().find(|name| **name == model).copied();
        let only = || (left.len() == 1 && right.len() == 1).then(|| right[0]);
        same.or_else(only)
    }

    /// Rows of both runs that are compared, in the base run's order.
    pub(super) fn cells<'a>(&self, base: &Side<'a>, other: &Side<'a>) -> Vec<(&'a Row, &'a Row)> {
        let found = |row: &'a Row| {
            let model = self.counterpart(base, other, &row.cell.model)?.to_owned();
            let wanted = Cell { model, ..row.cell.clone() };
            Some((row, other.rows.iter().find(|row| row.cell == wanted)?))
        };
        let is_asked = |row: &&Row| self.only.iter().all(|only| only.holds(&row.cell));
        base.rows.iter().filter(is_asked).filter_map(found).collect()
    }

    /// What has no counterpart, in sentences.
    pub(super) fn unmatched(&self, base: &Side, other: &Side) -> Vec<String> {
        let mut said = Vec::new();
        for model in models(base) {
            match self.counterpart(base, other, model) {
                None => {
                    said.push(format!("{model} of {} has no counterpart: name one with --pair", base.name))
                }
                Some(name) if name != model => said.push(format!("{model} is compared with {name}")),
                Some(_) => {}
            }
        }
        let counterparts: BTreeSet<_> =
            models(base).iter().filter_map(|model| self.counterpart(base, other, model)).collect();
        let lone = models(other).into_iter().filter(|model| !counterparts.contains(model));
        said.extend(lone.map(|model| format!("{model} is only in {}", other.name)));
        let compared = self.cells(base, other).len();
        let (here, there) = (base.rows.len(), other.rows.len());
        if compared < here.max(there) && self.only.is_empty() {
            said.push(format!("{compared} cells are in both, of {here} and {there}"));
        }
        said
    }
}

fn models<'a>(side: &Side<'a>) -> Vec<&'a str> {
    let all = side.manifest.identity.sweep.models.iter();
    all.map(|model| model.name.as_str())
        .filter(|name| side.rows.iter().any(|row| row.cell.model == *name))
        .collect()
}
