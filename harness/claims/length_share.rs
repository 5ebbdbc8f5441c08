//! How much of a reasoning model's gain over a direct one is the length of its thoughts.
//!
//! `share = (f1(longest) - f1(0)) / (f1(longest) - f0)`: f1 is the reasoning model, made not to think for f1(0), and f0 the
//! direct model of its size. Above 1: without thinking the reasoning model is worse than the direct one.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::Measured;
use crate::cell::Budget;
use crate::statistics::{Level, mean, paired_share_difference};

/// A gain whose interval begins below this cannot be split.
const LEAST_GAIN: f64 = 0.05;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let has_zero = |&(thinker, _): &(usize, usize)| lineup.models[thinker].budgets[0] == Budget::Tokens(0);
    let pairs = lineup.thinker_and_direct().into_iter().filter(has_zero).map(|(t, d)| vec![t, d]);
    lineup.on_every_task(
        &pairs.collect::<Vec<_>>(),
        "a reasoning model with budget 0 among its budgets, and a direct model (kind = \"direct\") of its size and family",
    )
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let task = comparison.tasks[0];
    let thinker = evidence.levels(comparison.models[0], task)?;
    let direct = evidence.levels(comparison.models[1], task)?;
    let unthinking = thinker.first().filter(|level| level.budget == Budget::Tokens(0));
    let ends = unthinking.zip(thinker.last()).zip(direct.last());
    let ((unthinking, longest), direct) = ends.ok_or("most problems lack an answer at budget 0")?;
    let gain = paired_share_difference(&longest.accuracy, &direct.accuracy, Level::default())
        .map_err(|why| why.to_string())?;
    if gain.ci_low < LEAST_GAIN {
        let (value, low, high) = (gain.value, gain.ci_low, gain.ci_high);
        return Err(format!(
            "the gain to be split is {value:.2} [{low:.2}, {high:.2}]: too small or uncertain"
        ));
    }
    let columns = [&longest.accuracy[..], &unthinking.accuracy, &direct.accuracy];
    let share = |m: &[f64]| (m[0] > m[2]).then(|| (m[0] - m[1]) / (m[0] - m[2]));
    let note = format!(
        "gain over the direct model {:.2} [{:.2}, {:.2}]; of it by training at budget 0: {:+.2}",
        gain.value,
        gain.ci_low,
        gain.ci_high,
        mean(&unthinking.accuracy) - mean(&direct.accuracy)
    );
    let measured = Measured::statistic(&evidence.lineup.tasks[task].name, &columns, share)?;
    Ok(measured.bounded(0..3, 0.0, 1.0).noting(note))
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, finding_of, verdict_of};
    use crate::claims::verdict::Verdict::*;
    use crate::model_facts::Kind;

    /// A gain of 0.6, `by_length` of it only with thought.
    fn gain(by_length: f64, problems: usize) -> Run {
        let rise = |tokens: f64| (tokens / 512.0).powf(0.5);
        Run::new(problems, 16)
            .model("thinks", move |_, tokens| 0.8 - by_length * (1.0 - rise(tokens)))
            .model("direct", |_, _| 0.2)
            .kind(Kind::Direct)
    }

    #[test]
    fn the_larger_part_is_found_whichever_it_is() {
        assert_eq!(verdict_of("length-share", &gain(0.57, 60)), Supported);
        assert_eq!(verdict_of("length-share", &gain(0.20, 60)), Contradicted);
        assert_eq!(verdict_of("length-share", &gain(0.40, 10)), Inconclusive);
    }

    #[test]
    fn without_a_gain_or_a_direct_model_there_is_nothing_to_split() {
        let flat = Run::new(30, 8).model("thinks", |_, _| 0.3).model("direct", |_, _| 0.3).kind(Kind::Direct);
        assert_eq!(verdict_of("length-share", &flat), NotTestable);
        assert_eq!(verdict_of("length-share", &Run::new(30, 8).model("thinks", |_, _| 0.3)), NotTestable);
    }

    #[test]
    fn a_gain_that_is_not_surely_above_five_points_is_not_split() {
        let of = |gain: f64, problems| {
            let run = Run::new(problems, 16)
                .model("thinks", move |_, tokens| 0.3 + gain * tokens / 512.0)
                .model("direct", |_, _| 0.3)
                .kind(Kind::Direct);
            finding_of("length-share", &run)
        };
        assert!(of(0.20, 100).estimate.is_some(), "large and sure");
        for (why, found) in [("small", of(0.04, 400)), ("uncertain", of(0.10, 6))] {
            assert!(found.verdict == NotTestable && found.estimate.is_none(), "{why}: {:?}", found.estimate);
            let said = found.missing.iter().any(|missing| missing.contains("the gain to be split is 0."));
            assert!(said, "{why}: {:?}", found.missing);
        }
    }
}
