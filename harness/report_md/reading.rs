//! How to read a report: its strategies, intervals, budgets and marks, in words.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Report;
use crate::cell::{Policy, Strategy};

/// The section of the Markdown report.
pub(super) fn reading(report: &Report) -> String {
    let used: BTreeSet<Strategy> = report.rows.iter().map(|row| row.cell.strategy).collect();
    let mut text = "\n## How to read it\n\n".to_string();
    for strategy in used {
        let _ = writeln!(text, "- **{}**: {}", way_label(strategy), meaning(strategy));
    }
    let _ = write!(
        text,
        "- **Intervals** cover 95 % and resample problems, not completions. Where two overlap, the paired difference\n  \
         of the cells decides, not the overlap. The best of many cells is partly luck.\n\
         - **Budget** caps reasoning tokens; {}. 0 is no thought.\n\
         - **~** marks an n above half of the trajectories; **–** is a number that does not exist.\n",
        at_the_cap(report.policy),
    );
    text
}

/// `first`, `maj@n`: a strategy at any n.
pub(crate) fn way_label(strategy: Strategy) -> String {
    if strategy == Strategy::First { strategy.to_string() } else { format!("{strategy}@n") }
}

/// What happens to a thought at its budget.
pub(crate) fn at_the_cap(policy: Policy) -> &'static str {
    match policy {
        Policy::ForceAnswer => "at the cap the thought is closed and an answer is forced",
        Policy::Truncate => "at the cap the completion ends without an answer, and counts as not correct",
    }
}

/// A strategy in words.
pub(crate) fn meaning(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::First => "one completion, the mean over completions.",
        Strategy::Maj => "the answer most of n completions agree on; ties are shared.",
        Strategy::Weighted => "the answer with the largest summed probability under the model.",
        Strategy::Score => "the completion whose answer the model found most probable.",
        Strategy::Shortest => "the completion with the fewest tokens, thought and answer together.",
        Strategy::Verifier => "a completion that the task's verifier accepts; needs a task that has one.",
        Strategy::Pass => {
            "whether any of n completions is right: coverage, which takes an oracle to cash in."
        }
    }
}
