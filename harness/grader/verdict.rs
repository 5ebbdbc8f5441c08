//! The verdict on one completion, and how it was reached.

use super::choice;
use super::completion::{Completion, split};
use super::conventions::{AnswerType, Conventions};
use super::equivalent::{Method, equivalent};
use super::extract::{Rule, extract};
use serde::{Deserialize, Serialize};

pub use crate::outcome::Outcome;

/// What was decided about a completion, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the answer equals the reference.
    pub equal: bool,
    /// The fate of the completion.
    pub outcome: Outcome,
    /// The answer as it was written.
    pub extracted: Option<String>,
    /// How the answer was found; absent where it was given.
    pub rule: Option<Rule>,
    /// What decided that it is equal; absent where it is not.
    pub method: Option<Method>,
}

impl Verdict {
    /// A verdict where there is no answer to compare.
    pub fn without_answer(outcome: Outcome) -> Verdict {
        Verdict { equal: false, outcome, extracted: None, rule: None, method: None }
    }
}

/// Grades an answer that was already extracted.
pub fn grade_answer(gold: &str, answer: Option<&str>, conventions: &Conventions) -> Verdict {
    match answer.filter(|a| !a.trim().is_empty()) {
        None => Verdict::without_answer(Outcome::NoAnswer),
        Some(answer) => compared(gold, answer.to_string(), None, conventions),
    }
}

/// Grades the text after the thinking.
pub fn grade_text(gold: &str, text: &str, conventions: &Conventions) -> Verdict {
    let conventions = resolved(gold, conventions);
    match extract(text, &conventions) {
        None => Verdict::without_answer(Outcome::NoAnswer),
        Some(found) => compared(gold, found.text, Some(found.rule), &conventions),
    }
}

/// Grades a raw completion, thinking included. Thinking that never ended is never graded.
pub fn grade_completion(gold: &str, completion: &str, conventions: &Conventions) -> Verdict {
    match split(completion) {
        Completion::Truncated => Verdict::without_answer(Outcome::Truncated),
        Completion::Answer(text) => grade_text(gold, text, conventions),
    }
}

fn compared(gold: &str, answer: String, rule: Option<Rule>, conventions: &Conventions) -> Verdict {
    let method = equivalent(gold, &answer, conventions);
    let outcome = if method.is_some() { Outcome::Correct } else { Outcome::Wrong };
    Verdict { equal: method.is_some(), outcome, extracted: Some(answer), rule, method }
}

/// Settles an answer type left to the reference. Only the kind of answer is taken from it, never its value.
fn resolved(gold: &str, conventions: &Conventions) -> Conventions {
    if conventions.answer_type != AnswerType::Auto || gold.len() > 4_000 {
        return conventions.clone();
    }
    let number = |t: &str| {
        t.trim().trim_start_matches('-').replace([',', '.'], "").chars().all(|c| c.is_ascii_digit())
    };
    let words = |t: &str| {
        let plain = super::clean::plain(t);
        plain.len() > 3 && !plain.contains('\\') && plain.chars().all(|c| c.is_alphabetic() || c == ' ')
    };
    let answer_type = if choice::is_choice(gold, conventions.options) {
        AnswerType::Choice
    } else if number(gold) {
        AnswerType::Number
    } else if words(gold) {
        AnswerType::Text
    } else {
        AnswerType::Expression
    };
    Conventions { answer_type, ..conventions.clone() }
}
