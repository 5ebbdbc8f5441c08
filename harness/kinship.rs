//! Which problem a perturbed one was made from, where its data set does not say.
//!
//! A perturbation changes a number or a phrase and leaves the rest, so the original is the problem with the most words
//! in common (Jaccard: shared words over all words). Contract: the answer is absent where even the best shares less than
//! [`LEAST`]; ties go to the first.

use std::collections::{BTreeSet, HashMap};

use crate::problem::Problem;

/// The least share of words that two versions of one problem have in common.
pub const LEAST: f64 = 0.6;

/// Problems that others may be variations of.
pub struct Originals<'a> {
    ids: Vec<&'a str>,
    words: Vec<BTreeSet<&'a str>>,
    /// Which problems a word occurs in.
    index: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Originals<'a> {
    /// Of these problems.
    pub fn new(problems: &'a [Problem]) -> Self {
        let words: Vec<BTreeSet<&str>> = problems.iter().map(|problem| words(&problem.question)).collect();
        let mut index: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, words) in words.iter().enumerate() {
            words.iter().for_each(|word| index.entry(word).or_default().push(number));
        }
        Self { ids: problems.iter().map(|problem| problem.id.as_str()).collect(), words, index }
    }

    /// The id of the problem that `text` is a variation of.
    pub fn of(&self, text: &str) -> Option<&'a str> {
        let wanted = words(text);
        let mut shared = vec![0u32; self.ids.len()];
        for word in &wanted {
            self.index.get(word).into_iter().flatten().for_each(|number| shared[*number] += 1);
        }
        let alike = |number: usize| {
            let shared = f64::from(shared[number]);
            shared / (wanted.len() as f64 + self.words[number].len() as f64 - shared).max(1.0)
        };
        let best = (0..self.ids.len()).rev().max_by(|a, b| alike(*a).total_cmp(&alike(*b)))?;
        (alike(best) >= LEAST).then(|| self.ids[best])
    }
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(id: &str, question: &str) -> Problem {
        Problem { id: id.into(), question: question.into(), gold: String::new(), variant_of: None }
    }

    #[test]
    fn the_original_is_the_problem_with_the_most_words_in_common() {
        let problems = [
            problem("ducks", "Janet's ducks lay 16 eggs per day and she eats three of them."),
            problem("robe", "A robe takes 2 bolts of blue fiber and half that much white fiber."),
        ];
        let originals = Originals::new(&problems);
        assert_eq!(
            originals.of("A robe takes 2874 bolts of blue fiber and half that much white fiber."),
            Some("robe")
        );
        assert_eq!(
            originals.of("Janet's ducks lay 16 eggs per day and she eats 4933828 of them."),
            Some("ducks")
        );
        assert_eq!(originals.of("A train leaves the station."), None);
        assert_eq!(Originals::new(&[]).of("x"), None);
    }
}
