//! The tree that an answer is read into.
//!
//! One enum holds numbers, expressions and the shapes around them (tuples, sets, relations), because the
//! notation does not separate them either: `(1,2)` is a point or an interval, `x = \pm 3` a set. The parser bounds
//! the depth of a tree, so every recursion over it is bounded.

use super::units::Unit;
use num_rational::BigRational;

/// The deepest nesting the parser accepts.
pub(crate) const MAX_DEPTH: usize = 64;

/// How precisely a decimal was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimals {
    /// Digits after the point.
    pub(crate) places: u32,
    /// Significant digits.
    pub(crate) significant: u32,
}

/// A named constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
}

/// A function with a known meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Exp,
    Ln,
    /// Arguments: base, argument.
    Log,
    /// Arguments: degree, radicand.
    Root,
    Abs,
    Floor,
    Ceil,
    Factorial,
    /// Arguments: n, k.
    Binomial,
    Gcd,
    Lcm,
    Max,
    Min,
}

/// An order or equality sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

/// An operation on sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOperation {
    Union,
    Intersection,
    Difference,
}

/// What stands around several items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brackets {
    /// Nothing: `1, 2`.
    Bare,
    /// `(1, 2)`; also `\langle 1, 2 \rangle`.
    Round,
    /// `[1, 2]`.
    Square,
    /// `(1, 2]`.
    OpenClosed,
    /// `[1, 2)`.
    ClosedOpen,
    /// `\{1, 2\}`.
    Set,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// An exact number, with the written precision where it was a decimal.
    Number(BigRational, Option<Decimals>),
    /// Digits in a stated base: `204_5`.
    Based(String, u32),
    /// A variable.
    Symbol(String),
    Constant(Constant),
    Infinity,
    Add(Vec<Node>),
    Mul(Vec<Node>),
    Neg(Box<Node>),
    Div(Box<Node>, Box<Node>),
    Pow(Box<Node>, Box<Node>),
    Apply(Function, Vec<Node>),
    /// `a \pm b`; the flag is set for `\mp`.
    PlusMinus(Box<Node>, Box<Node>, bool),
    Percent(Box<Node>),
    Quantity(Box<Node>, Unit),
    Sequence(Brackets, Vec<Node>),
    Matrix(Vec<Vec<Node>>),
    /// `a < b <= c`: one more node than signs.
    Chain(Vec<Node>, Vec<Relation>),
    SetOp(SetOperation, Box<Node>, Box<Node>),
    Reals,
    Empty,
    /// `3:2` or a time of day.
    Ratio(Vec<Node>),
    /// Words that mean no number.
    Text(String),
    Ellipsis,
}

impl Node {
    /// The whole number `n`.
    pub(crate) fn integer(n: i64) -> Node {
        Node::Number(BigRational::from_integer(n.into()), None)
    }

    /// The nodes directly below this one.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match self {
            Node::Add(v) | Node::Mul(v) | Node::Apply(_, v) | Node::Sequence(_, v) => v.iter().collect(),
            Node::Chain(v, _) | Node::Ratio(v) => v.iter().collect(),
            Node::Neg(a) | Node::Percent(a) | Node::Quantity(a, _) => vec![a],
            Node::Div(a, b) | Node::Pow(a, b) | Node::PlusMinus(a, b, _) | Node::SetOp(_, a, b) => vec![a, b],
            Node::Matrix(rows) => rows.iter().flatten().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether this node or one below satisfies the test.
    pub(crate) fn any(&self, test: &dyn Fn(&Node) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }

    /// Whether a variable occurs.
    pub(crate) fn has_symbol(&self) -> bool {
        self.any(&|n| matches!(n, Node::Symbol(_)))
    }

    /// The two readings of a tree with plus-minus signs; `upper` takes the upper sign of each.
    pub(crate) fn with_sign(&self, upper: bool) -> Node {
        let go = |n: &Node| n.with_sign(upper);
        let all = |v: &[Node]| v.iter().map(go).collect::<Vec<_>>();
        let boxed = |n: &Node| Box::new(n.with_sign(upper));
        match self {
            Node::PlusMinus(a, b, flipped) if upper != *flipped => Node::Add(vec![go(a), go(b)]),
            Node::PlusMinus(a, b, _) => Node::Add(vec![go(a), Node::Neg(boxed(b))]),
            Node::Add(v) => Node::Add(all(v)),
            Node::Mul(v) => Node::Mul(all(v)),
            Node::Apply(f, v) => Node::Apply(*f, all(v)),
            Node::Sequence(b, v) => Node::Sequence(*b, all(v)),
            Node::Neg(a) => Node::Neg(boxed(a)),
            Node::Percent(a) => Node::Percent(boxed(a)),
            Node::Quantity(a, u) => Node::Quantity(boxed(a), u.clone()),
            Node::Div(a, b) => Node::Div(boxed(a), boxed(b)),
            Node::Pow(a, b) => Node::Pow(boxed(a), boxed(b)),
            Node::Chain(v, r) => Node::Chain(all(v), r.clone()),
            other => other.clone(),
        }
    }
}
