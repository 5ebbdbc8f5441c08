//! A number with its uncertainty, or the reason why there is none.
//!
//! Contract: every field of an [`Estimate`] is finite and `ci_low <= ci_high`. A ratio that the data may not bound from
//! above is an [`OpenAbove`]; a quantity that may lie outside what was measured (a cost that some resamplings never reach) is
//! an [`OpenEstimate`]; a quantity that does not exist is an [`Undefined`].

use serde::{Deserialize, Serialize};

/// A value with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Point estimate, in the unit of the quantity.
    pub value: f64,
    /// Lower end of the interval, same unit.
    pub ci_low: f64,
    /// Upper end of the interval, same unit.
    pub ci_high: f64,
    /// Number of problems (clusters) behind it, not of trajectories.
    pub n: usize,
    /// Degrees of freedom of a t interval, for p-values; absent where the interval is none. Not in files.
    #[serde(skip)]
    pub df: Option<f64>,
}

impl Estimate {
    /// Whether the interval contains `x`.
    pub fn contains(&self, x: f64) -> bool {
        self.ci_low <= x && x <= self.ci_high
    }

    /// Whether the interval lies wholly above `threshold`.
    pub fn is_above(&self, threshold: f64) -> bool {
        self.ci_low > threshold
    }

    /// Whether the interval lies wholly below `threshold`.
    pub fn is_below(&self, threshold: f64) -> bool {
        self.ci_high < threshold
    }

    /// The same estimate on another scale; `f` must be increasing (a unit, an exponential).
    ///
    /// # Errors
    /// [`Undefined::NotFinite`] where `f` overflows.
    pub fn map_increasing(&self, f: impl Fn(f64) -> f64) -> Result<Self, Undefined> {
        let mapped = Self::finite(f(self.value), f(self.ci_low), f(self.ci_high), self.n)?;
        Ok(Self { df: self.df, ..mapped })
    }

    /// Checks that all three numbers are finite.
    pub(crate) fn finite(value: f64, ci_low: f64, ci_high: f64, n: usize) -> Result<Self, Undefined> {
        let all_finite = value.is_finite() && ci_low.is_finite() && ci_high.is_finite();
        if all_finite { Ok(Self { value, ci_low, ci_high, n, df: None }) } else { Err(Undefined::NotFinite) }
    }

    /// A t interval: `value` and what it reaches to either side, checked as in [`Estimate::finite`].
    pub(crate) fn student(value: f64, reach: f64, n: usize, df: f64) -> Result<Self, Undefined> {
        let estimate = Self::finite(value, value - reach, value + reach, n)?;
        Ok(Self { df: Some(df), ..estimate })
    }
}

/// A value whose interval may have no upper end: a ratio whose denominator is hardly told from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenAbove {
    /// Point estimate, in the unit of the quantity.
    pub value: f64,
    /// Lower end of the interval, same unit.
    pub ci_low: f64,
    /// Upper end of the interval, same unit; absent when the data do not bound it.
    pub ci_high: Option<f64>,
    /// Number of problems (clusters).
    pub n: usize,
}

impl OpenAbove {
    /// Whether the interval contains `x`.
    pub fn contains(&self, x: f64) -> bool {
        self.ci_low <= x && self.ci_high.is_none_or(|high| x <= high)
    }
}

impl From<Estimate> for OpenAbove {
    fn from(e: Estimate) -> Self {
        Self { value: e.value, ci_low: e.ci_low, ci_high: Some(e.ci_high), n: e.n }
    }
}

/// What is written as `value [low, high]`.
pub trait Interval {
    /// Value, lower end, and the upper end if there is one.
    fn parts(&self) -> (f64, f64, Option<f64>);
}

impl Interval for Estimate {
    fn parts(&self) -> (f64, f64, Option<f64>) {
        (self.value, self.ci_low, Some(self.ci_high))
    }
}

impl Interval for OpenAbove {
    fn parts(&self) -> (f64, f64, Option<f64>) {
        (self.value, self.ci_low, self.ci_high)
    }
}

