//! A distilled model loses more under perturbation than one that learnt without a teacher.
//!
//! Difference in differences: what the distilled model loses from original to perturbed problems, less what a reference loses
//! that is just as good on the originals. The reference is matched by its curve: where it reaches the distilled model's
//! accuracy on the originals, its accuracy on the perturbed problems is read off at the same cost. Where it never comes
//! within two points of that accuracy, there is nothing to compare: a model that has more to lose loses more. Clusters are
//! the originals, each with all its variations.

use std::collections::BTreeMap;

use super::Missing;
use super::distillation::distilled;
use super::evidence::{Evidence, Level};
use super::lineup::{Comparison, Lineup};
use super::log_linear::points;
use super::measured::Measured;
use crate::model_facts::Kind;
use crate::statistics::{Point, cost_at};

/// Fewest originals with a variation.
const ORIGINALS: usize = 5;
/// Accuracies on the originals that are farther apart are not equal (the science note's T7).
const EQUAL: f64 = 0.02;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let pairs: Vec<(usize, usize)> = task_pairs(lineup);
    if pairs.is_empty() {
        return Err(
            "a task whose problems are variations (`variant_of`) of another task's in the sweep".into()
        );
    }
    let mut all = Vec::new();
    for student in distilled(lineup) {
        let Some(reference) = reference(lineup, student) else { continue };
        for &(original, perturbed) in &pairs {
            let names = [student, reference].map(|model| lineup.models[model].name.as_str());
            let name = format!("{} and {} on {}", names[0], names[1], lineup.tasks[perturbed].name);
            all.push(Comparison { name, models: vec![student, reference], tasks: vec![original, perturbed] });
        }
    }
    if all.is_empty() {
        return Err("a distilled model (kind = \"distilled\") and one that learnt without a teacher (kind = \"reasoning\")".into());
    }
    Ok(all)
}

/// Originals with their perturbed tasks.
fn task_pairs(lineup: &Lineup) -> Vec<(usize, usize)> {
    let of = |perturbed: usize| lineup.tasks[perturbed].originals.iter().map(move |o| (*o, perturbed));
    (0..lineup.tasks.len()).flat_map(of).collect()
}

