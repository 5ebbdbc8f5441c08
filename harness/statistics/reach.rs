//! What it costs to reach an accuracy.
//!
//! The curve is made non-decreasing ([`isotonic()`]) and joined by straight lines in the logarithm of cost; the answer
//! is the smallest cost whose accuracy is the target. Three things keep it honest.
//!
//! - **Nothing is extrapolated.** A curve that stays below the target never reaches it; one that starts above it
//!   reaches it at or below its cheapest budget. Both are censored, not numbers.
//! - **The interval inverts a test.** It holds every cost at which the curve's own interval (Wilson at the effective
//!   number of problems, [`super::proportion`]) contains the target, as Fieller's interval does for a ratio. An end is
//!   open where the curve cannot be told from the target at its last (or first) budget.
//! - **Draws are censored, not dropped.** Over resampled problems, `reached` is the share of draws that reach the
//!   target at all; a ratio of two costs uses the same draws for both.

use super::critical;
use super::curve::{Curve, Point, points_of};
use super::estimate::{Level, OpenEstimate, Undefined};
use super::interval::quantile_of_draws;
use super::isotonic::isotonic;
use super::mean::Moments;
use super::proportion::score_interval;
use super::resample::Bootstrap;
use serde::{Deserialize, Serialize};

/// Where a curve meets a target accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crossing {
    /// The cheapest budget, of this cost, is already there.
    AtOrBelow(f64),
    /// At this cost.
    At(f64),
    /// Not within the measured budgets.
    Never,
}

impl Crossing {
    /// Of the isotonic curve through `points`.
    pub fn of(points: &[Point], target: f64) -> Self {
        let mut points = points.to_vec();
        points.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        let fitted = isotonic(&points.iter().map(|p| p.accuracy).collect::<Vec<_>>());
        match fitted.iter().position(|&accuracy| accuracy >= target) {
            None => Self::Never,
            Some(0) => Self::AtOrBelow(points[0].cost),
            Some(i) => {
                let share = (target - fitted[i - 1]) / (fitted[i] - fitted[i - 1]);
                Self::At(between(points[i - 1].cost, points[i].cost, share))
            }
        }
    }

    /// As a number that sorts rightly: minus infinity at or below the cheapest, infinity when never reached.
    fn censored(self) -> f64 {
        match self {
            Self::AtOrBelow(_) => f64::NEG_INFINITY,
            Self::At(cost) => cost,
            Self::Never => f64::INFINITY,
        }
    }
}

/// The cost a share of the way from `low` to `high`, in the logarithm (straight from a cost of 0).
fn between(low: f64, high: f64, share: f64) -> f64 {
    if low > 0.0 { low * (high / low).powf(share) } else { low + (high - low) * share }
}

/// Cost at which a curve reaches a target accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostToReach {
    /// The cost; open where the data do not bound it.
    pub cost: OpenEstimate,
    /// Share of draws in which the target is reached within the measured budgets.
    pub reached: f64,
    /// Share of draws in which the cheapest budget already reaches it.
    pub at_cheapest: f64,
}

/// Cost to reach `target` (in [0, 1]).
///
/// # Errors
/// [`Undefined::TooFewProblems`] below three, [`Undefined::TooFewBudgets`] below two.
pub fn cost_to_reach(curve: &Curve, target: f64, bootstrap: Bootstrap) -> Result<CostToReach, Undefined> {
    check(curve)?;
    let draws = bootstrap.draw_means(curve.data(), |means| Crossing::of(&points_of(means), target));
    let share = |kind: fn(&Crossing) -> bool| {
        draws.iter().filter(|draw| kind(draw)).count() as f64 / draws.len().max(1) as f64
    };
    let (ci_low, ci_high) = inverted_test(curve, target, bootstrap.level);
    let value = finite(Crossing::of(&curve.points(), target).censored());
    Ok(CostToReach {
        cost: OpenEstimate { value, ci_low, ci_high, n: curve.problems() },
        reached: share(|draw| *draw != Crossing::Never),
        at_cheapest: share(|draw| matches!(draw, Crossing::AtOrBelow(_))),
    })
}

