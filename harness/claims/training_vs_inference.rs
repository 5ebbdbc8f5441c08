//! How much inference a factor of training replaces.
//!
//! Checkpoints of one size and recipe: each is some factor to the left of the least trained one in tokens at equal
//! accuracy; the slope of that factor on training compute, both in decades. A half means that 10,000 times the training
//! does what 100 times the inference does.
//!
//! Training compute is that of the reasoning training alone, without what a checkpoint started from. So a group has one start
//! and one recipe: the kind, teacher and base that are known of its checkpoints are the same.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::log_linear::points;
use super::measured::{Measured, columns};
use crate::model_facts::Lineage;
use crate::statistics::log_cost_ratio;

/// Training must differ by this factor in all.
const LEAST_FACTOR: f64 = 2.0;

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let flop = |model: usize| lineup.models[model].facts.lineage.training_flop;
    let known: Vec<usize> = lineup.thinkers(2).filter(|&m| flop(m).is_some_and(|flop| flop > 0.0)).collect();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &model in &known {
        match groups.iter_mut().find(|group| are_one_recipe(lineup, group[0], model)) {
            Some(group) => group.push(model),
            None => groups.push(vec![model]),
        }
    }
    for group in &mut groups {
        group.sort_by(|a, b| flop(*a).partial_cmp(&flop(*b)).unwrap_or(std::cmp::Ordering::Equal));
        group.dedup_by(|a, b| flop(*a) == flop(*b));
    }
    let spread = |group: &[usize]| Some(flop(*group.last()?)? / flop(*group.first()?)?);
    groups.retain(|group| group.len() >= 3 && spread(group).is_some_and(|factor| factor >= LEAST_FACTOR));
    lineup.on_every_task(
        &groups,
        "at least three checkpoints of one size, family and recipe (kind, teacher, base) with known training compute (training_flop) that differs by a factor of 2",
    )
}

fn are_one_recipe(lineup: &Lineup, left: usize, right: usize) -> bool {
    let recipe = |model: usize| {
        let Lineage { kind, teacher, base, .. } = &lineup.models[model].facts.lineage;
        (kind, teacher, base)
    };
    lineup.are_one_size(left, right) && recipe(left) == recipe(right)
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let task = comparison.tasks[0];
    let (mut all, mut ends, mut training) = (Vec::new(), Vec::new(), Vec::new());
    for &model in &comparison.models {
        all.extend(columns(evidence.levels(model, task)?, |level| &level.tokens));
        ends.push(all.len());
        let flop = evidence.lineup.models[model].facts.lineage.training_flop;
        training.push(flop.ok_or("a model without training compute")?.log10());
    }
    let statistic = move |m: &[f64]| {
        let start = |i: usize| if i == 0 { 0 } else { ends[i - 1] };
        let curve = |i: usize| points(&m[start(i)..ends[i]]);
        let least = curve(0);
        let decades = |i: usize| Some(log_cost_ratio(&least, &curve(i))? / std::f64::consts::LN_10);
        let saved = (1..ends.len()).map(decades).collect::<Option<Vec<_>>>()?;
        slope(&training, &[vec![0.0], saved].concat())
    };
    Measured::statistic(&evidence.lineup.tasks[task].name, &all, statistic)
}

/// Least squares; absent without spread in `x`.
pub(crate) fn slope(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len()) as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let sxx: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    let sxy: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    (sxx > 1e-12).then(|| sxy / sxx)
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;
    use crate::model_facts::Kind;

    /// Three checkpoints, half a decade of training apart; a decade of training is worth `exchange` decades of tokens.
    fn checkpoints(exchange: f64, problems: usize) -> Run {
        let curve = |decades: f64| {
            move |_: f64, tokens: f64| {
                let reach = (tokens + 12.0).log10() + exchange * decades;
                0.9 / (1.0 + (-(reach - 2.6) * 3.0).exp())
            }
        };
        Run::new(problems, 16)
            .model("least", curve(0.0))
            .training_flop(1e12)
            .model("more", curve(0.5))
            .training_flop(1e12 * 10f64.sqrt())
            .model("most", curve(1.0))
            .training_flop(1e13)
    }

    #[test]
    fn an_exchange_of_two_to_one_is_told_from_more_than_one_to_one() {
        assert_eq!(verdict_of("training-vs-inference", &checkpoints(0.4, 80)), Supported);
        assert_eq!(verdict_of("training-vs-inference", &checkpoints(1.3, 400)), Contradicted);
        assert_eq!(verdict_of("training-vs-inference", &checkpoints(0.95, 5)), Inconclusive);
    }

    #[test]
    fn a_checkpoint_that_was_trained_further_from_another_is_of_another_recipe() {
        let run = checkpoints(0.4, 80).kind(Kind::Concise).base("more");
        assert_eq!(verdict_of("training-vs-inference", &run), NotTestable);
    }

    #[test]
    fn without_known_training_compute_it_is_not_testable() {
        let run = Run::new(20, 4).model("a", |_, _| 0.5).model("b", |_, _| 0.5).model("c", |_, _| 0.5);
        assert_eq!(verdict_of("training-vs-inference", &run), NotTestable);
    }
}
