//! From a statistic of column means to an interval: four methods.
//!
//! | method | what it assumes | with 30 problems |
//! |---|---|---|
//! | percentile | the draws are spread around the estimate as the estimate is around the truth | too narrow, ignores skew |
//! | BCa | a normalising transformation exists; corrects bias and skew (Efron 1987) | skew corrected, still narrow |
//! | studentised | `(draw - estimate) / se(draw)` has the distribution of `(estimate - truth) / se` | second-order right; erratic tails when `se(draw)` can be tiny |
//! | jackknife-t | the estimate is nearly linear in the rows | width right for smooth statistics, symmetric, no randomness |
//!
//! Davison and Hinkley 1997, chapter 5; Efron and Tibshirani 1993, chapters 11, 12 and 14. Which one each
//! statistic uses by default was decided by measured coverage (`COVERAGE.md`), not by taste.
//!
//! Work on a scale where the statistic is nearly symmetric (the log of a ratio) and transform the ends.

use super::critical;
use super::estimate::{Estimate, Level, Undefined};
use super::mean::{Moments, degrees_of_freedom};
use super::resample::Bootstrap;
use super::summaries::Summaries;
use serde::{Deserialize, Serialize};

/// How an interval is made from resampled problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Quantiles of the draws.
    Percentile,
    /// Bias-corrected and accelerated quantiles of the draws.
    Bca,
    /// Bootstrap-t with a linearised standard error in each draw.
    Studentised,
    /// Jackknife standard error and Student's t; no draws.
    JackknifeT,
}

/// Estimates `statistic` of the column means, with an interval over problems. The statistic answers absent
/// where it has no value; draws in which it has none are left out while they are fewer than one in a hundred.
///
/// # Errors
/// [`Undefined::TooFewProblems`] below three problems, [`Undefined::NoValue`] when the statistic has none on the
/// data, [`Undefined::UnstableDraws`] when it has none in too many draws, [`Undefined::NotFinite`].
pub fn estimate_from_means(
    data: &Summaries,
    bootstrap: Bootstrap,
    method: Method,
    statistic: impl Fn(&[f64]) -> Option<f64> + Sync,
) -> Result<Estimate, Undefined> {
    let n = data.problems();
    if n < 3 {
        return Err(Undefined::TooFewProblems { have: n, need: 3 });
    }
    let value = statistic(&data.means()).filter(|x| x.is_finite()).ok_or(Undefined::NoValue)?;
    let mut df = None;
    let (low, high) = match method {
        Method::Percentile => percentile(data, bootstrap, &statistic)?,
        Method::Bca => bca(data, bootstrap, value, &statistic)?,
        Method::Studentised => studentised(data, bootstrap, value, &statistic)?,
        Method::JackknifeT => {
            let (reach, freedom) = jackknife_t(data, bootstrap.level, &statistic)?;
            df = Some(freedom);
            (value - reach, value + reach)
        }
    };
    Ok(Estimate { df, ..Estimate::finite(value, low.min(value), high.max(value), n)? })
}

/// Statistic values left out one problem at a time; absent if any has no value.
pub(crate) fn leave_one_out(
    data: &Summaries,
    statistic: &(impl Fn(&[f64]) -> Option<f64> + ?Sized),
) -> Option<Vec<f64>> {
    let all = data.means();
    let mut means = all.clone();
    let without = |problem| {
        data.means_without(problem, &all, &mut means);
        statistic(&means).filter(|x| x.is_finite())
    };
    (0..data.problems()).map(without).collect()
}

/// What the interval reaches to either side, and its degrees of freedom.
fn jackknife_t(
    data: &Summaries,
    level: Level,
    statistic: &impl Fn(&[f64]) -> Option<f64>,
) -> Result<(f64, f64), Undefined> {
    let values = leave_one_out(data, statistic)
        .ok_or(Undefined::UnstableDraws { undefined: 1, draws: data.problems() })?;
    Ok(jackknife_reach(&values, level))
}

/// Of values left out one problem at a time.
pub(crate) fn jackknife_reach(values: &[f64], level: Level) -> (f64, f64) {
    let (n, df) = (values.len() as f64, degrees_of_freedom(values));
    let se = (Moments::of(values).variance * (n - 1.0) * (n - 1.0) / n).sqrt();
    (critical::student(level, df) * se, df)
}

