//! One point of the grid: how long to think, how often to sample, and how to choose an answer.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most tokens that a thought or an answer may be given: no model's context is longer, and sums of a few such counts
/// stay far below what 32 bits hold.
pub const MOST_TOKENS: u32 = 10_000_000;

/// A cap on reasoning tokens. Ordered; `Max` is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Budget {
    /// At most so many reasoning tokens; 0 means the model does not think at all.
    Tokens(u32),
    /// Until the model stops by itself or its context ends; written `max`.
    Max,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => f.pad(&tokens.to_string()),
            Self::Max => f.pad("max"),
        }
    }
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "max" => Ok(Self::Max),
            _ => text.parse().map(Self::Tokens).map_err(|_| format!("`{text}` is neither a count nor `max`")),
        }
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Tokens(tokens) => serializer.serialize_u32(*tokens),
            Self::Max => serializer.serialize_str("max"),
        }
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Reads a budget where it stands: a million records have seven million of them.
struct Written;

impl Visitor<'_> for Written {
    type Value = Budget;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a budget: `max` or a count from 0")
    }

    fn visit_u64<E: Error>(self, tokens: u64) -> Result<Budget, E> {
        u32::try_from(tokens).map(Budget::Tokens).map_err(|_| E::custom(no_count(tokens)))
    }

    fn visit_i64<E: Error>(self, tokens: i64) -> Result<Budget, E> {
        u32::try_from(tokens).map(Budget::Tokens).map_err(|_| E::custom(no_count(tokens)))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Budget, E> {
        word.parse().map_err(|error| E::custom(format!("budget {error}")))
    }
}

fn no_count(tokens: impl fmt::Display) -> String {
    format!("budget {tokens}: a budget is `max` or a count from 0")
}

/// What happens to a thought that reaches its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The thought is closed and an answer is asked for.
    #[default]
    ForceAnswer,
    /// The completion ends there, without an answer.
    Truncate,
}

/// How n completions of a problem become one answer, or one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// One completion, no choice: the mean over completions.
    First,
    /// The answer most completions agree on.
    Maj,
    /// The answer with the largest summed probability (the model's own).
    Weighted,
    /// The completion whose answer the model found most probable.
    Score,
    /// The completion with the fewest tokens, thought and answer together.
    Shortest,
    /// The completion that the task's verifier accepts.
    Verifier,
    /// Whether any completion is right: an oracle's coverage, not an achievable accuracy.
    Pass,
}

impl Strategy {
    /// Every strategy in the order tables show them.
    pub const ALL: [Self; 7] =
        [Self::First, Self::Maj, Self::Weighted, Self::Score, Self::Shortest, Self::Verifier, Self::Pass];

    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Maj => "maj",
            Self::Weighted => "weighted",
            Self::Score => "score",
            Self::Shortest => "shortest",
            Self::Verifier => "verifier",
            Self::Pass => "pass",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The model's name in the sweep.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Forced continuations (`Wait`) before the thought may end.
    pub waits: u32,
    /// Cap on reasoning tokens.
    pub budget: Budget,
    /// Completions a problem gets.
    pub n: u32,
    /// How they become one answer.
    pub strategy: Strategy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_written_as_a_count_or_max() {
        let budgets: Vec<Budget> = serde_json::from_str(r#"[0, 64, "max"]"#).unwrap();
        assert_eq!(budgets, [Budget::Tokens(0), Budget::Tokens(64), Budget::Max]);
        assert_eq!(serde_json::to_string(&budgets).unwrap(), r#"[0,64,"max"]"#);
        assert!(budgets.is_sorted());
    }

    #[test]
    fn a_negative_budget_is_refused_with_its_value() {
        let error = serde_json::from_str::<Budget>("-1").unwrap_err().to_string();
        assert!(error.contains("budget -1"), "{error}");
    }
}
