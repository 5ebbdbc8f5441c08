//! Countdown: reach a target from given numbers with `+ - * /`, each number used exactly once.
//!
//! A search problem with a cheap exact verifier: thinking longer or sampling more often both help,
//! and nobody needs a reference answer to know that an answer is right. Intermediate results may be
//! any rational number when an answer is *graded*; the puzzles *generated* here always have a
//! solution whose intermediate results are whole numbers from 1 to 100.

use std::fmt;
use std::str::FromStr;

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub, Zero};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The largest whole number that appears in a generated solution.
pub const LARGEST_RESULT: u32 = 100;
/// Draws in vain after which all puzzles are taken to be found.
pub(crate) const FRUITLESS: usize = 100_000;
/// The longest answer that is graded at all, in characters.
const LONGEST_ANSWER: usize = 400;

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
        let (value, mut used) = evaluate(answer)?;
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

/// The exact value of an expression and the numbers it uses, in order of appearance.
///
/// # Errors
/// [`Unsolved::Syntax`] for anything that is not `+ - * /` over whole numbers and parentheses.
pub fn evaluate(expression: &str) -> Result<(Ratio<i128>, Vec<u32>), Unsolved> {
    let (term, numbers) = parse(expression)?;
    Ok((term.value, numbers))
}

/// A form that is equal for expressions which differ only in the order or grouping of sums and products.
///
/// # Errors
/// As [`evaluate`].
pub fn canonical(expression: &str) -> Result<String, Unsolved> {
    Ok(parse(expression)?.0.text())
}

fn parse(expression: &str) -> Result<(Term, Vec<u32>), Unsolved> {
    if expression.len() > LONGEST_ANSWER {
        return Err(Unsolved::Syntax(format!("longer than {LONGEST_ANSWER} characters")));
    }
    let mut parser = Parser { rest: expression.trim_start(), numbers: Vec::new() };
    let term = parser.sum()?;
    match parser.rest {
        "" => Ok((term, parser.numbers)),
        rest => Err(Unsolved::Syntax(format!("`{rest}` left over"))),
    }
}

/// A value and its parts: `(inverted, part)` where an inverted part is subtracted or divided by.
struct Term {
    value: Ratio<i128>,
    kind: Kind,
    parts: Vec<(bool, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Sum,
    Product,
}

impl Term {
    fn text(&self) -> String {
        let signs = if self.kind == Kind::Product { ["*", "/"] } else { ["+", "-"] };
        let mut parts = self.parts.clone();
        parts.sort();
        let written: Vec<String> =
            parts.iter().map(|(inverted, p)| format!("{}{p}", signs[usize::from(*inverted)])).collect();
        if self.kind == Kind::Number { self.parts[0].1.clone() } else { format!("({})", written.concat()) }
    }

    /// Its parts inside a sum or product: its own if it is of that kind, else itself as one.
    fn parts_in(&self, kind: Kind, inverted: bool) -> Vec<(bool, String)> {
        if self.kind == kind {
            self.parts.iter().map(|(i, part)| (i ^ inverted, part.clone())).collect()
        } else {
            vec![(inverted, self.text())]
        }
    }

    fn combine(self, right: &Self, kind: Kind, inverted: bool) -> Result<Self, Unsolved> {
        let value = match (kind, inverted) {
            (Kind::Product, true) if right.value.is_zero() => {
                return Err(Unsolved::Syntax("division by zero".into()));
            }
            (Kind::Product, true) => self.value.checked_div(&right.value),
            (Kind::Product, false) => self.value.checked_mul(&right.value),
            (_, true) => self.value.checked_sub(&right.value),
            (_, false) => self.value.checked_add(&right.value),
        };
        let mut parts = self.parts_in(kind, false);
        parts.extend(right.parts_in(kind, inverted));
        Ok(Self { value: value.ok_or_else(too_large)?, kind, parts })
    }
}

/// Recursive descent; its depth is bounded by [`LONGEST_ANSWER`].
struct Parser<'a> {
    rest: &'a str,
    numbers: Vec<u32>,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<Term, Unsolved> {
        let mut term = self.product()?;
        while let Some(op) = self.take(&['+', '-', '−']) {
            term = term.combine(&self.product()?, Kind::Sum, op != '+')?;
        }
        Ok(term)
    }

    fn product(&mut self) -> Result<Term, Unsolved> {
        let mut term = self.atom()?;
        while let Some(op) = self.take(&['*', '/', '×', '÷']) {
            term = term.combine(&self.atom()?, Kind::Product, matches!(op, '/' | '÷'))?;
        }
        Ok(term)
    }

    fn atom(&mut self) -> Result<Term, Unsolved> {
        if self.take(&['(']).is_some() {
            let term = self.sum()?;
            return match self.take(&[')']) {
                Some(_) => Ok(term),
                None => Err(Unsolved::Syntax("a parenthesis is not closed".into())),
            };
        }
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = self.rest[..digits].parse::<u32>().map_err(|_| self.unexpected())?;
        self.rest = self.rest[digits..].trim_start();
        self.numbers.push(number);
        let value = Ratio::from_integer(i128::from(number));
        Ok(Term { value, kind: Kind::Number, parts: vec![(false, number.to_string())] })
    }

    fn take(&mut self, accepted: &[char]) -> Option<char> {
        let next = self.rest.chars().next().filter(|c| accepted.contains(c))?;
        self.rest = self.rest[next.len_utf8()..].trim_start();
        Some(next)
    }

    fn unexpected(&self) -> Unsolved {
        Unsolved::Syntax(match self.rest.chars().next() {
            Some(c) => format!("`{}` where a number should be", c.escape_debug()),
            None => "it ends where a number should be".into(),
        })
    }
}

fn too_large() -> Unsolved {
    Unsolved::Syntax("a value is too large".into())
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
    fn nonsense_is_a_syntax_error_and_never_a_panic() {
        for answer in ["", "(", "4 +", "4 4", "1/0", "1/(2-2)", "4)", "99999999999", "x", "4 + é"] {
            assert!(matches!(evaluate(answer), Err(Unsolved::Syntax(_))), "{answer}");
        }
        assert!(evaluate(&"(".repeat(100_000)).is_err());
        assert!(evaluate(&"4294967295*".repeat(30)).is_err());
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
