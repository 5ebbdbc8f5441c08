//! What generates.
