//! Sets of real numbers as unions of intervals, so that `x > 3`, `(3, \infty)` and `\{x : x > 3\}` are one set.
//!
//! A set is a sorted list of disjoint pieces; a point is a closed piece of length zero. Endpoints are numbers of
//! 31 digits; sets with symbolic endpoints are compared as they are written, elsewhere.

use std::fmt;

use super::double_double::Dd;
use super::numeric::TOLERANCE;

/// An interval; infinite endpoints are `f64` infinities and open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// The lower end, and whether it belongs to the set.
    pub(crate) low: (Dd, bool),
    /// The upper end, and whether it belongs to the set.
    pub(crate) high: (Dd, bool),
}

/// A union of intervals.
#[derive(Clone, Debug)]
pub(crate) struct RealSet(Vec<Piece>);

fn near(a: Dd, b: Dd) -> bool {
    a.hi == b.hi && a.lo == b.lo || (a - b).abs().hi <= a.abs().hi.max(b.abs().hi) * TOLERANCE
}

fn below(a: Dd, b: Dd) -> bool {
    !near(a, b) && (a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo))
}

/// Plus or minus infinity.
pub(crate) fn infinity(positive: bool) -> Dd {
    Dd::from(if positive { f64::INFINITY } else { f64::NEG_INFINITY })
}

impl RealSet {
    /// The empty set.
    pub(crate) fn empty() -> RealSet {
        RealSet(Vec::new())
    }

    /// The whole line.
    pub(crate) fn reals() -> RealSet {
        RealSet(vec![Piece { low: (infinity(false), false), high: (infinity(true), false) }])
    }

    /// One interval; empty if its ends are the wrong way round.
    pub(crate) fn interval(low: (Dd, bool), high: (Dd, bool)) -> RealSet {
        let open = |(end, closed): (Dd, bool)| (end, closed && end.hi.is_finite());
        let (low, high) = (open(low), open(high));
        let proper = below(low.0, high.0) || (near(low.0, high.0) && low.1 && high.1);
        RealSet(if proper { vec![Piece { low, high }] } else { Vec::new() })
    }

    /// One number.
    pub(crate) fn point(x: Dd) -> RealSet {
        RealSet::interval((x, true), (x, true))
    }

    /// What belongs to either.
    pub(crate) fn union(mut self, other: RealSet) -> RealSet {
        self.0.extend(other.0);
        self.0.sort_by(|a, b| {
            let ends = a.low.0.hi.total_cmp(&b.low.0.hi).then(a.low.0.lo.total_cmp(&b.low.0.lo));
            ends.then(b.low.1.cmp(&a.low.1))
        });
        let mut merged: Vec<Piece> = Vec::new();
        for piece in self.0 {
            match merged.last_mut().filter(|last| joins(last, &piece)) {
                Some(last) => last.high = later(last.high, piece.high),
                None => merged.push(piece),
            }
        }
        RealSet(merged)
    }

    /// What does not belong.
    pub(crate) fn complement(&self) -> RealSet {
        let mut start = (infinity(false), false);
        let mut out = RealSet::empty();
        for piece in &self.0 {
            let gap = RealSet::interval(start, (piece.low.0, !piece.low.1));
            out = out.union(gap);
            start = (piece.high.0, !piece.high.1);
        }
        out.union(RealSet::interval(start, (infinity(true), false)))
    }

    /// What belongs to both.
    pub(crate) fn intersection(&self, other: &RealSet) -> RealSet {
        self.complement().union(other.complement()).complement()
    }

    /// Whether two sets are one.
    pub(crate) fn same(&self, other: &RealSet) -> bool {
        let end = |a: (Dd, bool), b: (Dd, bool)| near(a.0, b.0) && a.1 == b.1;
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| end(a.low, b.low) && end(a.high, b.high))
    }
}

/// Whether the next piece in order touches or overlaps the last.
fn joins(last: &Piece, next: &Piece) -> bool {
    if near(last.high.0, next.low.0) { last.high.1 || next.low.1 } else { below(next.low.0, last.high.0) }
}

fn later(a: (Dd, bool), b: (Dd, bool)) -> (Dd, bool) {
    if near(a.0, b.0) {
        (a.0, a.1 || b.1)
    } else if below(a.0, b.0) {
        b
    } else {
        a
    }
}

impl fmt::Display for RealSet {
    /// Its pieces with ends to 12 digits, in order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let piece = |p: &Piece| {
            let (open, close) = (if p.low.1 { '[' } else { '(' }, if p.high.1 { ']' } else { ')' });
            format!("{open}{:.11e}; {:.11e}{close}", p.low.0.hi, p.high.0.hi)
        };
        write!(f, "set {}", self.0.iter().map(piece).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(x: f64) -> Dd {
        Dd::from(x)
    }

    #[test]
    fn touching_pieces_merge_only_where_the_point_belongs() {
        let left = RealSet::interval((d(0.0), true), (d(1.0), false));
        let right = RealSet::interval((d(1.0), false), (d(2.0), true));
        let whole = RealSet::interval((d(0.0), true), (d(2.0), true));
        assert!(!left.clone().union(right.clone()).same(&whole));
        assert!(left.union(RealSet::point(d(1.0))).union(right).same(&whole));
    }

    #[test]
    fn a_complement_of_a_complement_is_the_set() {
        let set = RealSet::interval((infinity(false), false), (d(-1.0), true)).union(RealSet::point(d(3.0)));
        assert!(set.complement().complement().same(&set));
        assert!(RealSet::reals().complement().same(&RealSet::empty()));
        assert!(!set.same(&set.complement()));
    }
}
