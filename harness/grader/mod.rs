//! The grader: is this answer right?
//!
//! Every figure of a study of reasoning rests on this question, asked a hundred thousand times without a reader. It
//! has two halves. *Extraction* finds the final answer in what a model wrote ([`extract`]); *equivalence* decides
//! whether two answers are one ([`equivalent`]): `\frac{\sqrt3}{3}` and `1/\sqrt{3}`, `x > 3` and `(3, \infty)`,
//! `\$1,000` and 1000. Both answers are parsed into trees and compared by exact arithmetic or by values at 31 digits,
//! not by rewriting strings; what is a matter of convention is a field of [`Conventions`].
//!
//! Contract: no input panics, overflows the stack or takes more than a few milliseconds; grading is deterministic; a
//! wrong answer is never accepted to be lenient; thinking that never ended is [`Outcome::Truncated`], not wrong; and a
//! [`Verdict`] says what was extracted, by which rule, and what decided.
//!
//! ```
//! use isocost_harness::grader::{Conventions, Outcome, grade_completion};
//!
//! let text = r"<think>Half of 3 is 1.5.</think>The answer is $\boxed{1\frac12}$.";
//! assert_eq!(grade_completion("3/2", text, &Conventions::default()).outcome, Outcome::Correct);
//! ```
//!
//! Reading order: `verdict`, `extract`, `equivalent`, then `token` > `parse` > `atom` > `shape` > `value`.

mod atom;
mod boxed;
mod bracket;
mod calendar;
mod choice;
mod clean;
mod command_token;
mod completion;
mod complex;
mod conventions;
mod decimal;
mod double_double;
mod equivalent;
mod exact;
mod extract;
mod form;
mod fuel;
mod literal;
mod number_token;
mod numeric;
mod parse;
mod phrase;
mod real_set;
mod relation;
mod sequences;
mod shape;
mod symbols;
mod text;
mod token;
mod tree;
mod units;
mod value;
mod verdict;
mod words;

pub use completion::{Completion, split};
pub use conventions::{AnswerType, Conventions, PercentRule, UnitRule};
pub use equivalent::{Method, equivalent};
pub use extract::{Extraction, Rule, TAIL_BYTES, extract};
pub use form::form;
pub use verdict::{Outcome, Verdict, grade_answer, grade_completion, grade_text};

/// Changes whenever a verdict may change; part of every record.
pub const GRADER_VERSION: &str = "2";
