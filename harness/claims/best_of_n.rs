//! What the choice among several completions adds to what one longer thought buys for the same cost.

use super::Missing;
use super::equal_cost::{Choice, advantage};
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::measured::Measured;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let missing = "a model that thinks, n above 1 among at most half of the trajectories, and a strategy (verifier, maj or weighted)";
    let has_n = lineup.n.iter().any(|&n| n > 1 && n * 2 <= lineup.trajectories);
    let models: Vec<Vec<usize>> = lineup.thinkers(2).map(|model| vec![model]).collect();
    let mut all = lineup.on_every_task(if has_n { &models } else { &[] }, missing)?;
    all.retain(|comparison| lineup.tasks[comparison.tasks[0]].choice.is_some());
    if all.is_empty() { Err(missing.into()) } else { Ok(all) }
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let task = comparison.tasks[0];
    let choices = evidence.choices(comparison.models[0], task);
    let all: Vec<&Choice> = choices.iter().collect();
    let single: Vec<&Choice> = choices.iter().filter(|choice| choice.n == 1).collect();
    if single.is_empty() {
        return Err("no problem with enough trajectories".into());
    }
    let (difference, note) = advantage(&all, &single)?;
    let facts = &evidence.lineup.tasks[task];
    let strategy = facts.choice.map_or("", |strategy| strategy.name());
    let measured = Measured::statistic(&facts.name, &[&difference], |m| Some(m[0]))?;
    Ok(measured.bounded(0..1, -1.0, 1.0).noting(format!("{strategy}; {note}")))
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;

    #[test]
    fn many_short_thoughts_win_where_longer_ones_add_nothing_and_lose_where_only_length_solves() {
        let flat = Run::new(40, 16).model("search", |_, tokens| if tokens < 20.0 { 0.02 } else { 0.3 });
        assert_eq!(verdict_of("best-of-n", &flat), Supported);
        // Serial: nothing below 400 tokens, so n short thoughts buy nothing. That holds on each problem seen, and 200 of
        // them leave less than the threshold to those not seen.
        let serial = Run::new(200, 16).model("serial", |_, tokens| if tokens < 200.0 { 0.0 } else { 0.95 });
        assert_eq!(verdict_of("best-of-n", &serial), Contradicted);
    }

    #[test]
    fn three_problems_that_all_agree_leave_it_open() {
        for chance in [0.0, 1.0] {
            let run = Run::new(3, 8).model("a", move |_, _| chance);
            assert_eq!(verdict_of("best-of-n", &run), Inconclusive);
        }
    }

    #[test]
    fn few_problems_leave_it_open_and_a_single_n_cannot_be_asked() {
        let even = |problems| Run::new(problems, 8).model("a", |_, tokens| 0.6 * (tokens / 512.0).powf(0.85));
        assert_eq!(verdict_of("best-of-n", &even(5)), Inconclusive);
        assert_eq!(verdict_of("best-of-n", &even(20).n(&[1])), NotTestable);
    }
}
