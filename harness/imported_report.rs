//! What imported completions say: accuracy with intervals over problems, and cost as far as it was recorded.
//!
//! The same estimators as for runs of this program. A mean is shown only where every completion has the number.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use crate::escape;
use crate::imported::{Imported, series};
use crate::outcome::Outcome;
use crate::rounding::{self, significant};
use crate::statistics::{
    Estimate, Interval, Level, OpenAbove, Strategy, Subsets, Vote, cost_per_correct, is_reliable, mean_share,
    strategy_per_problem,
};
use crate::table::{Column, Table};

/// One strategy at one n.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// How n completions become one answer.
    pub strategy: Strategy,
    /// Completions a problem gets.
    pub n: usize,
    /// Whether enough distinct subsets of n exist.
    pub reliable: bool,
    /// Accuracy, clustered by problem.
    pub accuracy: Option<Estimate>,
    /// Mean tokens sampled for a problem.
    pub tokens: Option<f64>,
    /// Mean seconds for a problem.
    pub seconds: Option<f64>,
    /// Mean dollars for a problem.
    pub usd: Option<f64>,
    /// Dollars per correct answer (ratio of sums).
    pub usd_per_correct: Option<OpenAbove>,
}

/// One model on one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Problems with all their completions.
    pub problems: usize,
    /// Problems left out because they have fewer completions than most.
    pub left_out: usize,
    /// Completions of a problem.
    pub trajectories: usize,
    /// Completions with each fate.
    pub outcomes: BTreeMap<Outcome, usize>,
    /// Completions that cast no vote, for want of an answer that can be read.
    pub voteless: usize,
    /// Ids of the problems where this program and the other tool disagree: graded right, given as wrong.
    pub right_only_here: Vec<String>,
    /// Graded wrong, given as right.
    pub right_only_there: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Everything, by model and task.
pub fn groups(completions: &[Imported]) -> Vec<Group> {
    let of = |(model, task): (&str, &str)| {
        let these: Vec<&Imported> =
            completions.iter().filter(|c| c.model == model && c.task == task).collect();
        group(model, task, &these)
    };
    series(completions).into_iter().map(of).collect()
}

fn group(model: &str, task: &str, completions: &[&Imported]) -> Group {
    let mut by_problem: BTreeMap<&str, Vec<&Imported>> = BTreeMap::new();
    for completion in completions {
        by_problem.entry(&completion.problem).or_default().push(completion);
    }
    let trajectories = most_common(by_problem.values().map(Vec::len));
    let all = by_problem.len();
    let problems: Vec<Vec<&Imported>> =
        by_problem.into_values().filter(|these| these.len() >= trajectories).collect();
    let mut outcomes = BTreeMap::new();
    for outcome in completions.iter().filter_map(|c| outcome(c)) {
        *outcomes.entry(outcome).or_default() += 1;
    }
    let disputed = |right: bool| {
        let these = completions.iter().filter(|c| c.is_disputed() && c.given_correct != Some(right));
        these.map(|c| c.problem.clone()).collect()
    };
    Group {
        model: model.to_owned(),
        task: task.to_owned(),
        problems: problems.len(),
        left_out: all - problems.len(),
        trajectories,
        outcomes,
        voteless: completions.iter().filter(|c| class(c).is_none()).count(),
        right_only_here: disputed(true),
        right_only_there: disputed(false),
        rows: rows(&problems, trajectories),
    }
}

/// What became of it: as graded here, else as given.
fn outcome(completion: &Imported) -> Option<Outcome> {
    let given = |right: bool| if right { Outcome::Correct } else { Outcome::Wrong };
    completion.graded.as_ref().map(|graded| graded.outcome).or(completion.given_correct.map(given))
}

fn class(completion: &Imported) -> Option<&str> {
    completion.graded.as_ref()?.class.as_deref()
}

