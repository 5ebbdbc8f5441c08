//! A claim on the page: its verdict, and where its interval lies against the threshold.

use serde::Serialize;

use crate::claims::registry::{Direction, Scale};
use crate::claims::verdict::{Finding, Verdict};
use crate::rounding::{amount_beside, probability, significant};
use crate::statistics::Estimate;

/// What the page shows of a finding.
#[derive(Serialize)]
pub(super) struct ClaimView<'a> {
    id: &'a str,
    statement: &'a str,
    /// For style sheets.
    class: &'static str,
    verdict: &'static str,
    /// What the number of claims tested does to the verdict.
    mark: Option<&'static str>,
    estimate: Option<String>,
    threshold: String,
    p_after_holm: Option<String>,
    unit: &'a str,
    statistic: String,
    cannot_show: String,
    missing: &'a [String],
    refuted: Option<&'a str>,
    strip: Option<Strip>,
    comparisons: Vec<ComparisonView<'a>>,
}

#[derive(Serialize)]
struct ComparisonView<'a> {
    name: &'a str,
    class: &'static str,
    verdict: &'static str,
    estimate: String,
    note: Option<&'a str>,
}

/// Places from 0 to 100 on a line that holds the interval and the threshold.
#[derive(Debug, PartialEq, Serialize)]
struct Strip {
    low: f64,
    high: f64,
    value: f64,
    threshold: f64,
    /// The side of the threshold that is claimed: its start and width.
    claimed: (f64, f64),
}

impl<'a> ClaimView<'a> {
    pub(super) fn of(finding: &'a Finding) -> Self {
        let claim = &finding.claim;
        let side = if claim.direction == Direction::Above { "above" } else { "below" };
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            id: &claim.id,
            statement: &claim.statement,
            class: class(finding.verdict),
            verdict: finding.verdict.name(),
            mark: finding.is_lost_after_holm().then_some("not after Holm"),
            estimate: finding.estimate.map(|estimate| amount_beside(Some(&estimate), claim.threshold)),
            threshold: format!("{side} {}", plain(claim.threshold)),
            p_after_holm: finding.p_value_holm.map(probability),
            unit: &claim.unit,
            statistic: words(&claim.statistic),
            cannot_show: words(&claim.cannot_show),
            missing: &finding.missing,
            refuted: finding.refuted.as_deref(),
            strip: finding
                .estimate
                .and_then(|estimate| Strip::of(&estimate, claim.threshold, claim.direction, claim.scale)),
            comparisons: finding
                .comparisons
                .iter()
                .map(|found| ComparisonView {
                    name: &found.name,
                    class: class(found.verdict),
                    verdict: found.verdict.name(),
                    estimate: amount_beside(Some(&found.estimate), claim.threshold),
                    note: found.note.as_deref(),
                })
                .collect(),
        }
    }
}

/// A round number without the digits that a measured one would have.
fn plain(threshold: f64) -> String {
    let text = significant(threshold);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Supported => "supported",
        Verdict::SupportedInPart => "partly",
        Verdict::Contradicted => "contradicted",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotTestable => "untested",
    }
}

impl Strip {
    /// Ratios lie on a logarithmic line.
    fn of(estimate: &Estimate, threshold: f64, direction: Direction, scale: Scale) -> Option<Self> {
        let along = |value: f64| if scale == Scale::Ratio { value.ln() } else { value };
        let [low, high, value, threshold] =
            [estimate.ci_low, estimate.ci_high, estimate.value, threshold].map(along);
        let (first, last) = (low.min(threshold), high.max(threshold));
        let margin = (last - first) * 0.15;
        let place = |x: f64| ((x - first + margin) / (last - first + 2.0 * margin) * 1000.0).round() / 10.0;
        let threshold = place(threshold);
        let claimed =
            if direction == Direction::Above { (threshold, 100.0 - threshold) } else { (0.0, threshold) };
        let strip = Self { low: place(low), high: place(high), value: place(value), threshold, claimed };
        [strip.low, strip.high, strip.value, threshold].iter().all(|x| x.is_finite()).then_some(strip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_holds_the_interval_and_the_threshold_on_the_claimed_scale() {
        let estimate = Estimate { value: 4.0, ci_low: 2.0, ci_high: 8.0, n: 9, df: None };
        let strip = Strip::of(&estimate, 1.0, Direction::Above, Scale::Ratio).unwrap();
        assert!(0.0 < strip.threshold && strip.threshold < strip.low && strip.high < 100.0, "{strip:?}");
        assert!((strip.value * 2.0 - strip.low - strip.high).abs() < 0.2, "{strip:?}");
        assert!(Strip::of(&estimate, -1.0, Direction::Above, Scale::Ratio).is_none());
    }
}
