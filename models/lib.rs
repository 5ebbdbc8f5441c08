//! What generates.

pub mod chat;
pub mod tokenizer;
