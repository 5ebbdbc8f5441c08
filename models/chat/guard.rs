//! Keeping what people write from becoming what the model obeys.
//!
//! A problem may contain the text `<|im_end|>` or `</think>`. Pasted into a template and tokenized, it ends the turn
//! or the thinking: the prompt is no longer the one that was asked. Escaping afterwards is too late, since the
//! rendered text does not say who wrote what, and tokenizing message by message moves token boundaries.
//!
//! So before rendering, the first character of every control token (usually just `<` or `[`) is replaced, in the
//! messages, by an unused private-use character: a *mark*. The template cannot confuse it with a tag, the
//! tokenizer's search for control tokens cannot match it, not even across two messages, and between search and
//! tokenization proper the marks turn back into the characters they stand for. A prompt without control tokens in
//! its messages gets exactly the tokens it would have got.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::{ChatError, Message};

/// Unicode's two private planes; the private-use area of the first plane is left to fonts.
const PRIVATE: [RangeInclusive<char>; 2] = ['\u{F0000}'..='\u{FFFFD}', '\u{100000}'..='\u{10FFFD}'];

/// The characters that can begin a control token of one tokenizer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    initials: BTreeSet<char>,
}

impl Guard {
    /// A guard against these control tokens.
    pub fn new<'a>(control_tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let initials = control_tokens.into_iter().filter_map(|token| token.trim_start().chars().next());
        Self { initials: initials.collect() }
    }

    /// No guard: messages are rendered as they are.
    pub fn none() -> Self {
        Self::default()
    }

    /// Marks the messages. What an assistant said keeps its thinking tags, which templates look for.
    pub(super) fn hide(
        &self,
        messages: &[Message],
        tags: &[&str],
    ) -> Result<(Vec<Message>, BTreeMap<char, char>), ChatError> {
        let mut marker = Marker { marks: self.marks(messages)?, keep: Vec::new() };
        let mut hidden = messages.to_vec();
        for message in &mut hidden {
            marker.keep = if message.role == "assistant" { tags.to_vec() } else { Vec::new() };
            message.role = marker.text(&message.role);
            marker.value(&mut message.content);
            message.extra.values_mut().for_each(|value| marker.value(value));
        }
        let marks = marker.marks.into_iter().map(|(initial, mark)| (mark, initial)).collect();
        Ok((hidden, marks))
    }

    /// A private character that occurs in no message for each initial.
    fn marks(&self, messages: &[Message]) -> Result<BTreeMap<char, char>, ChatError> {
        if self.initials.is_empty() {
            return Ok(BTreeMap::new());
        }
        let taken: BTreeSet<char> = serde_json::to_string(messages).unwrap_or_default().chars().collect();
        let mut free = PRIVATE.into_iter().flatten().filter(|char| !taken.contains(char));
        let pairs = self.initials.iter().map(|&initial| Some((initial, free.next()?)));
        pairs.collect::<Option<_>>().ok_or(ChatError::NoMarks)
    }
}

struct Marker<'a> {
    marks: BTreeMap<char, char>,
    keep: Vec<&'a str>,
}

impl Marker<'_> {
    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.value(field)),
            _ => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(char) = rest.chars().next() {
            let kept = self.keep.iter().find(|tag| !tag.is_empty() && rest.starts_with(**tag));
            let length = kept.map_or(char.len_utf8(), |tag| tag.len());
            match kept {
                Some(tag) => out.push_str(tag),
                None => out.push(self.marks.get(&char).copied().unwrap_or(char)),
            }
            rest = &rest[length..];
        }
        out
    }
}
