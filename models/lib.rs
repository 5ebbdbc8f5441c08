//! What generates.

pub mod chat;
