//! What decides whether an answer is right, and which answers mean the same.

use serde::{Deserialize, Serialize};

use crate::countdown::{Puzzle, Unsolved};
use crate::countdown_answer;
use crate::expression::canonical;
use crate::grader::{
    AnswerType, Completion, Conventions, Method, Verdict, form, grade_answer, grade_text, split,
};
use crate::outcome::Outcome;

/// The kinds of judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// Evaluates an expression exactly; also serves as the verifier of best-of-n, since it needs no gold.
    Countdown,
    /// Compares a whole number with the gold.
    WholeNumber,
    /// Countdown or a whole number, by the form of the problem.
    Training,
    /// The [`crate::grader`]: finds the answer in the text and compares its meaning with the gold's.
    Answer(Conventions),
}

/// A judge's finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What became of the completion.
    pub outcome: Outcome,
    /// What was judged.
    pub extracted: Option<String>,
    /// How it was found in the text.
    pub rule: Option<String>,
    /// What decided that it is right, where the grader did.
    pub method: Option<Method>,
    /// A form of the answer: answers with equal forms mean the same. Absent where there is nothing to vote with.
    pub class: Option<String>,
}

impl Default for Judge {
    /// The grader with its default conventions.
    fn default() -> Self {
        Self::Answer(Conventions::default())
    }
}

impl Judge {
    /// Whether it can tell a right answer without knowing one.
    pub fn verifies(&self) -> bool {
        *self == Self::Countdown
    }

    /// Judges the text after the thought; `complete` says whether it ended by itself.
    pub fn judge(&self, gold: &str, text: &str, complete: bool) -> Finding {
        if !complete {
            return Finding::without_answer(Outcome::Truncated);
        }
        match self.of(gold) {
            Self::Countdown => countdown_answer(gold, text),
            Self::Answer(conventions) => graded(grade_text(gold, text, conventions), conventions),
            _ => whole_number(gold, text.trim()),
        }
    }

    /// Judges an answer that was found already.
    pub fn judge_answer(&self, gold: &str, answer: &str) -> Finding {
        match self {
            Self::Answer(conventions) => graded(grade_answer(gold, Some(answer), conventions), conventions),
            _ => self.judge(gold, answer, true),
        }
    }

    /// Judges a raw completion, its thinking between tags; a thought that never ended is truncated.
    pub fn judge_completion(&self, gold: &str, completion: &str) -> Finding {
        match split(completion) {
            Completion::Truncated => Finding::without_answer(Outcome::Truncated),
            Completion::Answer(text) => self.judge(gold, text, true),
        }
    }

    /// The judge of a problem with this gold.
    fn of(&self, gold: &str) -> &Self {
        match self {
            Self::Training if gold.starts_with("make ") => &Self::Countdown,
            Self::Training => &Self::WholeNumber,
            other => other,
        }
    }
}

impl Finding {
    /// Where there is nothing to judge.
    pub fn without_answer(outcome: Outcome) -> Self {
        Self { outcome, extracted: None, rule: None, method: None, class: None }
    }
}

fn graded(verdict: Verdict, conventions: &Conventions) -> Finding {
    Finding {
        outcome: verdict.outcome,
        rule: verdict.rule.map(|rule| rule.to_string()),
        method: verdict.method,
        class: verdict.extracted.as_deref().and_then(|answer| form(answer, conventions)),
        extracted: verdict.extracted,
    }
}

fn countdown_answer(gold: &str, text: &str) -> Finding {
    let Ok(puzzle) = gold.parse::<Puzzle>() else {
        return Finding::without_answer(Outcome::Error);
    };
    let Some((expression, rule)) = countdown_answer::find(text) else {
        return Finding::without_answer(Outcome::NoAnswer);
    };
    let outcome = match puzzle.check(&expression) {
        Ok(()) => Outcome::Correct,
        Err(Unsolved::Syntax(_)) => return Finding::without_answer(Outcome::NoAnswer),
        Err(Unsolved::Numbers { .. } | Unsolved::Value(_)) => Outcome::Wrong,
    };
    let class = canonical(&expression).ok();
    Finding { outcome, extracted: Some(expression), rule: Some(rule), method: None, class }
}

/// A bare number, or one that a sentence states.
fn whole_number(gold: &str, text: &str) -> Finding {
    let Ok(number) = text.parse::<i64>() else {
        let conventions = Conventions { answer_type: AnswerType::Number, ..Conventions::default() };
        let is_stated = text.contains(char::is_alphabetic);
        return if is_stated {
            graded(grade_text(gold, text, &conventions), &conventions)
        } else {
            Finding::without_answer(Outcome::NoAnswer)
        };
    };
    let right = gold.parse() == Ok(number);
    Finding {
        outcome: if right { Outcome::Correct } else { Outcome::Wrong },
        extracted: Some(number.to_string()),
        rule: Some("whole_number".into()),
        method: None,
        class: Some(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_answer_is_truncated_even_if_it_looks_right() {
        for judge in [Judge::WholeNumber, Judge::default()] {
            let finding = judge.judge("4", "4", false);
            assert_eq!((finding.outcome, finding.class), (Outcome::Truncated, None));
        }
    }

    #[test]
    fn countdown_tells_wrong_answers_from_none() {
        let outcome = |text| Judge::Countdown.judge("make 9 from 4 5 1", text, true).outcome;
        assert_eq!(outcome("( 4 + 5 ) * 1"), Outcome::Correct);
        assert_eq!(outcome("4 + 5 + 1"), Outcome::Wrong);
        assert_eq!(outcome("4 + 5"), Outcome::Wrong);
        assert_eq!(outcome("4 + )"), Outcome::NoAnswer);
    }

    #[test]
    fn a_whole_number_may_stand_in_a_sentence() {
        let outcome = |text| Judge::WholeNumber.judge("1234", text, true).outcome;
        assert_eq!(outcome("1234"), Outcome::Correct);
        assert_eq!(outcome("The answer is **1,234**."), Outcome::Correct);
        assert_eq!(outcome("The answer is 1235."), Outcome::Wrong);
        assert_eq!(outcome("12 34"), Outcome::NoAnswer);
    }

    #[test]
    fn answers_that_differ_in_order_only_vote_together() {
        let class = |text| Judge::Countdown.judge("make 9 from 4 5 1", text, true).class;
        assert_eq!(class("( 4 + 5 ) * 1"), class("1 * (5 + 4)"));
        assert_ne!(class("4 + 5 * 1"), class("( 4 + 5 ) * 1"));
        assert_eq!(class("4 + )"), None);
    }

    #[test]
    fn answers_written_differently_vote_together() {
        let class = |text| Judge::default().judge("7", text, true).class;
        assert_eq!(class(r"The answer is $\boxed{\frac12}$."), class("Answer: 0.5"));
        assert_ne!(class("Answer: 0.5"), class("Answer: 2"));
        assert_eq!(class(""), None);
    }
}