/// The interval of [`cost_to_reach`] by quantiles of the censored draws instead: for comparison.
///
/// # Errors
/// As [`cost_to_reach`].
pub fn cost_to_reach_by_draws(
    curve: &Curve,
    target: f64,
    bootstrap: Bootstrap,
) -> Result<OpenEstimate, Undefined> {
    check(curve)?;
    let draws = bootstrap.draw_means(curve.data(), |m| Crossing::of(&points_of(m), target).censored());
    let (ci_low, ci_high) = open_quantiles(draws, bootstrap.level);
    let value = finite(Crossing::of(&curve.points(), target).censored());
    Ok(OpenEstimate { value, ci_low, ci_high, n: curve.problems() })
}

/// How many times more `left` costs than `right` to reach a target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostRatio {
    /// The ratio; open where one of the two is censored too often.
    pub ratio: OpenEstimate,
    /// Share of draws in which the ratio is bounded: not both curves are censored on the same side.
    pub comparable: f64,
}

/// Ratio of two costs to reach `target` on the same problems, from the same draws. Draws in which both curves are
/// censored on the same side say nothing and could be anything: they count on both sides of the interval.
///
/// # Errors
/// As [`cost_to_reach`], and [`Undefined::UnequalLengths`] for curves on different problems.
pub fn cost_ratio(
    left: &Curve,
    right: &Curve,
    target: f64,
    bootstrap: Bootstrap,
) -> Result<CostRatio, Undefined> {
    check(left)?;
    check(right)?;
    if left.problems() != right.problems() {
        return Err(Undefined::UnequalLengths { left: left.problems(), right: right.problems() });
    }
    let draws = |curve: &Curve| {
        bootstrap.draw_means(curve.data(), |means| Crossing::of(&points_of(means), target).censored())
    };
    let logs: Vec<f64> = draws(left).into_iter().zip(draws(right)).map(|(a, b)| log_ratio(a, b)).collect();
    let unknown = |fill: f64| logs.iter().map(|&x| if x.is_nan() { fill } else { x }).collect::<Vec<_>>();
    let (low, _) = open_quantiles(unknown(f64::NEG_INFINITY), bootstrap.level);
    let (_, high) = open_quantiles(unknown(f64::INFINITY), bootstrap.level);
    let here = |curve: &Curve| Crossing::of(&curve.points(), target).censored();
    let value = finite(log_ratio(here(left), here(right)).exp()).filter(|ratio| *ratio > 0.0);
    let comparable = logs.iter().filter(|x| !x.is_nan()).count() as f64 / logs.len().max(1) as f64;
    let ratio =
        OpenEstimate { value, ci_low: low.map(f64::exp), ci_high: high.map(f64::exp), n: left.problems() };
    Ok(CostRatio { ratio, comparable })
}

/// Log of a ratio of censored costs: not a number when both are censored alike (this stays inside the file).
fn log_ratio(a: f64, b: f64) -> f64 {
    let log = |x: f64| if x == f64::NEG_INFINITY { x } else { x.ln() };
    log(a) - log(b)
}

