//! What generates.

pub mod card;
pub mod chat;
pub mod tokenizer;
