//! Expressions of `+ - * /` over whole numbers and parentheses, as answers to puzzles write them.
//!
//! Contract: a value is exact or there is none, and however long or deep the text is, reading it ends soon.

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub, Zero};

/// The longest expression that is read at all, in bytes.
const LONGEST: usize = 400;

/// The exact value of an expression and the numbers it uses, in order of appearance.
///
/// # Errors
/// What is wrong with anything that is not `+ - * /` over whole numbers and parentheses.
pub fn evaluate(expression: &str) -> Result<(Ratio<i128>, Vec<u32>), String> {
    let (term, numbers) = parse(expression)?;
    Ok((term.value, numbers))
}

/// A form that is equal for expressions which differ only in the order or grouping of sums and products.
///
/// # Errors
/// As [`evaluate`].
pub fn canonical(expression: &str) -> Result<String, String> {
    Ok(parse(expression)?.0.text())
}

fn parse(expression: &str) -> Result<(Term, Vec<u32>), String> {
    if expression.len() > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    let mut parser = Parser { rest: expression.trim_start(), numbers: Vec::new() };
    let term = parser.sum()?;
    match parser.rest {
        "" => Ok((term, parser.numbers)),
        rest => Err(format!("`{rest}` left over")),
    }
}

/// A value and its parts: `(inverted, part)` where an inverted part is subtracted or divided by.
struct Term {
    value: Ratio<i128>,
    kind: Kind,
    parts: Vec<(bool, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Sum,
    Product,
}

impl Term {
    fn text(&self) -> String {
        let signs = if self.kind == Kind::Product { ["*", "/"] } else { ["+", "-"] };
        let mut parts = self.parts.clone();
        parts.sort();
        let written: Vec<String> =
            parts.iter().map(|(inverted, p)| format!("{}{p}", signs[usize::from(*inverted)])).collect();
        if self.kind == Kind::Number { self.parts[0].1.clone() } else { format!("({})", written.concat()) }
    }

    /// Its parts inside a sum or product: its own if it is of that kind, else itself as one.
    fn parts_in(&self, kind: Kind, inverted: bool) -> Vec<(bool, String)> {
        if self.kind == kind {
            self.parts.iter().map(|(i, part)| (i ^ inverted, part.clone())).collect()
        } else {
            vec![(inverted, self.text())]
        }
    }

    fn combine(self, right: &Self, kind: Kind, inverted: bool) -> Result<Self, String> {
        let value = match (kind, inverted) {
            (Kind::Product, true) if right.value.is_zero() => {
                return Err("division by zero".into());
            }
            (Kind::Product, true) => self.value.checked_div(&right.value),
            (Kind::Product, false) => self.value.checked_mul(&right.value),
            (_, true) => self.value.checked_sub(&right.value),
            (_, false) => self.value.checked_add(&right.value),
        };
        let mut parts = self.parts_in(kind, false);
        parts.extend(right.parts_in(kind, inverted));
        Ok(Self { value: value.ok_or_else(too_large)?, kind, parts })
    }
}

/// Recursive descent; its depth is bounded by [`LONGEST`].
struct Parser<'a> {
    rest: &'a str,
    numbers: Vec<u32>,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<Term, String> {
        let mut term = self.product()?;
        while let Some(op) = self.take(&['+', '-', '−']) {
            term = term.combine(&self.product()?, Kind::Sum, op != '+')?;
        }
        Ok(term)
    }

    fn product(&mut self) -> Result<Term, String> {
        let mut term = self.atom()?;
        while let Some(op) = self.take(&['*', '/', '×', '÷']) {
            term = term.combine(&self.atom()?, Kind::Product, matches!(op, '/' | '÷'))?;
        }
        Ok(term)
    }

    fn atom(&mut self) -> Result<Term, String> {
        if self.take(&['(']).is_some() {
            let term = self.sum()?;
            return match self.take(&[')']) {
                Some(_) => Ok(term),
                None => Err("a parenthesis is not closed".into()),
            };
        }
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = self.rest[..digits].parse::<u32>().map_err(|_| self.unexpected())?;
        self.rest = self.rest[digits..].trim_start();
        self.numbers.push(number);
        let value = Ratio::from_integer(i128::from(number));
        Ok(Term { value, kind: Kind::Number, parts: vec![(false, number.to_string())] })
    }

    fn take(&mut self, accepted: &[char]) -> Option<char> {
        let next = self.rest.chars().next().filter(|c| accepted.contains(c))?;
        self.rest = self.rest[next.len_utf8()..].trim_start();
        Some(next)
    }

    fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("`{}` where a number should be", c.escape_debug()),
            None => "it ends where a number should be".into(),
        }
    }
}

fn too_large() -> String {
    "a value is too large".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_an_error_and_never_a_panic() {
        for answer in ["", "(", "4 +", "4 4", "1/0", "1/(2-2)", "4)", "99999999999", "x", "4 + é"] {
            assert!(evaluate(answer).is_err(), "{answer}");
        }
        assert!(evaluate(&"(".repeat(100_000)).is_err());
        assert!(evaluate(&"4294967295*".repeat(30)).is_err());
    }
}
