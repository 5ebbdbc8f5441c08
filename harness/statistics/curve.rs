//! Accuracy against cost over budgets, measured on the same problems.
//!
//! The horizontal axis is what was *realised* (mean tokens, seconds or dollars per problem), not the nominal
//! budget: chains that end by themselves do not use theirs. Both coordinates of every point come from the same
//! problems, so both move together when problems are resampled.

use super::estimate::Undefined;
use super::summaries::Summaries;

/// Costs and accuracies of several budgets on the same problems.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Columns: the cost of each budget, then the accuracy of each budget.
    data: Summaries,
    budgets: usize,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Mean realised cost.
    pub cost: f64,
    /// Mean accuracy.
    pub accuracy: f64,
}

impl Curve {
    /// From `costs` and `accuracies`, each by budget and then by problem, problems in the same order throughout.
    ///
    /// # Errors
    /// [`Undefined::UnequalLengths`], [`Undefined::NotFinite`] (also for a negative cost),
    /// [`Undefined::TooFewBudgets`] without budgets.
    pub fn new(costs: &[Vec<f64>], accuracies: &[Vec<f64>]) -> Result<Self, Undefined> {
        let budgets = costs.len();
        if budgets != accuracies.len() {
            return Err(Undefined::UnequalLengths { left: budgets, right: accuracies.len() });
        }
        if budgets == 0 {
            return Err(Undefined::TooFewBudgets { have: 0, need: 1 });
        }
        if costs.iter().flatten().any(|cost| *cost < 0.0) {
            return Err(Undefined::NotFinite);
        }
        let columns: Vec<&[f64]> = costs.iter().chain(accuracies).map(Vec::as_slice).collect();
        Ok(Self { data: Summaries::from_columns(&columns)?, budgets })
    }

    /// The same problems at some budgets only (by index), as for a window fixed in advance.
    ///
    /// # Errors
    /// [`Undefined::TooFewBudgets`] when none of `keep` exists.
    pub fn window(&self, keep: &[usize]) -> Result<Self, Undefined> {
        let kept: Vec<usize> = keep.iter().copied().filter(|&b| b < self.budgets).collect();
        let column = |c: usize| -> Vec<f64> { self.data.rows().map(|row| row[c]).collect() };
        let costs: Vec<_> = kept.iter().map(|&b| column(b)).collect();
        let accuracies: Vec<_> = kept.iter().map(|&b| column(self.budgets + b)).collect();
        Self::new(&costs, &accuracies)
    }

    /// Number of budgets.
    pub fn budgets(&self) -> usize {
        self.budgets
    }

    /// Number of problems.
    pub fn problems(&self) -> usize {
        self.data.problems()
    }

    /// The per-problem rows behind it: costs, then accuracies.
    pub fn data(&self) -> &Summaries {
        &self.data
    }

    /// The points in budget order.
    pub fn points(&self) -> Vec<Point> {
        points_of(&self.data.means())
    }
}

/// The points that column means (costs, then accuracies) describe.
pub(crate) fn points_of(means: &[f64]) -> Vec<Point> {
    let (costs, accuracies) = means.split_at(means.len() / 2);
    costs.iter().zip(accuracies).map(|(&cost, &accuracy)| Point { cost, accuracy }).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A curve whose every problem has the accuracies `shape`, jittered symmetrically, at these costs.
    pub(crate) fn jittered(costs: &[f64], shape: &[f64], problems: usize) -> Curve {
        let wobble = |i: usize, b: usize| (((i * 7 + b * 3) % 11) as f64 - 5.0) / 5.0;
        let costs: Vec<Vec<f64>> = (0..costs.len())
            .map(|b| (0..problems).map(|i| costs[b] * (1.0 + 0.2 * wobble(i, b))).collect())
            .collect();
        let accuracies: Vec<Vec<f64>> = (0..shape.len())
            .map(|b| (0..problems).map(|i| shape[b] + 0.1 * wobble(i + 4, b)).collect())
            .collect();
        Curve::new(&costs, &accuracies).unwrap()
    }

    #[test]
    fn points_are_means_over_problems_and_a_window_keeps_their_order() {
        let costs = [vec![1.0, 3.0], vec![10.0, 30.0]];
        let accuracies = [vec![0.0, 0.5], vec![1.0, 0.5]];
        let curve = Curve::new(&costs, &accuracies).unwrap();
        let last = Point { cost: 20.0, accuracy: 0.75 };
        assert_eq!(curve.points(), vec![Point { cost: 2.0, accuracy: 0.25 }, last]);
        assert_eq!(curve.window(&[1, 9]).unwrap().points(), vec![last]);
        assert_eq!((curve.budgets(), curve.problems()), (2, 2));
    }

    #[test]
    fn curves_that_do_not_fit_together_are_refused() {
        let one = [vec![1.0]];
        assert!(Curve::new(&one, &[]).is_err() && Curve::new(&[], &[]).is_err());
        assert_eq!(Curve::new(&[vec![-1.0]], &one), Err(Undefined::NotFinite));
    }
}
