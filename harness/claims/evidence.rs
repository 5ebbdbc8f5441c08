//! What a run holds on a claim: per-problem numbers of every model at every budget, on the same problems.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use rayon::prelude::*;

use super::equal_cost::{Choice, choices};
use super::lineup::{Contestant, Lineup};
use crate::cell::{Budget, Strategy};
use crate::observations::{Observations, Sampled};
use crate::slice::{Completion, Slice};
use crate::whole::{Whole, usual};

/// A run's observations, arranged for comparisons.
pub struct Evidence<'a> {
    /// The models and tasks.
    pub lineup: &'a Lineup,
    observations: &'a Observations,
    /// By task: the problems that every sampled model has completely.
    problems: Vec<BTreeSet<&'a str>>,
    /// By task: what was sampled beside them.
    left_out: Vec<Option<String>>,
    /// By model and task.
    levels: BTreeMap<(usize, usize), Vec<Level>>,
    /// By model and task, once somebody asks.
    choices: BTreeMap<(usize, usize), OnceLock<Vec<Choice>>>,
}

/// One model at one budget: a number per problem each, problems in the order of their ids.
#[derive(Clone, Debug)]
pub struct Level {
    /// The budget.
    pub budget: Budget,
    /// Share of trajectories that are correct.
    pub accuracy: Vec<f64>,
    /// Mean tokens sampled for a completion.
    pub tokens: Vec<f64>,
    /// Mean reasoning tokens of a completion.
    pub reasoning_tokens: Vec<f64>,
    /// Device seconds of the prompt and one completion.
    pub device_s: Vec<f64>,
}

impl<'a> Evidence<'a> {
    /// Arranges a run's observations.
    pub fn new(lineup: &'a Lineup, observations: &'a Observations) -> Self {
        let tasks = 0..lineup.tasks.len();
        let common = tasks.map(|task| common_problems(lineup, observations, task));
        let (problems, left_out) = common.unzip();
        let (levels, choices) = (BTreeMap::new(), BTreeMap::new());
        let mut evidence = Self { lineup, observations, problems, left_out, levels, choices };
        let pairs: Vec<(usize, usize)> = (0..lineup.models.len())
            .flat_map(|model| (0..lineup.tasks.len()).map(move |task| (model, task)))
            .collect();
        evidence.choices = pairs.iter().map(|pair| (*pair, OnceLock::new())).collect();
        evidence.levels = pairs.into_par_iter().map(|pair| (pair, evidence.measure_levels(pair))).collect();
        evidence
    }

    /// Ids of a task's common problems, in order.
    pub fn problems(&self, task: usize) -> Vec<&'a str> {
        self.problems[task].iter().copied().collect()
    }

    /// What was sampled of a task and cannot be compared, in a sentence.
    pub fn left_out(&self, task: usize) -> Option<&str> {
        self.left_out[task].as_deref()
    }

    /// The trajectories of a model on a task's common problems.
    pub fn sampled(&self, model: usize, task: usize) -> Vec<Sampled<'a>> {
        let (model, trajectories) = (&self.lineup.models[model].name, self.lineup.trajectories as usize);
        let mut sampled = self.observations.problems(model, &self.lineup.tasks[task].name, 0, trajectories);
        sampled.retain(|p| self.problems[task].contains(p.problem));
        sampled
    }

    /// A model's budgets on a task, ascending.
    ///
    /// # Errors
    /// That it was not sampled.
    pub fn levels(&self, model: usize, task: usize) -> Result<&[Level], String> {
        let levels = &self.levels[&(model, task)];
        if levels.is_empty() {
            let (model, task) = (&self.lineup.models[model].name, &self.lineup.tasks[task].name);
            return Err(format!("no problem of {task} that {model} and all others have completely"));
        }
        Ok(levels)
    }

    /// The levels above budget 0.
    ///
    /// # Errors
    /// As [`Evidence::levels`].
    pub fn thinking_levels(&self, model: usize, task: usize) -> Result<&[Level], String> {
        let levels = self.levels(model, task)?;
        let direct = levels.iter().take_while(|level| level.budget == Budget::Tokens(0)).count();
        Ok(&levels[direct..])
    }

    /// All cells of a model on a task that could be chosen.
    pub fn choices(&self, model: usize, task: usize) -> &[Choice] {
        self.choices[&(model, task)].get_or_init(|| choices(self, model, task))
    }

    fn measure_levels(&self, (model, task): (usize, usize)) -> Vec<Level> {
        let Contestant { budgets, .. } = &self.lineup.models[model];
        let sampled = self.sampled(model, task);
        // A slice exists only if no trajectory lacks the budget, so all levels have the same problems.
        budgets.iter().filter_map(|budget| Level::new(*budget, &Slice::new(&sampled, *budget)?)).collect()
    }
}

