//! Verdicts for a reader: a table in the terminal, a section of the report, and everything in `claims.json`.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::registry::{Direction, Scale};
use super::verdict::{Finding, Verdict};
use crate::escape;
use crate::rounding::{ABSENT, amount_beside, probability, significant};
use crate::table::{Column, markdown, terminal};

/// Version of the form of `claims.json`.
pub const SCHEMA: u32 = 1;

/// `claims.json`: every claim of the registry on one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimsFile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// sha256 of the registry that was tested.
    pub registry_sha256: String,
    /// What the manifest held before sampling started; absent in a run older than the registry.
    pub registered_sha256: Option<String>,
    /// One per claim, in the registry's order.
    pub findings: Vec<Finding>,
}

impl ClaimsFile {
    /// Whether the claims are those that were written down before sampling.
    pub fn registration(&self) -> String {
        match &self.registered_sha256 {
            Some(hash) if *hash == self.registry_sha256 => {
                format!("The claims are those registered before sampling (sha256 {}).", &hash[..12])
            }
            Some(hash) => format!(
                "The registry has CHANGED since sampling began (sha256 {} then, {} now): verdicts are after the fact.",
                hash.get(..12).unwrap_or(hash),
                &self.registry_sha256[..12]
            ),
            None => "The run does not say which claims were registered before sampling: verdicts are after the fact.".into(),
        }
    }
}

const HEADS: [&str; 7] =
    ["claim", "verdict", "estimate", "threshold", "p after Holm", "detectable", "problems"];

/// All findings as a table for the terminal.
pub fn summary(findings: &[Finding]) -> String {
    let columns: Vec<Column> = HEADS.iter().map(|head| Column::text(head)).collect();
    terminal(&columns, &findings.iter().map(|finding| entries(finding).to_vec()).collect::<Vec<_>>())
}

/// One finding in full for the terminal.
pub fn details(finding: &Finding) -> String {
    let claim = &finding.claim;
    let mut text =
        format!("{}: {}\n  {}\n", claim.id, finding.verdict_with_mark().to_uppercase(), claim.statement);
    let [_, _, estimate, threshold, p, detectable, _] = entries(finding);
    if finding.estimate.is_some() {
        let unit = &claim.unit;
        let _ = writeln!(
            text,
            "  {estimate} {unit}, claimed {threshold}; p after Holm {p}; detectable {detectable}"
        );
    }
    if let Some(refuted) = &finding.refuted {
        let _ = writeln!(text, "  but {refuted}");
    }
    for comparison in &finding.comparisons {
        let estimate = amount_beside(Some(&comparison.estimate), claim.threshold);
        let _ = writeln!(text, "    {:44} {estimate:>24}  {}", comparison.name, comparison.verdict.name());
        if let Some(note) = &comparison.note {
            let _ = writeln!(text, "      {note}");
        }
    }
    let label = if finding.verdict == Verdict::NotTestable { "missing" } else { "left out" };
    finding.missing.iter().for_each(|missing| {
        let _ = writeln!(text, "  {label}: {missing}");
    });
    let _ = writeln!(
        text,
        "  cannot show: {}",
        claim.cannot_show.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    escape_lines(&text)
}

fn escape_lines(text: &str) -> String {
    text.lines().map(|line| escape::visible(line) + "\n").collect()
}

/// The section of a report.
pub fn section(file: &ClaimsFile) -> String {
    let mut columns: Vec<Column> = HEADS.iter().map(|head| Column::text(head)).collect();
    columns.insert(1, Column::text("statement"));
    let row = |finding: &Finding| {
        let mut row = entries(finding).to_vec();
        row.insert(1, finding.claim.statement.clone());
        row
    };
    let rows: Vec<Vec<String>> = file.findings.iter().map(row).collect();
    let mut text = format!("\n## Claims\n\n{}\n\n{}", file.registration(), markdown(&columns, &rows));
    text.push_str(
        "\nSupported or contradicted: the 95 % interval lies wholly on one side of the threshold. The estimate is the mean over\n\
         the run's comparisons; `claims.json` holds each of them and what each claim cannot show. p after Holm: adjusted for all claims\n\
         tested on the run; a verdict with p above 0.05 is marked, as so many tests find such a one by chance too often.\n\
         Supported in part: the number holds, and something else that the statement says does not.\n\
         Detectable: the distance from the threshold (for ratios the factor) that would be found four times in five.\n",
    );
    for finding in file.findings.iter().filter(|finding| finding.verdict == Verdict::NotTestable) {
        let missing = finding.missing.iter().map(|missing| escape::markdown(missing)).collect::<Vec<_>>();
        let _ = write!(text, "\n- **{}** lacks {}", finding.claim.id, missing.join("; "));
    }
    for finding in &file.findings {
        if let Some(refuted) = &finding.refuted {
            let _ = write!(text, "\n- **{}**: but {}", finding.claim.id, escape::markdown(refuted));
        }
    }
    text.push('\n');
    text
}

fn entries(finding: &Finding) -> [String; 7] {
    let claim = &finding.claim;
    let side = match claim.direction {
        Direction::Above => "above",
        Direction::Below => "below",
    };
    let detectable = finding.minimum_detectable_effect.map(|effect| match claim.scale {
        Scale::Difference => significant(effect),
        Scale::Ratio => format!("x{}", significant(effect)),
    });
    [
        claim.id.clone(),
        finding.verdict_with_mark(),
        amount_beside(finding.estimate.as_ref(), claim.threshold),
        format!("{side} {}", significant(claim.threshold)),
        finding.p_value_holm.map_or_else(|| ABSENT.to_owned(), probability),
        detectable.unwrap_or_else(|| ABSENT.to_owned()),
        finding.estimate.map_or_else(|| ABSENT.to_owned(), |estimate| estimate.n.to_string()),
    ]
}