fn most_common(counts: impl Iterator<Item = usize>) -> usize {
    let mut tally: BTreeMap<usize, usize> = BTreeMap::new();
    counts.for_each(|count| *tally.entry(count).or_default() += 1);
    tally.into_iter().max_by_key(|(_, times)| *times).map_or(0, |(count, _)| count)
}

fn rows(problems: &[Vec<&Imported>], trajectories: usize) -> Vec<Row> {
    let every = |has: fn(&Imported) -> bool| problems.iter().flatten().all(|c| has(c));
    let mut strategies = vec![Strategy::PassAtK];
    if problems.iter().flatten().any(|c| class(c).is_some()) {
        strategies.push(Strategy::Majority);
    }
    if every(|c| c.score.is_some()) {
        strategies.push(Strategy::BestOfN);
    }
    if every(|c| c.sampled_tokens.is_some()) {
        strategies.push(Strategy::Shortest);
    }
    let votes: Vec<Vec<Vote>> = problems.iter().map(|these| votes(these)).collect();
    let mut rows: Vec<Row> = row(problems, &votes, Strategy::First, 1, trajectories).into_iter().collect();
    for strategy in strategies {
        let ns = std::iter::successors(Some(2), |n| Some(n * 2)).take_while(|n| *n <= trajectories);
        rows.extend(ns.filter_map(|n| row(problems, &votes, strategy, n, trajectories)));
    }
    rows
}

fn row(
    problems: &[Vec<&Imported>],
    votes: &[Vec<Vote>],
    strategy: Strategy,
    n: usize,
    trajectories: usize,
) -> Option<Row> {
    let correct = strategy_per_problem(votes, n, strategy, Subsets::default()).ok()?;
    let spent = |value: &dyn Fn(&Imported) -> Option<f64>| -> Option<Vec<f64>> {
        let mean = |these: &Vec<&Imported>| {
            let values = these.iter().map(|c| value(c)).collect::<Option<Vec<f64>>>()?;
            Some(n as f64 * values.iter().sum::<f64>() / values.len() as f64)
        };
        problems.iter().map(mean).collect()
    };
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let usd = spent(&|c| c.usd);
    Some(Row {
        strategy,
        n,
        reliable: strategy == Strategy::First || is_reliable(n, trajectories),
        tokens: spent(&|c| c.sampled_tokens.map(|tokens| tokens as f64)).map(mean),
        seconds: spent(&|c| c.seconds).map(mean),
        usd_per_correct: usd.as_ref().and_then(|usd| cost_per_correct(usd, &correct, Level::default()).ok()),
        usd: usd.map(mean),
        accuracy: mean_share(&correct, trajectories, Level::default()).ok(),
    })
}

fn votes<'a>(completions: &[&'a Imported]) -> Vec<Vote> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let vote = |completion: &&'a Imported| {
        let next = numbers.len();
        Vote {
            correct: completion.is_correct() == Some(true),
            answer: class(completion).map(|class| *numbers.entry(class).or_insert(next)),
            score: completion.score.unwrap_or(f64::NEG_INFINITY),
            tokens: completion.sampled_tokens.map_or(f64::INFINITY, |tokens| tokens as f64),
        }
    };
    completions.iter().map(vote).collect()
}

fn name(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::First => "first",
        Strategy::PassAtK => "pass",
        Strategy::Majority => "maj",
        Strategy::Weighted => "weighted",
        Strategy::BestOfN => "score",
        Strategy::Shortest => "shortest",
    }
}

fn each(completions: usize) -> String {
    if completions == 1 { "one completion each".into() } else { format!("{completions} completions each") }
}

