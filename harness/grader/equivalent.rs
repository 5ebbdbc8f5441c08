//! Whether two answers are one: the comparison of shapes.
//!
//! Both answers are read into trees. Numbers are compared exactly, closed forms and expressions by their values,
//! tuples in order, sets and bare lists in any order, intervals and inequalities as sets of reals, words as words.
//! Where an answer cannot be read it is compared as text, never guessed at. Contract: [`equivalent`] is total,
//! deterministic and bounded; [`Method`] says what decided.

use super::calendar;
use super::choice;
use super::clean;
use super::conventions::Conventions;
use super::fuel::Fuel;
use super::parse::{MAX_BYTES, parse};
use super::relation::{as_set, proportional};
use super::shape::{is_label, label_of, shaped};
use super::text;
use super::token::{Token, tokens};
use super::tree::{Brackets, Node, Relation};
use super::value::same_value;
use super::words;
use serde::{Deserialize, Serialize};

/// What decided that two answers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The same characters, but for spaces.
    Identical,
    /// Exact rational arithmetic.
    Exact,
    /// Values at 31 digits, at several points where there are variables.
    Numeric,
    /// A decimal that rounds the other side, under the conventions.
    Rounded,
    /// The same tree, or the same parts in an allowed order.
    Structural,
    /// The same set of real numbers.
    Set,
    /// Proportional equations or inequalities.
    Proportional,
    /// The same words.
    Text,
    /// The same option.
    Choice,
    /// The same date or time of day.
    Date,
}

/// One comparison. What stands in several parts is compared in `sequences`.
pub(super) struct Comparison<'a> {
    pub(super) conventions: &'a Conventions,
    fuel: Fuel,
}

/// What decided that `answer` equals `gold`; nothing if it does not.
pub fn equivalent(gold: &str, answer: &str, conventions: &Conventions) -> Option<Method> {
    let (gold, answer) = (clean::cleaned(gold), clean::cleaned(answer));
    if gold.is_empty() || answer.is_empty() {
        return None;
    }
    if gold == answer {
        return Some(Method::Identical);
    }
    if let Some(decided) = choice::compare(gold, answer, conventions) {
        return decided.then_some(Method::Choice);
    }
    if let (Some(g), Some(a)) = (calendar::date(gold), calendar::date(answer)) {
        return g.agrees(a).then_some(Method::Date);
    }
    if let (Some(g), Some(a)) = (calendar::time(gold), calendar::time(answer))
        && (g.after_noon.is_some() || a.after_noon.is_some())
    {
        return g.agrees(a).then_some(Method::Date);
    }
    if let (Some(g), Some(a)) = (ordinal(gold), ordinal(answer)) {
        return (g == a).then_some(Method::Text);
    }
    let comparison = Comparison { conventions, fuel: Fuel::full() };
    let same = |answer| comparison.as_trees(gold, answer).or_else(|| comparison.as_text(gold, answer));
    same(answer).or_else(|| same(clean::without_reason(answer)?))
}

fn ordinal(answer: &str) -> Option<i64> {
    words::ordinal(&clean::plain(answer.get(..40).unwrap_or(answer))).filter(|_| answer.len() <= 40)
}

