//! Rankings at short budgets differ from rankings at long ones.
//!
//! A rank correlation of noisy accuracies is low even when nothing changes places, since noise alone reverses models that
//! are close. So the statistic is the largest *reversal*: over all pairs and tasks, the smaller of "how far the second model
//! leads at the short budget" and "how far the first leads at the long one". It is above 0 only if two models change
//! places. The interval is simultaneous over all pairs (Bonferroni); both halves of a reversal must hold, which needs
//! no further correction (intersection-union test, Berger 1982). A model that answers directly takes part with its only
//! answer.

use super::Missing;
use super::evidence::{Evidence, Level};
use super::lineup::{Comparison, Contestant, Lineup};
use super::measured::Measured;
use crate::cell::Budget;
use crate::statistics::{Estimate, Level as Confidence, kendall, paired_share_difference};

/// The long budget is at least so many times the short one.
const LONGER: u32 = 8;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let missing = "at least two models, one of which thinks, with budgets a factor of 8 apart in common";
    let models: Vec<usize> = (0..lineup.models.len()).filter(|&model| takes_part(lineup, model)).collect();
    let tasks: Vec<usize> = lineup.original_tasks().collect();
    let thinks = models.iter().any(|&model| lineup.models[model].budgets.len() > 1);
    if models.len() < 2 || !thinks || tasks.is_empty() {
        return Err(missing.into());
    }
    let (short, long) = budgets(lineup).ok_or(missing)?;
    let name = format!("{} models on {} tasks, {short} against {long} tokens", models.len(), tasks.len());
    Ok(vec![Comparison { name, models, tasks }])
}

/// The largest budget of the first thinking model, and the largest that is at most an eighth of it.
fn budgets(lineup: &Lineup) -> Option<(Budget, Budget)> {
    let thinker = lineup.thinkers(2).next()?;
    let all: Vec<u32> = lineup.models[thinker]
        .thinking_budgets()
        .filter_map(|budget| if let Budget::Tokens(tokens) = budget { Some(tokens) } else { None })
        .collect();
    let long = *all.last()?;
    let short = *all.iter().rev().find(|&&tokens| tokens * LONGER <= long)?;
    Some((Budget::Tokens(short), Budget::Tokens(long)))
}

/// Models with both budgets, and models with one answer for all.
fn takes_part(lineup: &Lineup, model: usize) -> bool {
    let own = &lineup.models[model].budgets;
    let has_both = |(short, long): (Budget, Budget)| own.contains(&short) && own.contains(&long);
    answers_directly(lineup, model) || budgets(lineup).is_some_and(has_both)
}

fn answers_directly(lineup: &Lineup, model: usize) -> bool {
    lineup.models[model].budgets == [Budget::Tokens(0)]
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let (short, long) = budgets(evidence.lineup).ok_or("no budgets a factor of 8 apart")?;
    let models = &comparison.models;
    let ordered = models.len() * (models.len() - 1) * comparison.tasks.len();
    let confidence = Confidence::new(1.0 - 0.05 / ordered as f64).ok_or("too many pairs")?;
    let (mut reversals, mut notes) = (Vec::new(), Vec::new());
    for &task in &comparison.tasks {
        let name = &evidence.lineup.tasks[task].name;
        let (at_short, at_long) = (at(evidence, models, task, short)?, at(evidence, models, task, long)?);
        notes.push(tau(name, &at_short, &at_long));
        for (i, j) in (0..models.len()).flat_map(|i| (0..models.len()).map(move |j| (i, j))) {
            if i != j {
                let found = reversal([at_short[i], at_short[j]], [at_long[i], at_long[j]], confidence)?;
                let [first, second] = [i, j].map(|m| evidence.lineup.models[models[m]].name.as_str());
                reversals.push((found, format!("{first} overtakes {second} on {name}")));
            }
        }
    }
    let most = reversals.iter().max_by(|a, b| a.0.value.total_cmp(&b.0.value)).ok_or("no pair")?;
    let end =
        |of: fn(&Estimate) -> f64| reversals.iter().map(|(e, _)| of(e)).fold(f64::NEG_INFINITY, f64::max);
    let n = comparison.tasks.iter().map(|&task| evidence.problems(task).len()).sum();
    let estimate = Estimate { ci_low: end(|e| e.ci_low), ci_high: end(|e| e.ci_high), n, ..most.0 };
    Ok(Measured::interval("", estimate).noting(format!("{}; {}", most.1, notes.join(", "))))
}

