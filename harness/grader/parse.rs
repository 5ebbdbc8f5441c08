//! From tokens to a tree: the grammar of answers.
//!
//! Recursive descent, loosest first: list (`,` `;` and or) > relation (`=` `<` ...) > set operation > ratio > sum >
//! product > power. Contract: [`parse`] reads the whole answer or nothing, looks at each token a bounded number
//! of times, and never nests deeper than [`MAX_DEPTH`]. What stands between the operators is in `atom`.

use super::token::{Token, tokens};
use super::tree::{Brackets, MAX_DEPTH, Node, Relation, SetOperation};
use super::units::Unit;
use super::words;

/// The longest answer that is parsed; longer ones are compared as text.
pub(crate) const MAX_BYTES: usize = 4000;

/// A parser over the tokens of one answer.
pub(crate) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    /// Nodes nested to the left, as in `1/2/3`, which no rule's depth bounds.
    links: usize,
    /// Open absolute-value bars, inside which a bar closes.
    pub(super) bars: usize,
}

/// Reads a whole answer. With `thousands` unset, `1,000` is two numbers.
pub(crate) fn parse(source: &str, thousands: bool) -> Option<Node> {
    if source.len() > MAX_BYTES {
        return None;
    }
    let tokens = tokens(source, thousands).ok()?;
    let mut parser = Parser { tokens, at: 0, depth: 0, links: 0, bars: 0 };
    let node = parser.list()?;
    while parser.take_sign('.') {}
    parser.peek().is_none().then_some(node)
}

impl Parser {
    /// The next token that is not space.
    pub(super) fn peek(&mut self) -> Option<&Token> {
        while self.tokens.get(self.at) == Some(&Token::Space) {
            self.at += 1;
        }
        self.tokens.get(self.at)
    }

    pub(super) fn peek_sign(&mut self) -> Option<char> {
        match self.peek() {
            Some(Token::Sign(c)) => Some(*c),
            _ => None,
        }
    }

    /// Takes the sign if it is next.
    pub(super) fn take_sign(&mut self, sign: char) -> bool {
        let next = self.peek_sign() == Some(sign);
        self.at += usize::from(next);
        next
    }

