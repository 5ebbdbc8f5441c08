//! Finding the expression in what a model answers to a countdown puzzle.
//!
//! The bundled models answer with the expression alone. Others write `\boxed{(7-4) \times 8}`, or
//! "The answer is (7 - 4) * 8 = 24." Contract: the expression as [`crate::expression::evaluate`] reads it, and the
//! rule that found it; nothing where nothing can be evaluated.

use crate::expression::evaluate;
use crate::grader::{AnswerType, Conventions, extract};

/// How LaTeX writes what an expression is made of.
const NOTATION: [(&str, &str); 9] = [
    (r"\times", "*"),
    (r"\cdot", "*"),
    (r"\div", "/"),
    (r"\left", ""),
    (r"\right", ""),
    (r"\,", ""),
    ("$", ""),
    ("[", "("),
    ("]", ")"),
];

/// The expression that a text gives as its answer, and the rule that found it.
pub(crate) fn find(text: &str) -> Option<(String, String)> {
    let whole = text.trim();
    if evaluate(whole).is_ok() {
        return Some((whole.to_owned(), "expression".into()));
    }
    let conventions = Conventions { answer_type: AnswerType::Expression, ..Conventions::default() };
    let found = extract(text, &conventions)?;
    let plain = NOTATION.iter().fold(found.text, |text, (latex, plain)| text.replace(latex, plain));
    let sides = plain.split('=').map(|side| side.trim().trim_end_matches('.'));
    let expression = sides.into_iter().find(|side| evaluate(side).is_ok_and(|(_, n)| n.len() > 1))?;
    Some((expression.to_owned(), found.rule.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expression_is_found_however_it_is_announced() {
        for (text, rule) in [
            ("( 7 - 4 ) * 8", "expression"),
            ("We try 7 * 4 = 28. So: $$\\boxed{(7 - 4) \\times 8}$$", "boxed"),
            ("The answer is $\\left(7-4\\right) \\cdot 8 = 24$.", "answer_is"),
            ("7 - 4 = 3\n3 * 8 = 24\nAnswer: [7 - 4] * 8 = 24", "answer_is"),
        ] {
            let (expression, found_by) = find(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(evaluate(&expression).unwrap().1, [7, 4, 8], "{text}");
            assert_eq!(found_by, rule, "{text}");
        }
    }

    #[test]
    fn prose_and_single_numbers_are_no_expression() {
        for text in ["", "I cannot find one.", "The answer is 24.", "\\boxed{24}", "\\boxed{(7 - 4"] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
