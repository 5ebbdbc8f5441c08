//! What a claim would take, before anything is spent.
//!
//! `problems = (z_0.975 + z_power)^2 (between^2 + within^2 / K) / effect^2` (Miller 2024, equation 9), with deviations that
//! the registry assumes, or with what a pilot run measured: there the standard error of a claim's estimate on P problems gives
//! `between^2 + within^2 / K` as `P se^2`, at the pilot's K. P counts the problems of all tasks that the claim compares on:
//! tasks are strata, a mean over S of them with P / S problems each varies as one over P of them, so each needs P / S.

use std::collections::BTreeSet;

use super::lineup::{Comparison, Lineup};
use super::registry::Claim;
use super::test_of;
use super::verdict::{Finding, POWER};
use crate::statistics::{Level, PairedVariance, minimum_detectable_effect, problems_needed};

/// What one claim needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimPlan {
    /// The claim.
    pub claim: Claim,
    /// Comparisons that the sweep makes possible, or what it lacks.
    pub comparisons: Result<Comparisons, String>,
    /// By number of trajectories: problems needed of each task.
    pub problems: Vec<(u32, Option<usize>)>,
    /// The smallest effect that the sweep as it stands would detect, on the scale of the computation.
    pub detectable: Option<f64>,
    /// Whether the deviations were measured in a pilot.
    pub is_from_pilot: bool,
}

/// What is compared, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparisons {
    /// Comparisons in all.
    pub count: usize,
    /// Distinct pairs of model and task that must be sampled.
    pub series: Vec<(usize, usize)>,
    /// Distinct tasks whose problems are counted: variations where they are compared with their originals.
    pub strata: Vec<usize>,
}

/// Plans a claim on a lineup whose tasks have so many problems each.
pub fn plan(lineup: &Lineup, problems: &[usize], claim: Claim, pilot: Option<&Finding>) -> ClaimPlan {
    let measured = pilot.and_then(|finding| measured_variance(&claim, finding));
    let variance =
        |trajectories: u32| measured.unwrap_or_else(|| assumed(&claim).total(trajectories as usize, 1));
    let effect = claim.power.effect;
    let comparisons = comparisons(lineup, &claim);
    let strata = comparisons.as_ref().map_or(&[][..], |found| &found.strata);
    let in_all = strata.iter().filter_map(|task| problems.get(*task)).sum();
    let of_each = |all: usize| all.div_ceil(strata.len().max(1));
    let needed = |k: u32| (k, problems_needed(variance(k), effect, Level::default(), POWER).map(of_each));
    let by_k = match measured {
        Some(_) => vec![lineup.trajectories],
        None => vec![4, 16, 64],
    };
    ClaimPlan {
        problems: by_k.into_iter().map(needed).collect(),
        detectable: minimum_detectable_effect(variance(lineup.trajectories), in_all, Level::default(), POWER),
        is_from_pilot: measured.is_some(),
        comparisons,
        claim,
    }
}

fn assumed(claim: &Claim) -> PairedVariance {
    let square = |x: f64| x * x;
    PairedVariance {
        between: square(claim.power.between_sd),
        within_left: square(claim.power.within_sd),
        within_right: 0.0,
    }
}

/// Variance of one problem's contribution, from the interval of a pilot.
fn measured_variance(claim: &Claim, finding: &Finding) -> Option<f64> {
    let estimate = finding.estimate?;
    let effect = finding.minimum_detectable_effect?;
    let effect = match claim.scale {
        super::registry::Scale::Difference => effect,
        super::registry::Scale::Ratio => effect.ln(),
    };
    let unit = minimum_detectable_effect(1.0, 1, Level::default(), POWER)?;
    Some((effect / unit).powi(2) * estimate.n as f64)
}

fn comparisons(lineup: &Lineup, claim: &Claim) -> Result<Comparisons, String> {
    let test = test_of(&claim.id).ok_or("it has no test")?;
    let all = (test.comparisons)(lineup)?;
    let pairs = |c: &Comparison| {
        let tasks = c.tasks.clone();
        c.models.clone().into_iter().flat_map(move |m| tasks.clone().into_iter().map(move |t| (m, t)))
    };
    let mut series: Vec<(usize, usize)> = all.iter().flat_map(pairs).collect();
    series.sort_unstable();
    series.dedup();
    let strata: BTreeSet<usize> = all.iter().flat_map(|comparison| strata(lineup, comparison)).collect();
    Ok(Comparisons { count: all.len(), series, strata: strata.into_iter().collect() })
}

