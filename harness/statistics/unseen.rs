//! What problems that were not drawn could do to a statistic that hardly varies over those that were.
//!
//! Where (nearly) all problems say the same, or a few carry all that varies, their spread says nothing about the others: the jackknife of values that agree
//! has no width. At 97.5 % confidence at most a share `u` of problems like these can differ (Clopper and Pearson's
//! upper end for 0 of P; the "rule of three" of Hanley and Lippman-Hand 1983). If the numbers of a problem have a range, so
//! many problems move the mean of each column by at most `u` of the way to either end of it. What that does to the
//! statistic, added up over columns, is as far as the interval must reach; for statistics linear in the columns it is exact.

use std::ops::Range;

use super::estimate::{Estimate, Level};
use super::interval::leave_one_out;
use super::proportion::{RARE, clopper_pearson};
use super::summaries::Summaries;

/// The columns whose values have a range, and that range.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Their places.
    pub columns: Range<usize>,
    /// No value is smaller.
    pub least: f64,
    /// No value is larger.
    pub most: f64,
}

/// A problem counts where leaving it out moves the statistic by so much of what the weightiest moves it.
const COUNTS: f64 = 0.1;

/// Whether what varies rests on fewer than five problems, and on a minority; not where the statistic has no value.
pub fn hardly_varies(data: &Summaries, statistic: &(dyn Fn(&[f64]) -> Option<f64> + Sync)) -> bool {
    let Some(mut values) = leave_one_out(data, statistic) else { return false };
    values.sort_by(f64::total_cmp);
    let Some(middle) = values.get(values.len() / 2) else { return false };
    let shifts: Vec<f64> = values.iter().map(|x| (x - middle).abs()).collect();
    let rounding = 1e-12 * (1.0 + middle.abs());
    let least = COUNTS * shifts.iter().copied().fold(rounding / COUNTS, f64::max);
    let odd = shifts.iter().filter(|shift| **shift > least).count();
    2 * odd < values.len() && (odd as f64) < RARE
}

/// The interval widened to what problems that were not drawn could do; absent where that has no bound.
pub fn with_unseen(
    seen: Estimate,
    data: &Summaries,
    statistic: &(dyn Fn(&[f64]) -> Option<f64> + Sync),
    bounds: &Bounds,
    level: Level,
) -> Option<Estimate> {
    let (_, share) = clopper_pearson(0, data.problems(), level)?;
    let mut means = data.means();
    let (mut below, mut above) = (0.0, 0.0);
    for column in bounds.columns.clone() {
        let mean = means[column];
        let mut changes = [0.0; 2];
        for (change, end) in changes.iter_mut().zip([bounds.least, bounds.most]) {
            means[column] = mean + share * (end - mean);
            *change = statistic(&means).filter(|x| x.is_finite())? - seen.value;
        }
        means[column] = mean;
        below += changes[0].min(changes[1]).min(0.0);
        above += changes[0].max(changes[1]).max(0.0);
    }
    let (low, high) = (seen.ci_low.min(seen.value + below), seen.ci_high.max(seen.value + above));
    Some(Estimate { ci_low: low, ci_high: high, ..seen })
}

#[cfg(test)]
mod tests {
    use super::super::log_fit::LogLine;
    use super::super::{Point, paired_share_difference};
    use super::*;

    fn exactly(value: f64, n: usize) -> Estimate {
        Estimate { value, ci_low: value, ci_high: value, n, df: None }
    }

    fn mean(m: &[f64]) -> Option<f64> {
        Some(m[0])
    }

    #[test]
    fn a_mean_difference_that_never_varies_has_the_interval_of_a_paired_difference() {
        let (a, b) = ([0.6; 12], [0.5; 12]);
        let data = Summaries::from_columns(&[&a.map(|x| x - 0.5)]).unwrap();
        let bounds = Bounds { columns: 0..1, least: -1.0, most: 1.0 };
        let value = data.means()[0];
        let got = with_unseen(exactly(value, 12), &data, &mean, &bounds, Level::default()).unwrap();
        let pairs = paired_share_difference(&a, &b, Level::default()).unwrap();
        assert!((got.ci_low - pairs.ci_low).abs() < 1e-9 && (got.ci_high - pairs.ci_high).abs() < 1e-9);
    }

    #[test]
    fn a_flat_line_at_the_top_could_hide_a_rise_as_steep_as_the_missing_problems_can_make_it() {
        let ones = [1.0; 20];
        let costs = [10.0, 100.0, 1000.0].map(|cost| [cost; 20]);
        let columns = [&costs[0][..], &costs[1], &costs[2], &ones, &ones, &ones];
        let data = Summaries::from_columns(&columns).unwrap();
        let slope = |m: &[f64]| {
            let points = [0, 1, 2].map(|i| Point { cost: m[i], accuracy: m[3 + i] });
            LogLine::fit(&points).map(|line| line.slope)
        };
        let bounds = Bounds { columns: 3..6, least: 0.0, most: 1.0 };
        let got = with_unseen(exactly(0.0, 20), &data, &slope, &bounds, Level::default()).unwrap();
        // Right only at the longest budget, on a share u of problems: a slope of u / 2.
        let u = clopper_pearson(0, 20, Level::default()).unwrap().1;
        assert!((got.ci_high - u / 2.0).abs() < 1e-9 && (got.ci_low + u / 2.0).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn noise_of_the_many_does_not_hide_that_one_problem_carries_all() {
        let column: Vec<f64> =
            (0..30).map(|i| if i == 9 { 1.0 } else { f64::from(i % 4) / 1000.0 }).collect();
        assert!(hardly_varies(&Summaries::from_columns(&[&column]).unwrap(), &mean));
    }

    #[test]
    fn four_odd_problems_are_few_and_five_are_not_and_half_are_not() {
        let with = |odd: usize, n: usize| {
            let column: Vec<f64> = (0..n).map(|i| if i < odd { i as f64 + 3.0 } else { 0.0 }).collect();
            hardly_varies(&Summaries::from_columns(&[&column]).unwrap(), &mean)
        };
        assert_eq!(
            [with(0, 3), with(4, 30), with(5, 30), with(2, 4), with(1, 3)],
            [true, true, false, false, true]
        );
    }
}
