//! Finding the final answer in what a model wrote.
//!
//! Models state answers in a handful of ways, and graders lose points by missing one or by taking a number that is
//! no answer. The rules are tried from the most deliberate to the least: a box, `#### 18`, "Final answer: ...", "the
//! answer is ...", a bold last line, the whole text if it is one expression, and only then the last formula or number.
//! The rule that fired is part of the record, so that a suspicious score can be traced. Contract: linear in the
//! last [`TAIL_BYTES`] of the text; the text must not contain the thinking.

use super::boxed::{self, Boxed};
use super::choice;
use super::conventions::{AnswerType, Conventions};
use super::equivalent::equivalent;
use super::parse::parse;
use super::phrase;
use super::tree::Node;
use serde::{Deserialize, Serialize};

/// How much of the end of a text is searched.
pub const TAIL_BYTES: usize = 1 << 17;

/// The rule that found the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The last `\boxed{}` or `\fbox{}`.
    Boxed,
    /// Several boxes of one sentence.
    BoxedSeveral,
    /// After `####`.
    HashMarks,
    /// After "final answer".
    FinalAnswer,
    /// After "the answer is".
    AnswerIs,
    /// An option's letter.
    ChoiceLetter,
    /// The last bold text.
    Bold,
    /// The whole text is one expression.
    WholeText,
    /// The last line is one expression.
    LastLine,
    /// The last formula between dollars.
    LastFormula,
    /// The last number.
    LastNumber,
}

impl std::fmt::Display for Rule {
    /// The name in records.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// An extracted answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extraction {
    /// The answer as it was written.
    pub text: String,
    /// The rule that found it.
    pub rule: Rule,
}

/// Finds the final answer in a text without thinking.
pub fn extract(text: &str, conventions: &Conventions) -> Option<Extraction> {
    let tail = tail(text);
    let made = |(text, rule): (String, Rule)| Extraction { text, rule };
    match boxed::last(tail) {
        Some(Boxed::One(text)) => return Some(Extraction { text, rule: Rule::Boxed }),
        Some(Boxed::Several(parts)) => return Some(several(&parts, conventions)),
        // A box that was cut off may hold the first digits of a longer number.
        Some(Boxed::CutOff) => return None,
        None => {}
    }
    phrase::stated(tail, conventions)
        .or_else(
            || if conventions.answer_type == AnswerType::Choice { chosen(tail, conventions) } else { None },
        )
        .or_else(|| unstated(tail, conventions))
        .map(made)
}

/// Several boxes are a list, unless they say one thing twice: `\boxed{15\frac12}` or `\boxed{\frac{31}{2}}`.
fn several(parts: &[String], conventions: &Conventions) -> Extraction {
    let symmetric = conventions.symmetric();
    let once = parts.windows(2).all(|p| equivalent(&p[0], &p[1], &symmetric).is_some());
    match parts.last().filter(|_| once) {
        Some(last) => Extraction { text: last.clone(), rule: Rule::Boxed },
        None => Extraction { text: parts.join(", "), rule: Rule::BoxedSeveral },
    }
}

/// The end of a long text, cut at a character.
fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// What stands last, where nothing was stated.
fn unstated(text: &str, conventions: &Conventions) -> Option<(String, Rule)> {
    let whole = text.trim();
    if whole.is_empty() {
        return None;
    }
    let words = conventions.answer_type == AnswerType::Text;
    if let Some(bold) = last_bold(whole, words).filter(|_| words) {
        return Some((bold, Rule::Bold));
    }
    let short = whole.len() <= 200 && !whole.contains('\n');
    if short && (is_answer(whole) || conventions.answer_type == AnswerType::Text) {
        return Some((whole.to_string(), Rule::WholeText));
    }
    if let Some(bold) = last_bold(whole, false) {
        return Some((bold, Rule::Bold));
    }
    let line = whole.lines().next_back().unwrap_or(whole).trim();
    if line.len() <= 200 && (is_answer(line) || conventions.answer_type == AnswerType::Text) {
        return Some((line.to_string(), Rule::LastLine));
    }
    match conventions.answer_type {
        AnswerType::Text | AnswerType::Choice => None,
        AnswerType::Number => last_number(whole).map(|n| (n, Rule::LastNumber)),
        _ => last_formula(whole)
            .map(|f| (f, Rule::LastFormula))
            .or_else(|| last_number(whole).map(|n| (n, Rule::LastNumber))),
    }
}

