//! Chain arithmetic: carry a value through a list of steps, strictly from left to right.
//!
//! Inherently serial: step k needs the result of step k - 1, so one long chain of thought should beat
//! many short ones, the opposite of a search problem such as [`crate::countdown`].

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::countdown::FRUITLESS;

/// Every value of a generated chain lies between 0 and this.
pub const LARGEST_VALUE: u32 = 100;

/// A question: `start 17 + 5 * 2 - 9`, read from left to right without precedence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The first value.
    pub start: u32,
    /// Operation (`+ - * /`) and operand of each step.
    pub steps: Vec<(char, u32)>,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {}", self.start)?;
        self.steps.iter().try_for_each(|(op, operand)| write!(f, " {op} {operand}"))
    }
}

impl FromStr for Chain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not of the form `start 17 + 5 * 2`");
        let number = |word: Option<&str>| word.and_then(|w| w.parse().ok()).ok_or_else(malformed);
        let mut words = text.strip_prefix("start ").ok_or_else(malformed)?.split_whitespace();
        let start = number(words.next())?;
        let mut steps = Vec::new();
        while let Some(word) = words.next() {
            let op = word.parse().ok().filter(|op| "+-*/".contains(*op)).ok_or_else(malformed)?;
            steps.push((op, number(words.next())?));
        }
        Ok(Self { start, steps })
    }
}

impl Chain {
    /// Draws a chain of `length` steps whose values all stay between 0 and [`LARGEST_VALUE`].
    pub fn random(length: usize, rng: &mut ChaCha8Rng) -> Self {
        let start = rng.random_range(1..=20);
        let mut value = start;
        let mut steps = Vec::with_capacity(length);
        while steps.len() < length {
            let op = ['+', '+', '-', '-', '*', '/'][rng.random_range(0..6)];
            let operand =
                if matches!(op, '+' | '-') { rng.random_range(1..=12) } else { rng.random_range(2..=5) };
            if let Some(next) = apply(value, op, operand) {
                value = next;
                steps.push((op, operand));
            }
        }
        Self { start, steps }
    }

    /// The value after each step; `None` if a step leaves the range or does not divide.
    pub fn values(&self) -> Option<Vec<u32>> {
        let mut value = self.start;
        self.steps
            .iter()
            .map(|&(op, operand)| {
                value = apply(value, op, operand)?;
                Some(value)
            })
            .collect()
    }

    /// Whether this chain belongs to the evaluation set (one in eight, by hash).
    pub fn held_out(&self) -> bool {
        Sha256::digest(self.to_string())[0] % 8 == 0
    }
}

/// One step; `None` where the result is not a whole number between 0 and [`LARGEST_VALUE`].
fn apply(value: u32, op: char, operand: u32) -> Option<u32> {
    let result = match op {
        '+' => value.checked_add(operand)?,
        '-' => value.checked_sub(operand)?,
        '*' => value.checked_mul(operand)?,
        '/' if operand > 0 && value.is_multiple_of(operand) => value / operand,
        _ => return None,
    };
    (result <= LARGEST_VALUE).then_some(result)
}

/// Draws `count` different chains with lengths spread evenly over `lengths`, from one side of the split; fewer if there are
/// no more of one of the lengths.
pub fn draw(
    lengths: std::ops::RangeInclusive<usize>,
    count: usize,
    held_out: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Chain> {
    let mut seen = std::collections::HashSet::new();
    let mut new = |length: usize| {
        let mut drawn = std::iter::repeat_with(|| Chain::random(length, rng)).take(FRUITLESS);
        drawn.find(|chain| chain.held_out() == held_out && seen.insert(chain.clone()))
    };
    lengths.cycle().take(count).map_while(&mut new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_chain_is_read_from_left_to_right_without_precedence() {
        let chain: Chain = "start 2 + 3 * 4 - 1".parse().unwrap();
        assert_eq!(chain.values(), Some(vec![5, 20, 19]));
        assert_eq!(chain.to_string(), "start 2 + 3 * 4 - 1");
    }

    #[test]
    fn a_step_out_of_range_has_no_value() {
        for text in ["start 2 - 3", "start 60 * 2", "start 3 / 2", "start 3 / 0"] {
            assert_eq!(text.parse::<Chain>().unwrap().values(), None, "{text}");
        }
        assert!("start".parse::<Chain>().is_err() && "start 3 +".parse::<Chain>().is_err());
    }

    #[test]
    fn drawn_chains_differ_and_cover_all_lengths() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let chains = draw(2..=5, 40, true, &mut rng);
        for length in 2..=5 {
            assert_eq!(chains.iter().filter(|c| c.steps.len() == length).count(), 10);
        }
        assert!(chains.iter().all(|c| c.held_out() && c.values().is_some()));
    }
}
