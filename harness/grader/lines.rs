//! Grading JSON lines: `{"id", "gold", "answer"}` or `{"id", "gold", "completion"}` in, a verdict a line out.
//!
//! An `answer` is graded as it stands; a `completion` is split from its thinking and searched for the answer. A line
//! that cannot be read becomes a line with outcome `error` and the reason, and the work goes on: ten thousand
//! completions must not be lost for one. Contract: one line out for each line in that is not blank, in order.

use super::conventions::Conventions;
use super::equivalent::Method;
use super::extract::Rule;
use super::verdict::{Outcome, Verdict, grade_answer, grade_completion};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, BufRead, Write};

/// A line to grade. Other fields are ignored.
#[derive(Debug, Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    task: Option<String>,
    gold: Value,
    #[serde(default)]
    answer: Option<Value>,
    #[serde(default)]
    completion: Option<String>,
}

/// A graded line.
#[derive(Debug, Serialize)]
struct Graded {
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    equal: bool,
    outcome: Outcome,
    extracted: Option<String>,
    rule: Option<Rule>,
    method: Option<Method>,
    grader: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How many lines had each fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines graded, or found unreadable.
    pub lines: u64,
    /// Correct answers.
    pub correct: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Completions without an answer.
    pub no_answer: u64,
    /// Completions whose thinking never ended.
    pub truncated: u64,
    /// Lines that could not be read.
    pub error: u64,
}

/// Grades every line with the conventions of its task.
pub fn grade_lines(
    input: impl BufRead,
    mut output: impl Write,
    conventions: impl Fn(Option<&str>) -> Conventions,
) -> io::Result<Counts> {
    let mut counts = Counts::default();
    for line in input.split(b'\n') {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let graded = grade_line(&line, &conventions);
        counts.add(graded.outcome);
        serde_json::to_writer(&mut output, &graded)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(counts)
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        self.lines += 1;
        *match outcome {
            Outcome::Correct => &mut self.correct,
            Outcome::Wrong => &mut self.wrong,
            Outcome::NoAnswer => &mut self.no_answer,
            Outcome::Truncated => &mut self.truncated,
            Outcome::Error => &mut self.error,
        } += 1;
    }
}

fn grade_line(line: &[u8], conventions: &impl Fn(Option<&str>) -> Conventions) -> Graded {
    // The id is worth keeping even where the rest of the line is no good.
    let id = || {
        serde_json::from_slice::<Value>(line).ok().and_then(|v| v.get("id").cloned()).unwrap_or(Value::Null)
    };
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return failed(id(), None, error.to_string()),
    };
    let Some(gold) = as_text(&request.gold) else {
        return failed(request.id, request.task, "`gold` must be a string or a number".into());
    };
    let conventions = conventions(request.task.as_deref());
    let verdict = match (&request.answer, &request.completion) {
        (Some(_), Some(_)) => {
            return failed(request.id, request.task, "give `answer` or `completion`, not both".into());
        }
        (None, Some(completion)) => grade_completion(&gold, completion, &conventions),
        (Some(Value::Null), None) => grade_answer(&gold, None, &conventions),
        (Some(answer), None) => match as_text(answer) {
            Some(answer) => grade_answer(&gold, Some(&answer), &conventions),
            None => return failed(request.id, request.task, "`answer` must be a string or a number".into()),
        },
        (None, None) => {
            return failed(request.id, request.task, "missing field `answer` or `completion`".into());
        }
    };
    graded(request.id, request.task, verdict)
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn graded(id: Value, task: Option<String>, verdict: Verdict) -> Graded {
    Graded {
        id,
        task,
        equal: verdict.equal,
        outcome: verdict.outcome,
        extracted: verdict.extracted,
        rule: verdict.rule,
        method: verdict.method,
        grader: super::GRADER_VERSION,
        error: None,
    }
}

fn failed(id: Value, task: Option<String>, reason: String) -> Graded {
    Graded { error: Some(reason), ..graded(id, task, Verdict::without_answer(Outcome::Error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_becomes_an_error_line_and_grading_goes_on() {
        let input = concat!(
            r#"{"id":1,"gold":"1/2","answer":"0.5"}"#,
            "\n",
            "not json\n\n",
            r#"{"id":"c","gold":15,"completion":"<think>12</think>The answer is 15."}"#,
            "\n",
            r#"{"id":"d","gold":"15","completion":"<think>so 15"}"#,
            "\n",
            r#"{"id":"e","answer":"15"}"#,
            "\n",
        );
        let mut output = Vec::new();
        let counts = grade_lines(input.as_bytes(), &mut output, |_| Conventions::default()).unwrap();
        let lines: Vec<Value> = output
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        let outcomes: Vec<&str> = lines.iter().map(|l| l["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["correct", "error", "correct", "truncated", "error"]);
        assert_eq!(lines[4]["id"], "e");
        assert!(lines[4]["error"].as_str().unwrap().contains("gold"));
        assert_eq!(counts, Counts { lines: 5, correct: 2, truncated: 1, error: 2, ..Counts::default() });
    }
}
