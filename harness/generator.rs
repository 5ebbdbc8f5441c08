//! Problems that are made, not read. The same seed gives the same problems on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::countdown::{self, Puzzle};
use crate::countdown_perturbed::Perturbation;
use crate::problem::Problem;
use crate::{chain, game24, word_problem};

/// What makes problems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Generator {
    /// [`crate::countdown`].
    Countdown {
        /// How many numbers a puzzle has.
        numbers: usize,
        /// Which side of the split.
        split: Split,
        /// Puzzles in the set.
        problems: usize,
        /// Seed.
        seed: u64,
        /// With it, the variation of each puzzle of that seed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        perturbation: Option<Perturbation>,
    },
    /// [`crate::chain`].
    Chain {
        /// Fewest and most steps.
        steps: (usize, usize),
        /// Which side of the split.
        split: Split,
        /// Chains in the set.
        problems: usize,
        /// Seed.
        seed: u64,
    },
    /// Equal parts of three-number countdown, four-number countdown and chains, training side only.
    Training {
        /// Problems of each kind.
        problems: usize,
        /// Seed.
        seed: u64,
    },
    /// [`crate::game24`]: every hand that has a solution.
    Game24,
    /// [`crate::word_problem`].
    WordProblems {
        /// Problems in the set.
        problems: usize,
        /// Seed.
        seed: u64,
        /// With it, the variation of each problem of that seed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        perturbation: Option<word_problem::Perturbation>,
    },
}

/// The two sides that generated problems fall on, by hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Never seen by the bundled models.
    Evaluation,
    /// What they were trained on.
    Training,
}

/// Problems of one kind: more than any benchmark has, and drawn within a minute.
const MOST_PROBLEMS: usize = 100_000;
/// Numbers of a puzzle.
const MOST_NUMBERS: usize = 10;
/// Numbers of a puzzle that is perturbed: everything that can be made of them is tried.
const MOST_PERTURBED: usize = 4;
/// Steps of a chain.
const MOST_STEPS: usize = 1_000;

impl Generator {
    /// Whether it can come to an end, else what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        match *self {
            Self::Countdown { numbers, problems, perturbation, .. } => {
                let most = if perturbation.is_some() { MOST_PERTURBED } else { MOST_NUMBERS };
                within("numbers", numbers, 2, most)?;
                within("problems", problems, 1, MOST_PROBLEMS)
            }
            Self::Chain { steps: (fewest, most), problems, .. } => {
                within("the most steps", most, 1, MOST_STEPS)?;
                within("the fewest steps", fewest, 1, most)?;
                within("problems", problems, 1, MOST_PROBLEMS)
            }
            Self::Training { problems, .. } | Self::WordProblems { problems, .. } => {
                within("problems", problems, 1, MOST_PROBLEMS)
            }
            Self::Game24 => Ok(()),
        }
    }

    /// The problems.
    ///
    /// # Errors
    /// If there are not so many different ones.
    pub(crate) fn problems(&self) -> Result<Vec<Problem>, String> {
        let made = self.made();
        let wanted = match *self {
            Self::Training { problems, .. } => 3 * problems,
            Self::Countdown { problems, .. }
            | Self::Chain { problems, .. }
            | Self::WordProblems { problems, .. } => problems,
            Self::Game24 => made.len(),
        };
        if made.len() < wanted {
            return Err(format!(
                "there are only {} different problems of {wanted}: ask for fewer",
                made.len()
            ));
        }
        Ok(made)
    }

    /// As many problems as there are.
    fn made(&self) -> Vec<Problem> {
        let rng = |seed: u64| ChaCha8Rng::seed_from_u64(seed);
        match *self {
            Self::Countdown { numbers, split, problems, seed, perturbation } => {
                let puzzles = countdown::draw(numbers, problems, split == Split::Evaluation, &mut rng(seed));
                countdown_problems(numbers, &puzzles, perturbation)
            }
            Self::Chain { steps: (fewest, most), split, problems, seed } => {
                chain_problems(fewest..=most, problems, split == Split::Evaluation, &mut rng(seed))
            }
            Self::Training { problems, seed } => training_problems(problems, &mut rng(seed)),
            Self::Game24 => game24::puzzles().iter().enumerate().map(hand).collect(),
            Self::WordProblems { problems, seed, perturbation } => {
                word_problem::draw(problems, seed, perturbation)
            }
        }
    }

    /// Whether these problems are variations of the other's; how many either makes does not matter.
    pub fn varies(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Countdown { numbers, split, seed, perturbation: Some(_), .. },
                Self::Countdown { numbers: count, split: side, seed: drawn, perturbation: None, .. },
            ) => (numbers, split, seed) == (count, side, drawn),
            (
                Self::WordProblems { seed, perturbation: Some(_), .. },
                Self::WordProblems { seed: drawn, perturbation: None, .. },
            ) => seed == drawn,
            _ => false,
        }
    }

    /// The name in a task's file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Countdown { .. } => "countdown",
            Self::Chain { .. } => "chain",
            Self::Training { .. } => "training",
            Self::Game24 => "game24",
            Self::WordProblems { .. } => "word-problems",
        }
    }
}