impl Level {
    fn new(budget: Budget, slice: &Slice) -> Option<Self> {
        Some(Self {
            budget,
            accuracy: slice.correct(Strategy::First, 1)?,
            tokens: slice.means(Completion::tokens),
            reasoning_tokens: slice.means(|c| c.reasoning_tokens),
            device_s: slice.usage(Strategy::First, 1, None).iter().map(|usage| usage.device_s).collect(),
        })
    }
}

/// Problems that every model which has any of the task's has with all trajectories, with an answer at every budget that
/// most of its problems have; and a sentence about the others.
fn common_problems<'a>(
    lineup: &Lineup,
    observations: &'a Observations,
    task: usize,
) -> (BTreeSet<&'a str>, Option<String>) {
    let task = &lineup.tasks[task].name;
    let all = |model: &Contestant, at_least| observations.problems(&model.name, task, 0, at_least);
    let complete = |model: &Contestant| {
        let sampled = all(model, lineup.trajectories as usize);
        let budgets = usual(&sampled, &model.budgets);
        Whole::at(sampled, &budgets)
    };
    let models = || lineup.models.iter().filter(|model| !all(model, 1).is_empty());
    let wholes: Vec<Whole> = models().map(complete).collect();
    let ids = |whole: &Whole<'a>| whole.problems.iter().map(|p| p.problem).collect::<BTreeSet<_>>();
    let sets = wholes.iter().map(ids).filter(|ids| !ids.is_empty());
    let common = sets.reduce(|a, b| &a & &b).unwrap_or_default();
    let begun: BTreeSet<&str> = models().flat_map(|model| all(model, 1)).map(|p| p.problem).collect();
    let lacking = wholes.iter().map(|whole| whole.left_out.trajectories).sum();
    let said = sentence(task, [begun.len() - common.len(), begun.len(), lacking]);
    (common, said)
}

/// That some problems of a task are left out, if so, and how many trajectories lack a budget.
fn sentence(task: &str, [left_out, all, lacking]: [usize; 3]) -> Option<String> {
    let why = match lacking {
        0 => String::new(),
        1 => " (1 trajectory has no answer at a budget)".into(),
        many => format!(" ({many} trajectories have no answer at a budget)"),
    };
    (left_out > 0)
        .then(|| format!("{left_out} of {all} problems of {task}, which not every model has completely{why}"))
}

#[cfg(test)]
mod tests {
    use crate::cell::Budget;
    use crate::claims::registry::claims;
    use crate::claims::simulated::Run;
    use crate::claims::verdict::finding;
    use crate::observations::Observations;
    use crate::whole::tests::forget;

    use super::Evidence;

    #[test]
    fn an_answer_that_is_missing_takes_its_problem_out_of_all_levels_and_is_said() {
        let run = Run::new(50, 4).model("a", |_, tokens| tokens / 1000.0);
        let (lineup, mut records) = (run.lineup(), run.records());
        forget(&mut records[7], Budget::Tokens(512));
        let observations = Observations::of(&records);
        let evidence = Evidence::new(&lineup, &observations);
        let levels = evidence.levels(0, 0).unwrap();
        assert!(levels.len() == 6 && levels.iter().all(|level| level.accuracy.len() == 49));
        let claim = claims().into_iter().find(|claim| claim.id == "log-linear").unwrap();
        let found = finding(&evidence, claim);
        assert!(found.estimate.unwrap().n == 49 && found.missing.len() == 1);
        assert!(found.missing[0].starts_with("1 of 50 problems"), "{:?}", found.missing);
        assert!(found.missing[0].contains("(1 trajectory has no answer"), "{:?}", found.missing);
    }
}
