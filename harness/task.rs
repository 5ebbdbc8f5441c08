//! A task: where problems come from, how they are asked, how answers are judged. One TOML file each.
//!
//! The files in `harness/tasks` are built in; `harness/tasks/README.md` says what a file holds and how to add one.

mod problems;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::built_in_tasks::BUILT_IN;
use crate::cell::MOST_TOKENS;
use crate::engine::Job;
use crate::generator::Generator;
use crate::judge::Judge;
use crate::problem::Problem;
use crate::source::{Place, Source};

/// A problem set, the words around it, and its judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name in sweeps and tables.
    pub name: String,
    /// What it is good for, and what must be known about its problems.
    pub why: String,
    /// Of the problems; not of the task file.
    pub licence: String,
    /// The system message; empty for none. The bundled models' template leaves it out: they know their tasks only.
    #[serde(default)]
    pub instructions: String,
    /// The user's message, with `{question}` in the place of the question.
    #[serde(default = "question_only")]
    pub prompt: String,
    /// Worked examples, shown before the question in the same message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// Most tokens of an answer.
    pub answer_tokens: u32,
    /// What decides whether an answer is right: `[judge.answer]` with the grader's conventions, or the name of
    /// another judge.
    pub judge: Judge,
    /// Places that hold the same problems; the first that can be read is used.
    pub sources: Vec<Source>,
}

/// A worked example of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What was asked.
    pub question: String,
    /// The answer as it should be given.
    pub answer: String,
}

fn question_only() -> String {
    "{question}".into()
}

/// Why a task cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// No such task.
    #[error("no task `{name}`: it is neither a file nor built in ({known})")]
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
    /// No source of its problems is on this machine or can be fetched.
    #[error("task {name}: {reason}: {remedy}")]
    Absent {
        /// The task.
        name: String,
        /// What was looked for.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Its problems cannot be read.
    #[error("task {name}: {message}: mend the file, or the task's `fields`")]
    Broken {
        /// The task.
        name: String,
        /// The file and what is wrong.
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

    /// The built-in task of that name, else the file at that path.
    ///
    /// # Errors
    /// [`TaskError::Unknown`] with the names there are, [`TaskError::Malformed`].
    pub fn open(name: &str) -> Result<Self, TaskError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        match std::fs::read_to_string(Path::new(name)) {
            Ok(text) => Self::parse(name, &text),
            Err(_) if !name.ends_with(".toml") => {
                let known = Self::names().collect::<Vec<_>>().join(", ");
                Err(TaskError::Unknown { name: name.to_owned(), known })
            }
            Err(error) => Err(TaskError::Malformed { name: name.to_owned(), message: error.to_string() }),
        }
    }

    /// Reads a task's TOML; `name` stands for it in messages.
    ///
    /// # Errors
    /// [`TaskError::Malformed`].
    pub fn parse(name: &str, text: &str) -> Result<Self, TaskError> {
        let malformed = |message: String| TaskError::Malformed { name: name.to_owned(), message };
        let task: Self = toml::from_str(text)
            .map_err(|error| malformed(crate::toml_message::toml_message(text, &error)))?;
        task.check().map_err(malformed)?;
        Ok(task)
    }

    /// Whether it can be asked, else what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.prompt.contains("{question}") {
            return Err("`prompt` has no {question}".into());
        }
        if self.sources.is_empty() || self.answer_tokens == 0 {
            return Err("`sources` and `answer_tokens` must not be empty".into());
        }
        if self.answer_tokens > MOST_TOKENS {
            return Err(format!("`answer_tokens` is above {MOST_TOKENS}, more than any model can write"));
        }
        if let Some(source) = self.sources.iter().find(|source| source.from.leads_out()) {
            let remedy = "name a file inside the data folder or the working directory, without `..`";
            return Err(format!("{} leads out of where a task may read: {remedy}", source.from));
        }
        self.sources.iter().try_for_each(|source| source.from.check())
    }

    /// Whether its problems are variations of another task's, where generators made both; else only the ids can tell.
    pub fn varies(&self, other: &Self) -> Option<bool> {
        Some(self.generator()?.varies(other.generator()?))
    }

    fn generator(&self) -> Option<&Generator> {
        self.sources.iter().find_map(|source| match &source.from {
            Place::Generator(generator) => Some(generator),
            _ => None,
        })
    }

    /// What is asked of a model about a problem.
    pub fn job(&self, problem: &Problem, trajectories: Vec<u32>) -> Job {
        Job {
            problem: problem.id.clone(),
            instructions: self.instructions.clone(),
            question: self.asked(&problem.question),
            trajectories,
        }
    }

    /// The user's message.
    fn asked(&self, question: &str) -> String {
        let filled = |question: &str| self.prompt.replacen("{question}", question, 1);
        let worked = |example: &Example| format!("{}\n\n{}\n\n", filled(&example.question), example.answer);
        self.examples.iter().map(worked).collect::<String>() + &filled(question)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::source::Library;
    use crate::{chain, countdown};

    pub(crate) fn task(prompt: &str, source: &str) -> Task {
        let text = format!(
            "name = \"t\"\nwhy = \"a test\"\nlicence = \"MIT\"\nanswer_tokens = 9\nprompt = {prompt:?}\n\
             [judge.answer]\nanswer_type = \"number\"\n[[sources]]\n{source}"
        );
        Task::parse("t", &text).unwrap()
    }

    #[test]
    fn every_built_in_task_has_its_own_name() {
        for name in Task::names() {
            assert_eq!(Task::open(name).unwrap().name, name);
        }
    }

    #[test]
    fn evaluation_and_training_tasks_share_no_problem() {
        let training = Task::open("training").unwrap().problems(&Library::default()).unwrap();
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

    #[test]
    fn a_task_file_names_no_place_outside_of_its_folders() {
        let parsed = |place: &str| {
            let text = format!(
                "name = \"t\"\nwhy = \"a test\"\nlicence = \"MIT\"\nanswer_tokens = 9\n[judge.answer]\n\
                 answer_type = \"number\"\n[[sources]]\nfrom = {{ {place} }}"
            );
            Task::parse("t", &text)
        };
        let hub = |repository: &str, file: &str| {
            format!("hub = {{ repository = \"{repository}\", revision = \"abc\", file = \"{file}\" }}")
        };
        for place in [
            "path = \"../../etc/passwd\"",
            "path = \"/etc/passwd.txt\"",
            "path = \"a/../../b.csv\"",
            "path = \"\"",
            "url = \"http:///etc/hosts.txt\"",
            "url = \"https://h/../../b.csv\"",
            &hub("o/n", "/etc/a.json"),
            &hub("o/n", "../../a.json"),
            &hub("/etc", "a.json"),
        ] {
            let message = parsed(place).unwrap_err().to_string();
            assert!(message.contains("leads out") && !message.contains('\n'), "{place}: {message}");
        }
        for place in ["path = \"./a/b.csv\"", "url = \"https://h/b.csv\"", &hub("o/n", "data/a.json")] {
            parsed(place).unwrap();
        }
    }

    #[test]
    fn examples_stand_before_the_question_in_the_words_of_the_prompt() {
        let mut task = task("Q: {question}\nA:", "from = { path = \"x\" }");
        task.examples = vec![Example { question: "1+1".into(), answer: "2".into() }];
        assert_eq!(task.asked("{2+2}"), "Q: 1+1\nA:\n\n2\n\nQ: {2+2}\nA:");
    }
}