fn check(curve: &Curve) -> Result<(), Undefined> {
    if curve.budgets() < 2 {
        return Err(Undefined::TooFewBudgets { have: curve.budgets(), need: 2 });
    }
    if curve.problems() < 3 {
        return Err(Undefined::TooFewProblems { have: curve.problems(), need: 3 });
    }
    Ok(())
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

fn open_quantiles(mut draws: Vec<f64>, level: Level) -> (Option<f64>, Option<f64>) {
    if draws.is_empty() {
        return (None, None);
    }
    draws.sort_by(f64::total_cmp);
    let tail = level.alpha() / 2.0;
    (finite(quantile_of_draws(&draws, tail)), finite(quantile_of_draws(&draws, 1.0 - tail)))
}

/// Steps per segment between two budgets at which the test is inverted.
const STEPS: usize = 64;

/// From the first cost whose upper limit reaches the target to the last cost whose lower limit is below it.
fn inverted_test(curve: &Curve, target: f64, level: Level) -> (Option<f64>, Option<f64>) {
    let limits = limits_along(curve, level);
    let first = limits.iter().position(|l| l.high >= target);
    let low = first.filter(|&i| i > 0).map(|i| limits[i].cost);
    let last = limits.iter().rposition(|l| l.low < target);
    let high = match last {
        None => limits.first().map(|l| l.cost),
        Some(i) => limits.get(i + 1).map(|l| l.cost),
    };
    (low.or(if first.is_none() { limits.last().map(|l| l.cost) } else { None }), high)
}

struct Limits {
    cost: f64,
    low: f64,
    high: f64,
}

/// Interval of the log-interpolated accuracy at costs along the curve, in ascending order of cost.
fn limits_along(curve: &Curve, level: Level) -> Vec<Limits> {
    let points = curve.points();
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| points[a].cost.total_cmp(&points[b].cost));
    let critical = critical::student(level, curve.problems() as f64 - 1.0);
    let segments = order.windows(2).enumerate();
    segments
        .flat_map(|(i, pair)| {
            let segment = Segment::of(curve, &points, pair[0], pair[1]);
            (usize::from(i > 0)..=STEPS).map(move |s| segment.limits(s as f64 / STEPS as f64, critical))
        })
        .collect()
}

/// The curve between two neighbouring budgets, with the covariance of its ends.
///
/// At a fixed cost the interpolated accuracy moves with the accuracies of both ends and, through the position
/// between them, with both mean costs. Per problem that influence is `y - slope x / mean(x)` at either end,
/// mixed in the proportion of the position.
struct Segment {
    low: Point,
    high: Point,
    variance_low: f64,
    variance_high: f64,
    covariance: f64,
    problems: f64,
}

impl Segment {
    fn of(curve: &Curve, points: &[Point], from: usize, to: usize) -> Self {
        let (low, high) = (points[from], points[to]);
        let decade = (high.cost / low.cost).ln();
        let usable = low.cost > 0.0 && decade > 0.0;
        let slope = if usable { (high.accuracy - low.accuracy) / decade } else { 0.0 };
        let influence = |b: usize, cost: f64| -> Vec<f64> {
            let pull = if usable { slope / cost } else { 0.0 };
            curve.data().rows().map(|row| row[curve.budgets() + b] - pull * row[b]).collect()
        };
        let (at_low, at_high) = (influence(from, low.cost), influence(to, high.cost));
        let both: Vec<f64> = at_low.iter().zip(&at_high).map(|(a, b)| a + b).collect();
        let [variance_low, variance_high, sum] = [&at_low, &at_high, &both].map(|v| Moments::of(v).variance);
        let covariance = (sum - variance_low - variance_high) / 2.0;
        Self { low, high, variance_low, variance_high, covariance, problems: curve.problems() as f64 }
    }

