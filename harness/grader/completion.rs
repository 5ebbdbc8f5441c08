//! Raw completions: thinking between tags, then an answer.
//!
//! Where token ids are at hand they separate thinking from answer exactly; this is for text alone. An answer counts
//! only after the thinking has ended: numbers met on the way are no answer, and a chain that never ended has none.

const OPEN: [&str; 3] = ["<think>", "<thinking>", "<|begin_of_thought|>"];
const CLOSE: [&str; 3] = ["</think>", "</thinking>", "<|end_of_thought|>"];

/// What a completion holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion<'a> {
    /// The text after the thinking, or the whole text where there is none.
    Answer(&'a str),
    /// The thinking never ended.
    Truncated,
}

/// Separates the answer from the thinking: the last tag decides.
pub fn split(text: &str) -> Completion<'_> {
    for (at, _) in text.rmatch_indices('<') {
        let rest = &text[at..];
        if let Some(tag) = CLOSE.iter().find(|tag| rest.starts_with(**tag)) {
            return Completion::Answer(&rest[tag.len()..]);
        }
        if OPEN.iter().any(|tag| rest.starts_with(tag)) {
            return Completion::Truncated;
        }
    }
    Completion::Answer(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclosed_thought_is_truncated_and_never_an_answer() {
        assert_eq!(split("<think>so 12, \\boxed{12}"), Completion::Truncated);
        assert_eq!(split("<think>a</think>b"), Completion::Answer("b"));
        assert_eq!(split("a</think>b"), Completion::Answer("b"));
        assert_eq!(split("b"), Completion::Answer("b"));
        assert_eq!(split("<think>a</think>b<think>c"), Completion::Truncated);
    }
}
