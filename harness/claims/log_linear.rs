//! Accuracy rises with the logarithm of reasoning tokens: points per decade.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::{Measured, columns};
use crate::statistics::{Bootstrap, Ceiling, Curve, LogLine, Point, saturation};

/// Resamplings for the remark on the shape.
const SHAPE_DRAWS: usize = 100;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let models: Vec<Vec<usize>> = lineup.thinkers(3).map(|model| vec![model]).collect();
    lineup.on_every_task(&models, "a model that thinks, with at least three budgets above 0")
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let (model, task) = (comparison.models[0], comparison.tasks[0]);
    let levels = evidence.thinking_levels(model, task)?;
    let columns = columns(levels, |level| &level.reasoning_tokens);
    let stratum = &evidence.lineup.tasks[task].name;
    let measured =
        Measured::statistic(stratum, &columns, |m| LogLine::fit(&points(m)).map(|line| line.slope))?.bounded(
            levels.len()..columns.len(),
            0.0,
            1.0,
        );
    let (costs, accuracies) = columns.split_at(levels.len());
    let owned = |columns: &[&[f64]]| columns.iter().map(|column| column.to_vec()).collect::<Vec<_>>();
    let shape = Curve::new(&owned(costs), &owned(accuracies)).ok().and_then(|curve| shape(&curve));
    Ok(match shape {
        Some(shape) => measured.noting(shape),
        None => measured,
    })
}

/// Costs, then accuracies, as points.
pub(crate) fn points(means: &[f64]) -> Vec<Point> {
    let (costs, accuracies) = means.split_at(means.len() / 2);
    costs.iter().zip(accuracies).map(|(&cost, &accuracy)| Point { cost, accuracy }).collect()
}

/// Whether the line or a curve with a ceiling predicts a left-out budget better.
fn shape(curve: &Curve) -> Option<String> {
    let found = saturation(curve, 0.0, Bootstrap { draws: SHAPE_DRAWS, ..Bootstrap::default() }).ok()?;
    let share = 100.0 * found.logistic_preferred;
    let ceiling = match found.ceiling {
        Ceiling::Identified(e) => format!("ceiling {:.2} [{:.2}, {:.2}]", e.value, e.ci_low, e.ci_high),
        Ceiling::NotIdentified => "no ceiling identified".into(),
    };
    Some(format!("a logistic predicts better than the line in {share:.0} % of resamplings; {ceiling}"))
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;

    fn with_slope(per_decade: f64, problems: usize) -> Run {
        Run::new(problems, 16).model("a", move |_, tokens| 0.3 + per_decade * (tokens / 32.0).log10())
    }

    #[test]
    fn a_rise_is_supported_a_flat_line_contradicted_and_little_data_inconclusive() {
        assert_eq!(verdict_of("log-linear", &with_slope(0.2, 60)), Supported);
        assert_eq!(verdict_of("log-linear", &with_slope(0.004, 400)), Contradicted);
        assert_eq!(verdict_of("log-linear", &with_slope(0.035, 12)), Inconclusive);
    }

    #[test]
    fn a_run_with_two_thinking_budgets_cannot_tell_a_line() {
        let run = with_slope(0.2, 30).budgets(&[0, 32, 64]);
        assert_eq!(verdict_of("log-linear", &run), NotTestable);
    }
}
