//! What stands between brackets: tuples, intervals, sets, absolute values, matrices.

use super::parse::Parser;
use super::token::Token;
use super::tree::{Brackets, Constant, Function, Node};

impl Parser {
    /// The items between two brackets.
    pub(super) fn enclosed(&mut self, open: char, close: char) -> Option<Vec<Node>> {
        if !self.take_sign(open) {
            return None;
        }
        let bars = std::mem::take(&mut self.bars);
        let items = self.items()?;
        self.bars = bars;
        self.take_sign(close).then_some(items)
    }

    pub(super) fn bracketed(&mut self, open: char) -> Option<Node> {
        match open {
            '(' | '[' => self.round_or_square(open),
            '⟨' => Some(Node::Sequence(Brackets::Round, self.enclosed('⟨', '⟩')?)),
            '⟦' => self.set(),
            '{' => {
                let mut items = self.enclosed('{', '}')?;
                if items.len() == 1 { items.pop() } else { Some(Node::Sequence(Brackets::Set, items)) }
            }
            '|' => {
                self.at += 1;
                let bars = self.bars;
                self.bars += 1;
                let inner = self.deeper(Parser::sum)?;
                self.bars = bars;
                self.take_sign('|').then_some(Node::Apply(Function::Abs, vec![inner]))
            }
            '⌊' => Some(Node::Apply(Function::Floor, self.enclosed('⌊', '⌋')?)),
            '⌈' => Some(Node::Apply(Function::Ceil, self.enclosed('⌈', '⌉')?)),
            'π' => self.constant(Node::Constant(Constant::Pi)),
            '∞' => self.constant(Node::Infinity),
            '∅' => self.constant(Node::Empty),
            'ℝ' => self.constant(Node::Reals),
            '…' => self.constant(Node::Ellipsis),
            _ => None,
        }
    }

    fn constant(&mut self, node: Node) -> Option<Node> {
        self.at += 1;
        Some(node)
    }

    fn round_or_square(&mut self, open: char) -> Option<Node> {
        self.at += 1;
        let bars = std::mem::take(&mut self.bars);
        let mut items = self.items()?;
        self.bars = bars;
        let close = self.peek_sign()?;
        let brackets = match (open, close) {
            ('(', ')') => Brackets::Round,
            ('[', ']') => Brackets::Square,
            ('(', ']') => Brackets::OpenClosed,
            ('[', ')') => Brackets::ClosedOpen,
            _ => return None,
        };
        self.at += 1;
        match items.len() {
            1 if open == '(' || open == '[' => {
                items.pop().filter(|_| matches!(brackets, Brackets::Round | Brackets::Square))
            }
            _ => Some(Node::Sequence(brackets, items)),
        }
    }

    /// `\{1, 2\}`, `\{x : x > 3\}`, `\{\}`.
    fn set(&mut self) -> Option<Node> {
        self.at += 1;
        if self.take_sign('⟧') {
            return Some(Node::Empty);
        }
        if let Some(node) = self.set_builder() {
            return Some(node);
        }
        let items = self.items()?;
        self.take_sign('⟧').then_some(Node::Sequence(Brackets::Set, items))
    }

    fn set_builder(&mut self) -> Option<Node> {
        let bar = |t: Option<&Token>| matches!(t, Some(Token::Sign('|' | ':')));
        let rest = &self.tokens[self.at..];
        let skip = match rest {
            [Token::Letter(_), ..] if bar(rest.get(1)) => 2,
            [Token::Letter(_), Token::Sign('∈'), Token::Sign('ℝ'), ..] if bar(rest.get(3)) => 4,
            _ => return None,
        };
        self.at += skip;
        let node = self.deeper(Parser::list)?;
        self.take_sign('⟧').then_some(node)
    }

    pub(super) fn matrix(&mut self) -> Option<Node> {
        self.at += 1;
        let mut rows = vec![Vec::new()];
        loop {
            let cell = self.deeper(Parser::relation)?;
            rows.last_mut()?.push(cell);
            if self.take_sign('⏎') {
                rows.push(Vec::new());
            } else if !self.take_sign('&') && self.peek() != Some(&Token::End) {
                return None;
            }
            if self.peek() == Some(&Token::End) {
                self.at += 1;
                break;
            }
        }
        rows.retain(|row| !row.is_empty());
        Some(Node::Matrix(rows))
    }
}
