//! Equations, inequalities and intervals as sets and as relations.
//!
//! `y = 2x + 3` and `2x - y + 3 = 0` are one line: the differences of their sides have a constant ratio.
//! `2x > 6`, `x > 3` and `(3, \infty)` are one set: a linear inequality in one variable is solved.

use super::complex::Complex;
use super::double_double::Dd;
use super::exact;
use super::fuel::Fuel;
use super::numeric::{self, POINTS, close};
use super::real_set::{RealSet, infinity};
use super::tree::{Brackets, Node, Relation, SetOperation};

/// The set of reals that a node describes, if it is one with numeric endpoints.
pub(crate) fn as_set(node: &Node, fuel: &Fuel) -> Option<RealSet> {
    fuel.pay(1_000)?;
    match node {
        Node::Reals => Some(RealSet::reals()),
        Node::Symbol(name) if name == "R" => Some(RealSet::reals()),
        Node::Empty => Some(RealSet::empty()),
        Node::SetOp(operation, a, b) => {
            let (a, b) = (as_set(a, fuel)?, as_set(b, fuel)?);
            Some(match operation {
                SetOperation::Union => a.union(b),
                SetOperation::Intersection => a.intersection(&b),
                SetOperation::Difference => a.intersection(&b.complement()),
            })
        }
        Node::Sequence(brackets, items) => sequence(*brackets, items, fuel),
        Node::Chain(nodes, relations) => chain(nodes, relations, fuel),
        _ => None,
    }
}

/// A number as an endpoint.
fn endpoint(node: &Node, fuel: &Fuel) -> Option<Dd> {
    if let Some(positive) = numeric::infinite(node) {
        return Some(infinity(positive));
    }
    if node.has_symbol() {
        return None;
    }
    if let Some(value) = exact::exact(node, fuel) {
        return Some(numeric::from_rational(&value));
    }
    numeric::value_at(node, 0, fuel).filter(|(v, _)| v.is_real()).map(|(v, _)| v.re)
}

fn sequence(brackets: Brackets, items: &[Node], fuel: &Fuel) -> Option<RealSet> {
    if brackets == Brackets::Set {
        return items.iter().try_fold(RealSet::empty(), |set, item| {
            fuel.pay(1_000)?;
            Some(set.union(RealSet::point(endpoint(item, fuel)?)))
        });
    }
    if brackets == Brackets::Bare {
        // "x < 1 or x > 2": every item must be a set by itself.
        return items.iter().try_fold(RealSet::empty(), |set, item| match item {
            Node::Chain(..) => Some(set.union(as_set(item, fuel)?)),
            _ => None,
        });
    }
    let [low, high] = items else { return None };
    let (low, high) = (endpoint(low, fuel)?, endpoint(high, fuel)?);
    let closed_low = matches!(brackets, Brackets::Square | Brackets::ClosedOpen);
    let closed_high = matches!(brackets, Brackets::Square | Brackets::OpenClosed);
    if low.hi >= high.hi && !(low == high && closed_low && closed_high) {
        return None;
    }
    Some(RealSet::interval((low, closed_low), (high, closed_high)))
}

/// A chain is the intersection of its links.
fn chain(nodes: &[Node], relations: &[Relation], fuel: &Fuel) -> Option<RealSet> {
    let mut set = RealSet::reals();
    for (pair, relation) in nodes.windows(2).zip(relations) {
        let link = match relation {
            Relation::In => as_set(&pair[1], fuel)?,
            Relation::Equal => match (&pair[0], endpoint(&pair[1], fuel)) {
                (Node::Symbol(_), Some(x)) => RealSet::point(x),
                _ => return None,
            },
            _ => linear(&pair[0], &pair[1], *relation, fuel)?,
        };
        set = set.intersection(&link);
    }
    Some(set)
}

