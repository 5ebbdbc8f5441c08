//! Numbers as tokens: thousands separators, decimal points, exponents, the letters of a large base.

use super::token::{Scan, Token};

impl Scan {
    /// Digits with thousands separators and a point.
    pub(super) fn number(&mut self) {
        if let Some(length) = self.based() {
            let digits = self.chars[self.at..self.at + length].iter().collect();
            self.at += length;
            return self.out.push(Token::Number(digits));
        }
        let mut text = String::new();
        self.digits(&mut text);
        while let Some(skip) = self.separator(&text) {
            self.at += skip;
            self.digits(&mut text);
        }
        // "5." ends a sentence; "3.\overline{6}" goes on.
        if self.peek(0) == '.' && (self.peek(1).is_ascii_digit() || self.peek(1) == '\\') {
            self.at += 1;
            text.push('.');
            self.digits(&mut text);
        }
        self.scientific(&mut text);
        self.out.push(Token::Number(text));
    }

    /// `1.5e-7`, `2E6`. A bare `2e-3` is left alone: it may be Euler's number less three.
    fn scientific(&mut self, text: &mut String) {
        let letter = self.peek(0);
        let sign = usize::from(['+', '-'].contains(&self.peek(1)));
        let digit = |i: usize| self.peek(1 + sign + i).is_ascii_digit();
        let surely = letter == 'E' || sign == 0 || text.contains('.') || digit(1);
        if !['e', 'E'].contains(&letter) || !digit(0) || !surely {
            return;
        }
        let length = (0..).take_while(|i| digit(*i)).count().min(8);
        text.extend(&self.chars[self.at..self.at + 1 + sign + length]);
        self.at += 1 + sign + length;
    }

    fn digits(&mut self, text: &mut String) {
        while self.peek(0).is_ascii_digit() {
            text.push(self.peek(0));
            self.at += 1;
        }
    }

    /// How many characters a thousands separator takes here, if one stands here.
    fn separator(&self, before: &str) -> Option<usize> {
        const WRITTEN: [&str; 8] = ["{,}", ",\\!", ",\\,", "\\,", "\\;", "\\!", ",{}", "\u{202f}"];
        if before.contains('.') || before.is_empty() {
            return None;
        }
        let at = |i: usize| self.peek(i).is_ascii_digit();
        let group = |from: usize| at(from) && at(from + 1) && at(from + 2) && !at(from + 3);
        for mark in WRITTEN {
            let len = mark.chars().count();
            if mark.chars().enumerate().all(|(i, c)| self.peek(i) == c) {
                let gap = (len..len + 2).find(|i| self.peek(*i) != ' ')?;
                return group(gap).then_some(gap);
            }
        }
        let first =
            before.len() <= 3 || self.chars.get(self.at.wrapping_sub(4)).is_some_and(|c| ", ".contains(*c));
        let is_index =
            self.chars.get(self.at.wrapping_sub(before.len() + 1)).is_some_and(|c| "_^{".contains(*c));
        let bare = self.thousands && !is_index && self.depth <= 0 && first && !before.starts_with('0');
        match self.peek(0) {
            ',' if bare => group(1).then_some(1),
            ' ' | '\u{a0}' if bare => (group(1) && !self.followed_by_slash(4)).then_some(1),
            _ => None,
        }
    }

    fn followed_by_slash(&self, from: usize) -> bool {
        (from..from + 3).map(|i| self.peek(i)).find(|c| *c != ' ') == Some('/')
    }

    /// How many digits stand here if some of them are the letters of a large base: `2A_{16}`.
    fn based(&self) -> Option<usize> {
        let length = (0..40)
            .take_while(|i| self.peek(*i).is_ascii_digit() || ('A'..='F').contains(&self.peek(*i)))
            .count();
        let digits = &self.chars[self.at..self.at + length];
        let base = ['_', '{', '1'].iter().enumerate().all(|(i, c)| self.peek(length + i) == *c);
        (base && self.peek(length + 3).is_ascii_digit() && digits.iter().any(char::is_ascii_alphabetic))
            .then_some(length)
    }
}