/// An estimate whose value or interval may be open: what is absent was not bounded by the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenEstimate {
    /// Point estimate; absent when the quantity lies outside what was measured.
    pub value: Option<f64>,
    /// Lower end; absent when the data do not bound it from below.
    pub ci_low: Option<f64>,
    /// Upper end; absent when the data do not bound it from above.
    pub ci_high: Option<f64>,
    /// Number of problems (clusters).
    pub n: usize,
}

impl OpenEstimate {
    /// Whether the interval contains `x`, an absent end being unbounded.
    pub fn contains(&self, x: f64) -> bool {
        self.ci_low.is_none_or(|low| low <= x) && self.ci_high.is_none_or(|high| x <= high)
    }

    /// Whether the interval lies wholly above `threshold`.
    pub fn is_above(&self, threshold: f64) -> bool {
        self.ci_low.is_some_and(|low| low > threshold)
    }

    /// Whether the interval lies wholly below `threshold`.
    pub fn is_below(&self, threshold: f64) -> bool {
        self.ci_high.is_some_and(|high| high < threshold)
    }

    /// The closed estimate, if value and both ends exist.
    pub fn closed(&self) -> Option<Estimate> {
        let (value, ci_low, ci_high) = (self.value?, self.ci_low?, self.ci_high?);
        Some(Estimate { value, ci_low, ci_high, n: self.n, df: None })
    }
}

/// Why an estimate does not exist. The text is written for the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undefined {
    /// Too few problems for an interval.
    #[error("{have} problems, at least {need} are needed")]
    TooFewProblems {
        /// Problems given.
        have: usize,
        /// Problems needed.
        need: usize,
    },
    /// A problem has no trajectory.
    #[error("problem {problem} has no trajectory")]
    NoTrajectories {
        /// Index of the problem.
        problem: usize,
    },
    /// More completions asked for than a problem has (or none).
    #[error("n = {n} asked of a problem with {have} trajectories")]
    NotEnoughTrajectories {
        /// Completions asked for.
        n: usize,
        /// Trajectories of that problem.
        have: usize,
    },
    /// A tally with more correct trajectories than trajectories.
    #[error("problem {problem} has more correct trajectories than trajectories")]
    ImpossibleTally {
        /// Index of the problem.
        problem: usize,
    },
    /// Two inputs that must describe the same problems differ in length.
    #[error("{left} problems against {right}: not the same problems")]
    UnequalLengths {
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// Cost per correct answer with no correct answer.
    #[error("no correct answer")]
    NoCorrectAnswers,
    /// An input that must be in [0, 1] or positive is not, or is not finite.
    #[error("a value is not finite or lies outside its range")]
    NotFinite,
    /// A fit needs more distinct budgets.
    #[error("{have} usable budgets, at least {need} are needed")]
    TooFewBudgets {
        /// Distinct budgets with positive cost.
        have: usize,
        /// Budgets needed.
        need: usize,
    },
    /// The statistic did not exist in too many resamplings to bound it.
    #[error("undefined in {undefined} of {draws} resamplings")]
    UnstableDraws {
        /// Draws in which it did not exist.
        undefined: usize,
        /// All draws.
        draws: usize,
    },
    /// The statistic has no value on the data themselves.
    #[error("the statistic has no value on these data")]
    NoValue,
}

/// A confidence level strictly between 0 and 1; 0.95 by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level(f64);

impl Level {
    /// A level strictly between 0 and 1, else absent.
    pub fn new(level: f64) -> Option<Self> {
        (level > 0.0 && level < 1.0).then_some(Self(level))
    }

    /// Probability outside the interval, both sides together.
    pub fn alpha(self) -> f64 {
        1.0 - self.0
    }
}

impl Default for Level {
    fn default() -> Self {
        Self(0.95)
    }
}

impl TryFrom<f64> for Level {
    type Error = &'static str;

    fn try_from(level: f64) -> Result<Self, Self::Error> {
        Self::new(level).ok_or("a confidence level lies strictly between 0 and 1")
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> Self {
        level.0
    }
}