    pub(super) fn peek_word(&mut self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(w)) => Some(w.to_lowercase()),
            _ => None,
        }
    }

    /// Runs a rule one level deeper, or gives up.
    pub(super) fn deeper(&mut self, rule: fn(&mut Parser) -> Option<Node>) -> Option<Node> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let node = rule(self);
        self.depth -= 1;
        node
    }

    /// Counts a node nested to the left, or gives up.
    pub(super) fn link(&mut self) -> Option<()> {
        self.links += 1;
        (self.links <= 2 * MAX_DEPTH).then_some(())
    }

    /// A separator of list items, with how many tokens it takes.
    fn separator(&mut self) -> bool {
        let mut found = false;
        loop {
            let sign = matches!(self.peek_sign(), Some(',' | ';'));
            let word = matches!(self.peek_word().as_deref(), Some("and" | "or"));
            if !sign && !word {
                return found;
            }
            self.at += 1;
            found = true;
        }
    }

    /// Items with separators; a single item stands for itself.
    pub(super) fn list(&mut self) -> Option<Node> {
        let mut items = self.items()?;
        if items.len() == 1 { items.pop() } else { Some(Node::Sequence(Brackets::Bare, items)) }
    }

    pub(super) fn items(&mut self) -> Option<Vec<Node>> {
        let mut items = vec![self.deeper(Parser::relation)?];
        loop {
            let with_and = self.peek_word().as_deref() == Some("and");
            if !self.separator() {
                return Some(items);
            }
            let next = self.deeper(Parser::relation)?;
            match items.last().filter(|_| with_and).and_then(|last| compound(last, &next)) {
                Some(sum) => *items.last_mut()? = sum,
                None => items.push(next),
            }
        }
    }

    /// `a < b <= c`, `x = 5`, `x \in S`.
    pub(super) fn relation(&mut self) -> Option<Node> {
        let mut nodes = vec![self.set_expression()?];
        let mut relations = Vec::new();
        while let Some(relation) = self.peek_sign().and_then(relation_sign) {
            self.at += 1;
            relations.push(relation);
            nodes.push(self.set_expression()?);
        }
        if relations.is_empty() { nodes.pop() } else { Some(Node::Chain(nodes, relations)) }
    }

    fn set_expression(&mut self) -> Option<Node> {
        let mut left = self.ratio()?;
        loop {
            let operation = match self.peek_sign() {
                Some('∪') => SetOperation::Union,
                Some('∩') => SetOperation::Intersection,
                Some('∖') => SetOperation::Difference,
                _ => return Some(left),
            };
            self.at += 1;
            self.link()?;
            left = Node::SetOp(operation, Box::new(left), Box::new(self.ratio()?));
        }
    }

    fn ratio(&mut self) -> Option<Node> {
        let mut parts = vec![self.sum()?];
        while self.take_sign(':') || self.take_to(&parts) {
            parts.push(self.sum()?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Node::Ratio(parts)) }
    }

    /// "3 to 2": the word is a ratio's only after a number.
    fn take_to(&mut self, parts: &[Node]) -> bool {
        let to = self.peek_word().as_deref() == Some("to") && matches!(parts.last(), Some(Node::Number(..)));
        self.at += usize::from(to);
        to
    }

    pub(super) fn sum(&mut self) -> Option<Node> {
        let mut terms = vec![self.product()?];
        while let Some(sign @ ('+' | '-' | '±' | '∓')) = self.peek_sign() {
            self.at += 1;
            let term = self.product()?;
            match sign {
                '+' => terms.push(term),
                '-' => terms.push(Node::Neg(Box::new(term))),
                _ => {
                    self.link()?;
                    let left =
                        if terms.len() == 1 { terms.pop()? } else { Node::Add(std::mem::take(&mut terms)) };
                    terms = vec![Node::PlusMinus(Box::new(left), Box::new(term), sign == '∓')];
                }
            }
        }
        if terms.len() == 1 { terms.pop() } else { Some(Node::Add(terms)) }
    }

    pub(super) fn product(&mut self) -> Option<Node> {
        let mut left = self.unary()?;
        loop {
            if self.take_sign('·') {
                left = times(left, self.unary()?);
            } else if self.take_sign('/') {
                self.link()?;
                left = Node::Div(Box::new(left), Box::new(self.unary()?));
            } else if self.starts_factor() {
                left = times(left, self.deeper(Parser::power)?);
            } else {
                break;
            }
        }
        if matches!(left, Node::Text(_)) { Some(left) } else { self.with_units(left) }
    }

    fn unary(&mut self) -> Option<Node> {
        match self.peek_sign() {
            Some('-') => {
                self.at += 1;
                Some(Node::Neg(Box::new(self.deeper(Parser::unary)?)))
            }
            Some('+') => {
                self.at += 1;
                self.deeper(Parser::unary)
            }
            Some(c @ ('±' | '∓')) => {
                self.at += 1;
                let term = self.deeper(Parser::product)?;
                Some(Node::PlusMinus(Box::new(Node::integer(0)), Box::new(term), c == '∓'))
            }
            _ => self.deeper(Parser::power),
        }
    }

    /// Whether the next token begins a factor of a product written without a sign.
    pub(super) fn starts_factor(&mut self) -> bool {
        let after_number = self.at > 0 && matches!(self.tokens.get(self.at - 1), Some(Token::Number(_)));
        let bars = self.bars;
        match self.peek() {
            Some(Token::Number(_)) => !after_number,
            Some(Token::Letter(_) | Token::Function(_) | Token::Fraction | Token::Root(_)) => true,
            Some(Token::Binomial | Token::Overline | Token::Begin) => true,
            Some(Token::Sign(c)) => "([⟨{π∞⌊⌈".contains(*c) || (*c == '|' && bars == 0),
            _ => false,
        }
    }

    /// Units, nouns and multipliers such as "million" after a number.
    fn with_units(&mut self, value: Node) -> Option<Node> {
        let (mut value, mut unit, mut per) = (value, None::<Unit>, false);
        loop {
            let next = match self.peek().cloned() {
                Some(Token::Word(w)) if ["and", "or", "to", "mod"].contains(&w.to_lowercase().as_str()) => {
                    break;
                }
                Some(Token::Word(w)) if w.eq_ignore_ascii_case("per") => {
                    self.at += 1;
                    per = true;
                    continue;
                }
                Some(Token::Word(w)) => w,
                Some(Token::Currency(c)) => {
                    self.at += 1;
                    unit = Some(Unit::currency(c));
                    continue;
                }
                Some(Token::Sign('/')) if unit.is_some() => {
                    self.at += 1;
                    per = true;
                    continue;
                }
                _ => break,
            };
            self.at += 1;
            if let Some(factor) = words::multiplier(&next.to_lowercase()).filter(|_| unit.is_none()) {
                value = times(value, Node::Number(factor, None));
                continue;
            }
            let found = self.unit_power(Unit::named(&next).unwrap_or_else(Unit::noun), &next)?;
            let found = if per { found.power(-1) } else { found };
            unit = Some(unit.map_or(found.clone(), |u| u.times(found)));
        }
        let Some(unit) = unit else { return Some(value) };
        // "I do not know" is a variable and three nouns to this rule, but no quantity.
        if unit.is_noun() && value.has_symbol() {
            return None;
        }
        let quantity = Node::Quantity(Box::new(value), unit);
        self.compound_tail(quantity)
    }

    /// `5 feet 3 inches`.
    fn compound_tail(&mut self, first: Node) -> Option<Node> {
        if !matches!(self.peek(), Some(Token::Number(_))) {
            return Some(first);
        }
        let second = self.deeper(Parser::product)?;
        compound(&first, &second)
    }

    /// `cm^2`, `square cm`.
    fn unit_power(&mut self, unit: Unit, word: &str) -> Option<Unit> {
        let prefix = match word.to_lowercase().as_str() {
            "square" | "sq" => 2,
            "cubic" | "cu" => 3,
            _ => 0,
        };
        if prefix > 0 {
            return Some(match self.peek().cloned() {
                Some(Token::Word(next)) => {
                    self.at += 1;
                    Unit::named(&next).unwrap_or_else(Unit::noun).power(prefix)
                }
                _ => Unit::noun(),
            });
        }
        if !self.take_sign('^') {
            return Some(unit);
        }
        match self.argument()? {
            Node::Number(n, _) if n.is_integer() => Some(unit.power(i32::try_from(n.to_integer()).ok()?)),
            Node::Neg(n) if *n == Node::integer(1) => Some(unit.power(-1)),
            Node::Neg(n) if *n == Node::integer(2) => Some(unit.power(-2)),
            _ => None,
        }
    }
}

/// The sum of `2 hours` and `30 minutes` in the smaller unit; nothing where the units are not of one kind.
fn compound(first: &Node, second: &Node) -> Option<Node> {
    let (Node::Quantity(a, ua), Node::Quantity(b, ub)) = (first, second) else { return None };
    let (Node::Number(a, _), Node::Number(b, _)) = (&**a, &**b) else { return None };
    if ua.is_noun() || ua.dimensions != ub.dimensions || ua.factor <= ub.factor {
        return None;
    }
    let sum = a * &ua.factor / &ub.factor + b;
    Some(Node::Quantity(Box::new(Node::Number(sum, None)), ub.clone()))
}

fn times(left: Node, right: Node) -> Node {
    match left {
        Node::Mul(mut factors) => {
            factors.push(right);
            Node::Mul(factors)
        }
        left => Node::Mul(vec![left, right]),
    }
}

fn relation_sign(sign: char) -> Option<Relation> {
    Some(match sign {
        '=' | '≈' => Relation::Equal,
        '≠' => Relation::Unequal,
        '<' => Relation::Less,
        '≤' => Relation::LessEqual,
        '>' => Relation::Greater,
        '≥' => Relation::GreaterEqual,
        '∈' => Relation::In,
        _ => return None,
    })
}