    fn limits(&self, share: f64, critical: f64) -> Limits {
        let rest = 1.0 - share;
        let accuracy = (rest * self.low.accuracy + share * self.high.accuracy).clamp(0.0, 1.0);
        let variance = rest * rest * self.variance_low
            + share * share * self.variance_high
            + 2.0 * share * rest * self.covariance;
        let spread = accuracy * (1.0 - accuracy);
        let effective = if variance > 0.0 && spread > 0.0 { spread / variance } else { 1.0 };
        let (low, high) = score_interval(accuracy, effective * self.problems, critical);
        Limits { cost: between(self.low.cost, self.high.cost, share), low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::jittered;
    use super::*;

    const COSTS: [f64; 4] = [100.0, 1000.0, 10_000.0, 100_000.0];

    fn rising() -> Curve {
        jittered(&COSTS, &[0.2, 0.4, 0.6, 0.8], 55)
    }

    #[test]
    fn the_crossing_is_interpolated_in_the_logarithm() {
        let points: Vec<Point> = [(1000.0, 0.4), (100.0, 0.2), (10_000.0, 0.3), (100_000.0, 0.55)]
            .map(|(cost, accuracy)| Point { cost, accuracy })
            .to_vec();
        assert_eq!(Crossing::of(&points, 0.2), Crossing::AtOrBelow(100.0));
        assert_eq!(Crossing::of(&points, 0.56), Crossing::Never);
        // Isotonic: 0.2, 0.35, 0.35, 0.55.
        let Crossing::At(cost) = Crossing::of(&points, 0.45) else { panic!("not reached") };
        assert!((cost / 31_622.776 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_reached_target_has_a_closed_interval_around_the_truth() {
        let got = cost_to_reach(&rising(), 0.5, Bootstrap::default()).unwrap();
        let closed = got.cost.closed().unwrap();
        assert!(closed.contains(3162.0) && closed.ci_high < 2.0 * closed.ci_low, "{got:?}");
        assert_eq!((got.reached, got.at_cheapest), (1.0, 0.0));
    }

    #[test]
    fn a_target_out_of_reach_has_no_value_and_a_lower_end() {
        let got = cost_to_reach(&rising(), 0.95, Bootstrap::default()).unwrap();
        assert_eq!((got.cost.value, got.cost.ci_high, got.reached), (None, None, 0.0));
        assert!(got.cost.ci_low.is_some_and(|low| low > 50_000.0), "{got:?}");
    }

    #[test]
    fn a_target_below_the_cheapest_budget_has_only_an_upper_end() {
        let got = cost_to_reach(&rising(), 0.05, Bootstrap::default()).unwrap();
        assert_eq!((got.cost.value, got.cost.ci_low, got.at_cheapest), (None, None, 1.0));
        assert!(got.cost.ci_high.is_some_and(|high| high < 150.0));
    }

    #[test]
    fn a_target_at_the_top_is_reached_in_some_draws_and_open_above() {
        let got = cost_to_reach(&rising(), 0.8, Bootstrap::default()).unwrap();
        assert!(got.reached > 0.2 && got.reached < 0.8, "{got:?}");
        assert!(got.cost.ci_high.is_none() && got.cost.ci_low.is_some());
        let by_draws = cost_to_reach_by_draws(&rising(), 0.8, Bootstrap::default()).unwrap();
        assert!(by_draws.ci_high.is_none() && by_draws.ci_low.is_some());
    }

    #[test]
    fn a_ratio_uses_the_same_draws() {
        let curve = rising();
        let same = cost_ratio(&curve, &curve, 0.5, Bootstrap::default()).unwrap();
        assert_eq!(same.ratio.closed().map(|e| (e.value, e.ci_low, e.ci_high)), Some((1.0, 1.0, 1.0)));
        let dearer = jittered(&COSTS.map(|c| c * 10.0), &[0.2, 0.4, 0.6, 0.8], 55);
        let ten = cost_ratio(&dearer, &curve, 0.5, Bootstrap::default()).unwrap();
        assert!(ten.ratio.value.is_some_and(|v| (v - 10.0).abs() < 1e-6) && ten.ratio.is_above(5.0));
    }

    #[test]
    fn a_ratio_of_costs_never_reached_is_unknown_on_both_sides() {
        let got = cost_ratio(&rising(), &rising(), 0.95, Bootstrap::default()).unwrap();
        assert_eq!((got.ratio.value, got.ratio.ci_low, got.ratio.ci_high), (None, None, None));
        assert_eq!(got.comparable, 0.0);
    }

    #[test]
    fn too_little_is_refused() {
        let one_budget = jittered(&[1.0], &[0.5], 30);
        assert!(cost_to_reach(&one_budget, 0.5, Bootstrap::default()).is_err());
        assert!(cost_to_reach(&jittered(&COSTS, &[0.5; 4], 2), 0.5, Bootstrap::default()).is_err());
    }
}
