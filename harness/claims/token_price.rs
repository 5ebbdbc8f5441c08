//! Seconds per token are not the same early and late in a thought.
//!
//! Ratio of seconds per token after the middle budget to those before it, sums over the trajectories that reach so far.
//! Later tokens attend to more, and are sampled in emptier batches when only long thoughts are left.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::Measured;
use crate::cell::Budget;
use crate::observation::Observation;

/// The part of a thought before the middle budget is at most so much of the longest.
const EARLY: u32 = 4;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let models: Vec<Vec<usize>> =
        lineup.thinkers(2).filter(|&m| middle(lineup, m).is_some()).map(|model| vec![model]).collect();
    lineup.on_every_task(&models, "a model that thinks, with a budget of at most a quarter of its longest")
}

/// The largest budget of at most a quarter of the longest.
fn middle(lineup: &Lineup, model: usize) -> Option<u32> {
    let tokens = |budget: Budget| if let Budget::Tokens(tokens) = budget { Some(tokens) } else { None };
    let all: Vec<u32> = lineup.models[model].thinking_budgets().filter_map(tokens).collect();
    let longest = *all.last()?;
    all.into_iter().rev().find(|tokens| tokens * EARLY <= longest)
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let (model, task) = (comparison.models[0], comparison.tasks[0]);
    let middle = middle(evidence.lineup, model).ok_or("no budget of at most a quarter of the longest")?;
    let mut columns: [Vec<f64>; 4] = Default::default();
    for problem in evidence.sampled(model, task) {
        let parts = problem.trajectories.iter().filter_map(|t| split(t, middle));
        let sums = parts.fold([0.0; 4], |sum, part| std::array::from_fn(|i| sum[i] + part[i]));
        columns.iter_mut().zip(sums).for_each(|(column, sum)| column.push(sum));
    }
    if columns[1].iter().sum::<f64>() == 0.0 {
        return Err(format!("no thought goes beyond {middle} tokens"));
    }
    let [late_s, late, early_s, early] = &columns;
    let statistic = |m: &[f64]| {
        let ratio = (m[0] / m[1]) / (m[2] / m[3]);
        (ratio > 0.0 && ratio.is_finite()).then(|| ratio.ln())
    };
    let stratum = &evidence.lineup.tasks[task].name;
    let measured = Measured::statistic(stratum, &[late_s, late, early_s, early], statistic)?;
    Ok(measured.noting(format!("after token {middle} against before")))
}

/// Seconds and tokens after and before the middle of one thought; absent if it ended before.
fn split(trajectory: &Observation, middle: u32) -> Option<[f64; 4]> {
    let at = trajectory.answers.iter().find(|answer| answer.budget == Budget::Tokens(middle))?;
    let last = trajectory.answers.iter().max_by_key(|answer| answer.reasoning_tokens)?;
    let late = last.reasoning_tokens.checked_sub(at.reasoning_tokens).filter(|tokens| *tokens > 0)?;
    let late_s = last.reasoning_s - at.reasoning_s;
    Some([late_s, f64::from(late), at.reasoning_s, f64::from(at.reasoning_tokens)])
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;

    fn slower(by: f64, jitter: f64, problems: usize) -> Run {
        Run::new(problems, 8).model("a", |_, _| 0.5).slower_at_512(by).time_jitter(jitter)
    }

    #[test]
    fn tokens_that_get_dearer_are_told_from_tokens_that_do_not() {
        assert_eq!(verdict_of("token-price", &slower(1.5, 0.1, 30)), Supported);
        assert_eq!(verdict_of("token-price", &slower(0.8, 0.1, 30)), Contradicted);
        assert_eq!(verdict_of("token-price", &slower(1.0, 0.5, 8)), Inconclusive);
    }

    #[test]
    fn budgets_that_are_close_cannot_be_split() {
        assert_eq!(verdict_of("token-price", &slower(1.5, 0.1, 20).budgets(&[0, 300, 512])), NotTestable);
    }
}
