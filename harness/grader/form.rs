//! One form for all writings of one answer: what votes are counted by.
//!
//! A vote over strings splits `\frac12` from `0.5` and elects whatever happens to be written in one way only. Comparing
//! every pair of answers is no cure: "near enough" is not transitive, so the classes would depend on who voted first.
//! So each answer gets a form of its own: a number is its value to 12 digits (integers exactly), an expression its values
//! at fixed points, a set its sorted items, words their normalised words. Contract: equal forms vote together; the
//! reference answer has no say; units do not count, since one problem asks for one unit; [`form`] is bounded and
//! deterministic, and `None` is an answer that cannot be read and does not vote.

use super::calendar;
use super::choice;
use super::clean;
use super::complex::Complex;
use super::conventions::{AnswerType, Conventions};
use super::exact::exact;
use super::fuel::Fuel;
use super::numeric::{self, POINTS, POSITIVE_POINTS};
use super::parse::parse;
use super::relation::{as_set, difference};
use super::shape::{label_of, shaped};
use super::text;
use super::tree::{Brackets, Node, Relation};
use super::words;

/// Forms are records' fields: longer ones are cut, which can only split a vote between answers of this length.
const MAX_FORM: usize = 300;

/// The form of an answer; nothing for one that does not vote.
pub fn form(answer: &str, conventions: &Conventions) -> Option<String> {
    let answer = clean::cleaned(answer);
    let answer = clean::without_reason(answer).unwrap_or(answer);
    let form = match conventions.answer_type {
        AnswerType::Choice => choice::letter(answer, conventions.options).map(|letter| letter.to_string()),
        AnswerType::Text => as_words(answer, conventions),
        AnswerType::Number => formula(answer, conventions),
        AnswerType::Auto | AnswerType::Expression => {
            named(answer).or_else(|| formula(answer, conventions)).or_else(|| as_words(answer, conventions))
        }
    };
    form.map(|form| form.chars().take(MAX_FORM).collect())
}

/// What a parser of formulas would misread: phrases, ordinals, dates, times of day.
fn named(answer: &str) -> Option<String> {
    let plain = clean::plain(answer);
    let is_set = |phrase: &&str| ["all real numbers", "no solution"].contains(phrase);
    let phrase = || text::phrase(&plain).filter(|phrase| !is_set(phrase)).map(str::to_owned);
    let ordinal = || words::ordinal(&plain).map(|place| format!("place {place}"));
    let time =
        || calendar::time(answer).filter(|time| time.after_noon.is_some()).map(|time| time.to_string());
    phrase().or_else(ordinal).or_else(|| calendar::date(answer).map(|date| date.to_string())).or_else(time)
}

/// Words, or a formula that could not be read.
fn as_words(answer: &str, conventions: &Conventions) -> Option<String> {
    let plain = clean::plain(answer);
    let is_formula = plain.contains(|c: char| c.is_ascii_digit() || "\\^_(){}[]+-*/=<>!|".contains(c));
    let form = if is_formula {
        plain.chars().filter(|c| !c.is_whitespace()).collect()
    } else {
        text::normalised(&plain, conventions.case_sensitive)
    };
    (!form.is_empty()).then_some(form)
}

fn formula(answer: &str, conventions: &Conventions) -> Option<String> {
    let form = Form { conventions, fuel: Fuel::full() };
    form.of(&shaped(parse(answer, true)?))
}

/// One reading of an answer.
struct Form<'a> {
    conventions: &'a Conventions,
    fuel: Fuel,
}

