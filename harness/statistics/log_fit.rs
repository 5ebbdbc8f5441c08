//! Accuracy per decade of cost: the straight line in the logarithm.
//!
//! "Accuracy rises linearly in the logarithm of reasoning tokens" is a statement about the slope of accuracy on
//! log10 of mean realised tokens: points per decade when multiplied by 100. The line is ordinary least squares
//! through one point per budget; the budgets share problems (and trajectories), so its error comes from the
//! problems and never from the residuals, which would treat the points as independent. Budgets that cost
//! nothing have no logarithm and are left out.

use super::curve::{Curve, Point, points_of};
use super::estimate::{Estimate, Undefined};
use super::interval::{Method, estimate_from_means};
use super::resample::Bootstrap;

/// A line `accuracy = level_at_one + slope * log10(cost)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogLine {
    /// Accuracy per factor of ten in cost.
    pub slope: f64,
    /// Accuracy at cost 1.
    pub at_one: f64,
}

impl LogLine {
    /// Least squares through the points of positive cost; absent below two distinct costs.
    pub fn fit(points: &[Point]) -> Option<Self> {
        let usable = || points.iter().filter(|p| p.cost > 0.0).map(|p| (p.cost.log10(), p.accuracy));
        let n = usable().count() as f64;
        let (sx, sy) = usable().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (mx, my) = (sx / n, sy / n);
        let (sxx, sxy) =
            usable().fold((0.0, 0.0), |(a, b), (x, y)| (a + (x - mx) * (x - mx), b + (x - mx) * (y - my)));
        (sxx > 1e-12).then(|| Self { slope: sxy / sxx, at_one: my - sxy / sxx * mx })
    }

    /// Accuracy at a positive cost.
    pub fn at(&self, cost: f64) -> f64 {
        self.at_one + self.slope * cost.log10()
    }
}

/// Slope of accuracy per decade of mean cost, with an interval over problems. Give a [`Curve::window`] fixed in
/// advance when the curve saturates.
///
/// # Errors
/// [`Undefined::TooFewBudgets`] below two budgets of positive cost, and as [`estimate_from_means`].
pub fn slope_per_decade(curve: &Curve, bootstrap: Bootstrap) -> Result<Estimate, Undefined> {
    slope_per_decade_by(curve, bootstrap, Method::JackknifeT)
}

/// [`slope_per_decade`] with a chosen interval method.
///
/// # Errors
/// As [`slope_per_decade`].
pub fn slope_per_decade_by(
    curve: &Curve,
    bootstrap: Bootstrap,
    method: Method,
) -> Result<Estimate, Undefined> {
    let have = curve.points().iter().filter(|p| p.cost > 0.0).count();
    if have < 2 {
        return Err(Undefined::TooFewBudgets { have, need: 2 });
    }
    estimate_from_means(curve.data(), bootstrap, method, |means| {
        LogLine::fit(&points_of(means)).map(|line| line.slope)
    })
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::jittered;
    use super::*;

    #[test]
    fn an_exact_line_is_recovered() {
        let points: Vec<Point> = [10.0, 100.0, 1000.0]
            .map(|cost: f64| Point { cost, accuracy: 0.1 + 0.2 * cost.log10() })
            .to_vec();
        let line = LogLine::fit(&points).unwrap();
        assert!((line.slope - 0.2).abs() < 1e-12 && (line.at(31.6227766) - 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_budget_that_costs_nothing_is_left_out() {
        let points =
            |first| [first, (10.0, 0.2), (100.0, 0.4)].map(|(cost, accuracy)| Point { cost, accuracy });
        let line = LogLine::fit(&points((0.0, 0.9))).unwrap();
        assert!((line.slope - 0.2).abs() < 1e-12);
        assert_eq!(LogLine::fit(&points((0.0, 0.9))[..2]), None);
    }

    #[test]
    fn the_interval_is_over_problems_and_covers_the_shape() {
        let curve = jittered(&[100.0, 1000.0, 10_000.0], &[0.2, 0.4, 0.6], 55);
        for method in [Method::Percentile, Method::Bca, Method::Studentised, Method::JackknifeT] {
            let e = slope_per_decade_by(&curve, Bootstrap::default(), method).unwrap();
            assert!(e.contains(0.2) && e.n == 55 && e.ci_high - e.ci_low < 0.05, "{method:?} {e:?}");
        }
    }

    #[test]
    fn one_budget_has_no_slope() {
        let curve = jittered(&[0.0, 1000.0], &[0.2, 0.4], 30);
        let got = slope_per_decade(&curve, Bootstrap::default());
        assert_eq!(got, Err(Undefined::TooFewBudgets { have: 1, need: 2 }));
    }
}
