//! The parts of the grammar that bind tightest: fractions, roots, functions, exponents, subscripts.

use super::decimal;
use super::parse::Parser;
use super::token::Token;
use super::tree::{Constant, Decimals, Function, Node};
use super::units::Unit;

impl Parser {
    /// An atom with what follows it: exponents, subscripts, `!`, `%`, degrees.
    pub(super) fn power(&mut self) -> Option<Node> {
        let mut node = self.atom()?;
        loop {
            node = match self.peek_sign() {
                Some('!') => self.wrap(|n| Node::Apply(Function::Factorial, vec![n]), node),
                Some('%') => self.wrap(|n| Node::Percent(Box::new(n)), node),
                Some('°') => self.degree(node),
                Some('′') => self.prime(node)?,
                Some('_') => self.subscript(node)?,
                Some('^') => self.exponent(node)?,
                _ => return Some(node),
            };
            self.link()?;
        }
    }

    fn wrap(&mut self, make: fn(Node) -> Node, node: Node) -> Node {
        self.at += 1;
        make(node)
    }

    fn degree(&mut self, node: Node) -> Node {
        self.at += 1;
        let scale = match self.tokens.get(self.at) {
            Some(Token::Letter(l) | Token::Word(l)) if l == "C" => "celsius",
            Some(Token::Letter(l) | Token::Word(l)) if l == "F" => "fahrenheit",
            _ => "",
        };
        self.at += usize::from(!scale.is_empty());
        Node::Quantity(Box::new(node), Unit::named(scale).unwrap_or_else(Unit::degree))
    }

    fn prime(&mut self, node: Node) -> Option<Node> {
        self.at += 1;
        match node {
            Node::Symbol(name) => Some(Node::Symbol(name + "'")),
            _ => None,
        }
    }

    fn exponent(&mut self, base: Node) -> Option<Node> {
        self.at += 1;
        if self.take_sign('°') {
            self.at -= 1;
            return Some(self.degree(base));
        }
        if self.tokens.get(self.at..self.at + 3)
            == Some(&[Token::Sign('{'), Token::Sign('°'), Token::Sign('}')])
        {
            self.at += 2;
            self.tokens[self.at] = Token::Sign('°');
            return Some(self.degree(base));
        }
        if self.take_sign('′') {
            self.at -= 1;
            return self.prime(base);
        }
        let exponent = if self.take_sign('-') {
            Node::Neg(Box::new(self.deeper(Parser::power)?))
        } else if self.peek_sign() == Some('{') {
            self.argument()?
        } else {
            self.deeper(Parser::power)?
        };
        Some(Node::Pow(Box::new(base), Box::new(exponent)))
    }

    /// A number's base, or part of a variable's name.
    fn subscript(&mut self, node: Node) -> Option<Node> {
        self.at += 1;
        match node {
            Node::Number(value, None) if value.is_integer() => match self.argument()? {
                Node::Number(base, None) => {
                    let base = u32::try_from(base.to_integer()).ok().filter(|b| (2..=36).contains(b))?;
                    Some(Node::Based(value.to_integer().to_string(), base))
                }
                _ => None,
            },
            Node::Symbol(name) => Some(Node::Symbol(format!("{name}_{}", self.subscript_name()?))),
            _ => None,
        }
    }

    fn subscript_name(&mut self) -> Option<String> {
        let braced = self.take_sign('{');
        let mut name = String::new();
        loop {
            match self.peek()? {
                Token::Number(n) | Token::Letter(n) | Token::Word(n) => name.push_str(n),
                Token::Sign('}') if braced => break,
                Token::Sign(c) if braced && ",+-".contains(*c) => name.push(*c),
                _ => return None,
            }
            self.at += 1;
            if !braced {
                return Some(name);
            }
        }
        self.at += 1;
        Some(name)
    }

    fn atom(&mut self) -> Option<Node> {
        match self.peek()?.clone() {
            Token::Number(text) => self.number(&text),
            Token::Letter(a) if a == "a" && matches!(self.tokens.get(self.at + 1), Some(Token::Word(_))) => {
                self.tokens[self.at] = Token::Word(a);
                self.word()
            }
            Token::Letter(name) => {
                self.at += 1;
                Some(symbol(name))
            }
            Token::Word(_) => self.word(),
            Token::Function(f) => {
                self.at += 1;
                self.application(f)
            }
            Token::Fraction => {
                self.at += 1;
                Some(Node::Div(Box::new(self.digit_argument()?), Box::new(self.digit_argument()?)))
            }
            Token::Binomial => {
                self.at += 1;
                Some(Node::Apply(Function::Binomial, vec![self.digit_argument()?, self.digit_argument()?]))
            }
            Token::Root(degree) => {
                self.at += 1;
                self.root(degree)
            }
            Token::Overline => {
                self.at += 1;
                self.argument()
            }
            Token::Currency(sign) => {
                self.at += 1;
                let value = self.deeper(Parser::product)?;
                let value = if let Node::Quantity(inner, _) = value { *inner } else { value };
                Some(Node::Quantity(Box::new(value), Unit::currency(sign)))
            }
            Token::Sign('{') if self.tokens.get(self.at + 1) == Some(&Token::Sign('}')) => self.slanted(),
            Token::Begin => self.matrix(),
            Token::Sign(c) => self.bracketed(c),
            Token::End | Token::Space => None,
        }
    }

