//! When two single values are one: exact, numeric, percent, units, rounding.

use super::atom::decimals_of;
use super::conventions::{Conventions, PercentRule, UnitRule};
use super::double_double::Dd;
use super::equivalent::Method;
use super::exact::exact;
use super::fuel::Fuel;
use super::numeric::{self, POINTS, POSITIVE_POINTS, close};
use super::tree::{Constant, Node};
use super::units::Unit;
use num_rational::BigRational;
use num_traits::{One, Signed};

/// A value without the unit and percent sign around it.
struct Peeled<'a> {
    core: &'a Node,
    unit: Option<&'a Unit>,
    percent: bool,
    negative: bool,
}

fn peel(node: &Node) -> Peeled<'_> {
    let mut peeled = Peeled { core: node, unit: None, percent: false, negative: false };
    loop {
        match peeled.core {
            Node::Quantity(inner, unit) => {
                peeled.unit = peeled.unit.or(Some(unit));
                peeled.core = inner;
            }
            Node::Percent(inner) => {
                peeled.percent = true;
                peeled.core = inner;
            }
            Node::Neg(inner) if matches!(**inner, Node::Quantity(..) | Node::Percent(_)) => {
                peeled.negative = !peeled.negative;
                peeled.core = inner;
            }
            _ => return peeled,
        }
    }
}

impl Peeled<'_> {
    /// The signed core times a factor.
    fn scaled(&self, factor: &BigRational) -> Node {
        let core = if self.negative { Node::Neg(Box::new(self.core.clone())) } else { self.core.clone() };
        if factor.is_one() { core } else { Node::Mul(vec![Node::Number(factor.clone(), None), core]) }
    }
}

/// Whether two values are one under the conventions.
pub(crate) fn same_value(
    gold: &Node,
    answer: &Node,
    conventions: &Conventions,
    fuel: &Fuel,
) -> Option<Method> {
    let (spelled_gold, spelled_answer) = (spelled(gold, answer), spelled(answer, gold));
    let (gold, answer) = (spelled_gold.as_ref().unwrap_or(gold), spelled_answer.as_ref().unwrap_or(answer));
    let (g, a) = (peel(gold), peel(answer));
    let one = BigRational::one();
    if conventions.units == UnitRule::Require && g.unit.is_some_and(|u| !u.is_noun()) && a.unit.is_none() {
        return None;
    }
    let (mut g_factor, mut a_factor) = (one.clone(), one);
    if conventions.units != UnitRule::Ignore
        && let (Some(g_unit), Some(a_unit)) = (measured(g.unit), measured(a.unit))
    {
        if g_unit.dimensions != a_unit.dimensions {
            return radians(gold, answer, conventions, fuel);
        }
        if g_unit.factor != a_unit.factor {
            (g_factor, a_factor) = (g_unit.factor.clone(), a_unit.factor.clone());
        }
    }
    let numbers = |g: &Node, a: &Node| same_number(g, a, conventions, fuel);
    let (g_core, a_core) = (g.scaled(&g_factor), a.scaled(&a_factor));
    if g.percent == a.percent {
        return numbers(&g_core, &a_core)
            .or_else(|| radians(gold, answer, conventions, fuel))
            .or_else(|| letter_unit(&g_core, &a_core, conventions, fuel));
    }
    percent(&g_core, &a_core, g.percent, conventions, fuel)
}

/// `5000 g` reads as a product; beside a quantity with a unit of the same kind it is one.
fn spelled(node: &Node, other: &Node) -> Option<Node> {
    let Node::Mul(factors) = node else { return None };
    let [number, Node::Symbol(letter)] = factors.as_slice() else { return None };
    let unit = Unit::named(letter).filter(|_| Unit::is_letter(letter) && !number.has_symbol())?;
    measured(peel(other).unit)?;
    Some(Node::Quantity(Box::new(number.clone()), unit))
}

