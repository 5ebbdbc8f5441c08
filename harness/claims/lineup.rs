//! Who can be compared with whom: the models and tasks of a sweep with their facts, before any data.

use std::collections::BTreeMap;

use crate::cell::{Budget, Strategy};
use crate::model_facts::{Kind, ModelFacts};
use crate::price::Verifier;
use crate::source::Library;
use crate::sweep::Sweep;
use crate::task::Task;

/// Models whose parameters differ by less than this factor count as one size.
const SAME_SIZE: f64 = 1.1;

/// The models and tasks of a sweep.
#[derive(Clone, Debug)]
pub struct Lineup {
    /// The models in the sweep's order.
    pub models: Vec<Contestant>,
    /// The tasks in the sweep's order.
    pub tasks: Vec<TaskFacts>,
    /// Completions per problem that were asked for, ascending.
    pub n: Vec<u32>,
    /// Trajectories of each problem.
    pub trajectories: u32,
    /// What asking a task's verifier costs; absent if nothing.
    pub verifier: Option<Verifier>,
}

/// A model with its facts.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// Name in the sweep.
    pub name: String,
    /// Its budgets, ascending.
    pub budgets: Vec<Budget>,
    /// What is known of it.
    pub facts: ModelFacts,
}

/// A task, as far as comparisons go.
#[derive(Clone, Debug, Default)]
pub struct TaskFacts {
    /// Its name.
    pub name: String,
    /// How n completions become one answer there, at best.
    pub choice: Option<Strategy>,
    /// Of each of its problems that is a variation: the original.
    pub variants: BTreeMap<String, String>,
}

/// One test of a claim: models and tasks by index, the one that the claim is about first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// For the reader.
    pub name: String,
    /// Indices of models.
    pub models: Vec<usize>,
    /// Indices of tasks.
    pub tasks: Vec<usize>,
}

impl Lineup {
    /// Of a sweep, with what is known of its models.
    pub fn new(sweep: &Sweep, facts: &BTreeMap<String, ModelFacts>) -> Self {
        let contestant = |model: &crate::sweep::ModelEntry| Contestant {
            name: model.name.clone(),
            budgets: sweep.budgets(model).to_vec(),
            facts: facts.get(&model.name).cloned().unwrap_or_default(),
        };
        Self {
            models: sweep.models.iter().map(contestant).collect(),
            tasks: sweep.tasks.iter().map(|task| TaskFacts::new(&task.name, &sweep.strategies)).collect(),
            n: sweep.n.clone(),
            trajectories: sweep.trajectories(),
            verifier: sweep.verifier.clone(),
        }
    }

    /// Indices of the tasks that are not variations of another.
    pub fn original_tasks(&self) -> impl Iterator<Item = usize> {
        (0..self.tasks.len()).filter(|&task| self.tasks[task].variants.is_empty())
    }

    /// Indices of the models that think, with at least so many budgets above 0.
    pub fn thinkers(&self, budgets: usize) -> impl Iterator<Item = usize> {
        (0..self.models.len())
            .filter(move |&m| self.models[m].thinks() && self.models[m].thinking_budgets().count() >= budgets)
    }

    /// Index of the model with that name, its own or its published one.
    pub fn called(&self, name: &str) -> Option<usize> {
        self.models.iter().position(|model| model.facts.is_called(&model.name, name))
    }

    /// Parameters of one model over those of another; absent if either is unknown.
    pub fn size_ratio(&self, left: usize, right: usize) -> Option<f64> {
        let parameters = |m: usize| self.models[m].facts.parameters.map(|count| count as f64);
        Some(parameters(left)? / parameters(right)?)
    }

    /// Whether two models have one size and one architecture.
    pub fn are_one_size(&self, left: usize, right: usize) -> bool {
        let is_near = |ratio: f64| ratio < SAME_SIZE && ratio > 1.0 / SAME_SIZE;
        self.models[left].facts.family == self.models[right].facts.family
            && self.size_ratio(left, right).is_some_and(is_near)
    }

    /// Pairs of a thinking model and a model of its size that answers directly.
    pub fn thinker_and_direct(&self) -> Vec<(usize, usize)> {
        let directs: Vec<usize> =
            (0..self.models.len()).filter(|&m| self.models[m].kind() == Some(Kind::Direct)).collect();
        let is_pair = |thinker: usize, direct: usize| {
            let base = self.models[thinker].facts.lineage.base.as_deref();
            let is_base = base.is_some_and(|base| self.called(base) == Some(direct));
            is_base || self.are_one_size(thinker, direct)
        };
        self.thinkers(1)
            .flat_map(|t| directs.iter().map(move |&d| (t, d)))
            .filter(|&(t, d)| is_pair(t, d))
            .collect()
    }

    /// A comparison of models on one task, named by both.
    pub fn on(&self, task: usize, models: &[usize]) -> Comparison {
        let names: Vec<&str> = models.iter().map(|&m| self.models[m].name.as_str()).collect();
        let name = format!("{} on {}", names.join(" and "), self.tasks[task].name);
        Comparison { name, models: models.to_vec(), tasks: vec![task] }
    }

    /// Each of `groups` on each original task; `missing` if there is none.
    pub fn on_every_task(&self, groups: &[Vec<usize>], missing: &str) -> Result<Vec<Comparison>, String> {
        let on_all =
            |group: &Vec<usize>| self.original_tasks().map(|task| self.on(task, group)).collect::<Vec<_>>();
        let all: Vec<Comparison> = groups.iter().flat_map(on_all).collect();
        if all.is_empty() { Err(missing.to_owned()) } else { Ok(all) }
    }
}

impl Contestant {
    /// What it is, if known.
    pub fn kind(&self) -> Option<Kind> {
        self.facts.lineage.kind
    }

    fn thinks(&self) -> bool {
        self.kind() != Some(Kind::Direct)
    }

    /// Budgets above 0.
    pub fn thinking_budgets(&self) -> impl Iterator<Item = Budget> {
        self.budgets.iter().copied().filter(|budget| *budget != Budget::Tokens(0))
    }
}

impl TaskFacts {
    fn new(name: &str, strategies: &[Strategy]) -> Self {
        let task = Task::open(name).ok();
        let verifies = task.as_ref().is_some_and(|task| task.judge.verifies());
        let is_usable = |s: &Strategy| strategies.contains(s) && (*s != Strategy::Verifier || verifies);
        let choice = [Strategy::Verifier, Strategy::Maj, Strategy::Weighted].into_iter().find(is_usable);
        let problems = task.and_then(|task| task.problems(&Library::default()).ok());
        let problems = problems.iter().flat_map(|set| set.problems());
        let variants = problems.filter_map(|p| Some((p.id.clone(), p.variant_of.clone()?))).collect();
        Self { name: name.to_owned(), choice, variants }
    }
}