/// The tasks whose problems a comparison counts.
fn strata(lineup: &Lineup, comparison: &Comparison) -> Vec<usize> {
    let is_variation = |task: &usize| !lineup.tasks[*task].variants.is_empty();
    let variations: Vec<usize> = comparison.tasks.iter().copied().filter(is_variation).collect();
    if variations.is_empty() { comparison.tasks.clone() } else { variations }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::registry::claims;
    use crate::claims::simulated::{Run, finding_of};
    use crate::model_facts::Kind;

    fn claim(id: &str) -> Claim {
        claims().into_iter().find(|claim| claim.id == id).unwrap()
    }

    fn run(problems: usize) -> Run {
        Run::new(problems, 16).model("a", |_, tokens| 0.3 + 0.1 * (tokens / 32.0).log10())
    }

    #[test]
    fn half_the_effect_takes_four_times_the_problems_and_more_trajectories_take_fewer() {
        let lineup = run(10).lineup();
        let full = plan(&lineup, &[32], claim("log-linear"), None);
        let mut stricter = claim("log-linear");
        stricter.power.effect /= 2.0;
        let half = plan(&lineup, &[32], stricter, None);
        let counts = |plan: &ClaimPlan| plan.problems.iter().map(|(_, p)| p.unwrap()).collect::<Vec<_>>();
        for (few, many) in counts(&full).iter().zip(counts(&half)) {
            assert!((many as f64 / *few as f64 - 4.0).abs() < 0.05, "{few} {many}");
        }
        assert!(counts(&full).is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn a_pilot_of_more_problems_plans_the_same_number() {
        let planned = |problems: usize| {
            let pilot = finding_of("log-linear", &run(problems));
            plan(&run(10).lineup(), &[32], claim("log-linear"), Some(&pilot)).problems[0].1.unwrap() as f64
        };
        let (small, large) = (planned(60), planned(600));
        assert!((small / large).ln().abs() < 0.5, "{small} {large}");
    }

    #[test]
    fn what_the_sweep_lacks_is_known_without_data() {
        let lineup = run(10).lineup();
        assert!(
            plan(&lineup, &[32], claim("distillation"), None).comparisons.unwrap_err().contains("teacher")
        );
        let found = plan(&lineup, &[32], claim("log-linear"), None).comparisons.unwrap();
        assert_eq!((found.count, found.series, found.strata), (1, vec![(0, 0)], vec![0]));
    }

    #[test]
    fn a_sweep_that_is_its_own_pilot_detects_what_the_pilot_did_however_many_tasks_there_are() {
        for id in ["log-linear", "best-of-n", "short-evals-mislead"] {
            let run = run(40).model("b", |_, tokens| 0.5 + 0.05 * (tokens / 32.0).log10()).tasks(3);
            let pilot = finding_of(id, &run);
            let planned = plan(&run.lineup(), &[40; 3], claim(id), Some(&pilot));
            let (found, expected) = (planned.detectable.unwrap(), pilot.minimum_detectable_effect.unwrap());
            assert!((found / expected - 1.0).abs() < 1e-9, "{id}: {found} {expected}");
        }
    }

    #[test]
    fn three_tasks_need_a_third_of_the_problems_each() {
        let needed = |tasks: usize| {
            let lineup = run(10).tasks(tasks).lineup();
            plan(&lineup, &vec![10; tasks], claim("log-linear"), None).problems[0].1.unwrap()
        };
        assert_eq!(needed(3), needed(1).div_ceil(3));
    }

    #[test]
    fn the_problems_of_a_perturbed_task_are_those_of_the_claim_about_it_alone() {
        let run = run(10).perturbed(|_, _| 0.2).kind(Kind::Distilled).model("b", |_, t| t / 600.0);
        let lineup = run.perturbed(|_, _| 0.1).kind(Kind::Reasoning).lineup();
        let strata = |id: &str| plan(&lineup, &[40, 10], claim(id), None).comparisons.unwrap().strata;
        assert_eq!((strata("brittleness"), strata("log-linear")), (vec![1], vec![0]));
    }
}
