//! From numbers to verdicts, by one rule for all claims.
//!
//! A claim's number is the mean of its statistic over the run's comparisons (models and tasks), with an interval over
//! problems. Each comparison also has its own verdict, by the same rule; it is there to be read, not counted. The
//! p-values of the tested claims are adjusted together (Holm 1979), and a verdict that this adjustment would not leave is
//! marked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::lineup::Comparison;
use super::measured::{self, Measured};
use super::registry::{Claim, Direction, claims};
use super::{Missing, test_of};
use crate::statistics::{Estimate, Level, holm, minimum_detectable_effect_of, p_value_of};

/// Power at which a smallest detectable effect is given.
pub const POWER: f64 = 0.8;

/// What a run says about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval lies wholly on the claimed side.
    Supported,
    /// So it does, but something else that the statement says is refuted; a remark says what.
    SupportedInPart,
    /// The interval lies wholly on the other side.
    Contradicted,
    /// The interval contains the threshold.
    Inconclusive,
    /// The run lacks what is compared.
    NotTestable,
}

impl Verdict {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::SupportedInPart => "supported in part",
            Self::Contradicted => "contradicted",
            Self::Inconclusive => "inconclusive",
            Self::NotTestable => "not testable with this run",
        }
    }

    /// The verdict on a statement of which something else is refuted.
    pub fn less(self, refuted: Option<&String>) -> Self {
        if self == Self::Supported && refuted.is_some() { Self::SupportedInPart } else { self }
    }

    /// By the rule: wholly on one side, else inconclusive. `estimate` is on the scale of the computation.
    pub fn of(claim: &Claim, estimate: &Estimate) -> Self {
        let threshold = claim.computed_threshold();
        let (claimed, other) = match claim.direction {
            Direction::Above => (estimate.is_above(threshold), estimate.is_below(threshold)),
            Direction::Below => (estimate.is_below(threshold), estimate.is_above(threshold)),
        };
        match (claimed, other) {
            (true, _) => Self::Supported,
            (_, true) => Self::Contradicted,
            _ => Self::Inconclusive,
        }
    }
}

/// A claim's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The claim.
    pub claim: Claim,
    /// What the run says.
    pub verdict: Verdict,
    /// Mean over comparisons, in the claim's unit; absent if not testable.
    pub estimate: Option<Estimate>,
    /// Distance from the threshold that would be detected four times in five, in the claim's unit (a factor for ratios).
    pub minimum_detectable_effect: Option<f64>,
    /// Two-sided p-value of "exactly at the threshold".
    pub p_value: Option<f64>,
    /// The p-value adjusted for all claims tested on the run.
    pub p_value_holm: Option<f64>,
    /// What the run lacks, or why a comparison has no number.
    pub missing: Vec<Missing>,
    /// What the statement says beside the number and all comparisons together refute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuted: Option<String>,
    /// Each comparison that has a number.
    pub comparisons: Vec<ComparisonFinding>,
}

/// One comparison's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonFinding {
    /// Who was compared on what.
    pub name: String,
    /// By the same rule.
    pub verdict: Verdict,
    /// In the claim's unit.
    pub estimate: Estimate,
    /// What the reader should know beside the number.
    pub note: Option<String>,
}

impl Finding {
    /// Whether the verdict would not stand once all claims tested on the run are counted.
    pub fn is_lost_after_holm(&self) -> bool {
        let is_open = matches!(self.verdict, Verdict::Inconclusive | Verdict::NotTestable);
        !is_open && self.p_value_holm.is_some_and(|p| p > Level::default().alpha())
    }

    /// The verdict as it is printed, with its mark.
    pub fn verdict_with_mark(&self) -> String {
        let mark = if self.is_lost_after_holm() { " (not after Holm)" } else { "" };
        format!("{}{mark}", self.verdict.name())
    }
}

/// Every claim of the registry, tested.
pub fn findings(evidence: &Evidence) -> Vec<Finding> {
    let mut findings: Vec<Finding> = claims().into_iter().map(|claim| finding(evidence, claim)).collect();
    let adjusted = holm(&findings.iter().map(|finding| finding.p_value).collect::<Vec<_>>());
    findings.iter_mut().zip(adjusted).for_each(|(finding, p)| finding.p_value_holm = p);
    findings
}

