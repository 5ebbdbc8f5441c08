//! Letters of multiple-choice options.
//!
//! A letter counts only where it stands as an option does: alone, in brackets, or first with `)`, `.` or `:` after it.
//! The "A" of "A train leaves" is no answer.

use super::clean;
use super::conventions::{AnswerType, Conventions};

/// The option that an answer names, if it names one.
pub(crate) fn letter(answer: &str, options: u8) -> Option<char> {
    let plain = clean::plain(start_of(answer));
    let mut text = plain.trim().trim_matches(['*', '$', '{', '}', '"', '\'']).trim();
    for word in ["option", "Option", "choice", "Choice", "answer", "Answer", "OPTION"] {
        text = text.strip_prefix(word).map_or(text, |rest| rest.trim_start_matches([':', ' ']));
    }
    let bracketed = text.starts_with(['(', '[']);
    let text = text.trim_start_matches(['(', '[', '*', ' ']);
    let mut chars = text.chars();
    let first = chars.next().filter(char::is_ascii_alphabetic)?;
    let rest = chars.as_str().trim_start_matches(['*', '}']);
    let ends =
        rest.is_empty() || rest.starts_with([')', ']', '.', ':']) || (rest.starts_with(',') && !bracketed);
    // "(a, b)" is a pair and "a:b" a ratio: more than a letter counts only for capitals.
    let alone = rest.trim_matches([')', ']', '.', ':', '*']).trim().is_empty();
    let letter = first.to_ascii_uppercase();
    let capital = first.is_ascii_uppercase();
    (ends && (alone || (capital && !rest.starts_with(','))) && letter < last(options)).then_some(letter)
}

/// The first characters, which are all that matters of a long text.
fn start_of(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
}

/// The first letter that is no option.
fn last(options: u8) -> char {
    char::from(b'A' + options.min(25))
}

/// Decides between two answers to a multiple-choice question; nothing if this is none.
pub(crate) fn compare(gold: &str, answer: &str, conventions: &Conventions) -> Option<bool> {
    let gold_letter = match conventions.answer_type {
        AnswerType::Choice => letter(gold, conventions.options)?,
        AnswerType::Auto => bare_capital(gold, conventions.options)?,
        _ => return None,
    };
    match letter(answer, conventions.options) {
        Some(answer_letter) => Some(gold_letter == answer_letter),
        None if conventions.answer_type == AnswerType::Choice => Some(false),
        None => None,
    }
}

/// A reference that is one capital letter, perhaps in brackets.
fn bare_capital(gold: &str, options: u8) -> Option<char> {
    if gold.len() > 40 {
        return None;
    }
    let plain = clean::plain(gold);
    let inner = plain.trim().trim_start_matches('(').trim_end_matches([')', '.']);
    let mut chars = inner.chars();
    let first = chars.next().filter(|c| c.is_ascii_uppercase() && *c < last(options))?;
    chars.next().is_none().then_some(first)
}

/// Whether a reference answer is an option's letter.
pub(crate) fn is_choice(gold: &str, options: u8) -> bool {
    bare_capital(clean::cleaned(gold), options).is_some()
}