fn within(what: &str, count: usize, least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    Err(format!("generator: {what} = {count} is not between {least} and {most}"))
}

fn countdown_problems(
    numbers: usize,
    puzzles: &[Puzzle],
    perturbation: Option<Perturbation>,
) -> Vec<Problem> {
    let made = |(i, puzzle): (usize, &Puzzle)| {
        let id = format!("c{numbers}-{i:04}");
        let Some(perturbation) = perturbation else {
            return problem(id, puzzle.to_string(), puzzle.to_string());
        };
        let changed = puzzle.perturbed(perturbation, &id).to_string();
        let name = format!("{id}-{perturbation}");
        Problem { variant_of: Some(id), ..problem(name, changed.clone(), changed) }
    };
    puzzles.iter().enumerate().map(made).collect()
}

fn chain_problems(
    lengths: std::ops::RangeInclusive<usize>,
    count: usize,
    held_out: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<Problem> {
    let chains = chain::draw(lengths, count, held_out, rng);
    let gold = |chain: &chain::Chain| chain.values().and_then(|v| v.last().copied()).unwrap_or(chain.start);
    chains
        .iter()
        .enumerate()
        .map(|(i, c)| problem(format!("s{}-{i:04}", c.steps.len()), c.to_string(), gold(c).to_string()))
        .collect()
}

fn training_problems(count: usize, rng: &mut ChaCha8Rng) -> Vec<Problem> {
    let mut all = countdown_problems(3, &countdown::draw(3, count, false, rng), None);
    all.extend(countdown_problems(4, &countdown::draw(4, count, false, rng), None));
    all.extend(chain_problems(2..=20, count, false, rng));
    all
}

fn hand((number, puzzle): (usize, &Puzzle)) -> Problem {
    let cards = puzzle.numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    problem(format!("g24-{number:04}"), cards, puzzle.to_string())
}

fn problem(id: String, question: String, gold: String) -> Problem {
    Problem { id, question, gold, variant_of: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(text: &str) -> Generator {
        toml::from_str::<std::collections::BTreeMap<String, Generator>>(text).unwrap().remove("it").unwrap()
    }

    #[test]
    fn a_generator_that_would_never_end_or_fill_the_memory_is_refused() {
        let (countdown, chain) = ("split = \"evaluation\", seed = 1", "split = \"training\", seed = 1");
        for (text, complaint) in [
            (format!("countdown = {{ numbers = 0, problems = 1, {countdown} }}"), "numbers = 0"),
            (format!("countdown = {{ numbers = 1, problems = 1, {countdown} }}"), "numbers = 1"),
            (
                format!("countdown = {{ numbers = 3, problems = 1000000000000000000, {countdown} }}"),
                "problems",
            ),
            (
                format!(
                    "countdown = {{ numbers = 5, problems = 1, perturbation = \"target\", {countdown} }}"
                ),
                "between 2 and 4",
            ),
            (format!("chain = {{ steps = [5, 2], problems = 1, {chain} }}"), "fewest steps = 5"),
            (format!("chain = {{ steps = [0, 2], problems = 1, {chain} }}"), "fewest steps = 0"),
            (format!("chain = {{ steps = [1, 5000], problems = 1, {chain} }}"), "most steps = 5000"),
            ("training = { problems = 0, seed = 1 }".into(), "problems = 0"),
            ("word-problems = { problems = 100001, seed = 1 }".into(), "problems = 100001"),
        ] {
            let message = generator(&format!("it = {{ {text} }}")).check().unwrap_err();
            assert!(message.contains(complaint), "{message}");
        }
    }

    #[test]
    fn a_generator_gives_up_where_there_are_no_more_different_problems() {
        for text in [
            "countdown = { numbers = 2, problems = 5000, split = \"evaluation\", seed = 1 }",
            "chain = { steps = [1, 1], problems = 5000, split = \"evaluation\", seed = 1 }",
        ] {
            let generator = generator(&format!("it = {{ {text} }}"));
            assert_eq!(generator.check(), Ok(()));
            let message = generator.problems().unwrap_err();
            assert!(message.contains("different problems of 5000: ask for fewer"), "{message}");
        }
    }
}
