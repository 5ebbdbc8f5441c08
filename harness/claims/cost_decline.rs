//! How fast the cost of a fixed capability falls, over dated models on one engine and one device.
//!
//! The capability is the accuracy midway between the best start and the worst end of all curves, so that every model
//! reaches it. The frontier is the running minimum of cost over release dates; the statistic is the factor by which it falls
//! in a year, and the number its mean over tasks. Models are few and are the real unit: the interval adds the jackknife over
//! models to the one over problems. The same models meet every task, so a model is left out of all tasks at once, and
//! more tasks make the models no more; only problems are fresh in each (as in [`crate::statistics::strata`]).

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::log_linear::points;
use super::measured::{Measured, columns};
use super::training_vs_inference::slope;
use crate::statistics::{
    Estimate, Level, Part, Point, Summaries, cost_at, mean_of_statistics, mean_over_problems, shared_range,
};

/// Fewest dated models.
const MODELS: usize = 4;
/// Years that they must span.
const YEARS: f64 = 0.5;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let mut dated: Vec<(f64, usize)> =
        lineup.thinkers(2).filter_map(|model| Some((year(lineup, model)?, model))).collect();
    dated.sort_by(|a, b| a.0.total_cmp(&b.0));
    let span = dated.last().zip(dated.first()).map_or(0.0, |(last, first)| last.0 - first.0);
    let tasks: Vec<usize> = lineup.original_tasks().collect();
    if dated.len() < MODELS || span < YEARS || tasks.is_empty() {
        return Err(
            "at least four thinking models with release dates (released) that span half a year".into()
        );
    }
    let name = format!("{} models on {} tasks", dated.len(), tasks.len());
    Ok(vec![Comparison { name, models: dated.into_iter().map(|(_, model)| model).collect(), tasks }])
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let (mut ladders, mut notes) = (Vec::new(), Vec::new());
    for &task in &comparison.tasks {
        let name = evidence.lineup.tasks[task].name.as_str();
        match Ladder::new(evidence, &comparison.models, task) {
            Ok(ladder) => {
                notes.push(format!("{name} x{:.2}", ladder.factor()));
                ladders.push((name, ladder));
            }
            Err(why) => notes.push(format!("{name} left out: {why}")),
        }
    }
    if ladders.is_empty() {
        return Err(notes.join("; "));
    }
    Ok(Measured::interval("", estimate(&ladders)?).noting(notes.join("; ")))
}

/// The mean over tasks.
fn estimate(ladders: &[(&str, Ladder)]) -> Result<Estimate, Missing> {
    let everyone = &ladders[0].1.everyone();
    let statistics: Vec<_> =
        ladders.iter().map(|(_, ladder)| move |m: &[f64]| ladder.log_factor_per_year(m, everyone)).collect();
    let parts = ladders.iter().zip(&statistics).map(|((stratum, ladder), statistic)| Part {
        stratum,
        data: &ladder.data,
        statistic,
    });
    let parts: Vec<Part> = parts.collect();
    let over_problems = mean_of_statistics(&parts, Level::default()).map_err(|why| why.to_string())?;
    if over_problems.ci_high <= over_problems.ci_low {
        return Err("no spread over problems".into());
    }
    let all = ladders.len() as f64;
    let without = |model: &usize| ladders.iter().map(|(_, ladder)| ladder.without[*model]).sum::<f64>() / all;
    with_models(over_problems, &everyone.iter().map(without).collect::<Vec<_>>())
}

/// Dated models on a task, oldest first.
struct Ladder {
    years: Vec<f64>,
    /// Where each model's columns end.
    ends: Vec<usize>,
    /// Costs, then accuracies of each model.
    data: Summaries,
    /// The statistic without each model.
    without: Vec<f64>,
}

impl Ladder {
    fn new(evidence: &Evidence, models: &[usize], task: usize) -> Result<Self, Missing> {
        let (mut all, mut ends, mut years) = (Vec::new(), Vec::new(), Vec::new());
        for &model in models {
            all.extend(columns(evidence.levels(model, task)?, |level| &level.device_s));
            ends.push(all.len());
            years.push(year(evidence.lineup, model).ok_or("a model without a date")?);
        }
        let data = Summaries::from_columns(&all).map_err(|why| why.to_string())?;
        let ladder = Self { years, ends, data, without: Vec::new() };
        let without = ladder.leave_one_out();
        let missing = "there is no accuracy that all reach, or the trend hangs on a single model";
        Ok(Self { without: without.ok_or(missing)?, ..ladder })
    }

    fn everyone(&self) -> Vec<usize> {
        (0..self.years.len()).collect()
    }

    /// The statistic without each model; absent if one of them leaves none.
    fn leave_one_out(&self) -> Option<Vec<f64>> {
        let (means, everyone) = (self.data.means(), self.everyone());
        let rest = |out: usize| everyone.iter().copied().filter(|model| *model != out).collect::<Vec<_>>();
        everyone.iter().map(|&model| self.log_factor_per_year(&means, &rest(model))).collect()
    }

    /// The factor on the data as they are.
    fn factor(&self) -> f64 {
        let log = self.log_factor_per_year(&self.data.means(), &self.everyone());
        log.map_or(f64::NAN, f64::exp)
    }

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
    use crate::claims::simulated::{Run, finding_of, verdict_of};
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
    fn more_tasks_make_the_models_no_more() {
        let wide = || ladder(7.0, 0.08, 60);
        let width = |run: &Run| {
            let e = finding_of("cost-decline", run).estimate.unwrap();
            ((e.ci_high / e.ci_low).ln(), e.value.ln(), e.n)
        };
        let (one, nine) = (width(&wide()), width(&wide().tasks(9)));
        assert!((one.1 - nine.1).abs() < 0.15 && nine.2 == 9 * one.2, "{one:?} {nine:?}");
        // The spread between models stays; what is left of the interval over problems is little.
        assert!(nine.0 > 0.8 * one.0, "{one:?} {nine:?}");
    }

    #[test]
    fn models_without_dates_are_not_a_trend() {
        let run = Run::new(20, 4).model("a", |_, t| t / 600.0).model("b", |_, t| t / 600.0);
        assert_eq!(verdict_of("cost-decline", &run), NotTestable);
    }
}