/// Whether a text is one mathematical answer and no prose.
pub(crate) fn is_answer(text: &str) -> bool {
    let cleaned = super::clean::cleaned(text);
    if cleaned.is_empty() || cleaned.len() > 200 {
        return false;
    }
    // Prose parses by accident as "number noun noun"; a few words at most are units.
    if cleaned.split_whitespace().filter(|w| w.len() > 2 && w.chars().all(char::is_alphabetic)).count() > 3 {
        return false;
    }
    parse(cleaned, true).is_some_and(|node| !node.any(&|n| matches!(n, Node::Text(_))))
}

/// The last `**bold**` text that holds an answer, if nothing but prose follows.
fn last_bold(text: &str, words: bool) -> Option<String> {
    let end = text.rfind("**")?;
    let start = text[..end].rfind("**")? + 2;
    let bold = text[start..end].trim().trim_end_matches([':', '.']);
    let after = &text[end + 2..];
    let holds = (words || is_answer(bold)) && bold.len() <= 200 && !bold.is_empty();
    (holds && !after.contains(|c: char| c.is_ascii_digit())).then(|| bold.to_string())
}

/// The last formula between dollars.
fn last_formula(text: &str) -> Option<String> {
    for (open, close) in [("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")] {
        let Some(end) = text.rfind(close) else { continue };
        let Some(start) = text[..end].trim_end_matches('$').rfind(open) else { continue };
        let formula = text[start + open.len()..end].trim_matches('$').trim();
        let after = &text[end + close.len()..];
        let usable = !formula.is_empty() && formula.len() <= 400 && !formula.contains('\n');
        if usable && !after.contains(|c: char| c.is_ascii_digit()) {
            return Some(last_side(formula).to_string());
        }
    }
    None
}

/// What an equation ends in, where its left side is no mere label.
fn last_side(formula: &str) -> &str {
    formula.rsplit('=').next().map(str::trim).filter(|s| !s.is_empty()).unwrap_or(formula)
}

/// The last number, with sign, separators and fraction bar.
pub(crate) fn last_number(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let end = bytes.iter().rposition(u8::is_ascii_digit)? + 1;
    let mut start = end;
    while start > 0 && continues(bytes, start) {
        start -= 1;
    }
    while start < end && matches!(bytes[start], b',' | b'/') {
        start += 1;
    }
    let negative = start > 0
        && bytes[start - 1] == b'-'
        && (start == 1 || !(bytes[start - 2].is_ascii_alphanumeric() || bytes[start - 2] == b')'));
    let percent = text[end..].trim_start().starts_with(['%']) || text[end..].starts_with("\\%");
    let sign = if negative { "-" } else { "" };
    let mark = if percent { "\\%" } else { "" };
    Some(format!("{sign}{}{mark}", &text[start..end]))
}

/// Whether the byte before `at` belongs to the number.
fn continues(bytes: &[u8], at: usize) -> bool {
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    match bytes[at - 1] {
        b if b.is_ascii_digit() => true,
        b'.' => digit(at) && (at == 1 || digit(at - 2) || !bytes[at - 2].is_ascii_alphanumeric()),
        b'/' => at >= 2 && digit(at - 2) && digit(at),
        b',' => at >= 2 && digit(at - 2) && digit(at) && digit(at + 1) && digit(at + 2) && !digit(at + 3),
        _ => false,
    }
}

/// The option that a text settles on: its last letter in brackets, or its last capital after "option" or "choice".
fn chosen(text: &str, conventions: &Conventions) -> Option<(String, Rule)> {
    if let Some(letter) = choice::letter(text.lines().next_back().unwrap_or(text), conventions.options) {
        return Some((letter.to_string(), Rule::ChoiceLetter));
    }
    if let Some(letter) = choice::letter(text, conventions.options) {
        return Some((letter.to_string(), Rule::ChoiceLetter));
    }
    let bytes = text.as_bytes();
    let option = |b: u8| b.is_ascii_uppercase() && b < b'A' + conventions.options.min(25);
    let bracketed = (1..bytes.len().saturating_sub(1)).rev().find(|&i| {
        option(bytes[i]) && bytes[i + 1] == b')' && (bytes[i - 1] == b'(' || bytes[i - 1] == b' ')
    });
    let alone = || {
        let free = |i: usize| !bytes.get(i).is_some_and(u8::is_ascii_alphanumeric);
        (1..bytes.len())
            .rev()
            .find(|&i| option(bytes[i]) && free(i - 1) && free(i + 1) && !matches!(bytes[i], b'A' | b'I'))
    };
    let at = bracketed.or_else(alone)?;
    Some((char::from(bytes[at]).to_string(), Rule::ChoiceLetter))
}