/// Solves a linear inequality in one variable.
fn linear(left: &Node, right: &Node, relation: Relation, fuel: &Fuel) -> Option<RealSet> {
    if variables(left, right) != 1 {
        return None;
    }
    // An infinite side bounds nothing.
    if numeric::infinite(left).is_some() || numeric::infinite(right).is_some() {
        return Some(RealSet::reals());
    }
    let (slope, zero) = root_of(left, right, fuel)?;
    let above = |closed| RealSet::interval((zero, closed), (infinity(true), false));
    let under = |closed| RealSet::interval((infinity(false), false), (zero, closed));
    let up = slope > 0.0;
    Some(match relation {
        Relation::Greater => {
            if up {
                above(false)
            } else {
                under(false)
            }
        }
        Relation::GreaterEqual => {
            if up {
                above(true)
            } else {
                under(true)
            }
        }
        Relation::Less => {
            if up {
                under(false)
            } else {
                above(false)
            }
        }
        Relation::LessEqual => {
            if up {
                under(true)
            } else {
                above(true)
            }
        }
        Relation::Unequal => RealSet::point(zero).complement(),
        _ => return None,
    })
}

fn variables(left: &Node, right: &Node) -> usize {
    let mut names = Vec::new();
    collect(left, &mut names);
    collect(right, &mut names);
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn collect<'a>(node: &'a Node, names: &mut Vec<&'a str>) {
    if let Node::Symbol(name) = node {
        names.push(name);
    }
    for child in node.children() {
        collect(child, names);
    }
}

/// The slope and the zero of `left - right`, if that is linear.
fn root_of(left: &Node, right: &Node, fuel: &Fuel) -> Option<(f64, Dd)> {
    let at = |x: f64| {
        let difference = numeric::value_with(left, x, fuel)? - numeric::value_with(right, x, fuel)?;
        difference.is_real().then_some(difference.re)
    };
    // Points away from zero, where quotients and logarithms are defined; a third one checks the line.
    let (one, two, five) = (at(1.0)?, at(2.0)?, at(5.0)?);
    let slope = two - one;
    let expected = one + slope * Dd::from(4.0);
    let straight = close(Complex::real(expected), Complex::real(five)) || (expected - five).abs().hi < 1e-24;
    if slope.hi == 0.0 || !straight {
        return None;
    }
    // x = (right - left at 0) / slope, with the value at zero extrapolated.
    Some((slope.hi, (slope - one) / slope))
}

/// Whether two equations, or two inequalities, have proportional differences.
pub(crate) fn proportional(gold: &Node, answer: &Node, fuel: &Fuel) -> bool {
    let (Some((g, g_kind)), Some((a, a_kind))) = (difference(gold), difference(answer)) else { return false };
    g_kind == a_kind && constant_ratio(&g, &a, g_kind != Relation::Equal, fuel).unwrap_or(false)
}

/// Left minus right, turned so that the relation is `=`, `>` or `>=`.
pub(crate) fn difference(node: &Node) -> Option<(Node, Relation)> {
    let Node::Chain(nodes, relations) = node else { return None };
    let ([left, right], [relation]) = (nodes.as_slice(), relations.as_slice()) else { return None };
    let minus = |a: &Node, b: &Node| Node::Add(vec![a.clone(), Node::Neg(Box::new(b.clone()))]);
    match relation {
        Relation::Equal | Relation::Greater | Relation::GreaterEqual => Some((minus(left, right), *relation)),
        Relation::Less => Some((minus(right, left), Relation::Greater)),
        Relation::LessEqual => Some((minus(right, left), Relation::GreaterEqual)),
        _ => None,
    }
}

fn constant_ratio(g: &Node, a: &Node, positive: bool, fuel: &Fuel) -> Option<bool> {
    let mut ratio: Option<Complex> = None;
    let mut points = 0;
    for point in 0..POINTS {
        let (Some((x, _)), Some((y, _))) =
            (numeric::value_at(g, point, fuel), numeric::value_at(a, point, fuel))
        else {
            continue;
        };
        if x.abs().hi < 1e-20 || y.abs().hi < 1e-20 {
            return Some(false);
        }
        let here = x / y;
        if ratio.is_some_and(|r| (r - here).abs().hi > r.abs().hi * 1e-18) {
            return Some(false);
        }
        ratio = Some(here);
        points += 1;
    }
    let sign = ratio.is_some_and(|r| !positive || (r.re.hi > 0.0 && r.im.hi.abs() < 1e-20));
    Some(points >= 3 && sign)
}