impl Group {
    /// What was counted, a line each.
    pub fn facts(&self) -> Vec<String> {
        let count = |outcome| self.outcomes.get(&outcome).copied().unwrap_or(0);
        let mut facts = vec![format!(
            "{} problems with {}; of all completions {} correct, {} wrong, {} without an answer, \
             {} truncated, {} failed; {} cast no vote",
            self.problems,
            each(self.trajectories),
            count(Outcome::Correct),
            count(Outcome::Wrong),
            count(Outcome::NoAnswer),
            count(Outcome::Truncated),
            count(Outcome::Error),
            self.voteless
        )];
        if self.left_out > 0 {
            facts.push(format!("{} problems with fewer completions are left out", self.left_out));
        }
        for (what, ids) in [
            ("graded right here, given as wrong", &self.right_only_here),
            ("graded wrong here, given as right", &self.right_only_there),
        ] {
            if !ids.is_empty() {
                facts.push(format!("{} {what}: {}", ids.len(), some(ids)));
            }
        }
        facts
    }

    /// The rows as a table.
    pub fn table(&self) -> Table {
        let number = |value: Option<f64>| value.map_or(rounding::ABSENT.into(), significant);
        let row = |row: &Row| {
            let mark = if row.reliable { "" } else { "~" };
            vec![
                name(row.strategy).to_owned(),
                row.n.to_string(),
                format!("{mark}{}", rounding::share(row.accuracy.as_ref())),
                number(row.tokens),
                number(row.seconds),
                number(row.usd.map(|usd| usd * 1000.0)),
                rounding::amount(row.usd_per_correct.as_ref(), 1000.0),
            ]
        };
        Table {
            caption: format!("{} on {}", self.model, self.task),
            columns: vec![
                Column::text("strategy"),
                Column::number("n", ""),
                Column::number("accuracy", "95 % interval"),
                Column::number("tokens", "a problem"),
                Column::number("time", "s a problem"),
                Column::number("cost", "m$ a problem"),
                Column::number("cost", "m$ a correct answer"),
            ],
            rows: self.rows.iter().map(row).collect(),
            footnotes: if self.rows.iter().all(|row| row.reliable) {
                vec![]
            } else {
                vec!["~ n is more than half of the completions: few distinct subsets".into()]
            },
        }
    }
}

/// The first few ids.
fn some(ids: &[String]) -> String {
    let shown = ids.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    if ids.len() > 10 { shown + ", ..." } else { shown }
}

/// The report in Markdown.
pub fn markdown(groups: &[Group], conditions: &[(String, String)]) -> String {
    let mut text = "# Imported completions\n\nSampled by another tool, graded and counted by this one. Intervals are over \
                    problems.\n"
        .to_owned();
    for group in groups {
        let _ = write!(text, "\n{}\n", group.table().markdown());
        for fact in group.facts() {
            let _ = writeln!(text, "* {}", escape::markdown(&fact));
        }
    }
    text += "\n## Conditions\n\n";
    for (key, value) in conditions {
        let _ = writeln!(text, "* {}: {}", escape::markdown(key), escape::markdown(value));
    }
    text
}

/// A number of a CSV file; what is absent is empty.
fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// An estimate with its ends.
fn ends(estimate: Option<&impl Interval>) -> String {
    let parts = estimate.map(Interval::parts);
    [parts.map(|e| e.0), parts.map(|e| e.1), parts.and_then(|e| e.2)].map(number).join(",")
}

/// The rows as CSV, in full precision; what is absent is empty.
pub fn csv(groups: &[Group]) -> String {
    let mut text = "model,task,strategy,n,reliable,problems,trajectories,accuracy,accuracy_low,accuracy_high,tokens_mean,\
                    seconds_mean,usd_mean,usd_per_correct,usd_per_correct_low,usd_per_correct_high\n"
        .to_owned();
    for group in groups {
        let names = [&group.model, &group.task].map(|name| quoted(&escape::spreadsheet(name))).join(",");
        for row in &group.rows {
            let _ = writeln!(
                text,
                "{names},{},{},{},{},{},{},{},{},{},{}",
                name(row.strategy),
                row.n,
                row.reliable,
                group.problems,
                group.trajectories,
                ends(row.accuracy.as_ref()),
                number(row.tokens),
                number(row.seconds),
                number(row.usd),
                ends(row.usd_per_correct.as_ref())
            );
        }
    }
    text
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}
