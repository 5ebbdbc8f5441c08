//! Does accuracy stop rising, and where?
//!
//! Two shapes compete for the curve: the straight line in log10 of cost ([`super::log_fit`]), which has no end, and a
//! logistic `y = floor + (ceiling - floor) / (1 + (middle / cost)^steepness)`, which has a ceiling. The floor (the rate
//! of a guess) is given, the other three are fitted by weighted least squares (weights `1 / (y (1 - y))`, as for
//! binomial counts; Berkson 1955): for given middle and steepness the ceiling is linear and has a closed form.
//!
//! The shape is chosen by leaving out one budget at a time and predicting it, which charges the logistic for its third
//! parameter. A ceiling is printed only when it is *identified*: the logistic predicts better, and in 95 % of the
//! resampled curves the middle lies inside the measured costs and the ceiling below 1. Otherwise "no ceiling
//! identified": a curve that has not bent says nothing about where it would end.

use super::curve::{Curve, Point, points_of};
use super::estimate::{Estimate, Undefined};
use super::interval::quantile_of_draws;
use super::log_fit::LogLine;
use super::resample::Bootstrap;
use serde::{Deserialize, Serialize};

/// A curve that rises from a floor to a ceiling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logistic {
    /// Accuracy at no cost.
    pub floor: f64,
    /// Accuracy at unlimited cost, at most 1.
    pub ceiling: f64,
    /// Cost half-way up.
    pub middle: f64,
    /// Steepness in the natural logarithm of cost.
    pub steepness: f64,
}

impl Logistic {
    /// Accuracy at a positive cost.
    pub fn at(&self, cost: f64) -> f64 {
        self.floor + (self.ceiling - self.floor) * rise(cost.ln(), self.middle.ln(), self.steepness)
    }

    /// Weighted least squares through the points of positive cost; absent below three of them.
    pub fn fit(points: &[Point], floor: f64) -> Option<Self> {
        let points: Vec<Weighted> =
            points.iter().filter(|p| p.cost > 0.0).map(|p| Weighted::new(p, floor)).collect();
        if points.len() < 3 {
            return None;
        }
        let costs = || points.iter().map(|p| p.ln_cost);
        let (low, high) = (costs().fold(f64::INFINITY, f64::min), costs().fold(f64::NEG_INFINITY, f64::max));
        let mut best = coarse_search(&points, floor, low, high)?;
        let (mut step_middle, mut step_steep) = ((high - low) / 8.0, 0.5);
        for _ in 0..24 {
            best = improve(&points, floor, best, step_middle, step_steep);
            (step_middle, step_steep) = (step_middle * 0.7, step_steep * 0.7);
        }
        let Tried { ln_middle, steepness, ceiling, .. } = best;
        let fit = Self { floor, ceiling, middle: ln_middle.exp(), steepness };
        Some(fit).filter(|fit| fit.middle.is_finite() && fit.ceiling.is_finite())
    }
}

/// The share of the way up at a cost, by the logarithms of the middle and of the cost.
fn rise(ln_cost: f64, ln_middle: f64, steepness: f64) -> f64 {
    1.0 / (1.0 + (steepness * (ln_middle - ln_cost)).exp())
}

/// A point as the fit sees it.
struct Weighted {
    ln_cost: f64,
    above_floor: f64,
    weight: f64,
}

impl Weighted {
    fn new(point: &Point, floor: f64) -> Self {
        let spread = point.accuracy * (1.0 - point.accuracy);
        let (ln_cost, above_floor) = (point.cost.ln(), point.accuracy - floor);
        Self { ln_cost, above_floor, weight: 1.0 / spread.max(0.01) }
    }
}

/// Parameters that were tried, with the best ceiling for them.
#[derive(Clone, Copy)]
struct Tried {
    ln_middle: f64,
    steepness: f64,
    ceiling: f64,
    /// Weighted squared error, less what no ceiling changes.
    error: f64,
}

