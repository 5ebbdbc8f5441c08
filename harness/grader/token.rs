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

/// The state of a scan. Numbers are scanned in `number_token`, commands in `command_token`.
pub(super) struct Scan {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
    /// Open brackets.
    pub(super) depth: i32,
    /// Whether `1,000` is one number.
    pub(super) thousands: bool,
    pub(super) out: Vec<Token>,
    /// Inside `\text{}` or `\operatorname{}`: the brace depth at which it ends, and whether it holds words.
    pub(super) silent: Option<(i32, bool)>,
    pub(super) braces: i32,
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
    pub(super) fn peek(&self, ahead: usize) -> char {
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

    pub(super) fn space(&mut self) {
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

    pub(super) fn push_sign(&mut self, c: char) {
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

    pub(super) fn meaning(&mut self, meaning: Meaning) {
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
}
