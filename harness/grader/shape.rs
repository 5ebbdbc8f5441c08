//! One shape for the ways of writing one thing, before comparison.
//!
//! `x = \pm 3`, `x = 3 or x = -3` and `3, -3` become the same list; `S = \frac12 bh` keeps its label apart; nested
//! lists are matrices; "all real numbers" is a set. Contract: [`shaped`] changes the writing, never the meaning.

use super::text;
use super::tree::{Brackets, Node, Relation};

/// The node in its one shape.
pub(crate) fn shaped(node: Node) -> Node {
    match node {
        Node::Text(words) => phrase(words),
        Node::Sequence(Brackets::Square | Brackets::Round | Brackets::Bare, items) if is_nested(&items) => {
            Node::Matrix(items.into_iter().filter_map(row).collect())
        }
        Node::Sequence(brackets, items) => sequence(brackets, items),
        Node::Chain(nodes, relations) => chain(nodes, relations),
        node if has_sign(&node) => Node::Sequence(Brackets::Bare, both(&node)),
        node => node,
    }
}

fn phrase(words: String) -> Node {
    match text::normalised(&words, false).as_str() {
        "all real numbers" => Node::Reals,
        "no solution" => Node::Empty,
        _ => Node::Text(words),
    }
}

fn is_nested(items: &[Node]) -> bool {
    let length = |n: &Node| match n {
        Node::Sequence(Brackets::Square, row) => Some(row.len()),
        _ => None,
    };
    items.len() > 1
        && length(&items[0]).is_some()
        && items.iter().all(|n| length(n) == length(&items[0]))
        && length(&items[0]) != Some(2)
}

fn row(node: Node) -> Option<Vec<Node>> {
    match node {
        Node::Sequence(_, row) => Some(row),
        _ => None,
    }
}

fn has_sign(node: &Node) -> bool {
    node.any(&|n| matches!(n, Node::PlusMinus(..)))
}

fn both(node: &Node) -> Vec<Node> {
    vec![node.with_sign(true), node.with_sign(false)]
}

/// Spreads plus-minus signs over lists and sets, and collects `x = 1, x = 2` under one label.
fn sequence(brackets: Brackets, items: Vec<Node>) -> Node {
    let unordered = matches!(brackets, Brackets::Bare | Brackets::Set);
    let mut spread = Vec::new();
    for item in items.into_iter().map(|n| if unordered { shaped(n) } else { n }) {
        match item {
            Node::Sequence(Brackets::Bare, inner) if unordered => spread.extend(inner),
            item => spread.push(item),
        }
    }
    if brackets == Brackets::Bare
        && let Some(label) = common_label(&spread)
    {
        let values = spread.into_iter().flat_map(value_of).collect();
        return Node::Chain(vec![label, Node::Sequence(Brackets::Bare, values)], vec![Relation::Equal]);
    }
    Node::Sequence(brackets, spread)
}

/// The label that all items carry, or the first carries for all: `x = 1, 2`.
fn common_label(items: &[Node]) -> Option<Node> {
    let label = label_of(items.first()?)?.clone();
    let bare = |n: &Node| !matches!(n, Node::Chain(..));
    let fits = |n: &Node| label_of(n) == Some(&label) || bare(n);
    (items.len() > 1 && items.iter().all(fits)).then_some(label)
}

fn value_of(node: Node) -> Vec<Node> {
    match node {
        Node::Chain(mut nodes, _) => match nodes.pop() {
            Some(Node::Sequence(Brackets::Bare, inner)) => inner,
            Some(value) => vec![value],
            None => Vec::new(),
        },
        node => vec![node],
    }
}

/// The left side of an equation that only names what is on the right.
pub(crate) fn label_of(node: &Node) -> Option<&Node> {
    match node {
        Node::Chain(nodes, relations) if relations == &[Relation::Equal] => {
            nodes.first().filter(|n| is_label(n))
        }
        _ => None,
    }
}

/// A variable, a name such as `AB` or `f(x)`, or words.
pub(crate) fn is_label(node: &Node) -> bool {
    match node {
        Node::Symbol(_) | Node::Text(_) => true,
        Node::Mul(factors) => {
            factors.iter().all(|f| matches!(f, Node::Symbol(_) | Node::Sequence(Brackets::Round, _)))
        }
        _ => false,
    }
}

fn chain(nodes: Vec<Node>, relations: Vec<Relation>) -> Node {
    let all_equal = relations.iter().all(|r| *r == Relation::Equal);
    if let [Relation::In] = relations.as_slice()
        && let [Node::Symbol(_), _] = nodes.as_slice()
    {
        return nodes.into_iter().nth(1).map_or(Node::Empty, shaped);
    }
    if !all_equal {
        return Node::Chain(nodes, relations);
    }
    let (mut first, mut last) = match (nodes.first(), nodes.last()) {
        (Some(first), Some(last)) => (first.clone(), last.clone()),
        _ => return Node::Chain(nodes, relations),
    };
    if is_label(&last) && !is_label(&first) {
        std::mem::swap(&mut first, &mut last);
    }
    if is_label(&first) {
        last = shaped(last);
    }
    Node::Chain(vec![first, last], vec![Relation::Equal])
}
