//! Answers in words, and the few phrases that mean the same thing.
//!
//! Contract: [`normalised`] is what two answers in words are compared by. Nothing here looks at meaning: a
//! synonym that is not in the short table is a different answer.

/// Phrases with one meaning; the first of each row is the name of the class.
const SYNONYMS: &[&[&str]] = &[
    &[
        "no solution",
        "no solutions",
        "no real solution",
        "no real solutions",
        "none",
        "there is no solution",
        "there are no solutions",
        "empty set",
        "the empty set",
        "no such number exists",
        "no such number",
        "∅",
    ],
    &["does not exist", "dne", "not exist", "doesn't exist", "do not exist", "limit does not exist"],
    &["all real numbers", "all reals", "any real number", "real numbers"],
    &["infinitely many", "infinitely many solutions", "infinite solutions", "infinite number of solutions"],
    &["yes", "true"],
    &["no", "false"],
    &["cannot be determined", "not enough information", "insufficient information"],
];

/// Lower case unless the case matters, without articles, punctuation and repeated spaces, synonyms unified.
pub(crate) fn normalised(text: &str, case_sensitive: bool) -> String {
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '’' => kept.push('\''),
            c if c.is_alphanumeric() || "+-*/=<>%∅".contains(c) => kept.push(c),
            _ => kept.push(' '),
        }
    }
    let words = kept.split_whitespace().filter(|w| !is_article(w));
    let joined = words.collect::<Vec<_>>().join(" ");
    let lower = joined.to_lowercase();
    match SYNONYMS.iter().find(|row| row.contains(&lower.as_str())) {
        Some(row) => row[0].to_string(),
        None if case_sensitive => joined,
        None => lower,
    }
}

/// The name of the class that a phrase belongs to, if it is one of the phrases with several writings.
pub(crate) fn phrase(text: &str) -> Option<&'static str> {
    let normalised = normalised(text, false);
    SYNONYMS.iter().map(|row| row[0]).find(|name| *name == normalised)
}

fn is_article(word: &str) -> bool {
    ["the", "The", "an", "An"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_with_one_meaning_are_one_text() {
        assert_eq!(normalised("No real solutions.", false), normalised("none", false));
        assert_eq!(normalised("The  Ellipse", false), normalised("ellipse", false));
        assert_ne!(normalised("east", false), normalised("west", false));
        assert_ne!(normalised("East", true), normalised("east", true));
    }
}