fn percentile(
    data: &Summaries,
    bootstrap: Bootstrap,
    statistic: &(impl Fn(&[f64]) -> Option<f64> + Sync),
) -> Result<(f64, f64), Undefined> {
    let draws = sorted_draws(bootstrap.draw_means(data, statistic))?;
    let tail = bootstrap.level.alpha() / 2.0;
    Ok((quantile_of_draws(&draws, tail), quantile_of_draws(&draws, 1.0 - tail)))
}

fn bca(
    data: &Summaries,
    bootstrap: Bootstrap,
    value: f64,
    statistic: &(impl Fn(&[f64]) -> Option<f64> + Sync),
) -> Result<(f64, f64), Undefined> {
    let draws = sorted_draws(bootstrap.draw_means(data, statistic))?;
    let below = draws.iter().filter(|&&x| x < value).count() as f64;
    let equal = draws.iter().filter(|&&x| x == value).count() as f64;
    let share = (below + equal / 2.0) / draws.len() as f64;
    let bias =
        critical::normal_quantile(share.clamp(0.5 / draws.len() as f64, 1.0 - 0.5 / draws.len() as f64));
    let skew = leave_one_out(data, statistic).map_or(0.0, |values| acceleration(&values));
    let z = critical::normal(bootstrap.level);
    let adjusted = |z: f64| critical::normal_cdf(bias + (bias + z) / (1.0 - skew * (bias + z)).max(0.05));
    Ok((quantile_of_draws(&draws, adjusted(-z)), quantile_of_draws(&draws, adjusted(z))))
}

/// Efron's acceleration: a sixth of the skewness of the jackknife values, sign reversed.
fn acceleration(values: &[f64]) -> f64 {
    let mean = Moments::of(values).mean;
    let squares: f64 = values.iter().map(|x| (mean - x).powi(2)).sum();
    let cubes: f64 = values.iter().map(|x| (mean - x).powi(3)).sum();
    if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 }
}

fn studentised(
    data: &Summaries,
    bootstrap: Bootstrap,
    value: f64,
    statistic: &(impl Fn(&[f64]) -> Option<f64> + Sync),
) -> Result<(f64, f64), Undefined> {
    let step = gradient_step(data);
    let everyone: Vec<u32> = (0..data.problems() as u32).collect();
    let se = standard_error(data, &everyone, &step, statistic).ok_or(Undefined::NoValue)?;
    let pivot = |chosen: &[u32]| {
        let mut means = vec![0.0; data.columns()];
        data.means_of(chosen, &mut means);
        let here = standard_error(data, chosen, &step, statistic).filter(|&se| se > 0.0)?;
        Some((statistic(&means)? - value) / here)
    };
    let pivots = sorted_draws(bootstrap.draw(data.problems(), pivot))?;
    let tail = bootstrap.level.alpha() / 2.0;
    Ok((value - quantile_of_draws(&pivots, 1.0 - tail) * se, value - quantile_of_draws(&pivots, tail) * se))
}

/// Step of the numerical gradient for each column: small against its standard error, never 0.
fn gradient_step(data: &Summaries) -> Vec<f64> {
    let spread = |column: usize| {
        let values: Vec<f64> = data.rows().map(|row| row[column]).collect();
        (Moments::of(&values).variance / values.len() as f64).sqrt() * 1e-3
    };
    (0..data.columns()).map(spread).collect()
}

/// Delta-method standard error: the gradient at the means, times the rows' deviations.
fn standard_error(
    data: &Summaries,
    chosen: &[u32],
    step: &[f64],
    statistic: &impl Fn(&[f64]) -> Option<f64>,
) -> Option<f64> {
    let mut means = vec![0.0; data.columns()];
    data.means_of(chosen, &mut means);
    let gradient = gradient(&means, step, statistic)?;
    let centre: f64 = gradient.iter().zip(&means).map(|(g, m)| g * m).sum();
    let influence = |&problem: &u32| {
        let row = data.row(problem as usize);
        gradient.iter().zip(row).map(|(g, x)| g * x).sum::<f64>() - centre
    };
    let squares: f64 = chosen.iter().map(|problem| influence(problem).powi(2)).sum();
    let n = chosen.len() as f64;
    Some((squares / (n * (n - 1.0))).sqrt()).filter(|se| se.is_finite())
}

/// Central differences; 0 along a column that does not vary.
fn gradient(means: &[f64], step: &[f64], statistic: &impl Fn(&[f64]) -> Option<f64>) -> Option<Vec<f64>> {
    let mut at = means.to_vec();
    let mut slope = |column: usize| {
        let h = step[column];
        if h == 0.0 {
            return Some(0.0);
        }
        at[column] = means[column] + h;
        let up = statistic(&at)?;
        at[column] = means[column] - h;
        let down = statistic(&at)?;
        at[column] = means[column];
        Some((up - down) / (2.0 * h))
    };
    (0..means.len()).map(&mut slope).collect()
}