    /// `{}^{5}/_{8}`.
    fn slanted(&mut self) -> Option<Node> {
        self.at += 2;
        let top = if self.take_sign('^') { self.argument()? } else { return None };
        let is_fraction = self.take_sign('/') && self.take_sign('_');
        is_fraction
            .then(|| self.argument())
            .flatten()
            .map(|bottom| Node::Div(Box::new(top), Box::new(bottom)))
    }

    /// A braced group, or one atom.
    pub(super) fn argument(&mut self) -> Option<Node> {
        if self.take_sign('{') {
            let node = self.deeper(Parser::list)?;
            return self.take_sign('}').then_some(node);
        }
        self.deeper(Parser::atom)
    }

    /// An argument of `\frac`: without braces it is a single digit, so `\frac12` is a half.
    fn digit_argument(&mut self) -> Option<Node> {
        if let Some(Token::Number(text)) = self.peek().cloned()
            && text.len() > 1
            && text.is_ascii()
        {
            self.tokens[self.at] = Token::Number(text[1..].to_string());
            return decimal::literal(&text[..1]).map(|(value, _)| Node::Number(value, None));
        }
        self.argument()
    }

    fn root(&mut self, degree: Option<i64>) -> Option<Node> {
        let degree = match degree {
            Some(n) => Node::integer(n),
            None if self.take_sign('[') => {
                let node = self.deeper(Parser::sum)?;
                if !self.take_sign(']') {
                    return None;
                }
                node
            }
            None => Node::integer(2),
        };
        Some(Node::Apply(Function::Root, vec![degree, self.argument()?]))
    }

    fn application(&mut self, function: Function) -> Option<Node> {
        let base =
            if function == Function::Log && self.take_sign('_') { Some(self.argument()?) } else { None };
        let exponent = if self.take_sign('^') { Some(self.argument()?) } else { None };
        let mut arguments = self.function_arguments()?;
        let many = matches!(function, Function::Gcd | Function::Lcm | Function::Max | Function::Min);
        if !many && arguments.len() != 1 {
            return None;
        }
        if function == Function::Log {
            arguments.insert(0, base.unwrap_or_else(|| Node::integer(10)));
        }
        let inverse = exponent.as_ref().is_some_and(|e| *e == Node::Neg(Box::new(Node::integer(1))));
        match (exponent, inverse.then(|| inverse_of(function)).flatten()) {
            (Some(_), Some(inverse)) => Some(Node::Apply(inverse, arguments)),
            (Some(e), None) => Some(Node::Pow(Box::new(Node::Apply(function, arguments)), Box::new(e))),
            (None, _) => Some(Node::Apply(function, arguments)),
        }
    }

    /// Arguments in brackets, or the product that follows: `\sin 2x`.
    fn function_arguments(&mut self) -> Option<Vec<Node>> {
        match self.peek_sign() {
            Some('(') => return self.enclosed('(', ')'),
            Some('{') => return self.enclosed('{', '}'),
            Some('⟦') => return self.enclosed('⟦', '⟧'),
            Some('-') => {
                self.at += 1;
                return Some(vec![Node::Neg(Box::new(self.deeper(Parser::power)?))]);
            }
            _ => {}
        }
        let mut factors = vec![self.deeper(Parser::power)?];
        while self.starts_factor() && !matches!(self.peek(), Some(Token::Function(_))) {
            factors.push(self.deeper(Parser::power)?);
        }
        Some(vec![if factors.len() == 1 { factors.pop()? } else { Node::Mul(factors) }])
    }
}

pub(super) fn symbol(name: String) -> Node {
    match name.as_str() {
        "e" => Node::Constant(Constant::E),
        "i" => Node::Constant(Constant::I),
        _ => Node::Symbol(name),
    }
}

fn inverse_of(function: Function) -> Option<Function> {
    match function {
        Function::Sin => Some(Function::Asin),
        Function::Cos => Some(Function::Acos),
        Function::Tan => Some(Function::Atan),
        _ => None,
    }
}

/// Keeps the written precision beside a literal, for callers that round.
pub(crate) fn decimals_of(node: &Node) -> Option<Decimals> {
    match node {
        Node::Number(_, decimals) => *decimals,
        Node::Neg(inner) => decimals_of(inner),
        _ => None,
    }
}
