//! Grading JSON lines: `{"id", "gold", "answer"}` or `{"id", "gold", "completion"}` in, a verdict a line out.
//!
//! An `answer` is judged as it stands; a `completion` is split from its thinking and searched for the answer. A line
//! that cannot be read becomes a line with outcome `error` and the reason, and the work goes on: ten thousand
//! completions must not be lost for one. Contract: one line out for each line in that is not blank, in order.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};

use serde::Serialize;
use serde_json::Value;

use crate::escape;
use crate::grader::{GRADER_VERSION, Method};
use crate::judge::{Finding, Judge};
use crate::outcome::Outcome;

/// Bytes of a line that are read: no completion is longer.
const MAX_LINE_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// A graded line.
#[derive(Debug, Serialize)]
struct Graded {
    id: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    equal: bool,
    outcome: Outcome,
    extracted: Option<String>,
    rule: Option<String>,
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

/// Grades every line with the judge of its task; `judge` finds it, or says why it cannot.
///
/// # Errors
/// Reading or writing failed.
pub fn grade_lines(
    mut input: impl BufRead,
    mut output: impl Write,
    judge: impl Fn(Option<&str>) -> Result<Judge, String>,
) -> io::Result<Counts> {
    let mut judges = Judges { find: judge, known: HashMap::new() };
    let mut counts = Counts::default();
    let mut line = Vec::new();
    while next_line(&mut input, &mut line)? {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let graded = grade_line(&line, &mut judges);
        counts.add(graded.outcome);
        // What a completion says may be shown on a terminal.
        writeln!(output, "{}", escape::json(&serde_json::to_string(&graded)?))?;
    }
    output.flush()?;
    Ok(counts)
}

/// Reads a line, or the beginning of one that is too long; false at the end.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    if is_cut(line) {
        input.skip_until(b'\n')?;
    }
    Ok(!line.is_empty())
}

fn is_cut(line: &[u8]) -> bool {
    line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n")
}

/// The judges of the tasks met so far.
struct Judges<F> {
    find: F,
    known: HashMap<Option<String>, Result<Judge, String>>,
}

impl<F: Fn(Option<&str>) -> Result<Judge, String>> Judges<F> {
    fn of(&mut self, task: &Option<String>) -> Result<&Judge, String> {
        if !self.known.contains_key(task) {
            self.known.insert(task.clone(), (self.find)(task.as_deref()));
        }
        self.known[task].as_ref().map_err(Clone::clone)
    }
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

fn grade_line<F>(line: &[u8], judges: &mut Judges<F>) -> Graded
where
    F: Fn(Option<&str>) -> Result<Judge, String>,
{
    // The id is worth keeping even where the rest of the line is no good.
    let parsed = serde_json::from_slice::<Value>(line);
    let field = |name: &str| parsed.as_ref().ok().and_then(|line| line.get(name)).cloned();
    let task = field("task").as_ref().and_then(as_text);
    let found = match &parsed {
        _ if is_cut(line) => Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20)),
        Ok(line) => finding(line, &task, judges),
        Err(error) => Err(error.to_string()),
    };
    let (finding, error) = match found {
        Ok(finding) => (finding, None),
        Err(reason) => (Finding::without_answer(Outcome::Error), Some(reason)),
    };
    Graded {
        id: field("id").unwrap_or(Value::Null),
        task,
        equal: finding.outcome == Outcome::Correct,
        outcome: finding.outcome,
        extracted: finding.extracted,
        rule: finding.rule,
        method: finding.method,
        grader: GRADER_VERSION,
        error,
    }
}

