//! A part of a run that one machine takes.
//!
//! Trajectories do not depend on one another, so a sweep's problems can be dealt out to machines that know nothing of each
//! other: shard i of N takes every N-th problem of each task, from the i-th. The parts are disjoint, together they are
//! all, and their sizes differ by one at most; [`crate::merge`] puts them together again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::ProblemSet;

/// Shard `number` of `of`, counted from 1; written `2/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// How many shards there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// All shards of its kind, this one included.
    pub fn all(self) -> impl Iterator<Item = Self> {
        (1..=self.of).map(move |number| Self { number, ..self })
    }

    /// Its problems, in set order.
    pub fn part(self, set: &ProblemSet) -> ProblemSet {
        let problems = set.problems().iter().skip(self.number as usize - 1).step_by(self.of as usize);
        ProblemSet::new(problems.cloned().collect())
    }

    /// `2-of-4`, fit for a file's name.
    pub fn file_name(self) -> String {
        format!("{}-of-{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok();
        let pair = text.split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?)));
        match pair {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("`{text}` is not a shard: write i/N with i from 1 to N, such as 2/4")),
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::problem::Problem;

    fn problem(number: usize) -> Problem {
        Problem { id: format!("p{number}"), question: "q".into(), gold: "g".into(), variant_of: None }
    }

    proptest! {
        #[test]
        fn shards_are_disjoint_complete_even_and_the_same_every_time(problems in 0usize..300, of in 1u32..40) {
            let set = ProblemSet::new((0..problems).map(problem).collect());
            let shards: Vec<Shard> = format!("1/{of}").parse::<Shard>().unwrap().all().collect();
            let parts: Vec<ProblemSet> = shards.iter().map(|shard| shard.part(&set)).collect();
            let mut dealt: Vec<Problem> = parts.iter().flat_map(|part| part.problems()).cloned().collect();
            dealt.sort_by_key(|p| set.problems().iter().position(|q| q == p));
            prop_assert_eq!(&dealt, set.problems());
            let sizes = parts.iter().map(|part| part.problems().len());
            prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            let again: Vec<ProblemSet> = shards.iter().map(|shard| shard.part(&set)).collect();
            prop_assert_eq!(parts, again);
        }

        #[test]
        fn a_shard_is_read_as_it_is_written_and_nothing_else_is(text in ".{0,12}", of in 1u32..99, number in 1u32..99) {
            if let Ok(shard) = text.parse::<Shard>() {
                prop_assert!(shard.number >= 1 && shard.number <= shard.of());
            }
            let written = format!("{number}/{of}");
            prop_assert_eq!(written.parse::<Shard>().is_ok(), number <= of);
            if let Ok(shard) = written.parse::<Shard>() {
                prop_assert_eq!(shard.to_string(), written);
            }
        }
    }
}