/// Every model at a budget; one that answers directly, at its only one. A model whose other budgets most problems lack is
/// not compared with itself.
fn at<'a>(
    evidence: &'a Evidence,
    models: &[usize],
    task: usize,
    budget: Budget,
) -> Result<Vec<&'a Level>, Missing> {
    let of = |&model: &usize| {
        let own = if answers_directly(evidence.lineup, model) { Budget::Tokens(0) } else { budget };
        let level = evidence.levels(model, task)?.iter().find(|level| level.budget == own);
        let Contestant { name, .. } = &evidence.lineup.models[model];
        level.ok_or_else(|| format!("most problems lack an answer of {name} at {own} tokens"))
    };
    models.iter().map(of).collect()
}

/// How far the second leads at the short budget and the first at the long one: the smaller of the two.
fn reversal(short: [&Level; 2], long: [&Level; 2], confidence: Confidence) -> Result<Estimate, Missing> {
    let lead = |a: &Level, b: &Level| {
        paired_share_difference(&a.accuracy, &b.accuracy, confidence).map_err(|why| why.to_string())
    };
    Ok(lesser(&lead(short[1], short[0])?, &lead(long[0], long[1])?))
}

/// The smaller of two numbers, with the smaller ends.
fn lesser(a: &Estimate, b: &Estimate) -> Estimate {
    Estimate {
        value: a.value.min(b.value),
        ci_low: a.ci_low.min(b.ci_low),
        ci_high: a.ci_high.min(b.ci_high),
        df: a.df.into_iter().chain(b.df).reduce(f64::min),
        n: a.n,
    }
}

fn tau(task: &str, short: &[&Level], long: &[&Level]) -> String {
    let means = |levels: &[&Level]| -> Vec<f64> {
        levels.iter().map(|level| level.accuracy.iter().sum::<f64>() / level.accuracy.len() as f64).collect()
    };
    match kendall(&means(short), &means(long)) {
        Some(tau) => format!("tau {tau:.2} on {task}"),
        None => format!("no tau on {task}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::cell::Budget;
    use crate::claims::evidence::Evidence;
    use crate::claims::registry::claims;
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::{Verdict::*, finding};
    use crate::model_facts::Kind;
    use crate::observations::Observations;
    use crate::whole::tests::forget;

    fn slow_and_quick(slow_start: f64, problems: usize) -> Run {
        Run::new(problems, 16)
            .model("slow", move |_, tokens| slow_start + 0.5 * (tokens / 512.0))
            .model("quick", |_, tokens| 0.4 + 0.1 * (tokens / 512.0))
    }

    #[test]
    fn a_model_that_overtakes_is_found_and_one_that_always_leads_is_not() {
        assert_eq!(verdict_of("short-evals-mislead", &slow_and_quick(0.15, 60)), Supported);
        assert_eq!(verdict_of("short-evals-mislead", &slow_and_quick(0.49, 200)), Contradicted);
        assert_eq!(verdict_of("short-evals-mislead", &slow_and_quick(0.32, 6)), Inconclusive);
    }

    #[test]
    fn models_that_are_alike_do_not_change_places_by_noise() {
        let same = |problems| {
            Run::new(problems, 4)
                .model("a", |_, t| t / 700.0)
                .model("b", |_, t| t / 700.0)
                .model("c", |_, t| t / 700.0)
        };
        assert_eq!(verdict_of("short-evals-mislead", &same(30)), Inconclusive);
    }

    #[test]
    fn one_model_has_no_ranking() {
        assert_eq!(verdict_of("short-evals-mislead", &Run::new(20, 4).model("a", |_, _| 0.5)), NotTestable);
    }

    #[test]
    fn a_model_that_answers_directly_is_ranked_by_its_only_answer() {
        let run = Run::new(60, 16)
            .model("slow", |_, tokens| 0.15 + 0.5 * (tokens / 512.0))
            .model("direct", |_, _| 0.4)
            .kind(Kind::Direct);
        assert_eq!(verdict_of("short-evals-mislead", &run), Supported);
    }

    #[test]
    fn a_model_of_which_one_budget_is_left_has_no_place_at_the_other() {
        let run = slow_and_quick(0.15, 60).budgets(&[64, 512]);
        let (lineup, mut records) = (run.lineup(), run.records());
        let of_quick = records.iter_mut().filter(|record| record.model == "quick");
        of_quick.for_each(|record| forget(record, Budget::Tokens(64)));
        let observations = Observations::of(&records);
        let claim = claims().into_iter().find(|claim| claim.id == "short-evals-mislead").unwrap();
        let found = finding(&Evidence::new(&lineup, &observations), claim);
        assert_eq!((found.verdict, found.estimate), (NotTestable, None));
        assert!(
            found.missing.iter().any(|missing| missing.contains("quick at 64 tokens")),
            "{:?}",
            found.missing
        );
    }
}