fn finding<F>(line: &Value, task: &Option<String>, judges: &mut Judges<F>) -> Result<Finding, String>
where
    F: Fn(Option<&str>) -> Result<Judge, String>,
{
    let gold = line.get("gold").ok_or("missing field `gold`")?;
    let gold = as_text(gold).ok_or("`gold` must be a string or a number")?;
    let judge = judges.of(task)?;
    match (line.get("answer"), line.get("completion")) {
        (Some(_), Some(_)) => Err("give `answer` or `completion`, not both".into()),
        (None, None) => Err("missing field `answer` or `completion`".into()),
        (Some(Value::Null), None) => Ok(Finding::without_answer(Outcome::NoAnswer)),
        (Some(answer), None) => {
            let answer = as_text(answer).ok_or("`answer` must be a string or a number")?;
            Ok(judge.judge_answer(&gold, &answer))
        }
        (None, Some(completion)) => {
            let completion = completion.as_str().ok_or("`completion` must be a string")?;
            Ok(judge.judge_completion(&gold, completion))
        }
    }
}

/// A JSON scalar as a person would have written it.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graded(input: &str) -> (Vec<Value>, Counts) {
        let mut output = Vec::new();
        let judge = |task: Option<&str>| match task {
            None => Ok(Judge::default()),
            Some("countdown") => Ok(Judge::Countdown),
            Some(other) => Err(format!("no task `{other}`")),
        };
        let counts = grade_lines(input.as_bytes(), &mut output, judge).unwrap();
        let lines = String::from_utf8(output).unwrap();
        (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), counts)
    }

    fn outcomes(lines: &[Value]) -> Vec<&str> {
        lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory_and_is_an_error_line() {
        let good = r#"{"gold":"1","answer":"1"}"#;
        let (lines, counts) = graded(&format!("{good}\n{}\n{good}\n", "[".repeat(3 << 20)));
        assert_eq!(outcomes(&lines), ["correct", "error", "correct"]);
        assert_eq!((lines[1]["error"].as_str(), counts.error), (Some("the line is longer than 1 MiB"), 1));
    }

    #[test]
    fn a_bad_line_becomes_an_error_line_and_grading_goes_on() {
        let (lines, counts) = graded(concat!(
            r#"{"id":1,"gold":"1/2","answer":"0.5"}"#,
            "\nnot json\n\n",
            r#"{"id":"c","gold":15,"completion":"<think>12</think>The answer is 15."}"#,
            "\n",
            r#"{"id":"d","gold":"15","completion":"<think>so 15"}"#,
            "\n",
            r#"{"id":"e","answer":"15"}"#,
            "\n",
            r#"{"id":"f","gold":["15"],"answer":"15"}"#,
            "\n[1, 2]\n",
        ));
        assert_eq!(outcomes(&lines), ["correct", "error", "correct", "truncated", "error", "error", "error"]);
        assert_eq!(lines[0]["id"], 1);
        assert_eq!((&lines[2]["rule"], &lines[2]["extracted"]), (&"answer_is".into(), &"15".into()));
        assert_eq!((&lines[4]["id"], &lines[5]["id"]), (&"e".into(), &"f".into()));
        assert!(lines[4]["error"].as_str().unwrap().contains("gold"));
        assert_eq!(counts, Counts { lines: 7, correct: 2, truncated: 1, error: 4, ..Counts::default() });
    }

    #[test]
    fn a_line_is_graded_by_the_judge_of_its_task() {
        let (lines, _) = graded(concat!(
            r#"{"id":1,"task":"countdown","gold":"make 9 from 4 5 1","answer":"(4+5)*1"}"#,
            "\n",
            r#"{"id":2,"task":"chess","gold":"e4","answer":"e4"}"#,
            "\n",
            r#"{"id":3,"task":"countdown","gold":"nine","answer":"(4+5)*1"}"#,
        ));
        assert_eq!(outcomes(&lines), ["correct", "error", "error"]);
        assert_eq!(lines[1]["error"], "no task `chess`");
    }

    #[test]
    fn an_empty_answer_is_none() {
        let (lines, _) = graded(concat!(
            r#"{"gold":"3","answer":""}"#,
            "\n",
            r#"{"gold":"3","answer":null}"#,
            "\n",
            r#"{"gold":"3","completion":""}"#,
        ));
        assert_eq!(outcomes(&lines), ["no_answer"; 3]);
    }
}
