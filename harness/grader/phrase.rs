//! Answers that a phrase announces: `#### 18`, "Final answer: ...", "the answer is ...".
//!
//! The last announcement counts, and not even that if the text takes it back: "so the answer is 12. Wait, no: 15."

use super::choice;
use super::clean;
use super::conventions::{AnswerType, Conventions};
use super::extract::{Rule, is_answer, last_number};

const FINAL: &[&str] = &["final answer", "final result"];
const ANSWER: &[&str] = &[
    "answer is",
    "answer:",
    "answer :",
    "answer**:",
    "answer should be",
    "answer would be",
    "answer must be",
    "answer =",
    "answer equals",
    "answer to the question is",
    "answers are",
    "answer are",
    "result is",
    "answer, ",
    "option is",
    "choice is",
    "solution is",
    "solutions are",
    "total is",
];
const TAKEN_BACK: &[&str] = &[
    "wait",
    "actually",
    "no,",
    "no:",
    "correction",
    "let me re",
    "mistake",
    "oops",
    "scratch that",
    "sorry",
];

/// How far from the end a phrase may stand, and the longest statement.
const REACH: usize = 20_000;
const MAX_STATEMENT: usize = 400;

/// The stated answer, if one is stated.
pub(crate) fn stated(text: &str, conventions: &Conventions) -> Option<(String, Rule)> {
    if let Some(at) = text.rfind("####") {
        let line = text[at + 4..].lines().next().unwrap_or("").trim();
        if !line.is_empty() {
            return Some((clean::cleaned(line).to_string(), Rule::HashMarks));
        }
    }
    let lower = lowered_tail(text);
    let text = &text[text.len() - lower.len()..];
    let found = |phrases: &[&str]| phrases.iter().filter_map(|p| Some(lower.rfind(p)? + p.len())).max();
    let (last_final, last_answer) = (found(FINAL), found(ANSWER));
    let (at, rule) = match (last_final, last_answer) {
        // "Final answer: the answer is 5": the later phrase stands next to the answer.
        (Some(f), Some(a)) if a > f => (a, if a - f < 40 { Rule::FinalAnswer } else { Rule::AnswerIs }),
        (Some(f), _) => (f, Rule::FinalAnswer),
        (None, Some(a)) => (a, Rule::AnswerIs),
        (None, None) => return None,
    };
    let statement = statement(&text[at..]);
    let after = &lower[(at + statement.len()).min(lower.len())..];
    if TAKEN_BACK.iter().any(|cue| after.contains(cue)) {
        return None;
    }
    read(statement, conventions).map(|answer| (answer, rule))
}

/// ASCII lower case keeps byte offsets.
fn lowered_tail(text: &str) -> String {
    let mut start = text.len().saturating_sub(REACH);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_ascii_lowercase()
}

/// The text from a phrase up to the end of its sentence or formula.
fn statement(text: &str) -> &str {
    let mut end = text.len().min(MAX_STATEMENT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let lead = text.len() - text.trim_start_matches([' ', ':', '\n', '*', '=', '\t']).len();
    let body = &text[lead..];
    for (open, close) in [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")] {
        if let Some(rest) = body.strip_prefix(open)
            && let Some(n) = unescaped(rest, close)
        {
            let end = lead + open.len() + n + close.len();
            return if continues(&text[end..]) {
                &text[..end + sentence_end(&text[end..])]
            } else {
                &text[..end]
            };
        }
    }
    &text[..lead + sentence_end(body)]
}

/// Finds a delimiter that is not part of an escaped dollar sign.
fn unescaped(text: &str, mark: &str) -> Option<usize> {
    text.match_indices(mark).map(|(at, _)| at).find(|at| !text[..*at].ends_with('\\'))
}

/// Whether a list goes on after a formula: `$1$ and $2$`.
fn continues(after: &str) -> bool {
    let after = after.trim_start();
    ["and $", "or $", ", $", "and \\(", ", \\(", "or \\("].iter().any(|s| after.starts_with(s))
}

fn sentence_end(text: &str) -> usize {
    let line = text.find('\n').unwrap_or(text.len());
    let stop = [". ", ".\n", "! ", "? "].iter().filter_map(|s| text.find(s)).min();
    stop.map_or(line, |n| n.min(line))
}

/// The answer within a statement.
fn read(statement: &str, conventions: &Conventions) -> Option<String> {
    let statement =
        statement.trim().trim_start_matches([':', '*', '=', ' ']).trim_start_matches("is ").trim();
    let statement = statement.trim_start_matches("therefore ").trim_end_matches(['*', '.', ' ']);
    if statement.is_empty() {
        return None;
    }
    if conventions.answer_type == AnswerType::Choice
        && let Some(letter) = choice::letter(first_word(statement), conventions.options)
    {
        return Some(letter.to_string());
    }
    if conventions.answer_type == AnswerType::Text || is_answer(statement) {
        return Some(clean::cleaned(statement).to_string());
    }
    let cut = ["because", "since", ", which", ", so", " as ", ", as", ", where", ", when"]
        .iter()
        .filter_map(|s| statement.find(s))
        .min();
    let head = cut.map_or(statement, |n| &statement[..n]).trim().trim_end_matches(',');
    if is_answer(head) {
        return Some(clean::cleaned(head).to_string());
    }
    formula_in(head)
        .or_else(|| if conventions.answer_type == AnswerType::Choice { None } else { last_number(head) })
        .or_else(|| Some(clean::cleaned(head).to_string()).filter(|t| !t.is_empty()))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace()
        .find(|w| !["option", "choice", "Option", "letter", "the"].contains(w))
        .unwrap_or(text)
}

fn formula_in(text: &str) -> Option<String> {
    for (open, close) in [("$", "$"), ("\\(", "\\)")] {
        let end = text.rfind(close);
        if let Some(start) = end.and_then(|end| text[..end].rfind(open)) {
            let formula = text[start + open.len()..end?].trim();
            return (!formula.is_empty()).then(|| formula.to_string());
        }
    }
    None
}
