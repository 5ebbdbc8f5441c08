//! Tokens of the LaTeX and plain text that models write.
//!
//! `\dfrac12`, `½` and `1/2` should differ only here: spacing and sizing commands vanish, unicode and LaTeX names
//! of a symbol become one token, `1{,}000`, `1,\!000` and `1,000` become one number. Words inside `\text{}` and
//! long runs of letters become [`Token::Word`]; short runs outside are products of variables. Contract: linear
//! time, at most [`MAX_TOKENS`] tokens, and an unknown command is an error rather than a guess.

use super::symbols::{self, Meaning};
use super::tree::Function;

/// The longest token list; longer answers are compared as text.
pub(crate) const MAX_TOKENS: usize = 600;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// Digits, perhaps with one point; separators already removed.
    Number(String),
    /// A variable.
    Letter(String),
    /// A word of text.
    Word(String),
    /// A function's name.
    Function(Function),
    /// `\frac`.
    Fraction,
    /// `\sqrt`, with the degree where the name fixes it.
    Root(Option<i64>),
    /// `\binom`.
    Binomial,
    /// `\overline`.
    Overline,
    /// A currency sign.
    Currency(char),
    /// Any other sign, named by one character; see [`symbols`].
    Sign(char),
    /// `\begin{pmatrix}` and its like.
    Begin,
    /// `\end{pmatrix}`.
    End,
    /// White space between two tokens, kept only where it may carry meaning (after a number).
    Space,
}

/// Why an answer could not be tokenised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The state of a scan.
struct Scan {
    chars: Vec<char>,
    at: usize,
    depth: i32,
    thousands: bool,
    out: Vec<Token>,
    /// Inside `\text{}` or `\operatorname{}`: the brace depth at which it ends, and whether it holds words.
    silent: Option<(i32, bool)>,
    braces: i32,
}

/// Tokenises an answer. With `thousands` unset, `1,000` is two numbers.
pub(crate) fn tokens(source: &str, thousands: bool) -> Result<Vec<Token>, Unreadable> {
    let chars = source.chars().collect();
    let mut scan = Scan { chars, at: 0, depth: 0, thousands, out: Vec::new(), silent: None, braces: 0 };
    while scan.at < scan.chars.len() {
        scan.step()?;
        if scan.out.len() > MAX_TOKENS {
            return Err(Unreadable);
        }
    }
    while scan.out.last() == Some(&Token::Space) {
        scan.out.pop();
    }
    Ok(scan.out)
}

impl Scan {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn step(&mut self) -> Result<(), Unreadable> {
        let c = self.peek(0);
        match c {
            '\\' => self.command(),
            '0'..='9' => {
                self.number();
                Ok(())
            }
            '.' if self.peek(1).is_ascii_digit() => {
                self.number();
                Ok(())
            }
            c if c.is_ascii_alphabetic() || (self.in_text() && c.is_alphabetic()) => {
                self.letters();
                Ok(())
            }
            c if c.is_whitespace() || c == '~' => {
                self.at += 1;
                self.space();
                Ok(())
            }
            _ => self.sign(c),
        }
    }

    fn in_text(&self) -> bool {
        self.silent.is_some_and(|(_, words)| words)
    }

    fn space(&mut self) {
        if matches!(self.out.last(), Some(Token::Number(_))) {
            self.out.push(Token::Space);
        }
    }

    fn sign(&mut self, c: char) -> Result<(), Unreadable> {
        self.at += 1;
        if c == '*' && self.peek(0) == '*' {
            self.at += 1;
            self.push_sign('^');
            return Ok(());
        }
        if let Some(second) = symbols::pair(c, self.peek(0)) {
            self.at += 1;
            self.push_sign(second);
            return Ok(());
        }
        if c == '.' && self.peek(0) == '.' {
            while self.peek(0) == '.' {
                self.at += 1;
            }
            self.push_sign('…');
            return Ok(());
        }
        if c == '$' {
            // A dollar sign before a digit is money unless it opens mathematics, that is unless another follows.
            if self.peek(0).is_ascii_digit() && !self.chars[self.at..].contains(&'$') && self.out.is_empty() {
                self.out.push(Token::Currency('$'));
            }
            return Ok(());
        }
        self.meaning(symbols::of_char(c).ok_or(Unreadable)?);
        Ok(())
    }

    fn push_sign(&mut self, c: char) {
        match c {
            '(' | '[' | '⟦' | '⟨' => self.depth += 1,
            ')' | ']' | '⟧' | '⟩' => self.depth -= 1,
            '{' => self.braces += 1,
            '}' => {
                self.braces -= 1;
                if self.silent.is_some_and(|(depth, _)| self.braces <= depth) {
                    self.silent = None;
                    return;
                }
            }
            _ => {}
        }
        self.out.push(Token::Sign(c));
    }