impl Comparison<'_> {
    fn as_trees(&self, gold: &str, answer: &str) -> Option<Method> {
        let (g, a) = (shaped(parse(gold, true)?), shaped(parse(answer, true)?));
        if let Some(method) = self.same(&g, &a) {
            return Some(method);
        }
        // "1,234" is also a list, if the other side is one.
        if is_several(&g) && answer.contains(',') && !is_several(&a) {
            return self.same(&g, &shaped(parse(answer, false)?));
        }
        if is_several(&a) && gold.contains(',') && !is_several(&g) {
            return self.same(&shaped(parse(gold, false)?), &a);
        }
        None
    }

    /// Words, or what could not be read.
    fn as_text(&self, gold: &str, answer: &str) -> Option<Method> {
        if gold.len() > clean::MAX_TEXT || answer.len() > clean::MAX_TEXT {
            return None;
        }
        let case = self.conventions.case_sensitive;
        let (g, a) = (clean::plain(gold), clean::plain(answer));
        // Formulas are not words: there a sign that text ignores may matter.
        let formula = |t: &str| t.contains(|c: char| c.is_ascii_digit() || "\\^_(){}[]+-*/=<>!|".contains(c));
        if formula(&g) || formula(&a) {
            let same = unspaced(&g) == unspaced(&a) || same_tokens(gold, answer);
            return same.then_some(Method::Text);
        }
        let (g, a) = (text::normalised(&g, case), text::normalised(&a, case));
        (!g.is_empty() && g == a).then_some(Method::Text)
    }

    /// Whether two shaped trees are one.
    pub(super) fn same(&self, gold: &Node, answer: &Node) -> Option<Method> {
        self.fuel.pay(300)?;
        if gold == answer && !matches!(gold, Node::Number(..)) {
            return Some(Method::Structural);
        }
        match (label_of(gold).is_some(), label_of(answer).is_some()) {
            (true, true) => return self.same_equation(gold, answer),
            (true, false) if !is_chain(answer) => return self.same_unlabelled(gold, answer),
            (false, true) if !is_chain(gold) => {
                return self.same_unlabelled(answer, gold).and_then(|_| self.turned(gold, answer));
            }
            _ => {}
        }
        if let Some(decided) = self.as_sets(gold, answer) {
            return decided;
        }
        match (gold, answer) {
            (Node::Chain(..), Node::Chain(..)) => {
                proportional(gold, answer, &self.fuel).then_some(Method::Proportional)
            }
            (Node::Chain(nodes, relations), other) => self.computed(nodes, relations, other, true),
            (other, Node::Chain(nodes, relations)) => self.computed(nodes, relations, other, false),
            (Node::Sequence(b, items), Node::Sequence(c, others)) => {
                self.same_sequences((*b, items), (*c, others))
            }
            (Node::Matrix(g), Node::Matrix(a)) => self.same_matrices(g, a),
            (Node::Matrix(rows), Node::Sequence(b, items)) => self.vector(rows, *b, items, true),
            (Node::Sequence(b, items), Node::Matrix(rows)) => self.vector(rows, *b, items, false),
            (Node::Sequence(Brackets::Set, items), other) if items.len() == 1 => self.same(&items[0], other),
            (other, Node::Sequence(Brackets::Set, items)) if items.len() == 1 => self.same(other, &items[0]),
            (Node::Sequence(..) | Node::Matrix(_), _) | (_, Node::Sequence(..) | Node::Matrix(_)) => None,
            (Node::Ratio(g), Node::Ratio(a)) => self.same_ratios(g, a),
            (Node::Ratio(parts), other) => self.same(&quotient(parts)?, other),
            (other, Node::Ratio(parts)) => self.same(other, &quotient(parts)?),
            (Node::Text(g), Node::Text(a)) => self.same_texts(g, a),
            _ => same_value(gold, answer, self.conventions, &self.fuel),
        }
    }

    /// An equation with a label against what has none: the label may be left out.
    fn same_unlabelled(&self, labelled: &Node, other: &Node) -> Option<Method> {
        let Node::Chain(nodes, _) = labelled else { return None };
        self.same(nodes.last()?, other)
    }

    fn turned(&self, gold: &Node, labelled: &Node) -> Option<Method> {
        let Node::Chain(nodes, _) = labelled else { return None };
        self.same(gold, nodes.last()?)
    }

    fn same_equation(&self, gold: &Node, answer: &Node) -> Option<Method> {
        let (Node::Chain(g, _), Node::Chain(a, _)) = (gold, answer) else { return None };
        if g.first() == a.first()
            && let Some(method) = self.same(g.last()?, a.last()?)
        {
            return Some(method);
        }
        proportional(gold, answer, &self.fuel).then_some(Method::Proportional)
    }

    /// `2 + 3 = 5` against 5: a true equation between constants is its value.
    fn computed(
        &self,
        nodes: &[Node],
        relations: &[Relation],
        other: &Node,
        on_gold: bool,
    ) -> Option<Method> {
        let ([first, last], [Relation::Equal]) = (nodes, relations) else { return None };
        if nodes.iter().any(|n| n.has_symbol()) || is_label(first) {
            return None;
        }
        same_value(first, last, self.conventions, &self.fuel)?;
        if on_gold { self.same(last, other) } else { self.same(other, last) }
    }

    /// Compares as sets of reals where one side must be one.
    fn as_sets(&self, gold: &Node, answer: &Node) -> Option<Option<Method>> {
        let surely = |n: &Node| match n {
            Node::SetOp(..) | Node::Reals | Node::Empty => true,
            Node::Chain(_, relations) => relations.iter().any(|r| *r != Relation::Equal),
            Node::Sequence(Brackets::OpenClosed | Brackets::ClosedOpen, _) => true,
            Node::Sequence(Brackets::Bare, items) => items.iter().all(is_inequality),
            _ => false,
        };
        if !surely(gold) && !surely(answer) {
            return None;
        }
        let (g, a) = (as_set(gold, &self.fuel)?, as_set(answer, &self.fuel)?);
        Some(g.same(&a).then_some(Method::Set))
    }

    /// Times of day literally, ratios up to a factor.
    fn same_ratios(&self, gold: &[Node], answer: &[Node]) -> Option<Method> {
        if gold.len() != answer.len() {
            return None;
        }
        if let Some(method) = self.in_order(gold, answer) {
            return Some(method);
        }
        if is_time(gold) || is_time(answer) {
            return None;
        }
        let cross = |a: &Node, b: &Node| Node::Mul(vec![a.clone(), b.clone()]);
        let proportional = (1..gold.len()).all(|i| {
            let (left, right) = (cross(&gold[0], &answer[i]), cross(&gold[i], &answer[0]));
            same_value(&left, &right, self.conventions, &self.fuel).is_some()
        });
        proportional.then_some(Method::Exact)
    }

    fn same_texts(&self, gold: &str, answer: &str) -> Option<Method> {
        let case = self.conventions.case_sensitive;
        (text::normalised(gold, case) == text::normalised(answer, case)).then_some(Method::Text)
    }
}

