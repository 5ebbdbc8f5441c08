//! What a claim's file hands over: a statistic of per-problem numbers, or an interval that it made itself.

use std::collections::BTreeMap;
use std::ops::Range;

use super::evidence::Level;
use crate::statistics::{
    Bounds, Estimate, Level as Confidence, Part, Summaries, hardly_varies, mean_of_statistics, with_unseen,
};

const NO_SPREAD: &str = "no spread over problems";

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
        /// What bounds it where few problems vary; without them a number that no problem changes has no interval.
        bounds: Option<Bounds>,
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
        let value = Value::Statistic { stratum, data, statistic, bounds: None };
        Ok(Self { value, note: None })
    }

    /// An interval of the claim's own making.
    pub fn interval(stratum: &str, estimate: Estimate) -> Self {
        Self { value: Value::Interval { stratum: stratum.to_owned(), estimate }, note: None }
    }

    /// With the range of the values in some columns, for where few problems or none vary.
    pub fn bounded(mut self, columns: Range<usize>, least: f64, most: f64) -> Self {
        if let Value::Statistic { bounds, .. } = &mut self.value {
            *bounds = Some(Bounds { columns, least, most });
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
            Value::Statistic { stratum, data, statistic, bounds } => {
                let part = Part { stratum, data, statistic };
                let found = mean_of_statistics(&[part], Confidence::default());
                let seen = found.map_err(|why| why.to_string())?;
                match bounds {
                    Some(bounds) if hardly_varies(data, statistic) => {
                        let found = with_unseen(seen, data, statistic, bounds, Confidence::default());
                        found.ok_or_else(|| NO_SPREAD.into())
                    }
                    _ if seen.ci_high > seen.ci_low => Ok(seen),
                    _ => Err(NO_SPREAD.into()),
                }
            }
        }
    }

    /// What the joint jackknife can take; absent where the interval is made otherwise.
    fn part(&self) -> Option<Part<'_>> {
        match &self.value {
            Value::Statistic { data, statistic, bounds, .. }
                if bounds.is_some() && hardly_varies(data, statistic) =>
            {
                None
            }
            Value::Statistic { stratum, data, statistic, .. } => Some(Part { stratum, data, statistic }),
            Value::Interval { .. } => None,
        }
    }

    fn problems(&self) -> usize {
        match &self.value {
            Value::Statistic { data, .. } => data.problems(),
            Value::Interval { estimate, .. } => estimate.n,
        }
    }

    fn stratum(&self) -> &str {
        let (Value::Statistic { stratum, .. } | Value::Interval { stratum, .. }) = &self.value;
        stratum
    }
}

/// Mean of several comparisons of one kind, comparisons on the same problems counting as dependent.
///
/// # Errors
/// Why there is none.
pub fn mean(measured: &[&Measured]) -> Result<Estimate, String> {
    let parts: Vec<Part> = measured.iter().filter_map(|one| one.part()).collect();
    if parts.len() == measured.len() {
        return jackknife(&parts);
    }
    let mut groups = by_stratum(parts)?;
    for one in measured.iter().filter(|one| one.part().is_none()) {
        groups.push(Group { stratum: one.stratum(), weight: 1.0, estimate: one.estimate()? });
    }
    let joint = mean_of_groups(&groups)?;
    let sizes: BTreeMap<&str, usize> = measured.iter().map(|one| (one.stratum(), one.problems())).collect();
    Ok(Estimate { n: sizes.values().sum(), ..joint })
}

fn jackknife(parts: &[Part]) -> Result<Estimate, String> {
    mean_of_statistics(parts, Confidence::default()).map_err(|why| why.to_string())
}

/// The joint jackknife of each stratum, so that what it shares with the stratum's other intervals is not taken for chance.
fn by_stratum(parts: Vec<Part>) -> Result<Vec<Group>, String> {
    let mut strata: BTreeMap<&str, Vec<Part>> = BTreeMap::new();
    for part in parts {
        strata.entry(part.stratum).or_default().push(part);
    }
    let group = |(stratum, parts): (_, Vec<Part>)| {
        Ok(Group { stratum, weight: parts.len() as f64, estimate: jackknife(&parts)? })
    };
    strata.into_iter().map(group).collect()
}

/// Comparisons on the same problems with one interval.
struct Group<'a> {
    stratum: &'a str,
    /// How many they are.
    weight: f64,
    estimate: Estimate,
}

/// What the intervals of one stratum add up to.
#[derive(Default)]
struct Reach {
    below: f64,
    above: f64,
    df: Option<f64>,
}

