//! The mean of several statistics, some of them of the same problems.
//!
//! A claim is tested on every model and task of a run. Statistics on one task share its problems and vary together;
//! different tasks are independent strata. The delete-one jackknife knows both: a problem is left out of all statistics
//! of its stratum at once, and the variances of the strata add up (Shao and Tu 1995, section 6.2). Student's t takes the
//! degrees of freedom of Welch and Satterthwaite.

use super::critical;
use super::estimate::{Estimate, Level, Undefined};
use super::interval::leave_one_out;
use super::mean::{Moments, degrees_of_freedom};
use super::summaries::Summaries;

/// One statistic of the column means of a stratum's problems.
pub struct Part<'a> {
    /// Parts with equal names have the same problems in the same order.
    pub stratum: &'a str,
    /// The problems.
    pub data: &'a Summaries,
    /// Absent where it has no value.
    pub statistic: &'a (dyn Fn(&[f64]) -> Option<f64> + Sync),
}

/// Mean of the parts' statistics, with an interval over problems.
///
/// # Errors
/// [`Undefined::TooFewProblems`] below three in a stratum, [`Undefined::NoValue`] without parts or where a statistic has no
/// value, [`Undefined::UnstableDraws`] where leaving out one problem leaves none, [`Undefined::UnequalLengths`] for a
/// stratum of parts with different problems.
pub fn mean_of_statistics(parts: &[Part], level: Level) -> Result<Estimate, Undefined> {
    let mut strata: Vec<(&str, Vec<f64>)> = Vec::new();
    let (mut sum, count) = (0.0, parts.len() as f64);
    for part in parts {
        let (value, without) = left_out(part)?;
        sum += value;
        let shifts = without.iter().map(|x| (x - value) / count);
        match strata.iter_mut().find(|(name, _)| *name == part.stratum) {
            Some((_, known)) if known.len() != without.len() => {
                return Err(Undefined::UnequalLengths { left: known.len(), right: without.len() });
            }
            Some((_, known)) => known.iter_mut().zip(shifts).for_each(|(known, shift)| *known += shift),
            None => strata.push((part.stratum, shifts.collect())),
        }
    }
    if parts.is_empty() {
        return Err(Undefined::NoValue);
    }
    interval(sum / count, &strata, level)
}

fn left_out(part: &Part) -> Result<(f64, Vec<f64>), Undefined> {
    let n = part.data.problems();
    if n < 3 {
        return Err(Undefined::TooFewProblems { have: n, need: 3 });
    }
    let value = (part.statistic)(&part.data.means()).filter(|x| x.is_finite()).ok_or(Undefined::NoValue)?;
    let without = leave_one_out(part.data, &part.statistic);
    Ok((value, without.ok_or(Undefined::UnstableDraws { undefined: 1, draws: n })?))
}

fn interval(value: f64, strata: &[(&str, Vec<f64>)], level: Level) -> Result<Estimate, Undefined> {
    let variance = |shifts: &Vec<f64>| {
        let n = shifts.len() as f64;
        Moments::of(shifts).variance * (n - 1.0) * (n - 1.0) / n
    };
    let variances: Vec<f64> = strata.iter().map(|(_, shifts)| variance(shifts)).collect();
    let all: f64 = variances.iter().sum();
    let by_freedom: f64 =
        variances.iter().zip(strata).map(|(v, (_, shifts))| v * v / degrees_of_freedom(shifts)).sum();
    let df = if by_freedom > 0.0 { (all * all / by_freedom).min(1e6) } else { 1e6 };
    let reach = critical::student(level, df) * all.sqrt();
    Estimate::student(value, reach, strata.iter().map(|(_, shifts)| shifts.len()).sum(), df)
}

#[cfg(test)]
mod tests {
    use super::super::interval::{Method, estimate_from_means};
    use super::super::resample::Bootstrap;
    use super::*;

    fn data(seed: usize, problems: usize) -> Summaries {
        let column: Vec<f64> = (0..problems).map(|i| ((i * 37 + seed * 11) % 17) as f64).collect();
        Summaries::from_columns(&[&column]).unwrap()
    }

    fn mean(m: &[f64]) -> Option<f64> {
        Some(m[0])
    }

    fn part<'a>(stratum: &'a str, data: &'a Summaries) -> Part<'a> {
        Part { stratum, data, statistic: &mean }
    }

    #[test]
    fn one_part_has_the_interval_of_its_jackknife() {
        let d = data(1, 30);
        let got = mean_of_statistics(&[part("a", &d)], Level::default()).unwrap();
        let expected = estimate_from_means(&d, Bootstrap::default(), Method::JackknifeT, mean).unwrap();
        assert!((got.ci_low - expected.ci_low).abs() < 1e-9 && (got.ci_high - expected.ci_high).abs() < 1e-9);
    }

    #[test]
    fn repeating_a_statistic_on_the_same_problems_adds_no_certainty_and_on_others_it_does() {
        let (d, e) = (data(1, 30), data(1, 30));
        let width = |parts: &[Part]| {
            let e = mean_of_statistics(parts, Level::default()).unwrap();
            e.ci_high - e.ci_low
        };
        let one = width(&[part("a", &d)]);
        assert!((width(&[part("a", &d), part("a", &e)]) - one).abs() < 1e-9);
        let two = width(&[part("a", &d), part("b", &e)]);
        assert!(two < one / 1.4 && two > one / 1.5, "{one} {two}");
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        let (d, e) = (data(1, 30), data(1, 29));
        assert_eq!(mean_of_statistics(&[], Level::default()), Err(Undefined::NoValue));
        let mixed = mean_of_statistics(&[part("a", &d), part("a", &e)], Level::default());
        assert_eq!(mixed, Err(Undefined::UnequalLengths { left: 30, right: 29 }));
        let none = |_: &[f64]| None;
        let none = Part { stratum: "a", data: &d, statistic: &none };
        assert_eq!(mean_of_statistics(&[none], Level::default()), Err(Undefined::NoValue));
    }
}
