//! Who can be compared with whom: the models and tasks of a sweep with their facts, before any data.

use std::collections::BTreeMap;

use crate::cell::{Budget, Strategy};
use crate::model_facts::{Kind, ModelFacts};
use crate::price::Verifier;
use crate::problem::Seeds;
use crate::sweep::{Sweep, TaskEntry};
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
    /// Indices of the tasks that have the originals.
    pub originals: Vec<usize>,
}

/// What is known of a task before it is compared.
struct Known {
    task: Option<Task>,
    seeds: Seeds,
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
    /// Of a sweep, with what is known of its models and of each task's problems.
    pub fn new(
        sweep: &Sweep,
        facts: &BTreeMap<String, ModelFacts>,
        problems: impl Fn(&str) -> Seeds,
    ) -> Self {
        let contestant = |model: &crate::sweep::ModelEntry| Contestant {
            name: model.name.clone(),
            budgets: sweep.budgets(model).to_vec(),
            facts: facts.get(&model.name).cloned().unwrap_or_default(),
        };
        // A run of an older program says a task's name only, which is all that is known of one that is not built in.
        let known = |entry: &TaskEntry| Known { task: entry.task().ok(), seeds: problems(&entry.name) };
        let known: Vec<Known> = sweep.tasks.iter().map(known).collect();
        let task =
            |(at, entry): (usize, &TaskEntry)| TaskFacts::new(&entry.name, at, &known, &sweep.strategies);
        Self {
            models: sweep.models.iter().map(contestant).collect(),
            tasks: sweep.tasks.iter().enumerate().map(task).collect(),
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
        match all.is_empty() {
            false => Ok(all),
            true if groups.is_empty() => Err(missing.to_owned()),
            true => Err("a task whose problems are not variations (`variant_of`) of others".into()),
        }
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
    fn new(name: &str, at: usize, known: &[Known], strategies: &[Strategy]) -> Self {
        let verifies = known[at].task.as_ref().is_some_and(|task| task.judge.verifies());
        let is_usable = |s: &Strategy| strategies.contains(s) && (*s != Strategy::Verifier || verifies);
        let choice = [Strategy::Verifier, Strategy::Maj, Strategy::Weighted].into_iter().find(is_usable);
        let variants = known[at].variants().map(|(id, original)| (id.to_owned(), original.to_owned()));
        let has_originals = |other: &usize| known[at].varies(&known[*other]);
        Self {
            name: name.to_owned(),
            choice,
            variants: variants.collect(),
            originals: (0..known.len()).filter(has_originals).collect(),
        }
    }
}

impl Known {
    /// Problems that are variations, with their originals.
    fn variants(&self) -> impl Iterator<Item = (&str, &str)> {
        self.seeds.iter().filter_map(|(id, original)| Some((id.as_str(), original.as_deref()?)))
    }

    /// Whether problems are variations of another task's: as generators say, else if ids are shared.
    fn varies(&self, other: &Self) -> bool {
        let said = self.task.as_ref().zip(other.task.as_ref()).and_then(|(task, other)| task.varies(other));
        let shares = || self.variants().any(|(_, original)| other.seeds.contains_key(original));
        self.variants().next().is_some() && other.variants().next().is_none() && said.unwrap_or_else(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task's name, the rest of its file, and its problems with their originals.
    type Given<'a> = (&'a str, &'a str, &'a [(&'a str, Option<&'a str>)]);

    fn lineup(tasks: &[Given]) -> Lineup {
        let definition = |(name, rest, _): &(&str, &str, _)| {
            let text =
                format!("name = \"{name}\"\nwhy = \"w\"\nlicence = \"MIT\"\nanswer_tokens = 9\n{rest}");
            let definition = Some(Task::parse(name, &text).unwrap());
            TaskEntry { name: (*name).to_owned(), problems: None, definition }
        };
        let sweep =
            Sweep { tasks: tasks.iter().map(definition).collect(), ..Sweep::open("quickstart").unwrap() };
        let seeds = |(_, _, seeds): &(_, _, &[(&str, Option<&str>)])| {
            seeds.iter().map(|(id, of)| ((*id).to_owned(), of.map(str::to_owned))).collect::<Seeds>()
        };
        let of = |name: &str| tasks.iter().find(|task| task.0 == name).map(seeds).unwrap_or_default();
        Lineup::new(&sweep, &BTreeMap::new(), of)
    }

    fn from_file(variant_of: &str) -> String {
        format!(
            "[judge.answer]\nanswer_type = \"number\"\n[[sources]]\nfrom = {{ path = \"absent.csv\" }}\n\
             fields = {{ question = \"q\", gold = \"a\"{variant_of} }}"
        )
    }

    fn countdown(seed: u32, perturbation: &str) -> String {
        format!(
            "judge = \"countdown\"\n[[sources]]\n[sources.from.generator.countdown]\nnumbers = 3\n\
             split = \"evaluation\"\nproblems = 9\nseed = {seed}\n{perturbation}"
        )
    }

    #[test]
    fn a_task_of_ones_own_is_known_by_the_sweep_and_its_verifier_chooses() {
        let lineup = lineup(&[("mine", &countdown(1, ""), &[]), ("other", &from_file(""), &[])]);
        let choices: Vec<_> = lineup.tasks.iter().map(|task| task.choice).collect();
        assert_eq!(choices, [Some(Strategy::Verifier), Some(Strategy::Maj)]);
    }

    #[test]
    fn variations_are_paired_with_the_task_that_has_their_originals_whatever_it_is_called() {
        let like = from_file(", variant_of = { task = \"gsm8k\", like = \"q\" }");
        let column = from_file(", variant_of = \"seed\"");
        let lineup = lineup(&[
            ("gsm8k", &from_file(""), &[("g1", None)]),
            ("svamp", &from_file(""), &[("s1", None)]),
            ("gsm-plus", &like, &[("p1", Some("g1")), ("p2", None)]),
            ("renamed", &column, &[("r1", Some("s1"))]),
            ("lone", &column, &[("l1", Some("elsewhere"))]),
        ]);
        let originals: Vec<_> = lineup.tasks.iter().map(|task| task.originals.as_slice()).collect();
        assert_eq!(originals, [&[][..], &[], &[0], &[1], &[]]);
        assert_eq!(lineup.original_tasks().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn generated_variations_are_those_of_their_seed_though_all_seeds_use_the_same_ids() {
        let (one, two, changed) =
            (countdown(1, ""), countdown(2, ""), countdown(2, "perturbation = \"numbers\""));
        let lineup = lineup(&[
            ("one", &one, &[("c3-0000", None)]),
            ("two", &two, &[("c3-0000", None)]),
            ("changed", &changed, &[("c3-0000-numbers", Some("c3-0000"))]),
        ]);
        assert_eq!(lineup.tasks[2].originals, [1]);
    }

    #[test]
    fn a_sweep_of_variations_alone_is_told_what_it_lacks() {
        let column = from_file(", variant_of = \"seed\"");
        let lineup = lineup(&[("lone", &column, &[("l1", Some("elsewhere"))])]);
        assert!(lineup.on_every_task(&[vec![0]], "a model").unwrap_err().contains("not variations"));
        assert_eq!(lineup.on_every_task(&[], "a model").unwrap_err(), "a model");
    }
}
