//! What a run holds on a claim: per-problem numbers of every model at every budget, on the same problems.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use rayon::prelude::*;

use super::equal_cost::{Choice, choices};
use super::lineup::{Contestant, Lineup};
use crate::cell::{Budget, Strategy};
use crate::observation::{Observations, Sampled};
use crate::slice::{Completion, Slice};

/// A run's observations, arranged for comparisons.
pub struct Evidence<'a> {
    /// The models and tasks.
    pub lineup: &'a Lineup,
    observations: &'a Observations,
    /// By task: the problems that every sampled model has completely.
    problems: Vec<BTreeSet<&'a str>>,
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
        let problems = tasks.map(|task| common_problems(lineup, observations, task)).collect();
        let mut evidence =
            Self { lineup, observations, problems, levels: BTreeMap::new(), choices: BTreeMap::new() };
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

/// Problems that every model which has any of the task's has with all trajectories.
fn common_problems<'a>(lineup: &Lineup, observations: &'a Observations, task: usize) -> BTreeSet<&'a str> {
    let of = |model: &Contestant| -> BTreeSet<&'a str> {
        let sampled =
            observations.problems(&model.name, &lineup.tasks[task].name, 0, lineup.trajectories as usize);
        sampled.into_iter().map(|p| p.problem).collect()
    };
    let sets = lineup.models.iter().map(of).filter(|problems| !problems.is_empty());
    sets.reduce(|a, b| &a & &b).unwrap_or_default()
}
