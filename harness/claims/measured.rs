//! What a claim's file hands over: a statistic of per-problem numbers, or an interval that it made itself.

use std::collections::BTreeMap;

use super::evidence::Level;
use crate::statistics::{Estimate, Level as Confidence, Part, Summaries, mean_of_statistics};

/// A statistic of column means.
pub type Statistic = Box<dyn Fn(&[f64]) -> Option<f64> + Send + Sync>;

/// One comparison, measured.
pub struct Measured {
    /// The number, one way or the other.
    pub value: Value,
    /// What the reader should know beside the number.
    pub note: Option<String>,
}

/// A number with its uncertainty.
pub enum Value {
    /// A smooth statistic of the means over problems of these columns; its interval is the jackknife's.
    Statistic {
        /// Comparisons with equal strata have the same problems.
        stratum: String,
        /// One number per problem each.
        data: Summaries,
        /// What is computed of the columns' means.
        statistic: Statistic,
        /// Whether a number that no problem changes is exact, and not an accident of few problems.
        may_be_exact: bool,
    },
    /// An interval of the claim's own making, on the scale of the computation.
    Interval {
        /// Comparisons with equal strata have the same problems.
        stratum: String,
        /// The interval.
        estimate: Estimate,
    },
}

impl Measured {
    /// A statistic of column means, on the problems of `stratum`.
    ///
    /// # Errors
    /// That the columns do not fit together.
    pub fn statistic(
        stratum: &str,
        columns: &[&[f64]],
        statistic: impl Fn(&[f64]) -> Option<f64> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let data = Summaries::from_columns(columns).map_err(|why| why.to_string())?;
        let (stratum, statistic) = (stratum.to_owned(), Box::new(statistic));
        let value = Value::Statistic { stratum, data, statistic, may_be_exact: false };
        Ok(Self { value, note: None })
    }

    /// An interval of the claim's own making.
    pub fn interval(stratum: &str, estimate: Estimate) -> Self {
        Self { value: Value::Interval { stratum: stratum.to_owned(), estimate }, note: None }
    }

    /// For a statistic that may be the same on every problem by construction.
    pub fn allowing_no_spread(mut self) -> Self {
        if let Value::Statistic { may_be_exact, .. } = &mut self.value {
            *may_be_exact = true;
        }
        self
    }

    /// With a remark for the reader.
    pub fn noting(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }

    /// The number with its interval.
    ///
    /// # Errors
    /// Why there is none.
    pub fn estimate(&self) -> Result<Estimate, String> {
        match &self.value {
            Value::Interval { estimate, .. } => Ok(*estimate),
            Value::Statistic { stratum, data, statistic, may_be_exact } => {
                let part = Part { stratum, data, statistic };
                let found = mean_of_statistics(&[part], Confidence::default());
                let estimate = found.map_err(|why| why.to_string())?;
                if *may_be_exact || estimate.ci_high > estimate.ci_low {
                    Ok(estimate)
                } else {
                    Err("no spread over problems".into())
                }
            }
        }
    }
}

/// Mean of several comparisons of one kind, comparisons on the same problems counting as dependent.
///
/// # Errors
/// Why there is none.
pub fn mean(measured: &[&Measured]) -> Result<Estimate, String> {
    let part = |measured: &&'_ Measured| match &measured.value {
        Value::Statistic { .. } => None,
        Value::Interval { stratum, estimate } => Some((stratum.clone(), *estimate)),
    };
    let intervals: Vec<(String, Estimate)> = measured.iter().filter_map(part).collect();
    if !intervals.is_empty() {
        return mean_of_intervals(&intervals);
    }
    let mut parts = Vec::new();
    for one in measured {
        if let Value::Statistic { stratum, data, statistic, .. } = &one.value {
            parts.push(Part { stratum, data, statistic });
        }
    }
    mean_of_statistics(&parts, Confidence::default()).map_err(|why| why.to_string())
}

