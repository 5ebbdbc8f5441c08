//! What decides whether an answer is right, and which answers mean the same.

use serde::{Deserialize, Serialize};

use crate::countdown::{self, Puzzle, Unsolved};
use crate::outcome::Outcome;
use crate::problem::Problem;

/// The kinds of judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// Evaluates an expression exactly; also serves as the verifier of best-of-n, since it needs no gold.
    Countdown,
    /// Compares a whole number with the gold.
    WholeNumber,
    /// Countdown or a whole number, by the form of the problem.
    Training,
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
    /// Equal for answers that mean the same.
    pub class: Option<String>,
}

impl Judge {
    /// Whether it can tell a right answer without knowing one.
    pub fn verifies(self) -> bool {
        self == Self::Countdown
    }

    /// Judges an answer's text; `complete` says whether the answer ended by itself.
    pub fn judge(self, problem: &Problem, text: &str, complete: bool) -> Finding {
        if !complete {
            return Finding { outcome: Outcome::Truncated, extracted: None, rule: None, class: None };
        }
        match self {
            Self::Countdown => countdown_answer(problem, text.trim()),
            Self::WholeNumber => whole_number(problem, text.trim()),
            Self::Training if problem.gold.starts_with("make ") => countdown_answer(problem, text.trim()),
            Self::Training => whole_number(problem, text.trim()),
        }
    }
}

fn no_answer() -> Finding {
    Finding { outcome: Outcome::NoAnswer, extracted: None, rule: None, class: None }
}

fn countdown_answer(problem: &Problem, text: &str) -> Finding {
    let Ok(puzzle) = problem.gold.parse::<Puzzle>() else {
        return Finding { outcome: Outcome::Error, ..no_answer() };
    };
    let outcome = match puzzle.check(text) {
        Ok(()) => Outcome::Correct,
        Err(Unsolved::Syntax(_)) => return no_answer(),
        Err(Unsolved::Numbers { .. } | Unsolved::Value(_)) => Outcome::Wrong,
    };
    let class = countdown::canonical(text).ok();
    Finding { outcome, extracted: Some(text.to_owned()), rule: Some("expression".into()), class }
}

fn whole_number(problem: &Problem, text: &str) -> Finding {
    let Ok(number) = text.parse::<i64>() else { return no_answer() };
    let right = problem.gold.parse() == Ok(number);
    Finding {
        outcome: if right { Outcome::Correct } else { Outcome::Wrong },
        extracted: Some(number.to_string()),
        rule: Some("whole_number".into()),
        class: Some(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(gold: &str) -> Problem {
        Problem { id: "p".into(), question: gold.into(), gold: gold.into(), variant_of: None }
    }

    #[test]
    fn an_unfinished_answer_is_truncated_even_if_it_looks_right() {
        let finding = Judge::WholeNumber.judge(&problem("4"), "4", false);
        assert_eq!((finding.outcome, finding.class), (Outcome::Truncated, None));
    }

    #[test]
    fn countdown_tells_wrong_answers_from_none() {
        let puzzle = problem("make 9 from 4 5 1");
        let outcome = |text| Judge::Countdown.judge(&puzzle, text, true).outcome;
        assert_eq!(outcome("( 4 + 5 ) * 1"), Outcome::Correct);
        assert_eq!(outcome("4 + 5 + 1"), Outcome::Wrong);
        assert_eq!(outcome("4 + 5"), Outcome::Wrong);
        assert_eq!(outcome("4 + )"), Outcome::NoAnswer);
    }

    #[test]
    fn answers_that_differ_in_order_only_vote_together() {
        let puzzle = problem("make 9 from 4 5 1");
        let class = |text| Judge::Countdown.judge(&puzzle, text, true).class;
        assert_eq!(class("( 4 + 5 ) * 1"), class("1 * (5 + 4)"));
        assert_ne!(class("4 + 5 * 1"), class("( 4 + 5 ) * 1"));
        assert_eq!(class("4 + )"), None);
    }
}
