//! Accuracy rises with the logarithm of reasoning tokens: points per decade, along a line.
//!
//! The number is the slope. The line is refuted where a curve with a ceiling predicts left-out budgets better in 95 % of
//! resamplings. Of several comparisons the mean decides, each speaking with its excess `(l^2 - c^2) / (l^2 + c^2)`, where l and c
//! are the errors of line and curve: it lies between -1 and 1, so that one odd or noisy curve decides nothing. A claim whose
//! slope holds without its line is supported in part: accuracy rises, but not like this.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::{Measured, columns};
use crate::statistics::{Bootstrap, Ceiling, Curve, LogLine, Point, Summaries, left_out_errors, saturation};

/// Resamplings for the shape: more would take most of the time of all claims.
const SHAPE_DRAWS: usize = 400;
/// In so large a share of them the line predicts worse when it is refuted.
const LOSES: f64 = 0.95;
/// Fewest budgets of which one can be left out and both shapes fitted.
const FEWEST_BUDGETS: usize = 5;

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

/// That accuracy does not rise along a line, if all comparisons together show it.
pub(crate) fn refuted(evidence: &Evidence, comparisons: &[&Comparison]) -> Option<String> {
    let mut worse: Vec<f64> = vec![0.0; SHAPE_DRAWS];
    for comparison in comparisons {
        let levels = evidence.thinking_levels(comparison.models[0], comparison.tasks[0]).ok()?;
        if levels.len() >= FEWEST_BUDGETS {
            let columns = columns(levels, |level| &level.reasoning_tokens);
            let found = draws().draw_means(&Summaries::from_columns(&columns).ok()?, excess);
            worse.iter_mut().zip(found).for_each(|(sum, excess)| *sum += excess.unwrap_or(0.0));
        }
    }
    let share = worse.iter().filter(|excess| **excess > 0.0).count() as f64 / SHAPE_DRAWS as f64;
    (share >= LOSES).then(|| {
        format!("accuracy does not rise along a line: a logistic predicts left-out budgets better in {:.0} % of resamplings", 100.0 * share)
    })
}

/// By how much the line's squared error at left-out budgets exceeds that of a curve with a ceiling, from -1 to 1.
fn excess(means: &[f64]) -> Option<f64> {
    let (line, logistic) = left_out_errors(&points(means), 0.0)?;
    let (line, logistic) = (line.powi(2), logistic.powi(2));
    Some((line - logistic) / (line + logistic)).filter(|excess| excess.is_finite())
}

fn draws() -> Bootstrap {
    Bootstrap { draws: SHAPE_DRAWS, ..Bootstrap::default() }
}

/// Whether the line or a curve with a ceiling predicts a left-out budget better.
fn shape(curve: &Curve) -> Option<String> {
    let found = saturation(curve, 0.0, draws()).ok()?;
    let share = 100.0 * found.logistic_preferred;
    let ceiling = match found.ceiling {
        Ceiling::Identified(e) => format!("ceiling {:.2} [{:.2}, {:.2}]", e.value, e.ci_low, e.ci_high),
        Ceiling::NotIdentified => "no ceiling identified".into(),
    };
    Some(format!("a logistic predicts better than the line in {share:.0} % of resamplings; {ceiling}"))
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, finding_of, verdict_of};
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
    fn a_rise_that_is_no_line_is_supported_in_part() {
        let step = |_: f64, tokens: f64| if tokens < 64.0 { 0.1 } else { 0.8 };
        let flat = |_: f64, tokens: f64| 0.85 / (1.0 + (40.0 / tokens.max(1e-9)).powi(3));
        for run in [Run::new(200, 8).model("a", step), Run::new(400, 8).model("a", flat)] {
            let finding = finding_of("log-linear", &run);
            assert_eq!((finding.verdict, finding.comparisons[0].verdict), (SupportedInPart, SupportedInPart));
            assert!(finding.refuted.unwrap().contains("not rise along a line"));
        }
    }

    #[test]
    fn a_line_is_seldom_refuted_and_many_lines_together_are_not() {
        let line = |slope: f64| move |_: f64, tokens: f64| 0.25 + slope * (tokens / 32.0).log10();
        for slope in [0.06, 0.15, 0.35] {
            let run = (0..40).fold(Run::new(60, 16), |run, i| run.model(&format!("m{i}"), line(slope)));
            let finding = finding_of("log-linear", &run);
            let refuted = finding.comparisons.iter().filter(|c| c.verdict == SupportedInPart).count();
            assert!(refuted <= 4 && finding.refuted.is_none(), "{slope}: {refuted} {:?}", finding.refuted);
        }
    }

    #[test]
    fn one_curve_that_is_no_line_does_not_refute_many_that_are() {
        let line = |_: f64, tokens: f64| 0.25 + 0.15 * (tokens / 32.0).log10();
        let step = |_: f64, tokens: f64| if tokens < 64.0 { 0.1 } else { 0.8 };
        let run = (0..8).fold(Run::new(60, 8), |run, i| run.model(&format!("m{i}"), line)).model("odd", step);
        let finding = finding_of("log-linear", &run);
        assert_eq!(finding.comparisons[8].verdict, SupportedInPart);
        assert_eq!((finding.verdict, finding.refuted), (Supported, None));
    }

    #[test]
    fn a_run_with_two_thinking_budgets_cannot_tell_a_line() {
        let run = with_slope(0.2, 30).budgets(&[0, 32, 64]);
        assert_eq!(verdict_of("log-linear", &run), NotTestable);
    }
}