/// The defined draws in ascending order, unless one in a hundred or more has no value.
pub(crate) fn sorted_draws(draws: Vec<Option<f64>>) -> Result<Vec<f64>, Undefined> {
    let all = draws.len();
    let mut values: Vec<f64> = draws.into_iter().flatten().filter(|x| x.is_finite()).collect();
    let undefined = all - values.len();
    if values.is_empty() || undefined * 100 >= all {
        return Err(Undefined::UnstableDraws { undefined, draws: all });
    }
    values.sort_by(f64::total_cmp);
    Ok(values)
}

/// Quantile of ascending draws at `(n + 1) p`, interpolated (Davison and Hinkley 1997, section 2.4). The
/// values are not empty; infinite ones are kept apart from finite neighbours.
pub(crate) fn quantile_of_draws(sorted: &[f64], p: f64) -> f64 {
    let place = (p * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, (sorted.len() - 1) as f64);
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    if below == above { below } else { below + (above - below) * place.fract() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skewed(n: usize) -> Summaries {
        let values: Vec<f64> = (0..n).map(|i| ((i as f64 + 0.5) / n as f64 * 4.0).exp()).collect();
        Summaries::from_columns(&[&values]).unwrap()
    }

    fn of_mean(method: Method) -> Estimate {
        estimate_from_means(&skewed(40), Bootstrap::default(), method, |m| Some(m[0])).unwrap()
    }

    #[test]
    fn the_jackknife_of_a_mean_is_the_t_interval() {
        let values: Vec<f64> = skewed(40).rows().map(|row| row[0]).collect();
        let t = super::super::mean::mean_over_problems(&values, Level::default()).unwrap();
        let jackknife = of_mean(Method::JackknifeT);
        assert!((t.ci_low - jackknife.ci_low).abs() < 1e-9 && (t.ci_high - jackknife.ci_high).abs() < 1e-9);
    }

    #[test]
    fn methods_that_see_skew_reach_further_into_the_long_tail() {
        let asymmetry = |e: Estimate| (e.ci_high - e.value) / (e.value - e.ci_low);
        let [percentile, bca, studentised] =
            [Method::Percentile, Method::Bca, Method::Studentised].map(|m| asymmetry(of_mean(m)));
        assert!((asymmetry(of_mean(Method::JackknifeT)) - 1.0).abs() < 1e-9);
        assert!(
            1.0 < percentile && percentile < bca && bca < studentised,
            "{percentile} {bca} {studentised}"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_on_any_number_of_threads() {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for method in [Method::Percentile, Method::Bca, Method::Studentised] {
            assert_eq!(pool(1).install(|| of_mean(method)), pool(3).install(|| of_mean(method)));
        }
    }

    #[test]
    fn a_statistic_that_often_has_no_value_is_undefined() {
        let data = skewed(40);
        let sometimes = |m: &[f64]| (m[0] > 13.0).then_some(m[0]);
        let got = estimate_from_means(&data, Bootstrap::default(), Method::Percentile, sometimes);
        assert!(matches!(got, Err(Undefined::UnstableDraws { .. })), "{got:?}");
        let never = estimate_from_means(&data, Bootstrap::default(), Method::Percentile, |_| None);
        assert_eq!(never, Err(Undefined::NoValue));
    }

    #[test]
    fn no_draws_or_two_problems_are_undefined_not_a_panic() {
        let none = Bootstrap { draws: 0, ..Bootstrap::default() };
        assert!(estimate_from_means(&skewed(40), none, Method::Bca, |m| Some(m[0])).is_err());
        assert!(estimate_from_means(&skewed(2), Bootstrap::default(), Method::Bca, |m| Some(m[0])).is_err());
    }

    #[test]
    fn quantiles_sit_at_their_place() {
        let values: Vec<f64> = (1..=1999).map(f64::from).collect();
        assert!(
            (quantile_of_draws(&values, 0.025) - 50.0).abs() < 1e-9
                && (quantile_of_draws(&values, 0.975) - 1950.0).abs() < 1e-9
        );
        assert_eq!(quantile_of_draws(&[1.0, f64::INFINITY], 0.99), f64::INFINITY);
    }
}
