//! Boxed answers: `\boxed{...}` with whatever braces are inside.
//!
//! The last box wins, since models box intermediate results. Several boxes joined by nothing but commas and "and"
//! are one answer in parts. A box that never closes was cut off and is no answer.

/// The commands that box.
const COMMANDS: [&str; 2] = ["\\boxed", "\\fbox"];

/// A box in a text: the range of the whole command and of its content.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Found {
    start: usize,
    inner: (usize, usize),
    end: usize,
}

/// What the last box, or row of boxes, says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Boxed {
    /// One box.
    One(String),
    /// Several boxes of one sentence.
    Several(Vec<String>),
    /// Only a box that never closes.
    CutOff,
}

/// The most boxes that are one answer.
const MAX_ROW: usize = 16;
/// How many boxes are looked at, from the end: a text of nothing but boxes must not cost the square of its length.
const MAX_BOXES: usize = 32;
/// The longest content of a box.
const MAX_CONTENT: usize = 8_000;

/// The boxed answer of a text.
pub(crate) fn last(text: &str) -> Option<Boxed> {
    let mut cut_off = false;
    let mut row: Vec<Found> = Vec::new();
    for start in starts(text) {
        match content(text, start) {
            Content::Closed(found) if text[found.inner.0..found.inner.1].trim().is_empty() => {}
            Content::Closed(found) => {
                let joined =
                    row.last().is_none_or(|next| joins(&text[found.end.min(next.start)..next.start]));
                // A box within the box just found is not another answer.
                let within = row.last().is_some_and(|next| found.end > next.start);
                if (!joined || within) || row.len() == MAX_ROW {
                    break;
                }
                row.push(found);
            }
            Content::Open => cut_off = true,
        }
    }
    let parts: Vec<&str> = row.iter().rev().map(|f| text[f.inner.0..f.inner.1].trim()).collect();
    match parts.as_slice() {
        [] => cut_off.then_some(Boxed::CutOff),
        [one] => Some(Boxed::One((*one).to_string())),
        many => {
            Some(Boxed::Several(many.iter().map(|part| part.trim_end_matches(',').to_string()).collect()))
        }
    }
}

/// Where the last boxes start, last first.
fn starts(text: &str) -> Vec<usize> {
    let of = |command| text.rmatch_indices(command).map(|(at, _)| at).take(MAX_BOXES);
    let mut all: Vec<usize> = COMMANDS.into_iter().flat_map(of).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all
}

enum Content {
    Closed(Found),
    Open,
}

/// Finds the content of the box that starts here.
fn content(text: &str, start: usize) -> Content {
    let after = start
        + text[start..].find(|c: char| c != '\\' && !c.is_ascii_alphabetic()).unwrap_or(text.len() - start);
    let rest = &text[after..];
    let open = after + (rest.len() - rest.trim_start_matches(' ').len());
    if !text[open..].starts_with('{') {
        // `\boxed 5` boxes what follows, up to a space or the end of the formula.
        let end = text[open..].find([' ', '$', '\n', '.', ',']).map_or(text.len(), |n| open + n);
        return Content::Closed(Found { start, inner: (open, end), end });
    }
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = open;
    while at < bytes.len().min(open + MAX_CONTENT) {
        match bytes[at] {
            b'\\' => at += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Content::Closed(Found { start, inner: (open + 1, at), end: at + 1 });
                }
            }
            _ => {}
        }
        at += 1;
    }
    Content::Open
}

/// Whether the text between two boxes only separates them.
fn joins(between: &str) -> bool {
    if between.len() > 40 || !(between.contains(',') || between.contains("and") || between.contains("or")) {
        return false;
    }
    let plain = between.replace("\\text", " ").replace("\\quad", " ");
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    let only_separators = words.into_iter().all(|w| w == "and" || w == "or" || w.len() == 1 && w != "I");
    only_separators && !plain.contains(|c: char| c.is_ascii_digit() || "+-.;:\n".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_wins_and_braces_nest() {
        let one = |text: &str| last(text);
        assert_eq!(one(r"\boxed{1} then \boxed{\frac{1}{2}}"), Some(Boxed::One(r"\frac{1}{2}".into())));
        assert_eq!(one(r"so \boxed{1}, \boxed{2}"), Some(Boxed::Several(vec!["1".into(), "2".into()])));
        assert_eq!(one(r"first \boxed{1}. Second \boxed{2}"), Some(Boxed::One("2".into())));
        assert_eq!(one(r"\boxed{12"), Some(Boxed::CutOff));
        assert_eq!(one(r"\boxed{\{1,2\}}"), Some(Boxed::One(r"\{1,2\}".into())));
        assert_eq!(one("no box"), None);
    }

    #[test]
    fn a_box_inside_a_box_is_not_a_second_answer() {
        assert_eq!(last(r"\boxed{x = \boxed{5}}"), Some(Boxed::One("5".into())));
    }
}