    fn meaning(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Skip => {}
            Meaning::Space => self.space(),
            Meaning::Sign(c) => self.push_sign(c),
            Meaning::Superscript(digits) => {
                // Adjacent superscript characters are one exponent.
                if self.out.last() == Some(&Token::Sign('}')) && self.out_is_superscript() {
                    self.out.pop();
                    match self.out.last_mut() {
                        Some(Token::Number(n)) if digits.chars().all(|c| c.is_ascii_digit()) => {
                            n.push_str(digits)
                        }
                        _ => self.plain(digits),
                    }
                } else {
                    self.out.extend([Token::Sign('^'), Token::Sign('{')]);
                    self.plain(digits);
                }
                self.out.push(Token::Sign('}'));
            }
            Meaning::Subscript(digit) => {
                self.out.extend([
                    Token::Sign('_'),
                    Token::Sign('{'),
                    Token::Number(digit.into()),
                    Token::Sign('}'),
                ]);
            }
            Meaning::Vulgar(a, b) => self.out.extend([
                Token::Fraction,
                Token::Sign('{'),
                Token::Number(a.into()),
                Token::Sign('}'),
                Token::Sign('{'),
                Token::Number(b.into()),
                Token::Sign('}'),
            ]),
            Meaning::Token(token) => self.out.push(token),
        }
    }

    fn out_is_superscript(&self) -> bool {
        let previous = self.at.checked_sub(2).and_then(|i| self.chars.get(i)).copied();
        previous.and_then(symbols::of_char).is_some_and(|m| matches!(m, Meaning::Superscript(_)))
    }

    fn plain(&mut self, text: &str) {
        let token = match text {
            "-" => Token::Sign('-'),
            "+" => Token::Sign('+'),
            t if t.chars().all(|c| c.is_ascii_digit()) => Token::Number(t.into()),
            t => Token::Letter(t.into()),
        };
        self.out.push(token);
    }

    /// Digits with thousands separators and a point.
    fn number(&mut self) {
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

    /// A run of letters: text, a function, units, or a product of variables.
    fn letters(&mut self) {
        let start = self.at;
        while self.peek(0).is_alphabetic() || (self.peek(0) == '\'' && self.in_text()) {
            self.at += 1;
        }
        let run: String = self.chars[start..self.at].iter().collect();
        if self.in_text() {
            self.out.push(Token::Word(run));
            return;
        }
        let after_number = matches!(self.out.last(), Some(Token::Number(_) | Token::Space));
        symbols::letters(&run, after_number, &mut self.out);
    }

    /// A command: a backslash with letters or one other character.
    fn command(&mut self) -> Result<(), Unreadable> {
        self.at += 1;
        let start = self.at;
        while self.peek(0).is_ascii_alphabetic() {
            self.at += 1;
        }
        if start == self.at {
            self.at += 1;
            let c = self.chars.get(start).copied().unwrap_or(' ');
            return self.escaped(c);
        }
        let name: String = self.chars[start..self.at].iter().collect();
        if symbols::is_text(&name) {
            return self.open_text(&name);
        }
        if name == "begin" || name == "end" {
            return self.environment(name == "begin");
        }
        if name == "left" || name == "right" {
            return self.sizing();
        }
        if name == "mathbb" && self.chars[self.at..].starts_with(&['{', 'R', '}']) {
            self.at += 3;
            self.push_sign('ℝ');
            return Ok(());
        }
        self.meaning(symbols::of_command(&name).ok_or(Unreadable)?);
        Ok(())
    }

    /// `\left` and `\right` vanish, and so does the invisible bracket `.` after them.
    fn sizing(&mut self) -> Result<(), Unreadable> {
        if self.peek(0) == '.' {
            self.at += 1;
        }
        Ok(())
    }

    fn escaped(&mut self, c: char) -> Result<(), Unreadable> {
        match c {
            ',' | ';' | ':' | '!' | '>' | ' ' | '\n' | '(' | ')' | '[' | ']' => self.space(),
            '\\' => self.push_sign('⏎'),
            '{' => self.push_sign('⟦'),
            '}' => self.push_sign('⟧'),
            '%' => self.push_sign('%'),
            '$' => self.out.push(Token::Currency('$')),
            '|' => self.push_sign('|'),
            '&' => self.out.push(Token::Word("and".into())),
            '#' | '_' => {}
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    fn skip_spaces(&mut self) {
        while self.peek(0) == ' ' {
            self.at += 1;
        }
    }

    fn open_text(&mut self, name: &str) -> Result<(), Unreadable> {
        self.skip_spaces();
        if self.peek(0) != '{' {
            return Ok(());
        }
        // `\mathrm{e}` and `\mathbf{v}` are single symbols in another typeface, and so no words.
        let single = self.peek(1).is_alphabetic() && self.peek(2) == '}';
        self.at += 1;
        if (single && name.starts_with("math")) || self.silent.is_some() {
            self.push_sign('{');
        } else {
            self.silent = Some((self.braces, name != "operatorname"));
            self.braces += 1;
        }
        Ok(())
    }

    fn environment(&mut self, begin: bool) -> Result<(), Unreadable> {
        self.skip_spaces();
        let rest = &self.chars[self.at..];
        let close = rest.iter().take(20).position(|c| *c == '}').ok_or(Unreadable)?;
        let name: String = rest[..close].iter().filter(|c| c.is_ascii_alphabetic()).collect();
        self.at += close + 1;
        if name == "array" && begin && self.peek(0) == '{' {
            let rest = &self.chars[self.at..];
            self.at += rest.iter().take(20).position(|c| *c == '}').ok_or(Unreadable)? + 1;
        }
        if !["pmatrix", "bmatrix", "matrix", "array", "smallmatrix", "Bmatrix"].contains(&name.as_str()) {
            return Err(Unreadable);
        }
        self.depth += if begin { 1 } else { -1 };
        self.out.push(if begin { Token::Begin } else { Token::End });
        Ok(())
    }
}
