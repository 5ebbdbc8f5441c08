//! A task: where problems come from, how they are asked, how answers are judged. One TOML file each.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::judge::Judge;
use crate::problem::{Problem, ProblemSet};
use crate::{chain, countdown};

/// The tasks that are built in.
const BUILT_IN: [(&str, &str); 4] = [
    ("countdown-3", include_str!("tasks/countdown-3.toml")),
    ("countdown-4", include_str!("tasks/countdown-4.toml")),
    ("chain", include_str!("tasks/chain.toml")),
    ("training", include_str!("tasks/training.toml")),
];

/// A problem set, the words around it, and its judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name in sweeps and tables.
    pub name: String,
    /// What it is good for.
    pub why: String,
    /// The system message. The bundled models' template leaves it out: they know these tasks only.
    pub instructions: String,
    /// Most tokens of an answer.
    pub answer_tokens: u32,
    /// What decides whether an answer is right.
    pub judge: Judge,
    /// Where the problems come from.
    pub source: Source,
    /// sha256 of the whole problem set; absent only while a task is being written.
    pub sha256: Option<String>,
}

/// A generator of problems. The same seed gives the same problems on every machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "generator", rename_all = "kebab-case")]
pub enum Source {
    /// [`crate::countdown`].
    Countdown {
        /// How many numbers a puzzle has.
        numbers: usize,
        /// Which side of the split.
        split: Split,
        /// Puzzles in the set.
        problems: usize,
        /// Seed.
        seed: u64,
    },
    /// [`crate::chain`].
    Chain {
        /// Fewest and most steps.
        steps: (usize, usize),
        /// Which side of the split.
        split: Split,
        /// Chains in the set.
        problems: usize,
        /// Seed.
        seed: u64,
    },
    /// Equal parts of three-number countdown, four-number countdown and chains, training side only.
    Training {
        /// Problems of each kind.
        problems: usize,
        /// Seed.
        seed: u64,
    },
}

/// The two sides that generated problems fall on, by hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Never seen by the bundled models.
    Evaluation,
    /// What they were trained on.
    Training,
}

/// Why a task cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// No such task.
    #[error("no task `{name}`; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file does not describe a task.
    #[error("task {name}: {message}: mend the file")]
    Malformed {
        /// The task.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The problems are not the ones the task was pinned to.
    #[error("task {name}: its problems hash to {found}, not the pinned {pinned}: they have changed")]
    Changed {
        /// The task.
        name: String,
        /// What was computed.
        found: String,
        /// What the file says.
        pinned: String,
    },
}

impl Task {
    /// Names of the built-in tasks.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The built-in task `name`.
    ///
    /// # Errors
    /// [`TaskError::Unknown`] with the names there are.
    pub fn built_in(name: &str) -> Result<Self, TaskError> {
        let known = || Self::names().collect::<Vec<_>>().join(", ");
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| TaskError::Unknown { name: name.to_owned(), known: known() })?;
        Self::parse(name, text)
    }

    /// Reads a task's TOML.
    ///
    /// # Errors
    /// [`TaskError::Malformed`].
    pub fn parse(name: &str, text: &str) -> Result<Self, TaskError> {
        toml::from_str(text).map_err(|error| TaskError::Malformed {
            name: name.to_owned(),
            message: crate::sweep::toml_message(text, &error),
        })
    }

    /// All problems, checked against the pinned hash.
    ///
    /// # Errors
    /// [`TaskError::Changed`] if they are not the pinned ones.
    pub fn problems(&self) -> Result<ProblemSet, TaskError> {
        let set = ProblemSet::new(self.source.generate());
        match &self.sha256 {
            Some(pinned) if pinned != set.sha256() => Err(TaskError::Changed {
                name: self.name.clone(),
                found: set.sha256().to_owned(),
                pinned: pinned.clone(),
            }),
            _ => Ok(set),
        }
    }

    /// A seeded random subset of `limit` problems, in set order; all of them if there are no more.
    ///
    /// # Errors
    /// As [`Task::problems`].
    pub fn subset(&self, limit: usize, seed: u64) -> Result<ProblemSet, TaskError> {
        let all = self.problems()?;
        let count = all.problems().len();
        let key = Sha256::digest(format!("{seed} {}", self.name));
        let mut rng = ChaCha8Rng::from_seed(key.into());
        let mut chosen: Vec<usize> = (0..count).collect();
        chosen.shuffle(&mut rng);
        chosen.truncate(limit);
        chosen.sort_unstable();
        Ok(ProblemSet::new(chosen.into_iter().map(|i| all.problems()[i].clone()).collect()))
    }
}

