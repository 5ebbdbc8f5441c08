//! A benchmark item, and a list of them pinned by its hash.
//!
//! A number is only comparable with another if both were measured on the same problems, so a
//! [`ProblemSet`] carries the sha256 of its canonical JSON lines and every run's manifest repeats it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One item of a benchmark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Unique within its set and stable across machines.
    pub id: String,
    /// What the model is asked, before the task's instructions are added.
    pub question: String,
    /// What the grader compares an answer with; its form depends on the task's grader.
    pub gold: String,
    /// The problem this one is a variation of, for claims about perturbation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant_of: Option<String>,
}

/// Ids of problems, each with the problem that it is a variation of.
pub type Seeds = BTreeMap<String, Option<String>>;

/// Problems in a fixed order, with the hash that pins them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemSet {
    problems: Vec<Problem>,
    sha256: String,
}

impl ProblemSet {
    /// Pins `problems` in their order.
    pub fn new(problems: Vec<Problem>) -> Self {
        let sha256 = hash(&problems);
        Self { problems, sha256 }
    }

    /// The problems in order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// `limit` problems drawn at random, in set order; all of them if there are no more.
    ///
    /// A problem's lot follows from the seed and its id, or the id of the problem that it is a variation of. So smaller
    /// subsets are parts of larger ones, and a task and its perturbed form use the same problems.
    pub fn subset(&self, limit: usize, seed: u64) -> Self {
        let lot = |problem: &Problem| {
            let drawn_as = problem.variant_of.as_ref().unwrap_or(&problem.id);
            Sha256::digest(format!("{seed} {drawn_as}"))
        };
        let mut chosen: Vec<usize> = (0..self.problems.len()).collect();
        chosen.sort_by_cached_key(|i| lot(&self.problems[*i]));
        chosen.truncate(limit);
        chosen.sort_unstable();
        Self::new(chosen.into_iter().map(|i| self.problems[i].clone()).collect())
    }

    /// Which problem is a variation of which.
    pub fn seeds(&self) -> Seeds {
        self.problems.iter().map(|problem| (problem.id.clone(), problem.variant_of.clone())).collect()
    }

    /// Lower-case hexadecimal sha256 of the problems as JSON lines.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

fn hash(problems: &[Problem]) -> String {
    let mut hasher = Sha256::new();
    for problem in problems {
        hasher.update(serde_json::to_vec(problem).expect("a problem is plain strings"));
        hasher.update(b"\n");
    }
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn problem(id: &str) -> Problem {
        Problem { id: id.into(), question: "q".into(), gold: "g".into(), variant_of: None }
    }

    #[test]
    fn subsets_are_nested_and_a_variation_is_drawn_with_its_original() {
        let originals: Vec<_> = (0..40).map(|i| problem(&format!("p{i}"))).collect();
        let variation =
            |p: &Problem| Problem { id: format!("v-{}", p.id), variant_of: Some(p.id.clone()), ..p.clone() };
        let variations = ProblemSet::new(originals.iter().rev().map(variation).collect());
        let originals = ProblemSet::new(originals);
        let ids = |set: &ProblemSet| set.problems().iter().map(|p| p.id.clone()).collect::<BTreeSet<_>>();
        let (ten, twenty) = (originals.subset(10, 7), originals.subset(20, 7));
        assert!(ids(&ten).is_subset(&ids(&twenty)) && ten.problems().len() == 10);
        assert_ne!(ids(&ten), ids(&originals.subset(10, 8)));
        let drawn = variations.subset(10, 7);
        assert!(drawn.problems().iter().all(|p| ids(&ten).contains(p.variant_of.as_ref().unwrap())));
    }

    #[test]
    fn the_hash_depends_on_content_and_order() {
        let ab = ProblemSet::new(vec![problem("a"), problem("b")]);
        let ba = ProblemSet::new(vec![problem("b"), problem("a")]);
        assert_eq!(ab.sha256(), ProblemSet::new(vec![problem("a"), problem("b")]).sha256());
        assert_ne!(ab.sha256(), ba.sha256());
    }
}