impl Form<'_> {
    fn of(&self, node: &Node) -> Option<String> {
        self.fuel.pay(300)?;
        match node {
            Node::Quantity(inner, _) => self.of(inner),
            Node::Neg(inner) if matches!(**inner, Node::Quantity(..)) => self.of(&without_unit(inner)),
            Node::Chain(nodes, relations) => self.relation(node, nodes, relations),
            Node::Sequence(brackets, items) => self.sequence(node, *brackets, items),
            Node::Matrix(rows) => self.matrix(rows),
            Node::Ratio(parts) => self.ratio(parts),
            Node::SetOp(..) | Node::Reals | Node::Empty => Some(as_set(node, &self.fuel)?.to_string()),
            Node::Text(words) if self.conventions.answer_type != AnswerType::Number => {
                Some(text::normalised(words, self.conventions.case_sensitive))
            }
            Node::Text(_) | Node::Ellipsis => None,
            _ => self.value(node),
        }
    }

    /// A number, or an expression by its values; where variables are negative, only if those stay real.
    fn value(&self, node: &Node) -> Option<String> {
        if let Some(positive) = numeric::infinite(node) {
            return Some(if positive { "inf".into() } else { "-inf".into() });
        }
        if let Some(whole) = exact(node, &self.fuel).filter(num_rational::BigRational::is_integer) {
            return Some(whole.to_integer().to_string());
        }
        if !node.has_symbol() {
            return Some(digits(numeric::value_at(node, 0, &self.fuel)?.0));
        }
        let at = |point| {
            numeric::value_at(node, point, &self.fuel).filter(|(_, real)| point < POSITIVE_POINTS || *real)
        };
        let forms: Vec<String> =
            (0..POINTS).map(|p| at(p).map_or("?".into(), |(value, _)| digits(value))).collect();
        if forms.iter().all(|form| *form == "?") {
            return None;
        }
        let is_constant = forms.iter().all(|form| *form == forms[0]);
        Some(if is_constant { forms[0].clone() } else { format!("f {}", forms.join(" ")) })
    }

    /// `x = 5` is 5, an inequality its set, another equation the ratios of what must vanish.
    fn relation(&self, node: &Node, nodes: &[Node], relations: &[Relation]) -> Option<String> {
        if label_of(node).is_some() {
            return self.of(nodes.last()?);
        }
        if relations.iter().any(|relation| *relation != Relation::Equal) {
            return Some(as_set(node, &self.fuel)?.to_string());
        }
        if !node.has_symbol() {
            return self.of(nodes.last()?);
        }
        let (vanishing, _) = difference(node)?;
        let at = |point| numeric::value_at(&vanishing, point, &self.fuel).map(|(value, _)| value);
        let first = at(0).filter(|value| value.abs().hi > 1e-20)?;
        let ratios = (1..POSITIVE_POINTS).map(|p| at(p).map(|value| digits(value / first)));
        Some(format!("0 = {}", ratios.collect::<Option<Vec<_>>>()?.join(" ")))
    }

    fn sequence(&self, node: &Node, brackets: Brackets, items: &[Node]) -> Option<String> {
        if matches!(brackets, Brackets::OpenClosed | Brackets::ClosedOpen) {
            return Some(as_set(node, &self.fuel)?.to_string());
        }
        let forms = || items.iter().map(|item| self.of(item)).collect::<Option<Vec<_>>>();
        match brackets {
            Brackets::Bare | Brackets::Set => {
                if items.iter().any(is_inequality) {
                    return Some(as_set(node, &self.fuel)?.to_string());
                }
                if items.iter().all(|item| label_of(item).is_some()) {
                    return Some(format!("({})", by_label(items, forms()?).join("; ")));
                }
                let mut forms = forms()?;
                forms.sort_unstable();
                forms.dedup();
                Some(if forms.len() == 1 { forms.remove(0) } else { format!("{{{}}}", forms.join("; ")) })
            }
            Brackets::Square if items.len() == 2 => match as_set(node, &self.fuel) {
                Some(interval) => Some(interval.to_string()),
                None => Some(format!("[{}]", forms()?.join("; "))),
            },
            // A point or an interval: infinity settles it.
            Brackets::Round if items.iter().any(|item| numeric::infinite(item).is_some()) => {
                Some(as_set(node, &self.fuel)?.to_string())
            }
            _ => Some(format!("({})", forms()?.join("; "))),
        }
    }

    /// A column is a tuple.
    fn matrix(&self, rows: &[Vec<Node>]) -> Option<String> {
        let row = |row: &Vec<Node>| {
            row.iter().map(|n| self.of(n)).collect::<Option<Vec<_>>>().map(|r| r.join("; "))
        };
        if rows.iter().all(|row| row.len() == 1) {
            return Some(format!("({})", rows.iter().map(row).collect::<Option<Vec<_>>>()?.join("; ")));
        }
        Some(format!("({}|)", rows.iter().map(row).collect::<Option<Vec<_>>>()?.join(" | ")))
    }

    fn ratio(&self, parts: &[Node]) -> Option<String> {
        let (first, rest) = parts.split_first()?;
        let over = |part: &Node| self.value(&Node::Div(Box::new(part.clone()), Box::new(first.clone())));
        if let [second] = rest {
            return self.value(&Node::Div(Box::new(first.clone()), Box::new(second.clone())));
        }
        Some(format!("1:{}", rest.iter().map(over).collect::<Option<Vec<_>>>()?.join(":")))
    }
}

