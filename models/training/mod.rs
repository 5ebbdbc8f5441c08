//! How the bundled models are made: problems and thoughts written by a program, a small decoder, AdamW.

pub mod attention;
pub mod data;
pub mod graph;
pub mod ops;
pub mod optimizer;
pub mod recipe;
pub mod trace;
pub mod vocabulary;