/// A unit that measures something, as against a noun.
fn measured(unit: Option<&Unit>) -> Option<&Unit> {
    unit.filter(|u| !u.is_noun())
}

/// One side has a percent sign.
fn percent(g: &Node, a: &Node, on_gold: bool, conventions: &Conventions, fuel: &Fuel) -> Option<Method> {
    let hundredth = |n: &Node| Node::Percent(Box::new(n.clone()));
    let by_value = if on_gold {
        same_number(&hundredth(g), a, conventions, fuel)
    } else {
        same_number(g, &hundredth(a), conventions, fuel)
    };
    if by_value.is_some() || conventions.percent == PercentRule::Value {
        return by_value;
    }
    let size = exact(g, fuel).map_or(2.0, |v| numeric::from_rational(&v).hi.abs());
    if size > 1.0 { same_number(g, a, conventions, fuel) } else { None }
}

/// Degrees against radians: `30^\circ` is `\pi/6`, if that is written with pi or says radians.
fn radians(gold: &Node, answer: &Node, conventions: &Conventions, fuel: &Fuel) -> Option<Method> {
    let degrees = |n: &Node| peel(n).unit.is_some_and(Unit::is_degree);
    let in_radians = |n: &Node| {
        let unit = peel(n).unit;
        let stated = unit.is_some_and(|u| u.dimensions == [("radian", 1)]);
        stated || (unit.is_none() && n.any(&|m| *m == Node::Constant(Constant::Pi)))
    };
    if !(degrees(gold) && in_radians(answer) || in_radians(gold) && degrees(answer)) {
        return None;
    }
    let plain = |n: &Node| {
        let p = peel(n);
        let core = p.scaled(&BigRational::one());
        if degrees(n) { Node::Quantity(Box::new(core), Unit::degree()) } else { core }
    };
    same_number(&plain(gold), &plain(answer), conventions, fuel)
}

/// `5 m` written without `\text` reads as a product; where the other side has no variable it is a unit.
fn letter_unit(g: &Node, a: &Node, conventions: &Conventions, fuel: &Fuel) -> Option<Method> {
    let stripped = |n: &Node| match n {
        Node::Mul(factors) => match factors.as_slice() {
            [number, Node::Symbol(s)] if Unit::is_letter(s) && !number.has_symbol() => Some(number.clone()),
            _ => None,
        },
        _ => None,
    };
    match (stripped(g), stripped(a)) {
        (None, Some(a)) if !g.has_symbol() => same_number(g, &a, conventions, fuel),
        (Some(g), None) if !a.has_symbol() => same_number(&g, a, conventions, fuel),
        _ => None,
    }
}

/// Whether two expressions without units are one.
fn same_number(g: &Node, a: &Node, conventions: &Conventions, fuel: &Fuel) -> Option<Method> {
    fuel.pay(300)?;
    if g == a {
        return Some(if matches!(g, Node::Number(..)) { Method::Exact } else { Method::Structural });
    }
    if numeric::infinite(g).is_some() || numeric::infinite(a).is_some() {
        return (numeric::infinite(g) == numeric::infinite(a)).then_some(Method::Structural);
    }
    if let Some(method) = dropped_base(g, a, conventions) {
        return method;
    }
    let (ge, ae) = (exact(g, fuel), exact(a, fuel));
    match (&ge, &ae) {
        (Some(x), Some(y)) if x == y => return Some(Method::Exact),
        (Some(x), Some(y)) => return rounded(g, a, x, y, conventions),
        _ => {}
    }
    if g.has_symbol() || a.has_symbol() {
        return (ge.is_none() || ae.is_none()).then(|| same_function(g, a, fuel)).flatten();
    }
    same_constant(g, a, conventions, fuel)
}