/// A model that learnt without a teacher: of the same size if there is one, else the nearest.
fn reference(lineup: &Lineup, student: usize) -> Option<usize> {
    let distance =
        |model: usize| lineup.size_ratio(model, student).map_or(f64::MAX, |ratio| ratio.ln().abs());
    let peers = lineup.thinkers(2).filter(|&model| lineup.models[model].kind() == Some(Kind::Reasoning));
    peers.min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let [original, perturbed] = [comparison.tasks[0], comparison.tasks[1]];
    let matching = Matching::new(evidence, original, perturbed);
    let originals = matching.originals.len();
    if originals < ORIGINALS {
        return Err(format!(
            "{originals} problems of the run have a variation in it, at least {ORIGINALS} are needed"
        ));
    }
    let columns = matching.columns(evidence, comparison)?;
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let at_match = |m: &[f64]| {
        let (accuracies, perturbed) = m[2..].split_at(2 * (m.len() - 2) / 3);
        matched(&points(accuracies), perturbed, m[0])
    };
    let statistic = move |m: &[f64]| at_match(m).map(|(good, kept)| (m[0] - m[1]) - (good - kept));
    let means: Vec<f64> = columns.iter().map(|column| mean(column)).collect();
    let (good, _) = at_match(&means).ok_or("the reference has no accuracy above a cost of 0")?;
    if (means[0] - good).abs() > EQUAL {
        return Err(format!(
            "their accuracies on the originals are never equal: {:.2}, and {good:.2} where the reference is nearest",
            means[0]
        ));
    }
    let stratum = &evidence.lineup.tasks[perturbed].name;
    let note = format!("{originals} originals, accuracies on them {:.2} and {good:.2}", means[0]);
    Ok(Measured::statistic(stratum, &columns, statistic)?.noting(note))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The reference's accuracy on originals and perturbed problems, where the former is nearest to `accuracy`.
fn matched(originals: &[Point], perturbed: &[f64], accuracy: f64) -> Option<(f64, f64)> {
    let ends = originals.iter().map(|p| p.accuracy);
    let highest = ends.clone().fold(f64::NEG_INFINITY, f64::max);
    let lowest = ends.fold(f64::INFINITY, f64::min);
    let cost = cost_at(originals, accuracy.clamp(lowest, highest))?;
    let under: Vec<Point> =
        originals.iter().zip(perturbed).map(|(p, &accuracy)| Point { accuracy, ..*p }).collect();
    Some((at_cost(originals, cost)?, at_cost(&under, cost)?))
}

/// Accuracy at a cost, straight in the logarithm of cost between budgets.
fn at_cost(points: &[Point], cost: f64) -> Option<f64> {
    let after = points.iter().position(|p| p.cost >= cost * (1.0 - 1e-9))?;
    let Some(before) = after.checked_sub(1) else { return Some(points[0].accuracy) };
    let (low, high) = (points[before], points[after]);
    let share = (cost / low.cost).ln() / (high.cost / low.cost).ln();
    Some(low.accuracy + share.clamp(0.0, 1.0) * (high.accuracy - low.accuracy))
}

/// A model's budgets that both tasks have, ascending: one may lack a budget that most of its thoughts did not reach.
fn on_both<'a>(
    evidence: &'a Evidence,
    model: usize,
    tasks: &[usize],
) -> Result<Vec<(&'a Level, &'a Level)>, Missing> {
    let (originals, perturbed) = (evidence.levels(model, tasks[0])?, evidence.levels(model, tasks[1])?);
    let same = |level: &'a Level| Some((level, perturbed.iter().find(|other| other.budget == level.budget)?));
    let both: Vec<_> = originals.iter().filter_map(same).collect();
    if both.is_empty() {
        return Err(format!("{} has no budget on both tasks", evidence.lineup.models[model].name));
    }
    Ok(both)
}

/// Which rows of two tasks belong together.
struct Matching {
    /// Row of each original that has a variation.
    originals: Vec<usize>,
    /// Rows of the variations of each.
    variants: Vec<Vec<usize>>,
}