fn is_inequality(node: &Node) -> bool {
    matches!(node, Node::Chain(_, relations) if relations.iter().any(|relation| *relation != Relation::Equal))
}

/// The forms of `y = 2, x = 1`, in the order of the names.
fn by_label(items: &[Node], forms: Vec<String>) -> Vec<String> {
    let name = |item: &Node| label_of(item).map_or(String::new(), |label| format!("{label:?}"));
    let mut named: Vec<(String, String)> = items.iter().map(name).zip(forms).collect();
    named.sort();
    named.into_iter().map(|(_, form)| form).collect()
}

fn without_unit(node: &Node) -> Node {
    match node {
        Node::Quantity(inner, _) => Node::Neg(inner.clone()),
        other => Node::Neg(Box::new(other.clone())),
    }
}

/// Twelve significant digits: more than anybody writes, fewer than are computed.
fn digits(value: Complex) -> String {
    let size = value.abs().hi;
    let part = |x: f64| {
        let rounded = if x.abs() <= size * 1e-20 || x.abs() < 1e-25 { 0.0 } else { x };
        let written = format!("{rounded:.11e}");
        let near = written.parse::<f64>().unwrap_or(rounded);
        // Adding zero turns -0 into 0.
        if near.fract() == 0.0 && near.abs() < 1e12 { format!("{:.0}", near + 0.0) } else { written }
    };
    let (real, imaginary) = (part(value.re.hi), part(value.im.hi));
    if imaginary == "0" { real } else { format!("{real}+{imaginary}i") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(answers: &[&str], answer_type: AnswerType) -> Vec<Option<String>> {
        let conventions = Conventions { answer_type, ..Conventions::default() };
        answers.iter().map(|answer| form(answer, &conventions)).collect()
    }

    #[test]
    fn different_writings_of_one_answer_have_one_form() {
        for same in [
            [r"\frac12", "0.5", "50%"],
            [r"\frac{\sqrt3}{3}", r"\frac{1}{\sqrt{3}}", r"\sqrt{1/3}"],
            ["(x+1)^2", "x^2+2x+1", "1 + x(x+2)"],
            ["x > 3", r"(3,\infty)", r"3 < x"],
            ["x = 5", "5", r"5\text{ cm}"],
            [r"\{1,2\}", "2, 1", r"x=1 \text{ or } x=2"],
            ["2x - y + 3 = 0", "4x = 2y - 6", "y - 2x = 3"],
            [r"\text{East}", "east", "the east"],
            ["3:4", "6:8", r"\frac34"],
            ["y = 2, x = 1", "(1,2)", "x=1, y=2"],
            [r"\sin^2 x + \cos^2 x", "1", "x/x"],
            ["DNE", "does not exist", r"\text{Does not exist.}"],
            ["3rd", "third", r"\text{third}"],
            ["3:30 PM", r"3:30 \text{ p.m.}", "03:30 pm"],
            ["1,234", "1234", "1234.0"],
            [r"\sqrt{3+2\sqrt2}-\sqrt2", "1", "x=1"],
        ] {
            let found = forms(&same, AnswerType::Expression);
            assert!(found[0].is_some() && found.iter().all(|form| *form == found[0]), "{same:?}: {found:?}");
        }
    }

    #[test]
    fn different_answers_have_different_forms() {
        let answers = [
            "50",
            "0.5",
            "0.51",
            r"2^{100}",
            r"2^{100}+1",
            r"\pi",
            "3.14159",
            "x",
            "2x",
            "x^2",
            "(1,2)",
            "(2,1)",
            r"\{1,2,3\}",
            "[1,2]",
            "x>1",
            r"x\ge1",
            "3:4",
            "4:3",
            "yes",
            "no",
            "3+4i",
            "3-4i",
        ];
        let found = forms(&answers, AnswerType::Expression);
        for (i, form) in found.iter().enumerate() {
            assert!(form.is_some(), "{}", answers[i]);
            assert!(!found[..i].contains(form), "{}: {form:?}", answers[i]);
        }
    }

    #[test]
    fn what_cannot_be_read_as_a_number_does_not_vote_where_a_number_is_asked() {
        assert_eq!(
            forms(&["", "I do not know", "12 apples"], AnswerType::Number),
            [None, None, Some("12".into())]
        );
        assert_eq!(
            forms(&["(B)", "b", "maybe"], AnswerType::Choice),
            [Some("B".into()), Some("B".into()), None]
        );
    }
}
