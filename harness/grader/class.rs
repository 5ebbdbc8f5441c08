//! Equivalence classes of answers, which majority votes count.
//!
//! A vote over strings splits `\frac12` from `0.5` and elects whatever happens to be written in one way only. Votes go
//! to classes instead. Contract: [`classes`] numbers the classes in order of their first member; an answer joins the
//! first class whose first member it equals; what was not extracted has no class and does not vote.

use super::clean;
use super::conventions::Conventions;
use super::equivalent::equivalent;
use std::collections::HashMap;

/// The class of each answer; nothing for answers that do not vote.
pub fn classes(answers: &[Option<&str>], conventions: &Conventions) -> Vec<Option<usize>> {
    let mut found =
        Classes { conventions: conventions.symmetric(), known: HashMap::new(), leaders: Vec::new() };
    answers.iter().map(|answer| answer.and_then(|a| found.class_of(a))).collect()
}

/// The classes met so far.
struct Classes<'a> {
    conventions: Conventions,
    known: HashMap<String, usize>,
    leaders: Vec<&'a str>,
}

impl<'a> Classes<'a> {
    fn class_of(&mut self, answer: &'a str) -> Option<usize> {
        let key = canonical_key(answer);
        if key.is_empty() {
            return None;
        }
        if let Some(class) = self.known.get(&key) {
            return Some(*class);
        }
        let same = |leader: &&str| equivalent(leader, answer, &self.conventions).is_some();
        let class = self.leaders.iter().position(same).unwrap_or(self.leaders.len());
        if class == self.leaders.len() {
            self.leaders.push(answer);
        }
        self.known.insert(key, class);
        Some(class)
    }
}

/// Answers with one key are surely one answer: they differ in spaces and wrapping only.
fn canonical_key(answer: &str) -> String {
    clean::cleaned(answer).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_writings_of_one_answer_vote_together_and_the_unparsed_do_not_vote() {
        let answers =
            [Some(r"\frac12"), None, Some("0.5"), Some("2"), Some(r"\dfrac{1}{2}"), Some(""), Some("50%")];
        let expected = [Some(0), None, Some(0), Some(1), Some(0), None, Some(0)];
        assert_eq!(classes(&answers, &Conventions::default()), expected);
    }

    #[test]
    fn fifty_and_fifty_per_cent_are_two_votes_when_nobody_knows_the_answer() {
        assert_eq!(classes(&[Some("50"), Some("50%")], &Conventions::default()), [Some(0), Some(1)]);
    }
}
