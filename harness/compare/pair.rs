//! One cell of both runs.
//!
//! Ratios are compared on the log scale, where twice and half are as far from one: the ratio of means over the shared
//! problems with the jackknife's t interval, and for runs without shared problems the sum of both runs' variances.

use serde::{Serialize, Serializer};

use super::Side;
use super::metric::Metric;
use crate::cell::Cell;
use crate::row::{PerProblem, Row};
use crate::statistics::{
    Bootstrap, Estimate, Level, Method, Part, Summaries, Undefined, estimate_from_means, mean_of_statistics,
    paired_share_difference, unpaired_share_difference,
};

/// Fewer shared problems are no basis for a paired comparison.
const FEWEST_SHARED: usize = 3;

/// A cell of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellPair {
    /// The cell in the base run.
    #[serde(serialize_with = "cell")]
    pub base: Cell,
    /// The cell in the other run.
    #[serde(serialize_with = "cell")]
    pub other: Cell,
    /// Which problems the comparison rests on.
    pub pairing: Pairing,
    /// Whether n is at most half of the trajectories in both runs, or exact.
    pub reliable: bool,
    /// What changed; metrics that a run lacks are left out.
    pub changes: Vec<Change>,
}

/// Which problems a comparison rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pairing {
    /// Whether differences were taken by problem.
    pub paired: bool,
    /// Problems of which both runs asked the same question.
    pub shared: usize,
    /// Problems of the base run.
    pub base: usize,
    /// Problems of the other run.
    pub other: usize,
}

/// What happened to one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which.
    pub metric: Metric,
    /// Its value in the base run, on the problems that are compared; absent if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<f64>,
    /// Its value in the other run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<f64>,
    /// Other minus base in percentage points for accuracy; other over base for all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Estimate>,
    /// Why there is no change with an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undefined: Option<Undefined>,
}

impl Change {
    /// The change, whether or not it has an interval; absent if a run has no such number.
    pub fn value(&self) -> Option<f64> {
        self.change.map(|change| change.value).or_else(|| self.plain())
    }

    fn plain(&self) -> Option<f64> {
        let (base, other) = (self.base?, self.other?);
        let plain = if self.metric == Metric::Accuracy { 100.0 * (other - base) } else { other / base };
        Some(plain).filter(|plain| plain.is_finite())
    }
}

impl CellPair {
    /// What happened to a metric, if both runs have it.
    pub fn change(&self, metric: Metric) -> Option<&Change> {
        self.changes.iter().find(|change| change.metric == metric)
    }
}

/// Compares a cell of `base` with one of `other`.
pub(super) fn compare(base: &Side, other: &Side, rows: (&Row, &Row), level: Level) -> CellPair {
    let (a, b) = rows;
    let shared = shared(base, other, rows);
    let paired = shared.len() >= FEWEST_SHARED;
    let values = if paired {
        let (left, right): (Vec<usize>, Vec<usize>) = shared.iter().copied().unzip();
        (a.per_problem.only(&left), b.per_problem.only(&right))
    } else {
        (a.per_problem.clone(), b.per_problem.clone())
    };
    let changed = |metric: Metric| change(metric, &values.0, &values.1, paired, level);
    CellPair {
        base: a.cell.clone(),
        other: b.cell.clone(),
        pairing: Pairing { paired, shared: shared.len(), base: a.problems, other: b.problems },
        reliable: a.reliable && b.reliable,
        changes: Metric::ALL.into_iter().filter_map(changed).collect(),
    }
}

/// Where each shared problem stands in the one run's vectors and in the other's.
fn shared(base: &Side, other: &Side, (a, b): (&Row, &Row)) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (at, problem) in a.ids.iter().enumerate() {
        let asked = base.asked.hash(&a.cell.task, problem);
        if let Ok(there) = b.ids.binary_search(problem)
            && asked.is_some()
            && asked == other.asked.hash(&b.cell.task, problem)
        {
            pairs.push((at, there));
        }
    }
    pairs
}

/// Absent if a run lacks the metric.
fn change(metric: Metric, a: &PerProblem, b: &PerProblem, paired: bool, level: Level) -> Option<Change> {
    let (left, right) = (metric.parts(a)?, metric.parts(b)?);
    let found = match (metric, paired) {
        (Metric::Accuracy, true) => paired_share_difference(right.0, left.0, level).and_then(points),
        (Metric::Accuracy, false) => unpaired_share_difference(right.0, left.0, level).and_then(points),
        (_, true) => paired_ratio(left, right, level),
        (_, false) => unpaired_ratio(left, right, level),
    };
    let (base, other) = (value(left), value(right));
    let (change, undefined) = found.map_or_else(|why| (None, Some(why)), |change| (Some(change), None));
    Some(Change { metric, base, other, change, undefined })
}

fn points(share: Estimate) -> Result<Estimate, Undefined> {
    share.map_increasing(|difference| 100.0 * difference)
}

type Parts<'a> = (&'a [f64], Option<&'a [f64]>);

fn value((above, below): Parts) -> Option<f64> {
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let below = below.map_or(above.len() as f64, sum);
    Some(sum(above) / below).filter(|value| value.is_finite())
}

fn columns<'a>((above, below): Parts<'a>) -> Vec<&'a [f64]> {
    std::iter::once(above).chain(below).collect()
}

/// Logarithm of the metric, from the means of its columns.
fn log(means: &[f64]) -> Option<f64> {
    let ratio = means.first()? / means.get(1).copied().unwrap_or(1.0);
    Some(ratio).filter(|ratio| ratio.is_finite() && *ratio > 0.0).map(f64::ln)
}

fn paired_ratio(left: Parts, right: Parts, level: Level) -> Result<Estimate, Undefined> {
    let (a, b) = (columns(left), columns(right));
    let data = Summaries::from_columns(&[a.as_slice(), b.as_slice()].concat())?;
    let statistic = |means: &[f64]| Some(log(&means[a.len()..])? - log(&means[..a.len()])?);
    let bootstrap = Bootstrap { level, ..Bootstrap::default() };
    estimate_from_means(&data, bootstrap, Method::JackknifeT, statistic)?.map_increasing(f64::exp)
}

fn unpaired_ratio(left: Parts, right: Parts, level: Level) -> Result<Estimate, Undefined> {
    let (a, b) = (Summaries::from_columns(&columns(left))?, Summaries::from_columns(&columns(right))?);
    let negative = |means: &[f64]| log(means).map(|log| -log);
    let parts = [
        Part { stratum: "base", data: &a, statistic: &negative },
        Part { stratum: "other", data: &b, statistic: &log },
    ];
    // The mean of the two is half of their sum.
    mean_of_statistics(&parts, level)?.map_increasing(|mean| (2.0 * mean).exp())
}

fn cell<S: Serializer>(cell: &Cell, serializer: S) -> Result<S::Ok, S::Error> {
    let Cell { model, task, waits, budget, n, strategy } = cell;
    let value = serde_json::json!({
        "model": model, "task": task, "waits": waits, "budget": budget, "n": n, "strategy": strategy.name(),
    });
    value.serialize(serializer)
}
