//! Percentiles of a quantity over trajectories: p50, p90, p99 of seconds or tokens.
//!
//! The interval inverts a test, as Woodruff's (1952) does in survey sampling: it holds every x for which the
//! interval of "share of values at or below x", taken over *problems* ([`mean_share`]), contains the rank of the
//! percentile. It needs no density and no resampling. The p99 of a hundred values has no upper end: nothing says
//! how long the tail is.

use super::estimate::{Estimate, Level, OpenEstimate, Undefined};
use super::proportion::mean_share;

/// Percentile `q` (0.5, 0.9, 0.99) of values grouped by problem; every problem counts the same.
///
/// An end is absent where the interval for the share leaves the data.
///
/// # Errors
/// [`Undefined::TooFewProblems`], [`Undefined::NoTrajectories`], [`Undefined::NotFinite`] for a value that is not finite
/// or a `q` outside (0, 1).
pub fn percentile(groups: &[Vec<f64>], q: f64, level: Level) -> Result<OpenEstimate, Undefined> {
    if !(q > 0.0 && q < 1.0) || groups.iter().flatten().any(|x| !x.is_finite()) {
        return Err(Undefined::NotFinite);
    }
    if let Some(problem) = groups.iter().position(Vec::is_empty) {
        return Err(Undefined::NoTrajectories { problem });
    }
    let fewest = groups.iter().map(Vec::len).min().unwrap_or(0);
    let ordered = Ordered::of(groups);
    let at_none = mean_share(&vec![0.0; groups.len()], fewest, level)?;
    let low = ordered.first(|x| share_up_to(groups, x, fewest, level).is_ok_and(|share| share.ci_high >= q));
    let high = ordered.first(|x| share_up_to(groups, x, fewest, level).is_ok_and(|share| share.ci_low >= q));
    let ci_low = low.filter(|_| at_none.ci_high < q);
    Ok(OpenEstimate { value: ordered.at(q), ci_low, ci_high: high, n: groups.len() })
}

/// Share of values at or below `x`, over problems.
fn share_up_to(groups: &[Vec<f64>], x: f64, fewest: usize, level: Level) -> Result<Estimate, Undefined> {
    let share = |group: &Vec<f64>| group.iter().filter(|&&y| y <= x).count() as f64 / group.len() as f64;
    mean_share(&groups.iter().map(share).collect::<Vec<_>>(), fewest, level)
}

/// All values in ascending order with the cumulative weight of their problems.
struct Ordered(Vec<(f64, f64)>);

impl Ordered {
    fn of(groups: &[Vec<f64>]) -> Self {
        let weight = |group: &Vec<f64>| 1.0 / (groups.len() * group.len()) as f64;
        let weighted = |group| std::iter::repeat_n(weight(group), group.len());
        let mut all: Vec<(f64, f64)> =
            groups.iter().flat_map(|group| group.iter().copied().zip(weighted(group))).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        all.iter_mut().for_each(|(_, weight)| {
            sum += *weight;
            *weight = sum;
        });
        Self(all)
    }

    /// The first value with a cumulative share of `q`.
    fn at(&self, q: f64) -> Option<f64> {
        let place = self.0.partition_point(|(_, sum)| *sum < q - 1e-12);
        self.0.get(place).map(|(x, _)| *x)
    }

    /// The first value that is `enough`, by bisection.
    fn first(&self, enough: impl Fn(f64) -> bool) -> Option<f64> {
        let place = self.0.partition_point(|(x, _)| !enough(*x));
        self.0.get(place).map(|(x, _)| *x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(problems: usize, k: usize) -> Vec<Vec<f64>> {
        (0..problems).map(|i| (0..k).map(|j| ((i * 37 + j * 11) % (problems * k)) as f64).collect()).collect()
    }

    #[test]
    fn the_median_of_a_hundred_is_bracketed_by_the_binomial_order_statistics() {
        let e = percentile(&ladder(100, 1), 0.5, Level::default()).unwrap();
        assert_eq!((e.value, e.n), (Some(49.0), 100));
        assert!(e.ci_low.is_some_and(|x| (38.0..=41.0).contains(&x)), "{e:?}");
        assert!(e.ci_high.is_some_and(|x| (58.0..=61.0).contains(&x)), "{e:?}");
    }

    #[test]
    fn a_far_percentile_of_few_values_has_no_upper_end() {
        let e = percentile(&ladder(100, 1), 0.99, Level::default()).unwrap();
        assert!(e.value == Some(98.0) && e.ci_low.is_some() && e.ci_high.is_none(), "{e:?}");
    }

    #[test]
    fn repeating_the_same_values_in_a_problem_adds_no_certainty() {
        let once = ladder(60, 1);
        let often: Vec<Vec<f64>> = once.iter().map(|group| vec![group[0]; 16]).collect();
        let (a, b) = (percentile(&once, 0.9, Level::default()), percentile(&often, 0.9, Level::default()));
        assert_eq!(a.unwrap(), b.unwrap());
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(percentile(&[vec![f64::NAN]], 0.5, Level::default()), Err(Undefined::NotFinite));
        assert_eq!(percentile(&[vec![1.0]], 1.0, Level::default()), Err(Undefined::NotFinite));
        let empty = percentile(&[vec![1.0], vec![]], 0.5, Level::default());
        assert_eq!(empty, Err(Undefined::NoTrajectories { problem: 1 }));
        assert!(percentile(&[], 0.5, Level::default()).is_err());
    }
}
