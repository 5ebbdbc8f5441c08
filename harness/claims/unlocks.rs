//! Reasoning training solves problems that the model before it does not solve at any n.
//!
//! A problem is unlocked if the direct model solves it in none of its N trajectories and the reasoning model of its size,
//! at its longest budget, in at least half of them. Nothing of N trajectories bounds the chance of one by 3 / N (95 %): it
//! is not impossibility, and more trajectories of the direct model can only lower the share.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::Measured;
use crate::slice::Slice;
use crate::statistics::{Level, Tally, mean_share};

/// Fewest trajectories for "at any n" to mean anything.
const TRAJECTORIES: u32 = 8;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let missing = "a reasoning model and a direct model (kind = \"direct\") of its size and family, with 8 trajectories each";
    let pairs: Vec<Vec<usize>> = lineup.thinker_and_direct().into_iter().map(|(t, d)| vec![t, d]).collect();
    lineup.on_every_task(if lineup.trajectories < TRAJECTORIES { &[] } else { &pairs }, missing)
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let task = comparison.tasks[0];
    let tallies = |model: usize| -> Result<Vec<Tally>, Missing> {
        let budget = *evidence.lineup.models[model].budgets.last().ok_or("no budget")?;
        let slice = Slice::new(&evidence.sampled(model, task), budget);
        Ok(slice.ok_or("no problem with enough trajectories")?.tallies())
    };
    let (after, before) = (tallies(comparison.models[0])?, tallies(comparison.models[1])?);
    let unlocked =
        |(after, before): (&Tally, &Tally)| before.correct == 0 && 2 * after.correct >= after.trajectories;
    let values: Vec<f64> =
        after.iter().zip(&before).map(|pair| f64::from(u8::from(unlocked(pair)))).collect();
    let estimate = mean_share(&values, 1, Level::default()).map_err(|why| why.to_string())?;
    let locked = before.iter().filter(|tally| tally.correct == 0).count();
    let trajectories = before.iter().map(|tally| tally.trajectories).min().unwrap_or(0);
    let note = format!(
        "{} of {locked} problems that the direct model solves in none of {trajectories}",
        values.iter().filter(|value| **value > 0.0).count()
    );
    Ok(Measured::interval(&evidence.lineup.tasks[task].name, estimate).noting(note))
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;
    use crate::model_facts::Kind;

    /// The direct model can do nothing on a share `locked` of the problems, and a tenth of the rest.
    fn locked(locked: f64, problems: usize) -> Run {
        Run::new(problems, 64)
            .model("thinks", |_, _| 0.95)
            .model("direct", move |ease, _| if ease < locked { 0.0 } else { 0.4 })
            .kind(Kind::Direct)
    }

    #[test]
    fn problems_out_of_reach_are_found_and_a_model_that_solves_all_rarely_has_none() {
        assert_eq!(verdict_of("unlocks", &locked(0.3, 60)), Supported);
        assert_eq!(verdict_of("unlocks", &locked(0.0, 120)), Contradicted);
        assert_eq!(verdict_of("unlocks", &locked(0.12, 12)), Inconclusive);
    }

    #[test]
    fn four_trajectories_are_no_any_n() {
        let run = Run::new(20, 4).model("thinks", |_, _| 0.9).model("direct", |_, _| 0.1).kind(Kind::Direct);
        assert_eq!(verdict_of("unlocks", &run), NotTestable);
    }
}
