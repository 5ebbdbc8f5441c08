//! What is measured and concluded.
