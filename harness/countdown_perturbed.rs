//! Countdown puzzles changed a little, in words that the bundled models know.
//!
//! A solver that learned to search does not care for the order of the numbers, nor whether one is 13 where it saw at most
//! 12. A solver that learned the look of its puzzles does. Each perturbation keeps a puzzle's size, so its difficulty
//! stays about the same.

use std::collections::BTreeSet;
use std::fmt;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::countdown::{Puzzle, after, steps};

/// How a puzzle differs from its seed puzzle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Perturbation {
    /// The same numbers in another order.
    Permuted,
    /// The largest number replaced by one from 13 to 15, with a target from 1 to 60 that can be reached.
    Numbers,
    /// A target from 61 to 80; a number changes where no such target can be reached.
    Target,
}

impl fmt::Display for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Puzzle {
    /// The variation of this puzzle, determined by `id`.
    pub fn perturbed(&self, perturbation: Perturbation, id: &str) -> Self {
        let mut rng = ChaCha8Rng::from_seed(Sha256::digest(format!("{id} {perturbation}")).into());
        match perturbation {
            Perturbation::Permuted => self.permuted(&mut rng),
            Perturbation::Numbers => self.with_larger_number(&mut rng),
            Perturbation::Target => self.with_larger_target(&mut rng),
        }
    }

    fn permuted(&self, rng: &mut ChaCha8Rng) -> Self {
        let mut puzzle = self.clone();
        let is_monotone = self.numbers.iter().all(|number| *number == self.numbers[0]);
        while !is_monotone && puzzle.numbers == self.numbers {
            puzzle.numbers.shuffle(rng);
        }
        puzzle
    }

    fn with_larger_number(&self, rng: &mut ChaCha8Rng) -> Self {
        let largest = self.numbers.iter().max();
        let at = self.numbers.iter().position(|number| Some(number) == largest).unwrap_or(0);
        loop {
            let mut numbers = self.numbers.clone();
            numbers[at] = rng.random_range(13..=15);
            let targets: Vec<u32> = reachable(&numbers).into_iter().filter(|target| *target <= 60).collect();
            if let Some(target) = targets.choose(rng) {
                return Self { target: *target, numbers };
            }
        }
    }

    fn with_larger_target(&self, rng: &mut ChaCha8Rng) -> Self {
        let mut numbers = self.numbers.clone();
        loop {
            let targets: Vec<u32> =
                reachable(&numbers).into_iter().filter(|t| (61..=80).contains(t)).collect();
            if let Some(target) = targets.choose(rng) {
                return Self { target: *target, numbers };
            }
            let at = rng.random_range(0..numbers.len());
            numbers[at] = rng.random_range(2..=12);
        }
    }
}

/// Every target that can be made of all the numbers.
fn reachable(numbers: &[u32]) -> BTreeSet<u32> {
    if let [only] = numbers {
        return BTreeSet::from([*only]);
    }
    steps(numbers).iter().flat_map(|step| reachable(&after(numbers, step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::countdown::draw;

    #[test]
    fn each_perturbation_changes_what_it_says_and_the_puzzle_stays_solvable() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for puzzle in draw(3, 100, true, &mut rng) {
            let variant = |perturbation| puzzle.perturbed(perturbation, "c3-0001");
            for perturbation in [Perturbation::Permuted, Perturbation::Numbers, Perturbation::Target] {
                let variant = variant(perturbation);
                assert_eq!(variant, puzzle.perturbed(perturbation, "c3-0001"));
                assert!(reachable(&variant.numbers).contains(&variant.target), "{puzzle} {variant}");
                assert_eq!(variant.numbers.len(), 3);
            }
            let sorted = |mut numbers: Vec<u32>| {
                numbers.sort_unstable();
                numbers
            };
            let permuted = variant(Perturbation::Permuted);
            assert_eq!(permuted.target, puzzle.target);
            assert_eq!(sorted(permuted.numbers), sorted(puzzle.numbers.clone()));
            assert!((13..=15).contains(variant(Perturbation::Numbers).numbers.iter().max().unwrap()));
            assert!((61..=80).contains(&variant(Perturbation::Target).target));
        }
    }
}
