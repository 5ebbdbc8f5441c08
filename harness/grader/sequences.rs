//! Comparing what has several parts: tuples in order, sets and bare lists in any order, matrices row by row.

use super::equivalent::{Comparison, Method};
use super::shape::label_of;
use super::tree::{Brackets, Node};

/// The largest sets that are matched item by item.
const MAX_ITEMS: usize = 64;

impl Comparison<'_> {
    pub(super) fn same_sequences(
        &self,
        gold: (Brackets, &[Node]),
        answer: (Brackets, &[Node]),
    ) -> Option<Method> {
        use Brackets::{Bare, Round, Set, Square};
        let ((b, g), (c, a)) = (gold, answer);
        if b == Set && c == Set {
            return self.same_sets(g, a);
        }
        if g.len() != a.len() {
            return None;
        }
        let long_vector = g.len() > 2;
        match (b, c) {
            (Bare | Set, Bare | Set) => self.matching(g, a),
            (Round, Round) if !self.conventions.ordered_tuples => self.matching(g, a),
            (b, c) if b == c => self.in_order(g, a),
            (Round, Bare) | (Bare, Round) => self.in_order(&unlabelled(g), &unlabelled(a)),
            (Round, Set) | (Set, Round) if !self.conventions.ordered_tuples => self.matching(g, a),
            (Square, Bare) | (Bare, Square) => self.in_order(g, a),
            (Round, Square) | (Square, Round) if long_vector => self.in_order(g, a),
            _ => None,
        }
    }

    pub(super) fn in_order(&self, gold: &[Node], answer: &[Node]) -> Option<Method> {
        let mut method = Method::Structural;
        for (g, a) in gold.iter().zip(answer) {
            method = weaker(method, self.same(g, a)?);
        }
        Some(method)
    }

    /// Sets may repeat items.
    fn same_sets(&self, gold: &[Node], answer: &[Node]) -> Option<Method> {
        if gold.len() == answer.len() {
            return self.matching(gold, answer);
        }
        let short = gold.len().max(answer.len()) <= MAX_ITEMS;
        let within = |a: &[Node], b: &[Node]| a.iter().all(|x| b.iter().any(|y| self.same(x, y).is_some()));
        (short && within(gold, answer) && within(answer, gold)).then_some(Method::Structural)
    }

    /// Every item of one side has its own partner on the other, in any order.
    fn matching(&self, gold: &[Node], answer: &[Node]) -> Option<Method> {
        if gold.len() > MAX_ITEMS {
            return self.in_order(gold, answer);
        }
        let mut free: Vec<&Node> = answer.iter().collect();
        let mut method = Method::Structural;
        for g in gold {
            let (at, found) = free.iter().enumerate().find_map(|(i, a)| Some((i, self.same(g, a)?)))?;
            method = weaker(method, found);
            free.remove(at);
        }
        Some(method)
    }

    pub(super) fn same_matrices(&self, gold: &[Vec<Node>], answer: &[Vec<Node>]) -> Option<Method> {
        let shape = |m: &[Vec<Node>]| m.iter().map(Vec::len).collect::<Vec<_>>();
        if shape(gold) != shape(answer) {
            return None;
        }
        let flat = |m: &[Vec<Node>]| m.iter().flatten().cloned().collect::<Vec<_>>();
        self.in_order(&flat(gold), &flat(answer))
    }

    /// A row or column against a tuple; a matrix against a list of lists.
    pub(super) fn vector(
        &self,
        rows: &[Vec<Node>],
        brackets: Brackets,
        items: &[Node],
        on_gold: bool,
    ) -> Option<Method> {
        let nested: Option<Vec<Vec<Node>>> = items.iter().map(list_items).collect();
        let order = |g: &[Node], a: &[Node]| if on_gold { self.in_order(g, a) } else { self.in_order(a, g) };
        if let Some(nested) = nested {
            return if on_gold {
                self.same_matrices(rows, &nested)
            } else {
                self.same_matrices(&nested, rows)
            };
        }
        let flat: Vec<Node> = rows.iter().flatten().cloned().collect();
        let is_vector = rows.len() == 1 || rows.iter().all(|r| r.len() == 1);
        let same_length = flat.len() == items.len() && brackets != Brackets::Set;
        (is_vector && same_length).then(|| order(&flat, items)).flatten()
    }
}

fn list_items(node: &Node) -> Option<Vec<Node>> {
    match node {
        Node::Sequence(_, items) => Some(items.clone()),
        _ => None,
    }
}

/// The values of `x = 1, y = 2`, in the order of the names.
fn unlabelled(items: &[Node]) -> Vec<Node> {
    let mut items = items.to_vec();
    let name = |n: &Node| match label_of(n) {
        Some(Node::Symbol(name)) => Some(name.clone()),
        _ => None,
    };
    if items.iter().all(|n| name(n).is_some()) {
        items.sort_by_key(name);
    }
    items
        .iter()
        .map(|item| match (label_of(item), item) {
            (Some(_), Node::Chain(nodes, _)) => nodes.last().unwrap_or(item).clone(),
            _ => item.clone(),
        })
        .collect()
}

/// The weaker of two kinds of evidence, for answers of several parts.
fn weaker(a: Method, b: Method) -> Method {
    let rank = |m: Method| match m {
        Method::Identical | Method::Structural => 0,
        Method::Exact => 1,
        Method::Numeric => 3,
        Method::Rounded => 4,
        _ => 2,
    };
    if rank(b) > rank(a) { b } else { a }
}