fn is_chain(node: &Node) -> bool {
    matches!(node, Node::Chain(..))
}

fn is_inequality(node: &Node) -> bool {
    matches!(node, Node::Chain(_, relations) if relations.iter().any(|r| *r != Relation::Equal))
}

fn is_several(node: &Node) -> bool {
    matches!(node, Node::Sequence(..))
}

/// The second part has exactly the range of minutes.
fn is_time(parts: &[Node]) -> bool {
    let small = |n: &Node, below: i64| match n {
        Node::Number(v, None) => {
            v.is_integer()
                && *v >= num_rational::BigRational::from_integer(10.into())
                && *v < num_rational::BigRational::from_integer(below.into())
        }
        _ => false,
    };
    parts.len() == 2 && small(&parts[1], 60)
}

fn quotient(parts: &[Node]) -> Option<Node> {
    match parts {
        [a, b] => Some(Node::Div(Box::new(a.clone()), Box::new(b.clone()))),
        _ => None,
    }
}

/// What cannot be parsed is at least compared without spacing, sizing and single braces.
fn same_tokens(gold: &str, answer: &str) -> bool {
    match (stripped(gold), stripped(answer)) {
        (Some(g), Some(a)) => g == a,
        _ => false,
    }
}

fn stripped(text: &str) -> Option<Vec<Token>> {
    let all = tokens(text, true).ok().filter(|_| text.len() <= MAX_BYTES)?;
    let mut out: Vec<Token> = Vec::with_capacity(all.len());
    for token in all.into_iter().filter(|t| *t != Token::Space) {
        let single = token == Token::Sign('}') && out.len() >= 2 && out[out.len() - 2] == Token::Sign('{');
        if single {
            out.remove(out.len() - 2);
        } else {
            out.push(token);
        }
    }
    Some(out)
}

fn unspaced(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
