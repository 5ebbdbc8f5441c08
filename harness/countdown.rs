//! Countdown: reach a target from given numbers with `+ - * /`, each number used exactly once.
//!
//! A search problem with a cheap exact verifier: thinking longer or sampling more often both help,
//! and nobody needs a reference answer to know that an answer is right. Intermediate results may be
//! any rational number when an answer is *graded*; the puzzles *generated* here always have a
//! solution whose intermediate results are whole numbers from 1 to 100.

use std::fmt;
use std::str::FromStr;

use num_rational::Ratio;
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::expression::evaluate;

/// The largest whole number that appears in a generated solution.
pub const LARGEST_RESULT: u32 = 100;
/// Draws in vain after which all puzzles are taken to be found.
pub(crate) const FRUITLESS: usize = 100_000;

/// A puzzle: `make 24 from 7 4 3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Puzzle {
    /// The value to reach.
    pub target: u32,
    /// The numbers to use, each once.
    pub numbers: Vec<u32>,
}

/// One arithmetic step of a solution: `left op right = result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Left operand.
    pub left: u32,
    /// One of `+ - * /`.
    pub op: char,
    /// Right operand.
    pub right: u32,
    /// A whole number from 1 to [`LARGEST_RESULT`].
    pub result: u32,
}

/// Why an answer does not solve its puzzle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsolved {
    /// It is not an arithmetic expression.
    #[error("not an expression: {0}")]
    Syntax(String),
    /// It does not use each given number exactly once.
    #[error("uses {used:?}, not the given numbers")]
    Numbers {
        /// The numbers that occur, sorted.
        used: Vec<u32>,
    },
    /// Its value is another one.
    #[error("is {0}, not the target")]
    Value(String),
}

impl fmt::Display for Puzzle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "make {} from", self.target)?;
        self.numbers.iter().try_for_each(|number| write!(f, " {number}"))
    }
}

impl FromStr for Puzzle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not of the form `make 24 from 7 4 3`");
        let rest = text.strip_prefix("make ").ok_or_else(malformed)?;
        let (target, numbers) = rest.split_once(" from ").ok_or_else(malformed)?;
        let parse = |word: &str| word.parse::<u32>().map_err(|_| malformed());
        let numbers = numbers.split_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { target: parse(target)?, numbers })
    }
}

impl Puzzle {
    /// Draws a puzzle that has a solution: `count` numbers from 1 to 12, a target from 1 to 60.
    ///
    /// The target is the value of a random chain of valid steps, so it is reachable by construction.
    pub fn random(count: usize, rng: &mut ChaCha8Rng) -> Self {
        loop {
            let numbers: Vec<u32> = (0..count).map(|_| rng.random_range(1..=12)).collect();
            let mut left = numbers.clone();
            while left.len() > 1 {
                let Some(step) = pick(&steps(&left), rng) else { break };
                left = after(&left, &step);
            }
            if let [target @ 1..=60] = left[..] {
                return Self { target, numbers };
            }
        }
    }

    /// Whether this puzzle belongs to the evaluation set, whatever the order of its numbers.
    ///
    /// One puzzle in eight, by hash: training never sees these, and evaluation sees nothing else.
    pub fn held_out(&self) -> bool {
        let mut sorted = self.numbers.clone();
        sorted.sort_unstable();
        let digest = Sha256::digest(Self { target: self.target, numbers: sorted }.to_string());
        digest[0] % 8 == 0
    }

    /// Checks an answer such as `( 7 - 4 ) * 8` exactly.
    ///
    /// # Errors
    /// [`Unsolved`] says what is wrong with the answer.
    pub fn check(&self, answer: &str) -> Result<(), Unsolved> {
        let (value, mut used) = evaluate(answer).map_err(Unsolved::Syntax)?;
        let mut given = self.numbers.clone();
        given.sort_unstable();
        used.sort_unstable();
        if used != given {
            return Err(Unsolved::Numbers { used });
        }
        if value != Ratio::from_integer(i128::from(self.target)) {
            return Err(Unsolved::Value(value.to_string()));
        }
        Ok(())
    }
}

