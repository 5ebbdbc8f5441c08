//! One row of numbers per problem: what everything beyond a single mean is computed from.
//!
//! A cell contributes columns such as "share correct" and "mean tokens"; a sweep over budgets contributes two
//! columns per budget. Ratios, slopes, curves and fronts are functions of the column *means*, so resampling
//! problems means re-averaging rows, whatever the number of trajectories behind them.

use super::estimate::Undefined;

/// Per-problem summaries, [problems, columns], row-major; all finite, at least one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Summaries {
    columns: usize,
    values: Vec<f64>,
}

impl Summaries {
    /// From columns of equal length, one value per problem each.
    ///
    /// # Errors
    /// [`Undefined::UnequalLengths`], [`Undefined::NotFinite`], [`Undefined::NoValue`] without columns.
    pub fn from_columns(columns: &[&[f64]]) -> Result<Self, Undefined> {
        let problems = columns.first().ok_or(Undefined::NoValue)?.len();
        if let Some(other) = columns.iter().find(|column| column.len() != problems) {
            return Err(Undefined::UnequalLengths { left: problems, right: other.len() });
        }
        let values: Vec<f64> =
            (0..problems).flat_map(|i| columns.iter().map(move |column| column[i])).collect();
        let finite = values.iter().all(|x| x.is_finite());
        if finite { Ok(Self { columns: columns.len(), values }) } else { Err(Undefined::NotFinite) }
    }

    /// Number of rows.
    pub fn problems(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The summaries of one problem; empty when there is no such problem.
    pub fn row(&self, problem: usize) -> &[f64] {
        let start = problem.saturating_mul(self.columns);
        self.values.get(start..start + self.columns).unwrap_or(&[])
    }

    /// The summaries of all problems, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    /// Mean of each column over problems; zeros without problems.
    pub fn means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.columns];
        self.rows().for_each(|row| add(&mut means, row));
        scale(&mut means, self.problems());
        means
    }

    /// Mean of each column over the resampled problems, into `means`.
    pub(crate) fn means_of(&self, chosen: &[u32], means: &mut [f64]) {
        means.fill(0.0);
        chosen.iter().for_each(|&problem| add(means, self.row(problem as usize)));
        scale(means, chosen.len());
    }

    /// Mean of each column without one problem, into `means`, from the means of all. What rounding leaves of a column that
    /// the problem had to itself is 0.
    pub(crate) fn means_without(&self, problem: usize, all: &[f64], means: &mut [f64]) {
        let n = self.problems() as f64;
        for ((mean, all), x) in means.iter_mut().zip(all).zip(self.row(problem)) {
            *mean = all + (all - x) / (n - 1.0);
            if mean.abs() < 1e-12 * all.abs() {
                *mean = 0.0;
            }
        }
    }
}

fn add(sums: &mut [f64], row: &[f64]) {
    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
}

fn scale(sums: &mut [f64], count: usize) {
    sums.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_follow_the_chosen_problems() {
        let s = Summaries::from_columns(&[&[1.0, 2.0, 6.0], &[0.0, 1.0, 2.0]]).unwrap();
        assert_eq!((s.problems(), s.columns(), s.means()), (3, 2, vec![3.0, 1.0]));
        let mut means = [0.0; 2];
        s.means_of(&[2, 2, 0], &mut means);
        assert_eq!(means, [13.0 / 3.0, 4.0 / 3.0]);
        s.means_without(2, &[3.0, 1.0], &mut means);
        assert_eq!(means, [1.5, 0.5]);
        assert!(s.row(3).is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_column_that_one_problem_had_to_itself() {
        for n in 3..60 {
            let column: Vec<f64> = (0..n).map(|i| if i == 1 { 0.3 } else { 0.0 }).collect();
            let s = Summaries::from_columns(&[&column]).unwrap();
            let mut means = [1.0];
            s.means_without(1, &s.means(), &mut means);
            assert_eq!(means, [0.0], "{n}");
        }
    }

    #[test]
    fn ragged_and_infinite_columns_are_refused() {
        let ragged = Summaries::from_columns(&[&[1.0], &[1.0, 2.0]]);
        assert_eq!(ragged, Err(Undefined::UnequalLengths { left: 1, right: 2 }));
        assert_eq!(Summaries::from_columns(&[&[f64::NAN]]), Err(Undefined::NotFinite));
        assert_eq!(Summaries::from_columns(&[]), Err(Undefined::NoValue));
    }
}
