//! What a server said, as tokens, and who counted them.
//!
//! A server that tells ids tells exactly what it sampled. One that does not has its text tokenized here; the two differ
//! where a model samples other tokens than its tokenizer would make of their text. Ids are used only if they make the text
//! that came with them: llama-server, for one, tells none for the tokens that begin a character and do not end it.

use isocost_harness::request_log::Counter;

use super::stream::Piece;
use crate::conversation::Conversation;
use crate::tokenizer::{Specials, TokenizerError};

/// Tokens that begin a character of four bytes and do not end it.
const MOST_OF_A_CHARACTER: u32 = 3;

/// The tokens of a piece.
pub(super) struct Said {
    /// Without what closed the thought or ended the completion.
    pub(super) ids: Vec<u32>,
    /// All that were sampled.
    pub(super) sampled: u32,
    pub(super) counted_by: Counter,
    /// Over all that were sampled, in nats.
    pub(super) logprob_sum: Option<f64>,
}

impl Said {
    pub(super) fn new(conversation: &Conversation, piece: &Piece) -> Result<Self, TokenizerError> {
        let told = told(conversation, piece);
        let usage = piece.usage.as_ref().map(|usage| usage.completion_tokens);
        let counted_by = match (usage, &told) {
            (Some(_), _) => Counter::Usage,
            (None, Some(_)) => Counter::Ids,
            (None, None) => Counter::Tokenizer,
        };
        let has_end = piece.closed || piece.finish.as_deref() == Some("stop");
        let ids = match told {
            Some(ids) => ids,
            None => conversation.tokenizer.encode_text(&piece.text)?,
        };
        let sampled = usage.unwrap_or(ids.len() as u32 + u32::from(has_end));
        let is_told = piece.logprobs.len() == sampled as usize && sampled > 0;
        let logprob_sum = is_told.then(|| piece.logprobs.iter().sum());
        Ok(Self { ids, sampled, counted_by, logprob_sum })
    }

    /// Whether they are certainly fewer than `asked`. Ids may lack those of a character that was cut, and a tokenizer may need
    /// fewer for a text than were sampled, nobody knows how many.
    pub(super) fn falls_short_of(&self, asked: u32) -> bool {
        match self.counted_by {
            Counter::Usage => self.sampled < asked,
            Counter::Ids => self.sampled + MOST_OF_A_CHARACTER < asked,
            Counter::Tokenizer | Counter::Pieces => false,
        }
    }
}

/// The ids that the server told, up to the one that closed or ended it, if they make its text.
fn told(conversation: &Conversation, piece: &Piece) -> Option<Vec<u32>> {
    let markers = conversation.markers();
    let is_end = |id: &u32| if piece.closed { Some(*id) == markers.close } else { markers.end.contains(id) };
    let length = piece.ids.iter().position(is_end).unwrap_or(piece.ids.len());
    let ids = &piece.ids[..length];
    let makes_it = |specials| {
        let text = conversation.tokenizer.decode(ids, specials).unwrap_or_default();
        letters(&text) == letters(&piece.text)
    };
    (!ids.is_empty() && [Specials::Keep, Specials::Drop].into_iter().any(makes_it)).then(|| ids.to_vec())
}

/// A text without its spaces, which tokenizers drop at its ends, and without a character that was cut at its end.
fn letters(text: &str) -> String {
    text.trim_end_matches(char::REPLACEMENT_CHARACTER).chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_tokens_are_told_from_those_that_cannot_be_seen() {
        let short = |sampled, counted_by| {
            Said { ids: vec![], sampled, counted_by, logprob_sum: None }.falls_short_of(64)
        };
        assert!(short(63, Counter::Usage) && !short(64, Counter::Usage));
        assert!(short(60, Counter::Ids) && !short(61, Counter::Ids));
        assert!(!short(20, Counter::Tokenizer));
    }
}
