//! LaTeX commands as tokens: symbols, sizing, text, environments.

use super::symbols;
use super::token::{Scan, Token, Unreadable};

impl Scan {
    /// A command: a backslash with letters or one other character.
    pub(super) fn command(&mut self) -> Result<(), Unreadable> {
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
