//! Documents and how they are packed into batches.
//!
//! Document `i` of a recipe depends on nothing but the seed and `i`, so a resumed training sees exactly
//! the documents that an uninterrupted one would have seen.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use isocost_harness::{chain, countdown};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

use super::attention::Packing;
use super::recipe::{Data, Keep};
use super::trace::{self, Trace};
use super::vocabulary::{ASSISTANT, END, END_THINK, THINK, USER, Vocabulary};

/// Steps in the chains of training and evaluation.
pub const CHAIN_LENGTHS: std::ops::RangeInclusive<usize> = 2..=20;

/// Whole documents one after another, as flat arrays over tokens.
pub struct Batch {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Position of each token in its own document.
    pub positions: Vec<u32>,
    /// The token that follows, where the loss looks at it.
    pub targets: Arc<Vec<Option<u32>>>,
    /// Document boundaries.
    pub packing: Arc<Packing>,
}

/// An endless, random-access list of documents.
pub struct Documents {
    vocabulary: Vocabulary,
    seed: u64,
    source: Source,
}

enum Source {
    Programs { countdown_3: f64, countdown_4: f64, direct: f64 },
    Trajectories { kept: Vec<(String, Trace)>, direct: f64 },
}

/// A document: what is given, and what is learnt.
struct Document {
    given: String,
    learnt: String,
}

impl Documents {
    /// The documents of a recipe.
    ///
    /// # Errors
    /// If a trajectory file cannot be read.
    pub fn new(data: &Data, seed: u64) -> Result<Self> {
        let source = match data {
            Data::Programs { countdown_3, countdown_4, chain, direct } => {
                let total = countdown_3 + countdown_4 + chain;
                Source::Programs {
                    countdown_3: countdown_3 / total,
                    countdown_4: countdown_4 / total,
                    direct: *direct,
                }
            }
            Data::Trajectories { file, keep, direct } => {
                Source::Trajectories { kept: read_trajectories(Path::new(file), *keep)?, direct: *direct }
            }
        };
        Ok(Self { vocabulary: Vocabulary::default(), seed, source })
    }

    /// Packs documents from number `next` on until at least `tokens` tokens are there; returns the
    /// batch and the number of the first document left out.
    ///
    /// # Errors
    /// If a document has a word that the vocabulary lacks.
    pub fn batch(&self, mut next: u64, tokens: usize) -> Result<(Batch, u64)> {
        let (mut ids, mut positions, mut targets, mut document_start) = (vec![], vec![], vec![], vec![]);
        while ids.len() < tokens {
            let document = self.document(next);
            let given = self.vocabulary.encode(&document.given)?;
            let learnt = self.vocabulary.encode(&document.learnt)?;
            let start = ids.len();
            ids.extend(given.iter().chain(&learnt));
            let length = ids.len() - start;
            positions.extend(0..length as u32);
            targets.extend(vec![None; given.len() - 1]);
            targets.extend(learnt.into_iter().map(Some).chain([None]));
            document_start.extend(vec![start; length]);
            next += 1;
        }
        let packing = Arc::new(Packing { document_start });
        Ok((Batch { tokens: ids, positions, targets: Arc::new(targets), packing }, next))
    }

    fn document(&self, number: u64) -> Document {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number + 1);
        let (question, trace, direct) = match &self.source {
            Source::Programs { countdown_3, countdown_4, direct } => {
                let kind = rng.random::<f64>();
                let (question, trace) = written(kind, *countdown_3, *countdown_4, &mut rng);
                (question, trace, *direct)
            }
            Source::Trajectories { kept, direct } => {
                let (question, trace) = kept[rng.random_range(0..kept.len())].clone();
                (question, trace, *direct)
            }
        };
        let given = format!("{USER} {question} {ASSISTANT} {THINK}");
        if rng.random::<f64>() < direct {
            Document { given: format!("{given} {END_THINK}"), learnt: format!("{} {END}", trace.answer) }
        } else {
            Document { given, learnt: format!("{} {END_THINK} {} {END}", trace.reasoning, trace.answer) }
        }
    }
}

