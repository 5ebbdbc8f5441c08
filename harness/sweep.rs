//! A sweep: one TOML file that says which models, on which tasks, at which budgets and n, and why.

mod check;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cell::{Budget, Cell, Policy, Strategy};
use crate::engine::{Sampling, Settings};
use crate::model_facts::Lineage;
use crate::price::{Price, Verifier};
use crate::price_entry::Entry;
use crate::server::Server;
use crate::task::{Task, TaskError};
use crate::toml_message::toml_message;

/// The sweeps that are built in.
const BUILT_IN: [(&str, &str); 3] = [
    ("quickstart", include_str!("sweeps/quickstart.toml")),
    ("study", include_str!("sweeps/study.toml")),
    ("brittleness", include_str!("sweeps/brittleness.toml")),
];

/// What to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Short name, used for directories.
    pub name: String,
    /// The question it answers.
    pub why: String,
    /// With the problem and the trajectory this determines every random draw.
    pub seed: u64,
    /// Caps on reasoning tokens, ascending.
    pub budgets: Vec<Budget>,
    /// What happens to a thought that reaches its budget.
    #[serde(default)]
    pub policy: Policy,
    /// Completions per problem, ascending.
    pub n: Vec<u32>,
    /// Trajectories sampled of each problem; by default the largest n.
    #[serde(default)]
    pub trajectories: Option<u32>,
    /// How n completions become one answer.
    pub strategies: Vec<Strategy>,
    /// Forced continuations, each a series of trajectories of its own at the largest budget.
    #[serde(default)]
    pub waits: Vec<u32>,
    /// Rows of a batch.
    #[serde(default = "default_rows")]
    pub rows: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The models.
    pub models: Vec<ModelEntry>,
    /// The tasks.
    pub tasks: Vec<TaskEntry>,
    /// What a device-second costs; without it no dollars are computed.
    #[serde(default)]
    pub price: Option<Price>,
    /// Further prices: tables, or names of built-in prices and files.
    #[serde(default, deserialize_with = "Entry::list", skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Price>,
    /// What the cells that ask a verifier are charged for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<Verifier>,
}

/// A model of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Name in tables.
    pub name: String,
    /// `bundled:NAME`, `hub:OWNER/NAME[@REVISION]`, a folder, a .gguf file, or the base URL of a server
    /// (`http://host:8000/v1`).
    pub source: String,
    /// What else is to be known of a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// Budgets of this model, where they differ from the sweep's.
    #[serde(default)]
    pub budgets: Option<Vec<Budget>>,
    /// What its files do not say of where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Lineage>,
}

/// A task of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskEntry {
    /// Name of a built-in task, or path of a task's file; once opened, the task's own name.
    pub name: String,
    /// A seeded random subset of so many problems; all if absent.
    #[serde(default)]
    pub problems: Option<usize>,
    /// The task as it was read, filled in on opening, so that a run's manifest says all that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Task>,
}

impl TaskEntry {
    /// The task: as it was read, else by its name.
    ///
    /// # Errors
    /// As [`Task::open`].
    pub fn task(&self) -> Result<Task, TaskError> {
        self.definition.clone().map_or_else(|| Task::open(&self.name), Ok)
    }

    fn opened(&mut self) -> Result<(), TaskError> {
        let task = self.task()?;
        self.name.clone_from(&task.name);
        self.definition = Some(task);
        Ok(())
    }
}

fn default_rows() -> usize {
    64
}

/// Why a sweep cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Neither a built-in sweep nor a file.
    #[error("no sweep `{name}`: it is neither a file nor built in ({known})")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read ({message}): check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
    /// The file does not describe a sweep.
    #[error("{name}: {message}: mend the file")]
    Malformed {
        /// The file or built-in name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// One of its tasks is not usable.
    #[error("{name}: {task}")]
    Task {
        /// The file or built-in name.
        name: String,
        /// Why; not as a source, which would be said twice.
        task: TaskError,
    },
}

