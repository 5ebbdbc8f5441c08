//! How fast the cost of a fixed capability falls, over dated models on one engine and one device.
//!
//! The capability is the accuracy midway between the best start and the worst end of all curves, so that every model
//! reaches it. The frontier is the running minimum of cost over release dates; the statistic is the factor by which it falls
//! in a year. Models are few and are the real unit: the interval adds the jackknife over models to the one over problems.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::log_linear::points;
use super::measured::{Measured, columns};
use super::training_vs_inference::slope;
use crate::statistics::{Estimate, Level, Point, Summaries, cost_at, mean_over_problems, shared_range};

/// Fewest dated models.
const MODELS: usize = 4;
/// Years that they must span.
const YEARS: f64 = 0.5;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let mut dated: Vec<(f64, usize)> =
        lineup.thinkers(2).filter_map(|model| Some((year(lineup, model)?, model))).collect();
    dated.sort_by(|a, b| a.0.total_cmp(&b.0));
    let span = dated.last().zip(dated.first()).map_or(0.0, |(last, first)| last.0 - first.0);
    let enough = dated.len() >= MODELS && span >= YEARS;
    let groups = if enough { vec![dated.into_iter().map(|(_, model)| model).collect()] } else { Vec::new() };
    lineup.on_every_task(
        &groups,
        "at least four thinking models with release dates (released) that span half a year",
    )
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let task = comparison.tasks[0];
    let (mut all, mut ladder) = (Vec::new(), Ladder::default());
    for &model in &comparison.models {
        all.extend(columns(evidence.levels(model, task)?, |level| &level.device_s));
        ladder.ends.push(all.len());
        ladder.years.push(year(evidence.lineup, model).ok_or("a model without a date")?);
    }
    let data = Summaries::from_columns(&all).map_err(|why| why.to_string())?;
    let means = data.means();
    let everyone: Vec<usize> = (0..ladder.years.len()).collect();
    let without = |left_out: &usize| {
        let rest: Vec<usize> = everyone.iter().copied().filter(|model| model != left_out).collect();
        ladder.log_factor_per_year(&means, &rest)
    };
    let left_out = everyone.iter().map(without).collect::<Option<Vec<f64>>>();
    let left_out =
        left_out.ok_or("there is no accuracy that all reach, or the trend hangs on a single model")?;
    let over_problems = Measured::statistic("", &all, move |m| ladder.log_factor_per_year(m, &everyone))?;
    let estimate = with_models(over_problems.estimate()?, &left_out)?;
    Ok(Measured::interval(&evidence.lineup.tasks[task].name, estimate))
}

/// Dated models, oldest first.
#[derive(Default)]
struct Ladder {
    years: Vec<f64>,
    /// Where each model's columns end.
    ends: Vec<usize>,
}

impl Ladder {
    fn curves(&self, means: &[f64]) -> Vec<Vec<Point>> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| points(&means[start..end])).collect()
    }

    /// Natural logarithm of the factor by which the frontier of `models` falls in a year.
    fn log_factor_per_year(&self, means: &[f64], models: &[usize]) -> Option<f64> {
        let curves = self.curves(means);
        let (low, high) = shared_range(&curves.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let (mut least, mut dates, mut frontier) = (f64::INFINITY, Vec::new(), Vec::new());
        for &model in models {
            least = least.min(cost_at(&curves[model], (low + high) / 2.0)?.ln());
            frontier.push(least);
            dates.push(self.years[model]);
        }
        slope(&dates, &frontier).map(|slope| -slope)
    }
}

/// The interval over problems, widened by the jackknife over models.
fn with_models(over_problems: Estimate, left_out: &[f64]) -> Result<Estimate, Missing> {
    let m = left_out.len() as f64;
    // A mean's interval over the left-out values, scaled as the jackknife scales their spread.
    let spread = mean_over_problems(left_out, Level::default()).map_err(|why| why.to_string())?;
    let over_models = (spread.ci_high - spread.value) * (m - 1.0);
    let (below, above) =
        (over_problems.value - over_problems.ci_low, over_problems.ci_high - over_problems.value);
    let value = over_problems.value;
    Ok(Estimate {
        ci_low: value - below.hypot(over_models),
        ci_high: value + above.hypot(over_models),
        df: over_problems.df.into_iter().chain(spread.df).reduce(f64::min),
        ..over_problems
    })
}

/// A release date in years.
fn year(lineup: &Lineup, model: usize) -> Option<f64> {
    let date = lineup.models[model].facts.lineage.released.as_deref()?;
    let parts: Vec<f64> = date.split('-').filter_map(|part| part.parse().ok()).collect();
    match parts[..] {
        [year, month, day] => Some(year + (month - 1.0) / 12.0 + (day - 1.0) / 365.25),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;

    /// Six models in a year and a quarter; the tokens for an accuracy fall by `factor` in a year, give or take `scatter`.
    fn ladder(factor: f64, scatter: f64, problems: usize) -> Run {
        let mut run = Run::new(problems, 8);
        for (i, month) in [1, 4, 7, 10, 13, 16].into_iter().enumerate() {
            let years = f64::from(month) / 12.0;
            let odd = if i % 2 == 0 { scatter } else { -scatter };
            let decades = years * factor.log10() + odd;
            let released = format!("{}-{:02}-01", 2024 + (month - 1) / 12, (month - 1) % 12 + 1);
            run = run
                .model(&format!("m{i}"), move |_, tokens| {
                    0.9 / (1.0 + (-((tokens + 6.0).log10() + decades - 2.8) * 3.0).exp())
                })
                .released(&released);
        }
        run
    }

    #[test]
    fn a_fall_of_twelve_a_year_is_told_from_one_of_two() {
        assert_eq!(verdict_of("cost-decline", &ladder(12.0, 0.0, 300)), Supported);
        assert_eq!(verdict_of("cost-decline", &ladder(2.0, 0.02, 300)), Contradicted);
        assert_eq!(verdict_of("cost-decline", &ladder(5.0, 0.3, 60)), Inconclusive);
    }

    #[test]
    fn models_without_dates_are_not_a_trend() {
        let run = Run::new(20, 4).model("a", |_, t| t / 600.0).model("b", |_, t| t / 600.0);
        assert_eq!(verdict_of("cost-decline", &run), NotTestable);
    }
}
