//! What a claim would take, before anything is spent.
//!
//! `problems = (z_0.975 + z_power)^2 (between^2 + within^2 / K) / effect^2` (Miller 2024, equation 9), with deviations that
//! the registry assumes, or with what a pilot run measured: there the standard error of a claim's estimate on P problems gives
//! `between^2 + within^2 / K` as `P se^2`, at the pilot's K.

use super::lineup::Lineup;
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
}

/// Plans a claim on a lineup with so many problems per task.
pub fn plan(lineup: &Lineup, problems: usize, claim: Claim, pilot: Option<&Finding>) -> ClaimPlan {
    let measured = pilot.and_then(|finding| measured_variance(&claim, finding));
    let variance =
        |trajectories: u32| measured.unwrap_or_else(|| assumed(&claim).total(trajectories as usize, 1));
    let effect = claim.power.effect;
    let needed = |k: u32| (k, problems_needed(variance(k), effect, Level::default(), POWER));
    let by_k = match measured {
        Some(_) => vec![lineup.trajectories],
        None => vec![4, 16, 64],
    };
    ClaimPlan {
        comparisons: comparisons(lineup, &claim),
        problems: by_k.into_iter().map(needed).collect(),
        detectable: minimum_detectable_effect(
            variance(lineup.trajectories),
            problems,
            Level::default(),
            POWER,
        ),
        is_from_pilot: measured.is_some(),
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
    let pairs = |c: &super::lineup::Comparison| {
        let tasks = c.tasks.clone();
        c.models.clone().into_iter().flat_map(move |m| tasks.clone().into_iter().map(move |t| (m, t)))
    };
    let mut series: Vec<(usize, usize)> = all.iter().flat_map(pairs).collect();
    series.sort_unstable();
    series.dedup();
    Ok(Comparisons { count: all.len(), series })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::registry::claims;
    use crate::claims::simulated::{Run, finding_of};

    fn claim(id: &str) -> Claim {
        claims().into_iter().find(|claim| claim.id == id).unwrap()
    }

    fn run(problems: usize) -> Run {
        Run::new(problems, 16).model("a", |_, tokens| 0.3 + 0.1 * (tokens / 32.0).log10())
    }

    #[test]
    fn half_the_effect_takes_four_times_the_problems_and_more_trajectories_take_fewer() {
        let lineup = run(10).lineup();
        let full = plan(&lineup, 32, claim("log-linear"), None);
        let mut stricter = claim("log-linear");
        stricter.power.effect /= 2.0;
        let half = plan(&lineup, 32, stricter, None);
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
            plan(&run(10).lineup(), 32, claim("log-linear"), Some(&pilot)).problems[0].1.unwrap() as f64
        };
        let (small, large) = (planned(60), planned(600));
        assert!((small / large).ln().abs() < 0.5, "{small} {large}");
    }

    #[test]
    fn what_the_sweep_lacks_is_known_without_data() {
        let lineup = run(10).lineup();
        assert!(plan(&lineup, 32, claim("distillation"), None).comparisons.unwrap_err().contains("teacher"));
        let found = plan(&lineup, 32, claim("log-linear"), None).comparisons.unwrap();
        assert_eq!((found.count, found.series), (1, vec![(0, 0)]));
    }
}
