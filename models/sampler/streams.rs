//! Random numbers that belong to a place: the trajectory chooses the key, the branch (the chain itself, or the answer forced at one
//! budget) the stream, and the position the counter.

use isocost_harness::cell::Budget;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The random numbers of one trajectory.
#[derive(Clone, Debug)]
pub struct Streams {
    key: [u8; 32],
}

impl Streams {
    /// The streams of trajectory `trajectory` of `problem`.
    pub fn new(seed: u64, problem: &str, waits: u32, trajectory: u32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        hasher.update(waits.to_le_bytes());
        hasher.update(trajectory.to_le_bytes());
        hasher.update(problem);
        Self { key: hasher.finalize().into() }
    }

    /// A number in [0, 1) for the token at `position` of a branch: of the chain itself (`None`), or of
    /// the answer forced at a budget.
    pub fn uniform(&self, forced_at: Option<Budget>, position: usize) -> f64 {
        self.branch(forced_at).uniform(position)
    }

    /// The numbers of a branch.
    pub(crate) fn branch(&self, forced_at: Option<Budget>) -> Branch {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(match forced_at {
            None => 0,
            Some(Budget::Tokens(tokens)) => 1 + u64::from(tokens),
            Some(Budget::Max) => u64::MAX,
        });
        Branch(rng)
    }
}

/// The random numbers of one branch. They come some at a time, so to read them in order is faster than to seek each one.
#[derive(Debug)]
pub(crate) struct Branch(ChaCha8Rng);

impl Branch {
    /// As [`Streams::uniform`].
    pub(crate) fn uniform(&mut self, position: usize) -> f64 {
        // A draw takes two words.
        let word = 2 * position as u128;
        if self.0.get_word_pos() != word {
            self.0.set_word_pos(word);
        }
        self.0.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_in_every_stream_has_its_own_number() {
        let streams = Streams::new(1, "p", 0, 0);
        let mut seen = std::collections::HashSet::new();
        for stream in [None, Some(Budget::Tokens(0)), Some(Budget::Tokens(64)), Some(Budget::Max)] {
            for position in 0..100 {
                let u = streams.uniform(stream, position);
                assert!((0.0..1.0).contains(&u) && seen.insert(u.to_bits()));
            }
        }
        assert_eq!(streams.uniform(None, 3), Streams::new(1, "p", 0, 0).uniform(None, 3));
        assert_ne!(streams.uniform(None, 3), Streams::new(1, "p", 0, 1).uniform(None, 3));
    }
}
