//! Seconds per token are not the same early and late in a thought.
//!
//! Ratio of seconds per token after the middle budget to those before it, sums over the trajectories that reach so far.
//! Later tokens attend to more, and are sampled in emptier batches when only long thoughts are left.
//!
//! Counted are the tokens whose decode steps are in the seconds: the first token of a thought comes with the prompt, whose
//! seconds stand apart. Of a served model no step is known, and what a client waits for holds prompts and the network.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::Measured;
use crate::cell::Budget;
use crate::observation::{Observation, ObservedAnswer};
use crate::trajectory::Thought;

/// The part of a thought before the middle budget is at most so much of the longest.
const EARLY: u32 = 4;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let is_local = |model: &usize| lineup.models[*model].facts.served_as.is_none();
    let all = lineup.thinkers(2).filter(is_local).filter(|&m| middle(lineup, m).is_some());
    let models: Vec<Vec<usize>> = all.map(|model| vec![model]).collect();
    lineup.on_every_task(
        &models,
        "a model that thinks and ran here, with a budget of at most a quarter of its longest",
    )
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

/// Seconds and decode steps after and before the middle of one thought; absent if it ended before.
fn split(trajectory: &Observation, middle: u32) -> Option<[f64; 4]> {
    let steps = |answer: &ObservedAnswer| steps(trajectory.thought, answer);
    let at = trajectory.answers.iter().find(|answer| answer.budget == Budget::Tokens(middle))?;
    let last = trajectory.answers.iter().max_by_key(|answer| steps(answer))?;
    let late = steps(last).checked_sub(steps(at)).filter(|steps| *steps > 0)?;
    let late_s = last.reasoning_s - at.reasoning_s;
    Some([late_s, f64::from(late), at.reasoning_s, f64::from(steps(at))])
}

/// Decode steps in the seconds of a thought up to an answer, as the scheduler charges them. Its first token comes with the
/// prompt; the last token of a thought that is cut is fed with what closes it, in the answer's seconds; a thought that
/// ends by itself feeds its last token to learn so.
fn steps(thought: Thought, answer: &ObservedAnswer) -> u32 {
    let ended_itself = answer.budget == Budget::Max && thought != Thought::Cut;
    (answer.reasoning_tokens + u32::from(ended_itself)).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::{Budget, Observation, ObservedAnswer, Thought, split};
    use crate::claims::simulated::{Run, finding_of, verdict_of};
    use crate::claims::verdict::Verdict::*;
    use crate::outcome::Outcome;

    /// A thought of so many tokens whose every step took a second, with its answers after 128 tokens and at its end.
    fn thought(tokens: u32, thought: Thought, end: Budget, steps: u32) -> Observation {
        let answer = |budget, reasoning_tokens, steps| ObservedAnswer {
            budget,
            reasoning_tokens,
            answer_tokens: 8,
            outcome: Outcome::Wrong,
            class: None,
            logprob_mean: None,
            reasoning_s: f64::from(steps),
            answer_s: 9.0,
        };
        let answers = [answer(Budget::Tokens(128), 128, 127), answer(end, tokens, steps)].into();
        let (trajectory, prompt_tokens, prompt_s) = (0, 10, 1.0);
        Observation { trajectory, prompt_tokens, reasoning_tokens: tokens, thought, prompt_s, answers }
    }

    #[test]
    fn steps_that_cost_the_same_do_so_early_and_late_however_a_thought_ends() {
        let ends = [
            (512, Thought::Cut, Budget::Tokens(512), 511),
            (200, Thought::Cut, Budget::Max, 199),
            (160, Thought::Closed, Budget::Max, 160),
            (160, Thought::Stopped, Budget::Max, 160),
            (128, Thought::Closed, Budget::Max, 128),
        ];
        for (tokens, how, end, steps) in ends {
            let late = f64::from(steps - 127);
            assert_eq!(split(&thought(tokens, how, end, steps), 128), Some([late, late, 127.0, 127.0]));
        }
        assert_eq!(split(&thought(128, Thought::Cut, Budget::Tokens(128), 127), 128), None);
    }

    #[test]
    fn a_run_whose_steps_all_cost_the_same_has_a_ratio_of_one() {
        let value = finding_of("token-price", &slower(1.0, 0.002, 60)).estimate.unwrap().value;
        assert!((value - 1.0).abs() < 5e-4, "{value}");
    }

    #[test]
    fn what_a_client_waited_for_is_not_the_price_of_a_token() {
        assert_eq!(verdict_of("token-price", &slower(1.5, 0.1, 30).served()), NotTestable);
    }

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
