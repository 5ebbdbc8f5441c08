//! A distilled small model reaches what its teacher reaches for a fraction of the cost.

use super::Missing;
use super::evidence::{Evidence, Level};
use super::fewer_tokens::ratio_at_equal_accuracy;
use super::lineup::{Comparison, Lineup};
use super::measured::{Measured, columns};
use crate::model_facts::Kind;
use crate::statistics::{Level as Confidence, mean, paired_share_difference};

pub(crate) fn comparisons(lineup: &Lineup) -> Result<Vec<Comparison>, Missing> {
    let teacher = |student: usize| lineup.called(lineup.models[student].facts.lineage.teacher.as_deref()?);
    let pairs = distilled(lineup).filter_map(|student| Some(vec![student, teacher(student)?]));
    lineup.on_every_task(
        &pairs.collect::<Vec<_>>(),
        "a distilled model (kind = \"distilled\") and the model that its `teacher` names",
    )
}

/// Indices of the distilled models with a curve.
pub(crate) fn distilled(lineup: &Lineup) -> impl Iterator<Item = usize> {
    lineup.thinkers(2).filter(|&model| lineup.models[model].kind() == Some(Kind::Distilled))
}

pub(crate) fn measure(evidence: &Evidence, comparison: &Comparison) -> Result<Measured, Missing> {
    let (student, task) = (comparison.models[0], comparison.tasks[0]);
    let of_student = evidence.levels(student, task)?;
    let of_teacher = evidence.levels(comparison.models[1], task)?;
    let (left, right) = (columns(of_student, |l| &l.device_s), columns(of_teacher, |l| &l.device_s));
    let measured = ratio_at_equal_accuracy(&evidence.lineup.tasks[task].name, &left, &right)?;
    let best = |levels: &[Level]| levels.last().map_or(0.0, |level| mean(&level.accuracy));
    let ends = format!("at the longest budget {:.2} against {:.2}", best(of_student), best(of_teacher));
    let gain =
        gain_over_its_size(evidence, student, task).map(|gain| format!("; {gain}")).unwrap_or_default();
    Ok(measured.noting(ends + &gain))
}

/// What the teacher gave a model of this size, beside one that learnt without.
fn gain_over_its_size(evidence: &Evidence, student: usize, task: usize) -> Option<String> {
    let lineup = evidence.lineup;
    let is_peer = |&model: &usize| {
        lineup.models[model].kind() == Some(Kind::Reasoning) && lineup.are_one_size(student, model)
    };
    let peer = lineup.thinkers(1).find(is_peer)?;
    let longest = |model: usize| evidence.levels(model, task).ok()?.last();
    let (own, peers) = (longest(student)?, longest(peer)?);
    let gain = paired_share_difference(&own.accuracy, &peers.accuracy, Confidence::default()).ok()?;
    let name = &lineup.models[peer].name;
    Some(format!("over {name} of its size {:+.2} [{:+.2}, {:+.2}]", gain.value, gain.ci_low, gain.ci_high))
}

#[cfg(test)]
mod tests {
    use crate::claims::simulated::{Run, finding_of, verdict_of};
    use crate::claims::verdict::Verdict::*;
    use crate::model_facts::Kind;

    /// A student whose tokens cost a tenth, but that needs `more` times as many.
    fn student(more: f64, problems: usize) -> Run {
        let rise = |tokens: f64| 0.1 + 0.8 * (1.0 - (-tokens / 120.0).exp());
        Run::new(problems, 16)
            .model("teacher", move |_, tokens| rise(tokens))
            .seconds_per_token(1e-2)
            .model("student", move |_, tokens| rise(tokens / more))
            .seconds_per_token(1e-3)
            .parameters(1_000)
            .kind(Kind::Distilled)
            .teacher("teacher")
    }

    #[test]
    fn a_cheap_student_is_told_from_one_that_must_think_ten_times_as_long() {
        assert_eq!(verdict_of("distillation", &student(1.5, 60)), Supported);
        assert_eq!(verdict_of("distillation", &student(9.0, 100)), Contradicted);
        assert_eq!(verdict_of("distillation", &student(4.6, 6)), Inconclusive);
    }

    #[test]
    fn a_student_that_never_reaches_its_teachers_worst_is_not_priced() {
        let run = Run::new(30, 8)
            .model("teacher", |_, tokens| 0.7 + tokens / 5000.0)
            .model("student", |_, _| 0.1)
            .kind(Kind::Distilled)
            .teacher("teacher");
        let finding = finding_of("distillation", &run);
        assert_eq!(finding.verdict, NotTestable);
        assert!(finding.missing[0].contains("no range of accuracy in common"), "{:?}", finding.missing);
    }
}
