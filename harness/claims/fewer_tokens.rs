//! A concise or newer model reaches the same accuracy with fewer tokens than the one before it.

use super::Missing;
use super::evidence::Evidence;
use super::lineup::{Comparison, Lineup};
use super::log_linear::points;
use super::measured::{Measured, columns};
use crate::model_facts::Kind;
use crate::statistics::{log_cost_ratio, mean, shared_range};

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let thinkers: Vec<usize> = lineup.thinkers(2).collect();
    let pairs = thinkers.iter().flat_map(|&new| thinkers.iter().map(move |&old| (new, old)));
    let pairs: Vec<Vec<usize>> =
        pairs.filter(|&(new, old)| succeeds(lineup, new, old)).map(|(new, old)| vec![new, old]).collect();
    lineup.on_every_task(
        &pairs,
        "a concise model (kind = \"concise\") and its base, or two models of one size and family with different release dates",
    )
}

fn succeeds(lineup: &Lineup, new: usize, old: usize) -> bool {
    let (newer, older) = (&lineup.models[new].facts.lineage, &lineup.models[old].facts.lineage);
    let is_shortened = newer.kind == Some(Kind::Concise)
        && newer.base.as_deref().is_some_and(|base| lineup.called(base) == Some(old));
    // Dates as YYYY-MM-DD sort as text.
    let is_later = newer.released.as_ref().zip(older.released.as_ref()).is_some_and(|(new, old)| new > old);
    new != old && (is_shortened || (is_later && lineup.are_one_size(new, old)))
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let task = comparison.tasks[0];
    let new = columns(evidence.levels(comparison.models[0], task)?, |level| &level.tokens);
    let old = columns(evidence.levels(comparison.models[1], task)?, |level| &level.tokens);
    ratio_at_equal_accuracy(&evidence.lineup.tasks[task].name, &new, &old)
}

/// Logarithm of the ratio of costs at equal accuracy, of two curves' columns.
pub(crate) fn ratio_at_equal_accuracy(
    stratum: &str,
    left: &[&[f64]],
    right: &[&[f64]],
) -> Result<Measured, Missing> {
    let split = left.len();
    let statistic = move |m: &[f64]| log_cost_ratio(&points(&m[..split]), &points(&m[split..]));
    let measured = Measured::statistic(stratum, &[left, right].concat(), statistic)?;
    let means = |columns: &[&[f64]]| points(&columns.iter().map(|column| mean(column)).collect::<Vec<_>>());
    if shared_range(&[&means(left), &means(right)]).is_none() {
        return Err("the two curves have no range of accuracy in common".into());
    }
    measured.estimate().map(|_| measured)
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, verdict_of};
    use crate::claims::verdict::Verdict::*;
    use crate::model_facts::Kind;

    /// The concise model does with `tokens` what its base does with `tokens / ratio`.
    fn shortened(ratio: f64, problems: usize) -> Run {
        let rise = |tokens: f64| 0.9 * (1.0 - (-tokens / 150.0).exp());
        Run::new(problems, 16)
            .model("base", move |_, tokens| rise(tokens))
            .model("concise", move |_, tokens| rise(tokens / ratio))
            .kind(Kind::Concise)
            .base("base")
    }

    #[test]
    fn half_the_tokens_are_told_from_as_many() {
        assert_eq!(verdict_of("fewer-tokens", &shortened(0.5, 60)), Supported);
        assert_eq!(verdict_of("fewer-tokens", &shortened(1.3, 120)), Contradicted);
        assert_eq!(verdict_of("fewer-tokens", &shortened(0.88, 8)), Inconclusive);
    }

    #[test]
    fn what_has_no_ratio_says_why() {
        let why = |left: [&[f64]; 4], right: [&[f64]; 4]| {
            super::ratio_at_equal_accuracy("t", &left, &right).err().unwrap_or_default()
        };
        let (few, many): (&[f64], &[f64]) = (&[10.0, 12.0, 11.0], &[90.0, 80.0, 85.0]);
        let (low, high): (&[f64], &[f64]) = (&[0.0, 0.1, 0.2], &[0.8, 0.9, 0.7]);
        let apart = why([few, many, low, low], [few, many, high, high]);
        assert!(apart.contains("no range of accuracy in common"), "{apart}");
        let one = |column: &'static [f64]| &column[..1];
        let lone = [one(&[10.0]), one(&[90.0]), one(&[0.1]), one(&[0.8])];
        let single = why(lone, lone);
        assert!(!single.is_empty() && !single.contains("in common"), "{single}");
    }

    #[test]
    fn a_later_model_of_the_same_size_is_compared_with_the_earlier_one_and_strangers_are_not() {
        let pair = |date: &str| {
            Run::new(40, 8)
                .model("old", |_, t| 0.9 * (1.0 - (-t / 200.0).exp()))
                .released("2024-09-01")
                .model("new", |_, t| 0.9 * (1.0 - (-t / 60.0).exp()))
                .released(date)
        };
        assert_eq!(verdict_of("fewer-tokens", &pair("2025-09-01")), Supported);
        assert_eq!(verdict_of("fewer-tokens", &pair("2024-09-01")), NotTestable);
    }
}
