//! The front of cells that no other cell beats on both cost and accuracy, with its uncertainty.
//!
//! A front drawn through estimates looks more certain than it is. Two remedies: the share of resamplings in which each
//! cell is on the front, and a cross-fit. The cell that looks best on some data was partly lucky on those
//! data (the winner's curse), so the front is *chosen* on one half of the trajectories and its members are *costed* on
//! the other, then the other way round.

use super::estimate::{Estimate, Level, Undefined};
use super::mean::mean_over_problems;
use super::proportion::mean_share;
use super::resample::Bootstrap;
use super::summaries::Summaries;
use serde::{Deserialize, Serialize};

/// A cell for the front: one value per problem of each, problems in the same order in all cells.
#[derive(Clone, Debug, PartialEq)]
pub struct PricedCell {
    /// Mean cost of each problem.
    pub costs: Vec<f64>,
    /// Accuracy on each problem, in [0, 1].
    pub accuracies: Vec<f64>,
    /// Trajectories behind each accuracy.
    pub trajectories: usize,
}

/// Whether a cell is on the front.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnFront {
    /// On the front of the means.
    pub observed: bool,
    /// Share of resamplings of the problems in which it is on the front.
    pub probability: f64,
}

/// Front membership of every cell, in order.
///
/// # Errors
/// As [`Summaries::from_columns`]; [`Undefined::TooFewProblems`] without problems.
pub fn pareto_front(cells: &[PricedCell], bootstrap: Bootstrap) -> Result<Vec<OnFront>, Undefined> {
    let data = table(cells)?;
    let observed = front(&data.means());
    let draws = bootstrap.draw_means(&data, front);
    let share =
        |cell: usize| draws.iter().filter(|draw| draw[cell]).count() as f64 / draws.len().max(1) as f64;
    Ok((0..cells.len()).map(|cell| OnFront { observed: observed[cell], probability: share(cell) }).collect())
}

/// A cell chosen for the front on one half and measured on the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossFitted {
    /// Index of the cell.
    pub cell: usize,
    /// Whether both halves chose it.
    pub chosen_twice: bool,
    /// Its mean cost on the half (or halves, averaged) that did not choose it.
    pub cost: Estimate,
    /// Its accuracy on the same.
    pub accuracy: Estimate,
}

/// The front chosen on either half of the trajectories, measured on the other. `first[i]` and `second[i]` are the two
/// halves of cell i.
///
/// # Errors
/// [`Undefined::UnequalLengths`] for different numbers of cells or problems, and as [`pareto_front`].
pub fn cross_fitted_front(
    first: &[PricedCell],
    second: &[PricedCell],
    level: Level,
) -> Result<Vec<CrossFitted>, Undefined> {
    if first.len() != second.len() {
        return Err(Undefined::UnequalLengths { left: first.len(), right: second.len() });
    }
    let both: Vec<PricedCell> = first.iter().chain(second).cloned().collect();
    table(&both)?;
    let (by_first, by_second) = (front(&table(first)?.means()), front(&table(second)?.means()));
    let measure = |cell: usize| {
        let measured = match (by_first[cell], by_second[cell]) {
            (true, false) => second[cell].clone(),
            (false, true) => first[cell].clone(),
            (true, true) => average(&first[cell], &second[cell]),
            (false, false) => return None,
        };
        Some(measured_cell(cell, by_first[cell] && by_second[cell], &measured, level))
    };
    (0..first.len()).filter_map(measure).collect()
}

fn measured_cell(
    cell: usize,
    chosen_twice: bool,
    data: &PricedCell,
    level: Level,
) -> Result<CrossFitted, Undefined> {
    let cost = mean_over_problems(&data.costs, level)?;
    let accuracy = mean_share(&data.accuracies, data.trajectories, level)?;
    Ok(CrossFitted { cell, chosen_twice, cost, accuracy })
}