impl Source {
    fn generate(&self) -> Vec<Problem> {
        let rng = |seed: u64| ChaCha8Rng::seed_from_u64(seed);
        match *self {
            Self::Countdown { numbers, split, problems, seed } => {
                countdown_problems(numbers, problems, split == Split::Evaluation, &mut rng(seed))
            }
            Self::Chain { steps: (fewest, most), split, problems, seed } => {
                chain_problems(fewest..=most, problems, split == Split::Evaluation, &mut rng(seed))
            }
            Self::Training { problems, seed } => {
                let mut rng = rng(seed);
                let mut all = countdown_problems(3, problems, false, &mut rng);
                all.extend(countdown_problems(4, problems, false, &mut rng));
                all.extend(chain_problems(2..=20, problems, false, &mut rng));
                all
            }
        }
    }
}

fn countdown_problems(numbers: usize, count: usize, held_out: bool, rng: &mut ChaCha8Rng) -> Vec<Problem> {
    let puzzles = countdown::draw(numbers, count, held_out, rng);
    puzzles
        .iter()
        .enumerate()
        .map(|(i, p)| problem(format!("c{numbers}-{i:04}"), p.to_string(), p.to_string()))
        .collect()
}

fn chain_problems(
    lengths: std::ops::RangeInclusive<usize>,
    count: usize,
    held_out: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Problem> {
    let chains = chain::draw(lengths, count, held_out, rng);
    let gold = |chain: &chain::Chain| chain.values().and_then(|v| v.last().copied()).unwrap_or(chain.start);
    chains
        .iter()
        .enumerate()
        .map(|(i, c)| problem(format!("s{}-{i:04}", c.steps.len()), c.to_string(), gold(c).to_string()))
        .collect()
}

fn problem(id: String, question: String, gold: String) -> Problem {
    Problem { id, question, gold, variant_of: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_task_is_pinned_and_still_gives_the_pinned_problems() {
        let found = |name| {
            let task = Task::built_in(name).unwrap();
            assert_eq!(task.name, name);
            (
                name,
                task.sha256.unwrap_or_default(),
                ProblemSet::new(task.source.generate()).sha256().to_owned(),
            )
        };
        let changed: Vec<_> = Task::names().map(found).filter(|(_, pinned, found)| pinned != found).collect();
        assert!(changed.is_empty(), "task, pinned, found: {changed:#?}");
    }

    #[test]
    fn a_subset_is_random_but_the_same_for_the_same_seed() {
        let task = Task::built_in("countdown-3").unwrap();
        let subset = |seed| task.subset(20, seed).unwrap();
        assert_eq!(subset(1), subset(1));
        assert_ne!(subset(1), subset(2));
        assert_ne!(subset(1).problems(), &task.problems().unwrap().problems()[..20]);
        assert_eq!(task.subset(usize::MAX, 1).unwrap(), task.problems().unwrap());
    }

    #[test]
    fn evaluation_and_training_tasks_share_no_problem() {
        let training = Task::built_in("training").unwrap().problems().unwrap();
        for problem in training.problems() {
            let held_out = match problem.question.parse::<countdown::Puzzle>() {
                Ok(puzzle) => puzzle.held_out(),
                Err(_) => problem.question.parse::<chain::Chain>().unwrap().held_out(),
            };
            assert!(!held_out, "{}", problem.question);
        }
    }

    #[test]
    fn an_unknown_key_names_the_task_and_the_line() {
        let text = "name = \"x\"\ncolour = 1\n";
        let error = Task::parse("x", text).unwrap_err().to_string();
        assert!(error.contains("task x: line 2") && error.contains("colour"), "{error}");
    }
}
