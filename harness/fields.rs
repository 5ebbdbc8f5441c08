//! Which columns of a data file make a problem, and how.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::data_file::{MAX_TEXT_BYTES, Row};
use crate::grader::{Conventions, extract};
use crate::problem::Problem;

/// Which columns make a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// The column of the question, or several that are joined as sentences.
    pub question: Columns,
    /// Where the reference answer is. With `choices`, a letter, an index from 0 or an option's text; it may be left out
    /// where `choices` names columns, whose first holds the right option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<Gold>,
    /// The column of the id; by default the task's name and the row's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Options of a multiple-choice question: a column that holds a list, or one column each with the right option
    /// first, which are then shuffled by the problem's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Columns>,
    /// The problem that this one is a variation of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant_of: Option<Seed>,
}

/// One column or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Columns {
    /// One column.
    One(String),
    /// Several columns.
    Several(Vec<String>),
}

/// Where the reference answer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Gold {
    /// The whole column.
    Column(String),
    /// What follows the last mark, up to the end: `{ column = "answer", after = "####" }`.
    After {
        /// The column.
        column: String,
        /// The mark.
        after: String,
    },
    /// What the grader extracts from a worked solution: `{ solution = "solution" }`.
    Solution {
        /// The column.
        solution: String,
    },
}

/// Which problem a row is a variation of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Seed {
    /// A column holds its id.
    Column(String),
    /// The problem of another task whose question has the most words in common with a column:
    /// `{ task = "gsm8k", like = "seed_question" }`.
    Like {
        /// A task's name.
        task: String,
        /// A column of this file.
        like: String,
    },
}

impl Fields {
    /// The problem of one row; `number` counts from 0, and `task` begins the id of a row that has none.
    ///
    /// # Errors
    /// Which column is missing or makes no sense.
    pub(crate) fn problem(&self, task: &str, number: usize, row: &Row) -> Result<Problem, String> {
        let id = match &self.id {
            Some(column) => text(row, column)?,
            None => format!("{task}-{number:04}"),
        };
        let mut question = self.question.joined(row)?;
        let gold = match &self.choices {
            None => self.gold.as_ref().ok_or("`gold` is missing from the fields")?.text(row)?,
            Some(choices) => {
                let (options, right) = self.options(choices, &id, row)?;
                let (Some(listed), Some(letter)) = (listed(&options), letter(right)) else {
                    return Err(format!("problem {id} has {} options, and letters end at Z", options.len()));
                };
                question += &listed;
                letter.to_string()
            }
        };
        let variant_of = match &self.variant_of {
            Some(Seed::Column(column)) => Some(text(row, column)?),
            _ => None,
        };
        Ok(Problem { id, question, gold: gold.trim().to_owned(), variant_of })
    }

    /// The options in the order they are shown, and which of them is right.
    fn options(&self, choices: &Columns, id: &str, row: &Row) -> Result<(Vec<String>, usize), String> {
        match choices {
            Columns::Several(columns) => {
                let options = columns.iter().map(|c| text(row, c)).collect::<Result<Vec<_>, _>>()?;
                Ok(shuffled(&options, id))
            }
            Columns::One(column) => {
                let list =
                    row.get(column).and_then(Value::as_array).ok_or(format!("no list in `{column}`"))?;
                let option = |value| short_enough(column, written(value));
                let options = list.iter().map(option).collect::<Result<Vec<_>, _>>()?;
                let gold = self.gold.as_ref().ok_or("`gold` is missing from the fields")?;
                let right = gold.option(row, &options)?;
                Ok((options, right))
            }
        }
    }
}

impl Columns {
    /// The columns' texts as sentences.
    fn joined(&self, row: &Row) -> Result<String, String> {
        let columns = match self {
            Self::One(column) => std::slice::from_ref(column),
            Self::Several(columns) => columns,
        };
        let mut joined = String::new();
        for column in columns {
            if joined.ends_with(char::is_alphanumeric) {
                joined.push('.');
            }
            joined += if joined.is_empty() { "" } else { " " };
            joined += text(row, column)?.trim();
        }
        Ok(joined)
    }
}

impl Gold {
    fn text(&self, row: &Row) -> Result<String, String> {
        match self {
            Self::Column(column) => text(row, column),
            Self::After { column, after } => {
                let whole = text(row, column)?;
                let part = whole.rsplit_once(after.as_str()).ok_or(format!("no `{after}` in `{column}`"))?.1;
                Ok(part.trim().to_owned())
            }
            Self::Solution { solution } => {
                let whole = text(row, solution)?;
                let found = extract(&whole, &Conventions::default());
                Ok(found.ok_or(format!("no answer in `{solution}`"))?.text)
            }
        }
    }
}

impl Gold {
    /// Which option is right: a number is its index, a letter its letter, anything else its text.
    fn option(&self, row: &Row, options: &[String]) -> Result<usize, String> {
        let is_index = matches!(self, Self::Column(column) if row.get(column).is_some_and(Value::is_number));
        let gold = self.text(row)?;
        let is_gold =
            |i: &usize| letter(*i).is_some_and(|l| gold.trim().eq_ignore_ascii_case(&l.to_string()));
        let found = if is_index {
            gold.parse().ok().filter(|index| *index < options.len())
        } else {
            let by_text = || options.iter().position(|option| option.trim() == gold.trim());
            (0..options.len()).find(is_gold).or_else(by_text)
        };
        found.ok_or(format!("`{gold}` is none of the options"))
    }
}