/// Digits in a base against bare digits. The outer option tells whether this rule decides.
fn dropped_base(g: &Node, a: &Node, conventions: &Conventions) -> Option<Option<Method>> {
    let digits_equal = |digits: &str, n: &Node| match n {
        Node::Number(v, None) => v.is_integer() && v.to_integer().to_string() == digits,
        _ => false,
    };
    match (g, a) {
        (Node::Based(x, b), Node::Based(y, c)) if b == c => Some((x == y).then_some(Method::Exact)),
        (Node::Based(x, _), n) if conventions.base_may_be_dropped && digits_equal(x, n) => {
            Some(Some(Method::Exact))
        }
        _ => None,
    }
}

/// Unequal rationals that agree as decimals.
fn rounded(
    g: &Node,
    a: &Node,
    x: &BigRational,
    y: &BigRational,
    conventions: &Conventions,
) -> Option<Method> {
    let difference = (x - y).abs();
    let size = if x.abs() > y.abs() { x.abs() } else { y.abs() };
    let trillionth = BigRational::new(1.into(), 1_000_000_000_000i64.into());
    let long = [g, a].iter().any(|n| decimals_of(n).is_some_and(|d| d.significant >= 12));
    // The noise of a program's floating point, such as 4.500000000000001.
    if long && difference <= size * trillionth {
        return Some(Method::Rounded);
    }
    rounded_by(g, a, &difference, y.abs() < x.abs(), conventions)
}

fn half_unit(places: u32) -> BigRational {
    let mut unit = num_bigint::BigInt::from(2);
    for _ in 0..places.min(400) {
        unit *= 10;
    }
    BigRational::new(1.into(), unit)
}

fn rounded_by(
    g: &Node,
    a: &Node,
    gap: &BigRational,
    answer_smaller: bool,
    c: &Conventions,
) -> Option<Method> {
    let two = BigRational::from_integer(2.into());
    let ok = match (decimals_of(g), decimals_of(a)) {
        _ if c.round_places.is_some_and(|p| *gap <= half_unit(p)) => true,
        (None, Some(d)) => {
            let half = half_unit(d.places);
            let near = *gap <= half || (answer_smaller && *gap < half * two);
            c.answer_digits.is_some_and(|digits| d.significant >= digits) && near
        }
        (Some(d), None) => {
            c.reference_digits.is_some_and(|digits| d.significant >= digits && d.places >= 2)
                && *gap <= half_unit(d.places)
        }
        _ => false,
    };
    ok.then_some(Method::Rounded)
}

/// Constants, at least one of them irrational or undefined.
fn same_constant(g: &Node, a: &Node, conventions: &Conventions, fuel: &Fuel) -> Option<Method> {
    let (x, _) = numeric::value_at(g, 0, fuel)?;
    let (y, _) = numeric::value_at(a, 0, fuel)?;
    if close(x, y) {
        return Some(Method::Numeric);
    }
    if !x.is_real() || !y.is_real() || (x.re.hi - y.re.hi).abs() > 1.0 {
        return None;
    }
    let gap = BigRational::from_float((x.re - y.re).abs().hi)?;
    rounded_by(g, a, &gap, smaller(y.re, x.re), conventions)
}

fn smaller(a: Dd, b: Dd) -> bool {
    (b.abs() - a.abs()).hi > 0.0
}

/// Expressions with variables: the same wherever both are defined.
fn same_function(g: &Node, a: &Node, fuel: &Fuel) -> Option<Method> {
    let mut agreed = 0;
    for point in 0..POINTS {
        match (numeric::value_at(g, point, fuel), numeric::value_at(a, point, fuel)) {
            (Some((x, x_real)), Some((y, y_real))) => {
                if close(x, y) {
                    agreed += 1;
                } else if point < POSITIVE_POINTS || (x_real && y_real) {
                    return None;
                }
            }
            (None, None) => {}
            // Defined on one side only: a difference, unless it comes from leaving the reals.
            _ if point < POSITIVE_POINTS => return None,
            _ => {}
        }
    }
    (agreed >= 2).then_some(Method::Numeric)
}