fn average(a: &PricedCell, b: &PricedCell) -> PricedCell {
    let mean = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x + y) / 2.0).collect();
    PricedCell {
        costs: mean(&a.costs, &b.costs),
        accuracies: mean(&a.accuracies, &b.accuracies),
        trajectories: a.trajectories + b.trajectories,
    }
}

/// Columns: cost and accuracy of each cell in turn.
fn table(cells: &[PricedCell]) -> Result<Summaries, Undefined> {
    let columns: Vec<&[f64]> =
        cells.iter().flat_map(|cell| [cell.costs.as_slice(), cell.accuracies.as_slice()]).collect();
    let data = Summaries::from_columns(&columns)?;
    if data.problems() == 0 { Err(Undefined::TooFewProblems { have: 0, need: 1 }) } else { Ok(data) }
}

/// Which cells no other beats: as cheap and as accurate, and better in one of the two.
fn front(means: &[f64]) -> Vec<bool> {
    let cells: Vec<&[f64]> = means.chunks_exact(2).collect();
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_unstable_by(|&a, &b| {
        cells[a][0].total_cmp(&cells[b][0]).then(cells[b][1].total_cmp(&cells[a][1]))
    });
    let (mut on_front, mut best, mut equal) = (vec![false; cells.len()], f64::NEG_INFINITY, f64::NAN);
    for at in order {
        let (cost, accuracy) = (cells[at][0], cells[at][1]);
        let is_twin = cost == equal && accuracy == best;
        if accuracy > best || is_twin {
            on_front[at] = true;
            (best, equal) = (accuracy, cost);
        }
    }
    on_front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(cost: f64, accuracy: f64, problems: usize) -> PricedCell {
        let wobble = |i: usize| ((i * 5) % 7) as f64 / 7.0 - 3.0 / 7.0;
        PricedCell {
            costs: (0..problems).map(|i| cost * (1.0 + 0.1 * wobble(i))).collect(),
            accuracies: (0..problems).map(|i| accuracy + 0.2 * wobble(i + (cost as usize))).collect(),
            trajectories: 8,
        }
    }

    #[test]
    fn a_cell_that_is_dearer_and_worse_is_never_on_the_front() {
        let cells = [cell(1.0, 0.3, 35), cell(2.0, 0.6, 35), cell(4.0, 0.3, 35)];
        let got = pareto_front(&cells, Bootstrap::default()).unwrap();
        assert_eq!(got.iter().map(|c| c.observed).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!((got[0].probability, got[2].probability), (1.0, 0.0));
    }

    #[test]
    fn a_cell_hardly_better_than_a_cheaper_one_is_on_the_front_in_some_draws_only() {
        let cells = [cell(1.0, 0.500, 35), cell(2.0, 0.505, 35)];
        let got = pareto_front(&cells, Bootstrap::default()).unwrap();
        assert!(got[1].observed && got[1].probability > 0.5 && got[1].probability < 0.9, "{got:?}");
    }

    #[test]
    fn equal_cells_are_both_on_the_front_and_beat_what_is_only_dearer_or_only_worse() {
        assert_eq!(front(&[1.0, 0.5, 1.0, 0.5, 1.0, 0.4, 2.0, 0.5]), [true, true, false, false]);
    }

    #[test]
    fn a_lucky_half_is_measured_on_the_other() {
        let first = [cell(1.0, 0.5, 35), cell(2.0, 0.7, 35)];
        let second = [cell(1.0, 0.5, 35), cell(2.0, 0.4, 35)];
        let got = cross_fitted_front(&first, &second, Level::default()).unwrap();
        assert_eq!(got.len(), 2);
        assert!(got[0].chosen_twice && !got[1].chosen_twice);
        assert!((got[1].accuracy.value - 0.4).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn cells_on_different_problems_have_no_front() {
        let cells = [cell(1.0, 0.5, 35), cell(2.0, 0.7, 34)];
        assert!(pareto_front(&cells, Bootstrap::default()).is_err());
        assert!(cross_fitted_front(&cells[..1], &cells, Level::default()).is_err());
        assert!(pareto_front(&[], Bootstrap::default()).is_err());
    }
}
