//! A small model with more inference against a larger one, for the same cost.

use super::Missing;
use super::equal_cost::{Choice, advantage};
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::Measured;
use crate::model_facts::Kind;

/// Least ratio of parameters that makes a model the larger one.
const LARGER: f64 = 1.5;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let is_plain = |model: &usize| matches!(lineup.models[*model].kind(), None | Some(Kind::Reasoning));
    let plain: Vec<usize> = lineup.thinkers(1).filter(is_plain).collect();
    let is_larger = |large: usize, small: usize| lineup.size_ratio(large, small).is_some_and(|r| r >= LARGER);
    let of =
        |&small: &usize| plain.iter().filter(move |&&l| is_larger(l, small)).map(move |&l| vec![small, l]);
    let pairs: Vec<Vec<usize>> = plain.iter().flat_map(of).collect();
    lineup.on_every_task(
        &pairs,
        "two models that think and learnt without a teacher, one half as large again as the other",
    )
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let task = comparison.tasks[0];
    let [small, large] = [0, 1].map(|i| evidence.choices(comparison.models[i], task));
    let (small, large): (Vec<&Choice>, Vec<&Choice>) = (small.iter().collect(), large.iter().collect());
    if small.is_empty() || large.is_empty() {
        return Err("no problem with enough trajectories".into());
    }
    let (difference, note) = advantage(&small, &large)?;
    let stratum = &evidence.lineup.tasks[task].name;
    let measured = Measured::statistic(stratum, &[&difference], |m| Some(m[0]))?;
    Ok(measured.bounded(0..1, -1.0, 1.0).noting(note))
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;

    /// A model ten times as large whose tokens cost ten times as much; the small one is `worse`.
    fn sizes(worse: f64, problems: usize) -> Run {
        let rise = |tokens: f64| 0.1 + 0.6 * (tokens / 512.0).powf(0.3);
        Run::new(problems, 16)
            .model("small", move |_, tokens| rise(tokens) * worse)
            .seconds_per_token(1e-4)
            .parameters(100)
            .model("large", move |_, tokens| rise(tokens))
            .seconds_per_token(1e-3)
            .parameters(1000)
    }

    #[test]
    fn ten_cheap_tries_beat_one_good_one_unless_the_small_model_can_do_nothing() {
        assert_eq!(verdict_of("small-plus-compute", &sizes(0.9, 40)), Supported);
        assert_eq!(verdict_of("small-plus-compute", &sizes(0.02, 40)), Contradicted);
        assert_eq!(verdict_of("small-plus-compute", &sizes(0.30, 4)), Inconclusive);
    }

    #[test]
    fn models_of_one_size_are_not_compared() {
        let run = Run::new(20, 8).model("a", |_, _| 0.5).model("b", |_, _| 0.6);
        assert_eq!(verdict_of("small-plus-compute", &run), NotTestable);
    }
}