fn pick(steps: &[Step], rng: &mut ChaCha8Rng) -> Option<Step> {
    if steps.is_empty() { None } else { Some(steps[rng.random_range(0..steps.len())]) }
}

/// Every valid step from `numbers`: whole results from 1 to [`LARGEST_RESULT`], larger operand first
/// where the operation is not symmetric.
pub fn steps(numbers: &[u32]) -> Vec<Step> {
    let mut found = Vec::new();
    for (i, &a) in numbers.iter().enumerate() {
        for &b in &numbers[i + 1..] {
            found.extend(pair_steps(a, b));
        }
    }
    found
}

/// The valid steps that combine `a` and `b`, in the order `+ - * /`.
pub fn pair_steps(a: u32, b: u32) -> impl Iterator<Item = Step> {
    let (high, low) = (a.max(b), a.min(b));
    let divided = if low > 0 && high.is_multiple_of(low) { high / low } else { 0 };
    [(a, '+', b, a + b), (high, '-', low, high - low), (a, '*', b, a * b), (high, '/', low, divided)]
        .into_iter()
        .filter(|&(.., result)| (1..=LARGEST_RESULT).contains(&result))
        .map(|(left, op, right, result)| Step { left, op, right, result })
}

/// What is left once `step` was taken: its result first, then the unused numbers in order.
pub fn after(numbers: &[u32], step: &Step) -> Vec<u32> {
    let mut rest = numbers.to_vec();
    for used in [step.left, step.right] {
        if let Some(at) = rest.iter().position(|&number| number == used) {
            rest.remove(at);
        }
    }
    rest.insert(0, step.result);
    rest
}

/// Draws `count` different puzzles of two or more `numbers` from the held-out or the training side; fewer if no more are
/// found.
pub fn draw(numbers: usize, count: usize, held_out: bool, rng: &mut ChaCha8Rng) -> Vec<Puzzle> {
    let mut seen = std::collections::HashSet::new();
    let mut puzzles = Vec::new();
    while puzzles.len() < count {
        let mut is_new = |puzzle: &Puzzle| {
            let mut key = puzzle.clone();
            key.numbers.sort_unstable();
            puzzle.held_out() == held_out && seen.insert(key)
        };
        let mut drawn = std::iter::repeat_with(|| Puzzle::random(numbers, rng)).take(FRUITLESS);
        let Some(puzzle) = drawn.find(&mut is_new) else { break };
        puzzles.push(puzzle);
    }
    puzzles.shuffle(rng);
    puzzles
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn puzzle(text: &str) -> Puzzle {
        text.parse().unwrap()
    }

    #[test]
    fn a_right_expression_solves_its_puzzle() {
        assert_eq!(puzzle("make 4 from 7 4 7").check("( 7 * 4 ) / 7"), Ok(()));
        assert_eq!(puzzle("make 24 from 3 3 8 8").check("8/(3-8/3)"), Ok(()));
    }

    #[test]
    fn an_answer_must_use_each_number_once() {
        let puzzle = puzzle("make 8 from 4 4 2");
        assert!(matches!(puzzle.check("4 + 4"), Err(Unsolved::Numbers { .. })));
        assert!(matches!(puzzle.check("4 * 4 / 2 + 2 - 2"), Err(Unsolved::Numbers { .. })));
        assert!(matches!(puzzle.check("4 + 4 + 2"), Err(Unsolved::Value(_))));
        assert_eq!(puzzle.check("4 * 4 / 2"), Ok(()));
    }

    #[test]
    fn a_random_puzzle_has_a_solution_in_whole_numbers() {
        fn solvable(numbers: &[u32], target: u32) -> bool {
            numbers == [target] || steps(numbers).iter().any(|step| solvable(&after(numbers, step), target))
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for count in [3, 4] {
            for puzzle in draw(count, 50, true, &mut rng) {
                assert!(solvable(&puzzle.numbers, puzzle.target), "{puzzle}");
            }
        }
    }

    #[test]
    fn the_split_does_not_depend_on_the_order_of_the_numbers() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for puzzle in draw(4, 100, false, &mut rng) {
            let mut reversed = puzzle.clone();
            reversed.numbers.reverse();
            assert!(!puzzle.held_out() && !reversed.held_out());
        }
    }
}
