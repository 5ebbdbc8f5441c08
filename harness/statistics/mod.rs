//! Estimators and intervals: from scored trajectories to numbers that can be believed.
//!
//! Three rules run through every file here.
//!
//! 1. **The problem is the unit.** Sixty-four trajectories on thirty problems are thirty observations of a
//!    benchmark, measured precisely, not 1,920 observations. Every interval varies over problems (Miller 2024,
//!    "Adding error bars to evals", arXiv 2411.00640); a pooled interval on such a cell covers the truth about
//!    one time in five instead of nineteen in twenty (`COVERAGE.md`).
//! 2. **Budgets and strategies share trajectories.** Whatever compares them works on whole problems with all
//!    their budgets, so that what is shared cancels and what is not is counted.
//! 3. **Absent is absent.** What the data cannot say is an [`Undefined`] with its reason, or an open end of an
//!    [`OpenEstimate`]; never NaN and never 0.
//!
//! Reading order: [`estimate`], [`proportion`], [`mod@mean`], [`paired`] (closed forms); [`votes`] and the
//! strategies built on it; [`summaries`], [`resample`] and [`interval`] (everything that is a function of means over
//! problems); [`ratio`], [`log_fit`], [`reach`], [`shift`], [`pareto`], [`strata`] (what is concluded); [`power`], [`mod@holm`] (what could
//! have been concluded).
//!
//! ```
//! use isocost_harness::statistics::{Level, Tally, accuracy};
//!
//! let cell: Vec<Tally> = (0..30).map(|i| Tally { correct: i % 5, trajectories: 4 }).collect();
//! let estimate = accuracy(&cell, Level::default())?;
//! assert_eq!(estimate.n, 30); // problems, not trajectories
//! # Ok::<(), isocost_harness::statistics::Undefined>(())
//! ```

pub mod best_of_n;
pub mod cost_of_pass;
mod critical;
pub mod curve;
pub mod estimate;
pub mod holm;
pub mod interval;
pub mod isotonic;
pub mod log_fit;
pub mod majority;
pub mod mean;
pub mod paired;
pub mod pareto;
pub mod pass_at_k;
pub mod percentile;
pub mod power;
pub mod proportion;
pub mod quantile;
pub mod rank;
pub mod ratio;
pub mod reach;
pub mod resample;
pub mod saturation;
pub mod shift;
mod skew;
pub mod strata;
mod subsets;
pub mod summaries;
pub mod unseen;
pub mod votes;
pub mod weighted;

pub use best_of_n::{best_of_n, shortest_at_n};
pub use cost_of_pass::{CostOfPass, cost_of_pass};
pub use curve::{Curve, Point};
pub use estimate::{Estimate, Interval, Level, OpenAbove, OpenEstimate, Undefined};
pub use holm::holm;
pub use interval::{Method, estimate_from_means};
pub use isotonic::isotonic;
pub use log_fit::{LogLine, slope_per_decade, slope_per_decade_by};
pub use majority::{majority_at_n, majority_is_exact};
pub use mean::{mean, mean_over_problems};
pub use paired::{
    paired_difference, paired_p_value, paired_share_difference, unpaired_difference,
    unpaired_share_difference,
};
pub use pareto::{CrossFitted, OnFront, PricedCell, cross_fitted_front, pareto_front};
pub use pass_at_k::pass_at_k;
pub use percentile::percentile;
pub use power::{
    PairedVariance, minimum_detectable_effect, minimum_detectable_effect_of, p_value_of, problems_needed,
};
pub use proportion::{
    Tally, accuracy, accuracy_on_these_problems, clopper_pearson, mean_share, shares, wilson,
};
pub use quantile::quantile;
pub use rank::{kendall, reversals, spearman};
pub use ratio::{cost_per_correct, cost_per_correct_by};
pub use reach::{CostRatio, CostToReach, Crossing, cost_ratio, cost_to_reach, cost_to_reach_by_draws};
pub use resample::Bootstrap;
pub use saturation::{Ceiling, Logistic, Saturation, left_out_errors, saturation};
pub use shift::{cost_at, log_cost_ratio, shared_range};
pub use strata::{Part, mean_of_statistics};
pub use summaries::Summaries;
pub use unseen::{Bounds, hardly_varies, with_unseen};
pub use votes::{Strategy, Subsets, Vote, is_reliable, strategy_accuracy, strategy_per_problem};
pub use weighted::weighted_at_n;