/// The best ceiling for a given middle and steepness.
fn with_best_ceiling(points: &[Weighted], floor: f64, ln_middle: f64, steepness: f64) -> Tried {
    let (mut across, mut up) = (0.0, 0.0);
    for p in points {
        let r = rise(p.ln_cost, ln_middle, steepness);
        across += p.weight * r * r;
        up += p.weight * r * p.above_floor;
    }
    let ceiling = if across > 0.0 { (floor + up / across).clamp(floor.min(1.0), 1.0) } else { floor };
    let height = ceiling - floor;
    Tried { ln_middle, steepness, ceiling, error: height * (height * across - 2.0 * up) }
}

/// Middles from a tenth of the lowest to ten times the highest cost, steepnesses from 0.3 to 8.
fn coarse_search(points: &[Weighted], floor: f64, low: f64, high: f64) -> Option<Tried> {
    let decade = std::f64::consts::LN_10;
    let middles = (0..12).map(|i| low - decade + (high - low + 2.0 * decade) * f64::from(i) / 11.0);
    let grid = middles.flat_map(|m| [0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 8.0].map(|s| (m, s)));
    grid.map(|(m, s)| with_best_ceiling(points, floor, m, s)).min_by(|a, b| a.error.total_cmp(&b.error))
}

/// One round of a pattern search in the logarithms of middle and steepness.
fn improve(points: &[Weighted], floor: f64, best: Tried, middle: f64, steep: f64) -> Tried {
    let [up, down] = [steep.exp(), (-steep).exp()];
    let moves = [(middle, 1.0), (-middle, 1.0), (0.0, up), (0.0, down), (middle, down), (-middle, up)];
    let tried = moves.map(|(further, steeper): (f64, f64)| {
        let steepness = (best.steepness * steeper).clamp(0.1, 20.0);
        with_best_ceiling(points, floor, best.ln_middle + further, steepness)
    });
    tried.into_iter().fold(best, |best, tried| if tried.error < best.error { tried } else { best })
}

/// Whether a curve shows where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ceiling {
    /// The accuracy at which it ends.
    Identified(Estimate),
    /// The measured budgets do not show one.
    NotIdentified,
}

/// The comparison of the line and the logistic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saturation {
    /// Root mean squared error of the line at a budget left out.
    pub line_error: f64,
    /// The same of the logistic.
    pub logistic_error: f64,
    /// Share of resampled curves in which the logistic predicts better.
    pub logistic_preferred: f64,
    /// Where the curve ends, if it shows.
    pub ceiling: Ceiling,
}

/// Compares line and logistic on a curve with a known `floor`.
///
/// # Errors
/// [`Undefined::TooFewBudgets`] below five budgets of positive cost, [`Undefined::NoValue`] when a fit fails on the data.
pub fn saturation(curve: &Curve, floor: f64, bootstrap: Bootstrap) -> Result<Saturation, Undefined> {
    let points = curve.points();
    let have = points.iter().filter(|p| p.cost > 0.0).count();
    if have < 5 {
        return Err(Undefined::TooFewBudgets { have, need: 5 });
    }
    let (line_error, logistic_error) = left_out_errors(&points, floor).ok_or(Undefined::NoValue)?;
    let draws = bootstrap.draw_means(curve.data(), |means| {
        let points = points_of(means);
        let (line, logistic) = left_out_errors(&points, floor)?;
        Some((logistic < line, Logistic::fit(&points, floor)?))
    });
    let fitted: Vec<(bool, Logistic)> = draws.into_iter().flatten().collect();
    let preferred = fitted.iter().filter(|(better, _)| *better).count() as f64 / fitted.len().max(1) as f64;
    let here = Logistic::fit(&points, floor).ok_or(Undefined::NoValue)?;
    let ceiling = if logistic_error < line_error {
        identified(&here, &fitted, &points, curve.problems(), bootstrap)
    } else {
        Ceiling::NotIdentified
    };
    Ok(Saturation { line_error, logistic_error, logistic_preferred: preferred, ceiling })
}

