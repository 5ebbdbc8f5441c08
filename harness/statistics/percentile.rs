//! Percentiles of a quantity over trajectories: p50, p90, p99 of seconds or tokens.
//!
//! The interval is Woodruff's (1952), standard in survey sampling: take the share of values at or below the percentile,
//! an interval for that share over *problems*, and read both ends back through the ordered values. It needs no density
//! and no resampling. The p99 of a hundred values has no upper end: nothing says how long the tail is.

use super::estimate::{Level, OpenEstimate, Undefined};
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
    let n = groups.len();
    let ordered = Ordered::of(groups);
    let value = ordered.at(q).ok_or(Undefined::TooFewProblems { have: 0, need: 1 })?;
    let below = |group: &Vec<f64>| group.iter().filter(|&&x| x <= value).count() as f64 / group.len() as f64;
    let shares: Vec<f64> = groups.iter().map(below).collect();
    let fewest = groups.iter().map(Vec::len).min().unwrap_or(0);
    let share = mean_share(&shares, fewest, level)?;
    let (down, up) = (q - (share.value - share.ci_low), q + (share.ci_high - share.value));
    Ok(OpenEstimate { value: Some(value), ci_low: ordered.at(down), ci_high: ordered.at(up), n })
}

/// All values in ascending order with the cumulative weight of their problems.
struct Ordered(Vec<(f64, f64)>);

impl Ordered {
    fn of(groups: &[Vec<f64>]) -> Self {
        let weight = |group: &Vec<f64>| 1.0 / (groups.len() * group.len()) as f64;
        let mut all: Vec<(f64, f64)> =
            groups.iter().flat_map(|group| group.iter().map(move |&x| (x, weight(group)))).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        all.iter_mut().for_each(|(_, weight)| {
            sum += *weight;
            *weight = sum;
        });
        Self(all)
    }

    /// The first value with a cumulative share of `q`; absent outside (0, 1).
    fn at(&self, q: f64) -> Option<f64> {
        if !(q > 0.0 && q < 1.0) {
            return None;
        }
        let place = self.0.partition_point(|(_, sum)| *sum < q - 1e-12);
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
