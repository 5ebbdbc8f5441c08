//! A condition that fails a comparison: for continuous integration.
//!
//! ```text
//! GATE  = METRIC ("<" | ">") NUMBER ["ci"]
//! ```
//!
//! `accuracy<-2` fails if any compared cell lost more than 2 percentage points; `seconds>1.5` if any takes more than
//! 1.5 times as long. With `ci` the whole interval must lie beyond the threshold, and intervals are widened so that all
//! cells together raise a false alarm at most one time in twenty (Bonferroni). Without it the plain change counts, which
//! needs no interval. Intervals are of problems: a threshold on seconds must leave room for what the machine's hours differ by.

use std::fmt;
use std::str::FromStr;

use super::metric::Metric;
use super::{CellPair, Change, Comparison};
use crate::statistics::{Estimate, Undefined};

/// When a comparison fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// What is looked at.
    pub metric: Metric,
    /// Whether it fails below the threshold, or above.
    pub below: bool,
    /// Percentage points of accuracy, else a ratio.
    pub threshold: f64,
    /// Whether the whole interval must lie beyond it.
    pub whole_interval: bool,
}

/// Why a text is no gate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Neither `<` nor `>`.
    #[error("`{0}` has neither `<` nor `>`: write for example `accuracy<-2 ci`")]
    NoComparison(String),
    /// Not something that is compared.
    #[error("`{found}` is not compared: take one of {known}")]
    UnknownMetric {
        /// What was written.
        found: String,
        /// What there is.
        known: String,
    },
    /// Not a finite number.
    #[error(
        "`{0}` is not a threshold: write a number, percentage points for accuracy, a ratio such as 1.1 for all else"
    )]
    NoNumber(String),
    /// A ratio is above 0.
    #[error("`{0}`: a ratio of other to base is above 0, and 1 where nothing changed")]
    NoRatio(String),
    /// Something follows.
    #[error("`{0}` after the threshold: only `ci` may stand there")]
    Trailing(String),
}

/// What a gate says of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// Cells of which both runs have the metric; for a gate with `ci`, with an interval of its change.
    pub checked: usize,
    /// Why one of the others has no interval.
    pub undefined: Option<Undefined>,
    /// Cells that fail, in sentences.
    pub failures: Vec<String>,
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let at = text.find(['<', '>']).ok_or_else(|| GateError::NoComparison(text.to_owned()))?;
        let (name, rest) = (text[..at].trim(), &text[at + 1..]);
        let mut words = rest.split_whitespace();
        let metric = metric(name)?;
        let threshold = threshold(metric, words.next().unwrap_or_default())?;
        let whole_interval = match words.next() {
            None => false,
            Some("ci") => true,
            Some(other) => return Err(GateError::Trailing(other.to_owned())),
        };
        match words.next() {
            Some(other) => Err(GateError::Trailing(other.to_owned())),
            None => Ok(Self { metric, below: text[at..].starts_with('<'), threshold, whole_interval }),
        }
    }
}

fn metric(name: &str) -> Result<Metric, GateError> {
    let unknown = || GateError::UnknownMetric {
        found: name.to_owned(),
        known: Metric::ALL.map(Metric::name).join(", "),
    };
    Metric::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(unknown)
}

fn threshold(metric: Metric, text: &str) -> Result<f64, GateError> {
    let number: f64 = text.parse().map_err(|_| GateError::NoNumber(text.to_owned()))?;
    match metric {
        _ if !number.is_finite() => Err(GateError::NoNumber(text.to_owned())),
        Metric::Accuracy => Ok(number),
        _ if number <= 0.0 => Err(GateError::NoRatio(text.to_owned())),
        _ => Ok(number),
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, threshold, .. } = self;
        let (sign, ci) = (if self.below { '<' } else { '>' }, if self.whole_interval { " ci" } else { "" });
        write!(f, "{metric}{sign}{threshold}{ci}")
    }
}

impl Gate {
    /// Whether a change is beyond the threshold; absent if it cannot be known.
    pub fn is_beyond(&self, change: &Change) -> Option<bool> {
        let end = match self.whole_interval {
            true => change.change.map(|change| if self.below { change.ci_high } else { change.ci_low }),
            false => change.value(),
        }?;
        Some(if self.below { end < self.threshold } else { end > self.threshold })
    }

    /// Looks at every cell; for a gate with `ci` the comparison should be one at the joint level.
    pub fn rule(&self, comparison: &Comparison) -> Ruling {
        let mut ruling = Ruling { checked: 0, undefined: None, failures: Vec::new() };
        for cell in &comparison.cells {
            let Some(change) = cell.change(self.metric) else { continue };
            let Some(is_beyond) = self.is_beyond(change) else {
                ruling.undefined = ruling.undefined.or_else(|| change.undefined.clone());
                continue;
            };
            ruling.checked += 1;
            ruling.failures.extend(is_beyond.then(|| self.failure(cell, change)));
        }
        ruling
    }

    fn failure(&self, cell: &CellPair, change: &Change) -> String {
        let interval = |Estimate { ci_low, ci_high, .. }| format!(" [{ci_low:.4}, {ci_high:.4}]");
        let (value, interval) =
            (change.value().unwrap_or(f64::NAN), change.change.map_or(String::new(), interval));
        let shown = crate::figures::cell_name(&cell.base);
        format!("{self}: {} {shown}: {value:.4}{interval}", cell.base.task)
    }
}