impl Matching {
    fn new(evidence: &Evidence, original: usize, perturbed: usize) -> Self {
        let rows: BTreeMap<&str, usize> =
            evidence.problems(original).into_iter().enumerate().map(|(row, id)| (id, row)).collect();
        let of = &evidence.lineup.tasks[perturbed].variants;
        let mut by_original: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, id) in evidence.problems(perturbed).into_iter().enumerate() {
            if let Some(&original) = of.get(id).and_then(|original| rows.get(original.as_str())) {
                by_original.entry(original).or_default().push(row);
            }
        }
        let (originals, variants) = by_original.into_iter().unzip();
        Self { originals, variants }
    }

    /// The student at its longest budget, original and perturbed; then the reference at every budget: tokens and
    /// accuracy on the originals, accuracy on the perturbed.
    fn columns(&self, evidence: &Evidence, comparison: &Comparison) -> Result<Vec<Vec<f64>>, Missing> {
        let [student, reference] = [comparison.models[0], comparison.models[1]];
        let levels = on_both(evidence, reference, &comparison.tasks)?;
        let (good, kept) = on_both(evidence, student, &comparison.tasks)?.pop().ok_or("no level")?;
        let mut columns = vec![self.of_original(&good.accuracy), self.of_variants(&kept.accuracy)];
        columns.extend(levels.iter().map(|(level, _)| self.of_original(&level.tokens)));
        columns.extend(levels.iter().map(|(level, _)| self.of_original(&level.accuracy)));
        columns.extend(levels.iter().map(|(_, under)| self.of_variants(&under.accuracy)));
        Ok(columns)
    }

    fn of_original(&self, values: &[f64]) -> Vec<f64> {
        self.originals.iter().map(|&row| values[row]).collect()
    }

    fn of_variants(&self, values: &[f64]) -> Vec<f64> {
        let mean = |rows: &Vec<usize>| rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64;
        self.variants.iter().map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::cell::Budget;
    use crate::claims::evidence::Evidence;
    use crate::claims::registry::claims;
    use crate::claims::simulated::{Run, finding_of, verdict_of};
    use crate::claims::verdict::{Verdict::*, finding};
    use crate::model_facts::Kind;
    use crate::observations::Observations;
    use crate::whole::tests::forget;

    /// Both lose a tenth under perturbation, the distilled model `more`.
    fn perturbed(more: f64, problems: usize) -> Run {
        let rise = |tokens: f64| 0.2 + 0.6 * (tokens / 512.0).sqrt();
        Run::new(problems, 16)
            .model("taught", move |_, tokens| 0.9 * rise(tokens))
            .perturbed(move |_, tokens| 0.9 * rise(tokens) - 0.1 - more)
            .kind(Kind::Distilled)
            .teacher("absent")
            .model("untaught", move |_, tokens| rise(tokens))
            .perturbed(move |_, tokens| rise(tokens) - 0.1)
            .kind(Kind::Reasoning)
    }

    #[test]
    fn a_model_that_loses_more_is_told_from_one_that_loses_the_same_though_their_accuracies_differ() {
        assert_eq!(verdict_of("brittleness", &perturbed(0.2, 60)), Supported);
        assert_eq!(verdict_of("brittleness", &perturbed(-0.05, 300)), Contradicted);
        assert_eq!(verdict_of("brittleness", &perturbed(0.03, 10)), Inconclusive);
    }

    #[test]
    fn models_that_are_never_equally_good_on_the_originals_are_not_compared() {
        let with_best = |best: f64| {
            let rise = move |tokens: f64| best * (0.6 + 0.4 * (tokens / 512.0).sqrt());
            Run::new(60, 16)
                .model("taught", |_, _| 0.9)
                .perturbed(|_, _| 0.6)
                .kind(Kind::Distilled)
                .teacher("absent")
                .model("untaught", move |_, tokens| rise(tokens))
                .perturbed(move |_, tokens| 0.6 * rise(tokens))
                .kind(Kind::Reasoning)
        };
        let finding = finding_of("brittleness", &with_best(0.4));
        assert!(finding.verdict == NotTestable && finding.missing[0].contains("never equal"));
        assert_ne!(verdict_of("brittleness", &with_best(0.95)), NotTestable);
    }

    #[test]
    fn a_budget_that_one_of_the_tasks_lacks_is_left_out_of_both() {
        let run = perturbed(0.2, 60);
        let without_32 = |tasks: &str| {
            let mut records = run.records();
            let affected =
                |r: &&mut crate::trajectory::Trajectory| r.model == "untaught" && r.task.contains(tasks);
            records.iter_mut().filter(affected).for_each(|record| forget(record, Budget::Tokens(32)));
            let observations = Observations::of(&records);
            let claim = claims().into_iter().find(|claim| claim.id == "brittleness").unwrap();
            finding(&Evidence::new(&run.lineup(), &observations), claim).estimate
        };
        assert!(without_32("perturbed").is_some());
        assert_eq!(without_32("perturbed"), without_32("simulated"));
    }

    #[test]
    fn without_perturbed_problems_it_is_not_testable() {
        let run =
            Run::new(20, 4).model("taught", |_, _| 0.5).kind(Kind::Distilled).model("untaught", |_, _| 0.5);
        let finding = finding_of("brittleness", &run);
        assert!(finding.verdict == NotTestable && finding.missing[0].contains("variant_of"));
    }
}