/// One claim, tested.
pub fn finding(evidence: &Evidence, claim: Claim) -> Finding {
    let compared = test_of(&claim.id).ok_or_else(|| "a test for it".to_owned());
    let compared = compared.and_then(|test| Ok((test, (test.comparisons)(evidence.lineup)?)));
    let (test, comparisons) = match compared {
        Ok(found) => found,
        Err(missing) => return not_testable(claim, vec![missing]),
    };
    let (mut usable, mut missing) = (Vec::new(), left_out(evidence, &comparisons));
    for comparison in &comparisons {
        match measure(test, evidence, comparison) {
            Ok((measured, estimate)) => usable.push((comparison, measured, estimate)),
            Err(why) => missing.push(format!("{}: {why}", comparison.name)),
        }
    }
    let all: Vec<&Measured> = usable.iter().map(|(_, measured, _)| measured).collect();
    let Ok(mean) = measured::mean(&all) else { return not_testable(claim, missing) };
    let refuted = |comparisons: &[&Comparison]| (test.refuted)(evidence, comparisons);
    let comparisons = usable.iter().map(|(c, m, e)| ComparisonFinding {
        name: c.name.clone(),
        verdict: Verdict::of(&claim, e).less(refuted(&[c]).as_ref()),
        estimate: shown(&claim, e),
        note: m.note.clone(),
    });
    let comparisons: Vec<ComparisonFinding> = comparisons.collect();
    let refuted = refuted(&usable.iter().map(|(comparison, ..)| *comparison).collect::<Vec<_>>());
    Finding {
        verdict: Verdict::of(&claim, &mean).less(refuted.as_ref()),
        estimate: Some(shown(&claim, &mean)),
        minimum_detectable_effect: minimum_detectable_effect_of(&mean, Level::default(), POWER)
            .map(|effect| claim.shown(effect)),
        p_value: p_value_of(&mean, claim.computed_threshold(), Level::default()),
        p_value_holm: None,
        missing,
        comparisons,
        refuted,
        claim,
    }
}

/// What was sampled of the tasks that are compared and is in no number.
fn left_out(evidence: &Evidence, comparisons: &[Comparison]) -> Vec<Missing> {
    let tasks: BTreeSet<usize> = comparisons.iter().flat_map(|c| c.tasks.iter().copied()).collect();
    tasks.into_iter().filter_map(|task| evidence.left_out(task)).map(str::to_owned).collect()
}

fn measure(
    test: super::Test,
    evidence: &Evidence,
    comparison: &Comparison,
) -> Result<(Measured, Estimate), Missing> {
    let measured = (test.measure)(evidence, comparison)?;
    let estimate = measured.estimate()?;
    Ok((measured, estimate))
}

fn not_testable(claim: Claim, missing: Vec<Missing>) -> Finding {
    Finding {
        claim,
        verdict: Verdict::NotTestable,
        estimate: None,
        minimum_detectable_effect: None,
        p_value: None,
        p_value_holm: None,
        missing,
        refuted: None,
        comparisons: Vec::new(),
    }
}

fn shown(claim: &Claim, e: &Estimate) -> Estimate {
    Estimate {
        value: claim.shown(e.value),
        ci_low: claim.shown(e.ci_low),
        ci_high: claim.shown(e.ci_high),
        ..*e
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_that_the_number_of_claims_takes_back_is_marked_and_others_are_not() {
        let with = |verdict, p_value_holm| {
            let found = not_testable(claims().remove(0), Vec::new());
            Finding { verdict, p_value_holm, ..found }.verdict_with_mark()
        };
        assert_eq!(with(Verdict::Supported, Some(0.19)), "supported (not after Holm)");
        assert_eq!(with(Verdict::Contradicted, Some(0.06)), "contradicted (not after Holm)");
        assert_eq!(with(Verdict::Supported, Some(0.04)), "supported");
        assert_eq!(with(Verdict::Inconclusive, Some(0.19)), "inconclusive");
    }
}