impl Sweep {
    /// The built-in sweep of that name, else the file at that path.
    ///
    /// # Errors
    /// [`SweepError`], naming the file and the remedy.
    pub fn open(name: &str) -> Result<Self, SweepError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        if !path.exists() && !name.ends_with(".toml") {
            let known = BUILT_IN.map(|(known, _)| known).join(", ");
            return Err(SweepError::Unknown { name: name.to_owned(), known });
        }
        let text = std::fs::read_to_string(path)
            .map_err(|e| SweepError::Read { path: path.to_owned(), message: e.to_string() })?;
        Self::parse(name, &text)
    }

    /// Reads and checks a sweep's TOML; `name` stands for it in messages.
    ///
    /// # Errors
    /// [`SweepError::Malformed`] or [`SweepError::Task`].
    pub fn parse(name: &str, text: &str) -> Result<Self, SweepError> {
        let malformed = |message: String| SweepError::Malformed { name: name.to_owned(), message };
        let mut sweep: Self = toml::from_str(text).map_err(|e| malformed(toml_message(text, &e)))?;
        for entry in &mut sweep.tasks {
            entry.opened().map_err(|task| SweepError::Task { name: name.to_owned(), task })?;
        }
        sweep.check().map_err(malformed)?;
        Ok(sweep)
    }

    fn largest_n(&self) -> u32 {
        self.n.last().copied().unwrap_or(1)
    }

    /// Trajectories sampled of each problem.
    pub fn trajectories(&self) -> u32 {
        self.trajectories.unwrap_or_else(|| self.largest_n())
    }

    /// Budgets of one of the models.
    pub fn budgets<'a>(&'a self, model: &'a ModelEntry) -> &'a [Budget] {
        model.budgets.as_deref().unwrap_or(&self.budgets)
    }

    /// The sweep's own price and all further ones.
    pub fn all_prices(&self) -> impl Iterator<Item = &Price> {
        self.price.iter().chain(&self.prices)
    }

    /// Every series of trajectories of a model: without forced continuation, then with each count of them.
    pub fn series(&self, model: &ModelEntry) -> Vec<u32> {
        let thinks = self.budgets(model).last() != Some(&Budget::Tokens(0));
        let waits = if thinks { self.waits.as_slice() } else { &[] };
        [&[0], waits].concat()
    }

    /// How one series of a model is sampled on a task.
    pub fn settings(&self, model: &ModelEntry, task: &Task, waits: u32) -> Settings {
        let budgets = self.budgets(model);
        // A forced continuation changes the chain itself, so its budgets cannot be read off one another.
        let budgets = if waits == 0 { budgets } else { &budgets[budgets.len() - 1..] };
        Settings {
            budgets: budgets.to_vec(),
            policy: self.policy,
            answer_tokens: task.answer_tokens,
            waits,
            sampling: self.sampling.clone(),
            seed: self.seed,
        }
    }

    /// Every row of the result table, in order.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for task in &self.tasks {
            for model in &self.models {
                for waits in self.series(model) {
                    let budgets = self.budgets(model);
                    let budgets = if waits == 0 { budgets } else { &budgets[budgets.len() - 1..] };
                    for &budget in budgets {
                        cells.extend(self.cells_at(&model.name, task, waits, budget));
                    }
                }
            }
        }
        cells
    }

    fn cells_at(&self, model: &str, task: &TaskEntry, waits: u32, budget: Budget) -> Vec<Cell> {
        let verifies = task.task().is_ok_and(|task| task.judge.verifies());
        let mut cells = Vec::new();
        for &strategy in &self.strategies {
            if strategy == Strategy::Verifier && !verifies {
                continue;
            }
            let ns: &[u32] = if strategy == Strategy::First { &[1] } else { &self.n };
            cells.extend(ns.iter().map(|&n| Cell {
                model: model.to_owned(),
                task: task.name.clone(),
                waits,
                budget,
                n,
                strategy,
            }));
        }
        cells
    }

    /// sha256 of the sweep as it was understood, defaults filled in.
    pub fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(serde_json::to_vec(self).expect("a sweep is plain data")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn quickstart() -> String {
        BUILT_IN[0].1.to_owned()
    }

    fn error(text: &str) -> String {
        Sweep::parse("sweep.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn the_quickstart_is_a_valid_sweep_with_cells_for_every_model_and_task() {
        let sweep = Sweep::parse("quickstart", &quickstart()).unwrap();
        let cells = sweep.cells();
        for model in &sweep.models {
            for task in &sweep.tasks {
                assert!(cells.iter().any(|c| c.model == model.name && c.task == task.name));
            }
        }
        assert_eq!(cells.iter().collect::<BTreeSet<_>>().len(), cells.len());
    }

    #[test]
    fn a_sweep_names_several_prices_and_keeps_them_in_its_manifest() {
        let with = |prices: &str| quickstart().replacen("seed = ", &format!("{prices}\nseed = "), 1);
        let mine = "{ device = \"d\", usd_per_device_hour = 2.0, source = \"s\", date = \"2026-01-01\" }";
        let sweep = Sweep::parse("s", &with(&format!("prices = [\"h100-owned\", {mine}]"))).unwrap();
        let labels: Vec<&str> = sweep.all_prices().map(Price::label).collect();
        assert_eq!(labels, ["2 cores of a rented x86-64 server", "h100-owned", "d"]);
        let again: Sweep = serde_json::from_str(&serde_json::to_string(&sweep).unwrap()).unwrap();
        assert_eq!(again, sweep);
        for (prices, complaint) in [
            ("prices = [\"no-such\"]", "h100-rented"),
            ("prices = [{ device = \"d\", source = \"s\", date = \"2026-01-01\" }]", "exactly one"),
            ("prices = [\"h100-owned\", \"h100-owned\"]", "listed twice"),
            ("prices = [{ colour = 1 }]", "colour"),
            ("verifier = { device_s_per_answer = -1.0, source = \"s\" }", "verifier"),
        ] {
            let message = error(&with(prices));
            assert!(message.contains(complaint) && message.lines().count() == 1, "{message}");
        }
    }

    #[test]
    fn the_hash_is_of_the_meaning_and_not_of_the_spelling() {
        let sweep = |text: &str| Sweep::parse("s", text).unwrap().sha256();
        assert_eq!(sweep(&quickstart()), sweep(&format!("# a comment\n{}", quickstart())));
        assert_ne!(sweep(&quickstart()), sweep(&quickstart().replacen("seed = ", "seed = 1", 1)));
    }
}