/// The text of a column.
pub(crate) fn text(row: &Row, column: &str) -> Result<String, String> {
    match row.get(column) {
        None | Some(Value::Null) => Err(format!("no column `{column}`")),
        Some(value) => short_enough(column, written(value)),
    }
}

fn short_enough(column: &str, text: String) -> Result<String, String> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(text);
    }
    Err(format!("`{column}` has {} bytes, and no model reads more than {MAX_TEXT_BYTES}", text.len()))
}

/// A scalar as a person would have written it: a whole number that a table stores as 27.0 is 27.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The first option is right; the order follows from the id, so it is the same on every machine.
fn shuffled(options: &[String], id: &str) -> (Vec<String>, usize) {
    let mut order: Vec<usize> = (0..options.len()).collect();
    order.sort_by_key(|i| Sha256::digest(format!("{id} {i}")));
    let right = order.iter().position(|i| *i == 0).unwrap_or(0);
    (order.into_iter().map(|i| options[i].clone()).collect(), right)
}

/// The letter of an option; there is none after Z.
fn letter(index: usize) -> Option<char> {
    ('A'..='Z').nth(index)
}

fn listed(options: &[String]) -> Option<String> {
    let line = |(i, option): (usize, &String)| Some(format!("\n{}) {}", letter(i)?, option.trim()));
    Some(format!("\n{}", options.iter().enumerate().map(line).collect::<Option<String>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(fields: &str, row: Value) -> Result<Problem, String> {
        let fields: Fields = toml::from_str(fields).unwrap();
        fields.problem("t", 7, row.as_object().unwrap())
    }

    #[test]
    fn the_gold_is_found_where_the_fields_say() {
        let row = json!({"q": "How many?", "s": "2 + 2 = 4 #### no\n#### 1,234", "n": 27.0, "w": "so $\\boxed{\\frac12}$."});
        for (gold, expected) in [
            ("{ column = 's', after = '####' }", "1,234"),
            (r#""n""#, "27"),
            (r#"{ solution = "w" }"#, r"\frac12"),
        ] {
            let made = problem(&format!("question = \"q\"\ngold = {gold}"), row.clone()).unwrap();
            assert_eq!((made.id.as_str(), made.gold.as_str()), ("t-0007", expected));
        }
    }

    #[test]
    fn a_list_of_options_is_shown_with_letters_and_the_gold_is_a_letter() {
        let row =
            json!({"q": "Which?", "o": ["one", "two", "three"], "letter": "b", "index": 1, "text": "two"});
        for gold in ["letter", "index", "text"] {
            let made = problem(&format!("question = \"q\"\nchoices = \"o\"\ngold = \"{gold}\""), row.clone());
            let made = made.unwrap();
            assert_eq!(
                (made.gold.as_str(), made.question.as_str()),
                ("B", "Which?\n\nA) one\nB) two\nC) three")
            );
        }
    }

    #[test]
    fn a_question_with_more_options_than_letters_is_refused_with_its_problem() {
        let made = |count: usize, gold: Value| {
            let options: Vec<String> = (0..count).map(|i| format!("option {i}")).collect();
            let row = json!({ "q": "Which?", "o": options, "g": gold });
            problem("question = \"q\"\nchoices = \"o\"\ngold = \"g\"", row)
        };
        assert_eq!(made(26, json!(25)).unwrap().gold, "Z");
        for gold in [json!(3), json!("option 26"), json!("Z")] {
            let message = made(27, gold).unwrap_err();
            assert_eq!(message, "problem t-0007 has 27 options, and letters end at Z");
        }
    }

    #[test]
    fn options_in_columns_are_shuffled_by_the_id() {
        let fields =
            "question = \"q\"\nid = \"id\"\nchoices = [\"right\", \"wrong 1\", \"wrong 2\", \"wrong 3\"]";
        let golds: Vec<String> = (0..64)
            .map(|id| {
                let row =
                    json!({"q": "?", "id": id, "right": "r", "wrong 1": "x", "wrong 2": "y", "wrong 3": "z"});
                let made = problem(fields, row).unwrap();
                assert!(made.question.contains(&format!("{}) r", made.gold)));
                made.gold
            })
            .collect();
        for letter in ["A", "B", "C", "D"] {
            assert!(golds.iter().filter(|gold| *gold == letter).count() > 6, "{golds:?}");
        }
    }

    #[test]
    fn a_text_that_no_model_reads_is_refused_with_its_column() {
        let row = json!({"q": "x".repeat(MAX_TEXT_BYTES + 1), "a": "1"});
        let error = problem("question = \"q\"\ngold = \"a\"", row).unwrap_err();
        assert_eq!(error, "`q` has 1048577 bytes, and no model reads more than 1048576");
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = problem("question = \"q\"\ngold = \"a\"", json!({"q": "?"})).unwrap_err();
        assert_eq!(error, "no column `a`");
    }
}