/// A random training problem with a thought written by a program.
fn written(kind: f64, countdown_3: f64, countdown_4: f64, rng: &mut ChaCha8Rng) -> (String, Trace) {
    loop {
        let (question, trace, held_out) = if kind < countdown_3 + countdown_4 {
            let puzzle = countdown::Puzzle::random(if kind < countdown_3 { 3 } else { 4 }, rng);
            (puzzle.to_string(), trace::countdown(&puzzle, rng), puzzle.held_out())
        } else {
            let chain = chain::Chain::random(rng.random_range(CHAIN_LENGTHS), rng);
            (chain.to_string(), trace::chain(&chain), chain.held_out())
        };
        if let (Some(trace), false) = (trace, held_out) {
            return (question, trace);
        }
    }
}

/// The fields of a trajectory record that training needs.
#[derive(Deserialize)]
struct Line {
    question: String,
    reasoning: String,
    reasoning_tokens: usize,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    forced: bool,
    text: String,
    outcome: String,
}

fn read_trajectories(path: &Path, keep: Keep) -> Result<Vec<(String, Trace)>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut by_question = BTreeMap::<String, Vec<(usize, Trace)>>::new();
    for line in text.lines() {
        let line: Line =
            serde_json::from_str(line).with_context(|| format!("{}: bad record", path.display()))?;
        let natural = line.answers.into_iter().find(|answer| !answer.forced && answer.outcome == "correct");
        if let Some(answer) = natural {
            let trace = Trace { reasoning: line.reasoning, answer: answer.text };
            by_question.entry(line.question).or_default().push((line.reasoning_tokens, trace));
        }
    }
    let mut kept = Vec::new();
    for (question, mut traces) in by_question {
        traces.sort_by_key(|(tokens, _)| *tokens);
        traces.truncate(if keep == Keep::Shortest { 1 } else { usize::MAX });
        kept.extend(traces.into_iter().map(|(_, trace)| (question.clone(), trace)));
    }
    anyhow::ensure!(!kept.is_empty(), "{}: holds no correct natural answer", path.display());
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs() -> Documents {
        let data = Data::Programs { countdown_3: 1.0, countdown_4: 1.0, chain: 1.0, direct: 0.2 };
        Documents::new(&data, 7).unwrap()
    }

    #[test]
    fn training_never_sees_a_held_out_problem() {
        let documents = programs();
        for number in 0..3000 {
            let given = documents.document(number).given;
            let question = given.split(ASSISTANT).next().unwrap().trim_start_matches(USER).trim();
            let held_out = match question.parse::<countdown::Puzzle>() {
                Ok(puzzle) => puzzle.held_out(),
                Err(_) => question.parse::<chain::Chain>().unwrap().held_out(),
            };
            assert!(!held_out, "{question}");
        }
    }

    #[test]
    fn batches_follow_each_other_without_gap_or_overlap() {
        let documents = programs();
        let (first, next) = documents.batch(0, 500).unwrap();
        let (second, _) = documents.batch(next, 500).unwrap();
        let (both, _) = documents.batch(0, first.tokens.len() + 1).unwrap();
        assert_eq!(both.tokens[..first.tokens.len()], first.tokens);
        assert!(second.tokens.starts_with(&both.tokens[first.tokens.len()..]));
    }

    #[test]
    fn the_loss_looks_at_what_follows_the_prompt_only() {
        let (batch, _) = programs().batch(0, 1).unwrap();
        let first = batch.targets.iter().position(Option::is_some).unwrap();
        for (i, target) in batch.targets.iter().enumerate().skip(first).take(batch.tokens.len() - 1 - first) {
            assert_eq!(*target, Some(batch.tokens[i + 1]));
        }
        assert_eq!(batch.targets.last(), Some(&None));
    }
}