/// What the intervals of one stratum add up to.
#[derive(Default)]
struct Reach {
    below: f64,
    above: f64,
    n: usize,
    df: Option<f64>,
}

/// Mean of intervals by the method of variance estimates recovery (Zou and Donner 2008): distances to the ends add up
/// like standard errors. Within a stratum they are added plainly, as if one could be told from the other.
fn mean_of_intervals(intervals: &[(String, Estimate)]) -> Result<Estimate, String> {
    let mut strata: BTreeMap<&str, Reach> = BTreeMap::new();
    for (stratum, e) in intervals {
        let known = strata.entry(stratum).or_insert(Reach { n: e.n, ..Reach::default() });
        known.below += e.value - e.ci_low;
        known.above += e.ci_high - e.value;
        known.df = known.df.into_iter().chain(e.df).reduce(f64::min);
    }
    let count = intervals.len() as f64;
    let value = intervals.iter().map(|(_, e)| e.value).sum::<f64>() / count;
    let squares = |distance: fn(&Reach) -> f64| {
        strata.values().map(|s| distance(s).powi(2)).sum::<f64>().sqrt() / count
    };
    let (below, above) = (squares(|s| s.below), squares(|s| s.above));
    let n = strata.values().map(|s| s.n).sum();
    let df = freedom(strata.values());
    let estimate = Estimate { value, ci_low: value - below, ci_high: value + above, n, df };
    let is_finite = [value, below, above].iter().all(|x| x.is_finite());
    if is_finite { Ok(estimate) } else { Err("no comparison has a number".into()) }
}

/// Welch and Satterthwaite's, by the widths; absent where no interval is Student's.
fn freedom<'a>(strata: impl Iterator<Item = &'a Reach> + Clone) -> Option<f64> {
    let square = |s: &Reach| (s.below + s.above).powi(2);
    let all: f64 = strata.clone().map(square).sum();
    let by_freedom: f64 = strata.filter_map(|s| Some(square(s).powi(2) / s.df?)).sum();
    (by_freedom > 0.0).then(|| all * all / by_freedom)
}

/// A curve's columns: the costs of its levels, then their accuracies.
pub fn columns(levels: &[Level], cost: fn(&Level) -> &Vec<f64>) -> Vec<&[f64]> {
    let costs = levels.iter().map(|level| cost(level).as_slice());
    costs.chain(levels.iter().map(|level| level.accuracy.as_slice())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(stratum: &str, value: f64, reach: f64) -> Measured {
        let (ci_low, ci_high) = (value - reach, value + reach);
        Measured::interval(stratum, Estimate { value, ci_low, ci_high, n: 10, df: Some(9.0) })
    }

    #[test]
    fn intervals_on_different_problems_narrow_their_mean_and_on_the_same_they_do_not() {
        let (a, b) = (interval("x", 0.0, 0.4), interval("y", 1.0, 0.3));
        let mean_of_two = mean(&[&a, &b]).unwrap();
        assert!((mean_of_two.value - 0.5).abs() < 1e-12 && (mean_of_two.ci_high - 0.75).abs() < 1e-12);
        let c = interval("x", 1.0, 0.4);
        assert!((mean(&[&a, &c]).unwrap().ci_high - 0.9).abs() < 1e-12);
        assert_eq!((mean_of_two.n, mean(&[&a, &c]).unwrap().n), (20, 10));
        // By hand: (16 + 9)^2 / (16^2 / 9 + 9^2 / 9).
        assert!((mean_of_two.df.unwrap() - 625.0 * 9.0 / 337.0).abs() < 1e-9);
        assert!((mean(&[&a, &c]).unwrap().df.unwrap() - 9.0).abs() < 1e-9);
    }

    #[test]
    fn a_statistic_without_spread_has_no_interval() {
        let column = [0.5; 10];
        let flat = Measured::statistic("x", &[&column], |m| Some(m[0])).unwrap();
        assert!(flat.estimate().unwrap_err().contains("spread"));
    }
}
