//! Text while it is being generated.
//!
//! One id is not one piece of text: a character may take three ids, and some decoders drop a space in front of the
//! first word. So the new text is the difference between two decodings of a short window, and nothing is given out
//! while the window ends inside a character.

use super::{Specials, Tokenizer, TokenizerError};

/// A character has at most four bytes; whatever is not one after this many ids never will be.
const MAX_HELD: usize = 8;

/// Turns ids into text one at a time; the pieces joined are the decoding of the whole.
#[derive(Debug, Clone)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    specials: Specials,
    /// Ids from the start of the last piece given out.
    window: Vec<u32>,
    /// How many of them were given out.
    told: usize,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, specials: Specials) -> Self {
        Self { tokenizer, specials, window: Vec::new(), told: 0 }
    }

    /// Takes the next id; gives the text that is now certain, which may be empty.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        self.window.push(id);
        let held = self.window.len() - self.told;
        self.advance(|text| !text.ends_with(char::REPLACEMENT_CHARACTER) || held > MAX_HELD)
    }

    /// Gives what was held back: an unfinished character shows as U+FFFD.
    pub fn finish(mut self) -> Result<String, TokenizerError> {
        self.advance(|_| true)
    }

    fn advance(&mut self, is_certain: impl Fn(&str) -> bool) -> Result<String, TokenizerError> {
        let old = self.tokenizer.decode(&self.window[..self.told], self.specials)?;
        let new = self.tokenizer.decode(&self.window, self.specials)?;
        let Some(piece) = new.strip_prefix(&old).filter(|piece| !piece.is_empty() && is_certain(piece))
        else {
            return Ok(String::new());
        };
        self.window.drain(..self.told);
        self.told = self.window.len();
        Ok(piece.to_owned())
    }
}
