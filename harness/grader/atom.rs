//! The parts of the grammar that bind tightest: numbers, brackets, fractions, roots, functions, powers.

use super::parse::Parser;
use super::token::Token;
use super::tree::{Brackets, Constant, Decimals, Function, Node};
use super::units::Unit;
use super::{decimal, words};

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
            Token::Begin => self.matrix(),
            Token::Sign(c) => self.bracketed(c),
            Token::End | Token::Space => None,
        }
    }

    /// A literal, with a repeating part, or as the whole part of a mixed number.
    fn number(&mut self, text: &str) -> Option<Node> {
        self.at += 1;
        if self.tokens.get(self.at) == Some(&Token::Overline) && text.contains('.') {
            self.at += 1;
            let Token::Number(repeat) = self.tokens.get(self.at + 1)?.clone() else { return None };
            let braced = self.take_sign('{');
            self.at += 1;
            if braced && !self.take_sign('}') {
                return None;
            }
            return decimal::repeating(text, &repeat).map(|value| Node::Number(value, None));
        }
        let (value, decimals) = decimal::literal(text)?;
        if self.tokens.get(self.at) == Some(&Token::Sign('…')) && text.contains('.') {
            self.at += 1;
            return Some(
                decimal::with_dots(text).map_or(Node::Number(value, decimals), |v| Node::Number(v, None)),
            );
        }
        match self.mixed_part().filter(|_| decimals.is_none()) {
            Some((top, bottom, taken)) => {
                self.at += taken;
                let whole = Node::Number(value, None);
                let part = Node::Div(Box::new(Node::integer(top)), Box::new(Node::integer(bottom)));
                Some(Node::Add(vec![whole, part]))
            }
            None => Some(Node::Number(value, decimals)),
        }
    }

    /// The proper fraction after a whole number: `\frac{1}{2}` or, after a space, `1/2`.
    fn mixed_part(&self) -> Option<(i64, i64, usize)> {
        let rest = &self.tokens[self.at..];
        let small = |text: &String| text.parse::<i64>().ok();
        let (spaced, tail) = match rest {
            [Token::Space, tail @ ..] => (1, tail),
            _ => (0, rest),
        };
        let brace = |c| Token::Sign(c);
        let found = match tail {
            [Token::Number(a), slash, Token::Number(b), ..] if spaced == 1 && *slash == brace('/') => {
                (small(a)?, small(b)?, 3)
            }
            [Token::Fraction, o1, Token::Number(a), c1, o2, Token::Number(b), c2, ..]
                if *o1 == brace('{') && *c1 == brace('}') && *o2 == brace('{') && *c2 == brace('}') =>
            {
                (small(a)?, small(b)?, 7)
            }
            [Token::Fraction, Token::Number(ab), ..] if ab.len() == 2 => {
                (small(&ab[..1].to_string())?, small(&ab[1..].to_string())?, 2)
            }
            _ => return None,
        };
        (0 < found.0 && found.0 < found.1).then_some((found.0, found.1, found.2 + spaced))
    }

    /// Words: a number, or text up to the next separator.
    fn word(&mut self) -> Option<Node> {
        let end = self.tokens[self.at..]
            .iter()
            .position(|t| !matches!(t, Token::Word(_)))
            .map_or(self.tokens.len(), |n| self.at + n);
        let run = &self.tokens[self.at..end];
        let all: Vec<String> =
            run.iter().filter_map(|t| if let Token::Word(w) = t { Some(w.clone()) } else { None }).collect();
        let lower: Vec<String> = all.iter().map(|w| w.to_lowercase()).collect();
        let refs: Vec<&str> = lower.iter().map(String::as_str).collect();
        if let Some((value, taken)) = words::number(&refs).or_else(|| one_of_unit(&refs)) {
            self.at += taken;
            return self.hyphenated(Node::Number(value, None));
        }
        let length = lower.iter().position(|w| w == "and" || w == "or").unwrap_or(all.len());
        if length == 0 {
            return None;
        }
        self.at += length;
        let text = all[..length].join(" ");
        let is_name = length == 1 && (text.chars().count() == 1 || (text.len() <= 3 && all_upper(&text)));
        if is_name {
            return Some(symbol(text));
        }
        Some(Node::Text(text))
    }

    /// `twenty-one`, `two-thirds`.
    fn hyphenated(&mut self, node: Node) -> Option<Node> {
        let Node::Number(tens, _) = &node else { return Some(node) };
        let (Some(Token::Sign('-')), Some(Token::Word(next))) =
            (self.tokens.get(self.at), self.tokens.get(self.at + 1))
        else {
            return Some(node);
        };
        let next = next.to_lowercase();
        let joined = [tens_name(tens)?, &next];
        match words::number(&joined) {
            Some((value, 2)) => {
                self.at += 2;
                Some(Node::Number(value, None))
            }
            _ => None,
        }
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

    /// The items between two brackets.
    fn enclosed(&mut self, open: char, close: char) -> Option<Vec<Node>> {
        if !self.take_sign(open) {
            return None;
        }
        let bars = std::mem::take(&mut self.bars);
        let items = self.items()?;
        self.bars = bars;
        self.take_sign(close).then_some(items)
    }

    fn bracketed(&mut self, open: char) -> Option<Node> {
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

    fn matrix(&mut self) -> Option<Node> {
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

/// "an hour", "a dozen eggs": the article counts only before a unit.
fn one_of_unit(words: &[&str]) -> Option<(num_rational::BigRational, usize)> {
    let counts = ["a", "an"].contains(words.first()?);
    let second = *words.get(1)?;
    if !counts {
        return None;
    }
    let one = num_rational::BigRational::from_integer(1.into());
    match words::multiplier(second) {
        Some(n) => Some((n, 2)),
        None => Unit::named(second).map(|_| (one, 1)),
    }
}

fn tens_name(value: &num_rational::BigRational) -> Option<&'static str> {
    const NAMES: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    const TENS: [&str; 7] = ["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let n = usize::try_from(value.to_integer()).ok()?;
    NAMES.get(n).or_else(|| TENS.get((n / 10).checked_sub(3)?).filter(|_| n % 10 == 0)).copied()
}

fn all_upper(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_uppercase())
}

fn symbol(name: String) -> Node {
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
