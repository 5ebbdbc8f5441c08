//! Numbers and words as atoms of an answer: literals, mixed numbers, numbers in words, names and text.

use super::atom::symbol;
use super::parse::Parser;
use super::token::Token;
use super::tree::Node;
use super::units::Unit;
use super::{decimal, words};

impl Parser {
    /// A literal, with a repeating part, or as the whole part of a mixed number.
    pub(super) fn number(&mut self, text: &str) -> Option<Node> {
        self.at += 1;
        if text.contains(|c: char| c.is_ascii_uppercase() && c != 'E') || text.ends_with('E') {
            return self.in_large_base(text);
        }
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

    /// `2A_{16}`: digits that are letters have a base, or no meaning.
    fn in_large_base(&mut self, digits: &str) -> Option<Node> {
        if !self.take_sign('_') {
            return None;
        }
        let Node::Number(base, None) = self.argument()? else { return None };
        let base = u32::try_from(base.to_integer()).ok().filter(|base| (11..=36).contains(base))?;
        Some(Node::Based(digits.to_owned(), base))
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
    pub(super) fn word(&mut self) -> Option<Node> {
        let end = self.tokens[self.at..]
            .iter()
            .position(|t| !matches!(t, Token::Word(_)))
            .map_or(self.tokens.len(), |n| self.at + n);
        let run = &self.tokens[self.at..end];
        let all: Vec<String> =
            run.iter().filter_map(|t| if let Token::Word(w) = t { Some(w.clone()) } else { None }).collect();
        let lower: Vec<String> = all.iter().map(|w| w.to_lowercase()).collect();
        if lower == ["us"] && matches!(self.tokens.get(end), Some(Token::Currency('$'))) {
            self.at = end;
            return self.deeper(Parser::power);
        }
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
