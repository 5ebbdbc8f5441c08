//! What became of one completion.

use serde::{Deserialize, Serialize};

/// How a completion ended, as the grader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer is right.
    Correct,
    /// An answer was given and is wrong.
    Wrong,
    /// The thought ended, but no answer could be found in what followed.
    NoAnswer,
    /// The tokens ran out before the answer was complete. Never graded as an answer.
    Truncated,
    /// The completion could not be made.
    Error,
}

impl std::fmt::Display for Outcome {
    /// The name in records.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
