//! Which problems of a series have an answer at every budget, and what is left out.
//!
//! All budgets of a series are compared on the same problems. A trajectory may lack one: its thought met the end of the
//! context before a budget, say. Its problem is then left out of all budgets and counted, since what is left out is not a
//! random part: long thoughts are those of hard problems. A budget that most problems lack must not take them all away,
//! so it makes no demand on the other budgets and is itself measured on the problems that have it.

use crate::cell::Budget;
use crate::observation::Observation;
use crate::observations::Sampled;

/// The problems that can be asked at some budgets.
#[derive(Clone, Debug, Default)]
pub struct Whole<'a> {
    /// Those of which every trajectory has an answer at all of them.
    pub problems: Vec<Sampled<'a>>,
    /// What the others lack.
    pub left_out: LeftOut,
}

/// Problems that were sampled and cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// How many.
    pub problems: usize,
    /// How many of their trajectories have no answer at a budget.
    pub trajectories: usize,
}

impl<'a> Whole<'a> {
    /// Of a series' problems: those with answers at all of `budgets`.
    pub fn at(sampled: Vec<Sampled<'a>>, budgets: &[Budget]) -> Self {
        let lacks = |t: &&&Observation| budgets.iter().any(|budget| t.answer_at(*budget).is_none());
        let lacking = |p: &Sampled| p.trajectories.iter().filter(lacks).count();
        let (problems, others): (Vec<_>, Vec<_>) = sampled.into_iter().partition(|p| lacking(p) == 0);
        let trajectories = others.iter().map(lacking).sum();
        Self { problems, left_out: LeftOut { problems: others.len(), trajectories } }
    }
}

/// Those of `budgets` at which at least half of the problems have an answer of every trajectory.
pub fn usual(sampled: &[Sampled], budgets: &[Budget]) -> Vec<Budget> {
    let has = |p: &&Sampled, budget: Budget| p.trajectories.iter().all(|t| t.answer_at(budget).is_some());
    let count = |budget: Budget| sampled.iter().filter(|p| has(p, budget)).count();
    budgets.iter().copied().filter(|budget| 2 * count(*budget) >= sampled.len()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::claims::simulated::Run;
    use crate::observations::Observations;
    use crate::trajectory::Trajectory;

    /// Takes from a trajectory its answer at a budget.
    pub(crate) fn forget(record: &mut Trajectory, budget: Budget) {
        let at = record.answers.iter().position(|answer| answer.budget == budget).unwrap();
        record.answers.remove(at);
        record.timing.reasoning_s.remove(at);
        record.timing.answer_s.remove(at);
    }

    #[test]
    fn a_problem_that_lacks_a_budget_is_left_out_and_a_budget_that_most_problems_lack_takes_none_away() {
        let mut records = Run::new(10, 4).model("a", |_, _| 0.5).records();
        forget(&mut records[5], Budget::Tokens(512));
        // Of the 40 trajectories only the first eight, two problems', keep the budget of 32.
        records[8..].iter_mut().for_each(|record| forget(record, Budget::Tokens(32)));
        let observations = Observations::of(&records);
        let sampled = || observations.problems("a", "simulated", 0, 4);
        let usual = usual(&sampled(), &[0, 32, 64, 512].map(Budget::Tokens));
        assert_eq!(usual, [0, 64, 512].map(Budget::Tokens));
        let whole = Whole::at(sampled(), &usual);
        assert_eq!((whole.problems.len(), whole.left_out), (9, LeftOut { problems: 1, trajectories: 1 }));
        assert!(whole.problems.iter().all(|p| p.problem != "p00001"));
    }
}