fn identified(
    here: &Logistic,
    fitted: &[(bool, Logistic)],
    points: &[Point],
    problems: usize,
    bootstrap: Bootstrap,
) -> Ceiling {
    let highest = points.iter().map(|p| p.cost).fold(0.0, f64::max);
    let shown = |fit: &Logistic| fit.middle < highest && fit.ceiling < 1.0 - 1e-6;
    let share = fitted.iter().filter(|(_, fit)| shown(fit)).count() as f64 / fitted.len().max(1) as f64;
    if !shown(here) || fitted.is_empty() || share < f64::from(bootstrap.level) {
        return Ceiling::NotIdentified;
    }
    let mut ceilings: Vec<f64> = fitted.iter().map(|(_, fit)| fit.ceiling).collect();
    ceilings.sort_by(f64::total_cmp);
    let tail = bootstrap.level.alpha() / 2.0;
    let (low, high) = (quantile_of_draws(&ceilings, tail), quantile_of_draws(&ceilings, 1.0 - tail));
    Estimate::finite(here.ceiling, low.min(here.ceiling), high.max(here.ceiling), problems)
        .map_or(Ceiling::NotIdentified, Ceiling::Identified)
}

/// Root mean squared error of the line and the logistic at each budget left out in turn.
pub fn left_out_errors(points: &[Point], floor: f64) -> Option<(f64, f64)> {
    let usable: Vec<Point> = points.iter().copied().filter(|p| p.cost > 0.0).collect();
    let (mut line, mut logistic) = (0.0, 0.0);
    for (i, left_out) in usable.iter().enumerate() {
        let rest: Vec<Point> = [&usable[..i], &usable[i + 1..]].concat();
        line += (LogLine::fit(&rest)?.at(left_out.cost) - left_out.accuracy).powi(2);
        logistic += (Logistic::fit(&rest, floor)?.at(left_out.cost) - left_out.accuracy).powi(2);
    }
    let n = usable.len() as f64;
    Some(((line / n).sqrt(), (logistic / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::jittered;
    use super::*;

    const COSTS: [f64; 7] = [100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0];
    const TRUTH: Logistic = Logistic { floor: 0.0, ceiling: 0.7, middle: 1000.0, steepness: 1.5 };

    fn few() -> Bootstrap {
        Bootstrap { draws: 200, ..Bootstrap::default() }
    }

    #[test]
    fn a_logistic_without_noise_is_recovered() {
        let points: Vec<Point> = COSTS.map(|cost| Point { cost, accuracy: TRUTH.at(cost) }).to_vec();
        let fit = Logistic::fit(&points, 0.0).unwrap();
        assert!((fit.ceiling - 0.7).abs() < 2e-3 && (fit.middle / 1000.0 - 1.0).abs() < 0.02, "{fit:?}");
    }

    #[test]
    fn a_curve_that_flattens_shows_its_ceiling() {
        let got = saturation(&jittered(&COSTS, &COSTS.map(|c| TRUTH.at(c)), 110), 0.0, few()).unwrap();
        assert!(got.logistic_error < got.line_error && got.logistic_preferred > 0.9, "{got:?}");
        let Ceiling::Identified(ceiling) = got.ceiling else { panic!("{got:?}") };
        assert!(ceiling.contains(0.7) && ceiling.ci_high < 0.8, "{ceiling:?}");
    }

    #[test]
    fn a_straight_rise_shows_no_ceiling() {
        let line = COSTS.map(|c: f64| 0.1 + 0.1 * (c / 100.0).log10());
        let got = saturation(&jittered(&COSTS, &line, 110), 0.0, few()).unwrap();
        assert_eq!(got.ceiling, Ceiling::NotIdentified, "{got:?}");
    }

    #[test]
    fn four_budgets_are_too_few_to_choose_a_shape() {
        let curve = jittered(&COSTS[..4], &[0.1, 0.2, 0.3, 0.4], 30);
        assert_eq!(saturation(&curve, 0.0, few()), Err(Undefined::TooFewBudgets { have: 4, need: 5 }));
    }
}