/// Mean of intervals by the method of variance estimates recovery (Zou and Donner 2008): distances to the ends add up
/// like standard errors. Within a stratum they are added plainly, as if one could be told from the other.
fn mean_of_groups(groups: &[Group]) -> Result<Estimate, String> {
    let mut strata: BTreeMap<&str, Reach> = BTreeMap::new();
    for Group { stratum, weight, estimate: e } in groups {
        let known = strata.entry(stratum).or_default();
        known.below += weight * (e.value - e.ci_low);
        known.above += weight * (e.ci_high - e.value);
        known.df = known.df.into_iter().chain(e.df).reduce(f64::min);
    }
    let count: f64 = groups.iter().map(|group| group.weight).sum();
    let value = groups.iter().map(|group| group.weight * group.estimate.value).sum::<f64>() / count;
    let squares = |distance: fn(&Reach) -> f64| {
        strata.values().map(|s| distance(s).powi(2)).sum::<f64>().sqrt() / count
    };
    let (below, above) = (squares(|s| s.below), squares(|s| s.above));
    let df = freedom(strata.values());
    let estimate = Estimate { value, ci_low: value - below, ci_high: value + above, n: 0, df };
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

    /// The mean of a column.
    fn of(stratum: &str, column: &[f64]) -> Measured {
        Measured::statistic(stratum, &[column], |m| Some(m[0])).unwrap()
    }

    #[test]
    fn a_statistic_without_spread_has_an_interval_only_if_its_values_have_a_range() {
        assert!(of("x", &[0.5; 10]).estimate().unwrap_err().contains("spread"));
        let e = of("x", &[0.0; 3]).bounded(0..1, -1.0, 1.0).estimate().unwrap();
        assert!((e.ci_high - (1.0 - 0.025f64.cbrt())).abs() < 1e-9 && e.ci_low == -e.ci_high, "{e:?}");
    }

    #[test]
    fn a_comparison_on_which_nothing_varies_counts_in_the_mean_and_one_odd_problem_changes_little() {
        let rises: Vec<f64> = (0..24).map(|i| 0.08 + f64::from(i % 5) / 100.0).collect();
        let mut odd = [0.0; 24];
        let rising = of("x", &rises).bounded(0..1, -1.0, 1.0);
        let with = |other: &[f64]| mean(&[&rising, &of("y", other).bounded(0..1, -1.0, 1.0)]).unwrap();
        let flat = with(&odd);
        odd[5] = 1.0 / 16.0;
        let nearly = with(&odd);
        assert!((flat.value - rising.estimate().unwrap().value / 2.0).abs() < 1e-12 && flat.n == 48);
        assert!((nearly.value - flat.value).abs() < 0.002 && (nearly.ci_low - flat.ci_low).abs() < 0.01);
        assert!(flat.ci_low < 0.0 && flat.ci_high > 0.1, "{flat:?}");
    }

    #[test]
    fn comparisons_that_vary_are_left_to_the_joint_jackknife() {
        let column = |by: usize| (0..20).map(|i| (i * by % 7) as f64 / 7.0).collect::<Vec<_>>();
        let (a, b) = (of("x", &column(3)), of("x", &column(5)));
        let joint = mean_of_statistics(&[a.part().unwrap(), b.part().unwrap()], Confidence::default());
        assert_eq!(mean(&[&a, &b]).unwrap(), joint.unwrap());
    }

    /// Whoever has much of the one has the other: (x + y) / 2 problem by problem is the truth about their mean.
    #[test]
    fn a_comparison_that_hardly_varies_is_no_independent_witness_on_the_problems_of_another() {
        let x: Vec<f64> = (0..40).map(|i| (-f64::from(i) / 10.0).exp()).collect();
        let y: Vec<f64> = (0..40).map(|i| f64::from(u8::from(i < 4))).collect();
        let halves: Vec<f64> = x.iter().zip(&y).map(|(x, y)| (x + y) / 2.0).collect();
        let rare = |stratum| of(stratum, &y).bounded(0..1, 0.0, 1.0);
        assert!(rare("t").part().is_none() && of("t", &x).part().is_some());
        let truth = of("t", &halves).estimate().unwrap();
        let (same, other) = (mean(&[&of("t", &x), &rare("t")]), mean(&[&of("t", &x), &rare("u")]));
        let (same, other) = (same.unwrap(), other.unwrap());
        assert!((same.value - truth.value).abs() < 1e-12 && same.n == 40);
        assert!(same.ci_low <= truth.ci_low && same.ci_high >= truth.ci_high, "{same:?} {truth:?}");
        assert!(other.ci_high < truth.ci_high && other.n == 80, "{other:?} {truth:?}");
    }
}
