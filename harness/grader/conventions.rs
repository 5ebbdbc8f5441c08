//! What counts as the same answer is partly a convention, and a convention belongs in the task file.
//!
//! Is 50 % the same as 0.5? As 50? May the unit be left out? Graders differ on these, silently, and scores
//! differ by several points for no other reason. Each such decision is a field here, with a default chosen so
//! that a wrong answer is never accepted for the sake of leniency, and what people accept without a second
//! thought is accepted.

use serde::{Deserialize, Serialize};

/// What kind of answer a task asks for; decides how it is extracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerType {
    /// Judge by the reference answer.
    #[default]
    Auto,
    /// One number; the last number of the text is a fallback.
    Number,
    /// Any mathematical object in LaTeX or plain text.
    Expression,
    /// One letter among the options.
    Choice,
    /// Words; the last line is a fallback.
    Text,
}

/// How a percent sign is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PercentRule {
    /// `50%` is 0.5 and nothing else.
    Value,
    /// `50%` is 0.5, and also 50: a question "what per cent" is answered with or without the sign. Numbers
    /// of size 1 or less must agree by value, so that `0.5%` is not 0.5.
    #[default]
    Either,
}

/// How units are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitRule {
    /// Units are not read at all.
    Ignore,
    /// A unit may be left out; where both answers have one, they must agree, after conversion.
    #[default]
    IfBoth,
    /// The answer must have a unit where the reference has one.
    Require,
}

/// The conventions of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conventions {
    /// What kind of answer is asked for.
    pub answer_type: AnswerType,
    /// How many options a multiple-choice question has: letters from A on.
    pub options: u8,
    /// How a percent sign is read.
    pub percent: PercentRule,
    /// How units are treated.
    pub units: UnitRule,
    /// Whether `(1,2)` differs from `(2,1)`. Sets and bare lists never have an order.
    pub ordered_tuples: bool,
    /// A decimal with at least this many significant digits stands for the exact reference that it rounds or
    /// truncates: with 6, `0.333333` is 1/3 and `0.333` is not. Absent: never.
    pub answer_digits: Option<u32>,
    /// An exact answer stands for a decimal reference of at least this many significant digits that it rounds
    /// to: with 4, `\frac{16}{3}` is `5.333`. Absent: never.
    pub reference_digits: Option<u32>,
    /// Compare numbers after rounding both to this many places. Absent: no rounding.
    pub round_places: Option<u32>,
    /// Whether `204` answers for `204_5`. By default the base must be written, or the value converted.
    pub base_may_be_dropped: bool,
    /// Whether words are compared with their case.
    pub case_sensitive: bool,
}

impl Default for Conventions {
    fn default() -> Conventions {
        Conventions {
            answer_type: AnswerType::Auto,
            options: 10,
            percent: PercentRule::Either,
            units: UnitRule::IfBoth,
            ordered_tuples: true,
            answer_digits: Some(6),
            reference_digits: Some(4),
            round_places: None,
            base_may_be_dropped: false,
            case_sensitive: false,
        }
    }
}

impl Conventions {
    /// The same conventions without those that depend on which side is the reference. Votes use these: when
    /// nobody knows the right answer, `50`, `50%` and `0.5` must not all be one class.
    pub fn symmetric(&self) -> Conventions {
        let answer_type = match self.answer_type {
            // Whether a letter is an option or a variable would be judged by the reference.
            AnswerType::Auto => AnswerType::Expression,
            stated => stated,
        };
        Conventions {
            answer_type,
            percent: PercentRule::Value,
            answer_digits: None,
            reference_digits: None,
            base_may_be_dropped: false,
            ..self.clone()
        }
    }
}
