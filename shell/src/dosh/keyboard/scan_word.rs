//! Words of a text that is being typed: quotes and expansions, open or closed.

use super::scan::{Kind, Role, Scanner, Stop};
use crate::dosh::syntax::quoting;
use crate::dosh::syntax::token::{ends_word, is_name_byte, is_name_start};
use crate::dosh::syntax::tree::Bytes;

impl Scanner<'_> {
    /// Whether no word begins here.
    pub fn ends_words(&self) -> bool {
        match self.rest() {
            [] => true,
            [b'<' | b'>', b'(', ..] => false,
            [b'`', ..] => self.backquotes > 0,
            [byte, ..] => ends_word(*byte),
        }
    }

    /// Reads a word, which has this role if the text ends in it. Answers its text, if nothing is expanded in it.
    pub fn word(&mut self, role: Role) -> Option<Bytes> {
        let start = self.at;
        let mut text = Some(Bytes::new());
        while !self.ends_words() {
            let more = match self.rest() {
                [b'\\', b'\n', ..] => {
                    self.at += 2;
                    continue;
                }
                [b'\\', byte, ..] => {
                    let byte = *byte;
                    self.take(2, Kind::Quoted);
                    Some(vec![byte])
                }
                [b'\'', ..] => Some(self.single()),
                [b'"', ..] => self.double(),
                [b'$', ..] => self.dollar(false),
                [b'`', ..] => {
                    self.backquote();
                    None
                }
                [b'<' | b'>', b'(', ..] => {
                    self.substitution(2);
                    None
                }
                rest => {
                    let special = |byte: &u8| ends_word(*byte) || b"\\'\"$`".contains(byte);
                    let run = rest[1..].iter().position(special);
                    let run = 1 + run.unwrap_or(rest.len() - 1);
                    if let Some(text) = &mut text {
                        text.extend_from_slice(&self.text[self.at..self.at + run]);
                    }
                    self.at += run;
                    continue;
                }
            };
            match (&mut text, more) {
                (Some(text), Some(more)) => text.extend(more),
                (text, _) => *text = None,
            }
        }
        if self.is_at_end() {
            self.ends_in(start, role);
        }
        text
    }

    fn single(&mut self) -> Bytes {
        let inner = &self.text[self.at + 1..];
        let end = inner.iter().position(|byte| *byte == b'\'');
        let text = inner[..end.unwrap_or(inner.len())].to_vec();
        self.take(text.len() + 2, Kind::Quoted);
        text
    }

    fn double(&mut self) -> Option<Bytes> {
        let mut text = Some(Bytes::new());
        let mut from = self.at;
        self.at += 1;
        loop {
            match self.rest() {
                [] => break,
                [b'"', ..] => {
                    self.at += 1;
                    break;
                }
                [b'\\', b'\n', ..] => self.at += 2,
                [b'\\', byte, ..] => {
                    let escaped = matches!(byte, b'$' | b'`' | b'"' | b'\\');
                    if let Some(text) = &mut text {
                        text.extend_from_slice(
                            &self.text[self.at + usize::from(escaped)..self.at + 2],
                        );
                    }
                    self.at += 2;
                }
                [b'$', ..] | [b'`', ..] => {
                    self.piece(from, Kind::Quoted);
                    match self.peek() {
                        Some(b'$') => self.parameter(true),
                        _ => self.backquote(),
                    }
                    text = None;
                    from = self.at;
                }
                [byte, ..] => {
                    if let Some(text) = &mut text {
                        text.push(*byte);
                    }
                    self.at += 1;
                }
            }
        }
        self.piece(from, Kind::Quoted);
        text
    }

    /// What begins with `$` outside double quotes; answers the text of `$'…'`.
    fn dollar(&mut self, quoted: bool) -> Option<Bytes> {
        match self.rest() {
            [_, b'\'', ..] if !quoted => {
                let from = self.at;
                self.at += 2;
                let begin = self.at;
                while let Some(byte) = self.peek().filter(|byte| *byte != b'\'') {
                    self.at += 1 + usize::from(byte == b'\\');
                }
                self.at = self.at.min(self.text.len());
                let text = quoting::unescape(&self.text[begin..self.at]);
                self.at = (self.at + 1).min(self.text.len());
                self.piece(from, Kind::Quoted);
                Some(text)
            }
            [_, b'"', ..] if !quoted => {
                self.take(1, Kind::Quoted);
                self.double()
            }
            [_, next, ..] if is_name_byte(*next) || b"{(@*#?-$!".contains(next) => {
                self.parameter(quoted);
                None
            }
            [_] => {
                self.parameter(quoted);
                None
            }
            _ => {
                self.at += 1;
                Some(b"$".to_vec())
            }
        }
    }

    /// `$name`, `${…}`, `$(…)`, `$((…))`, from the `$`.
    fn parameter(&mut self, quoted: bool) {
        let from = self.at;
        match &self.text[self.at + 1..] {
            [b'{', ..] => self.braced(quoted),
            [b'(', b'(', ..] if self.is_arithmetic(self.at + 3) => {
                self.take(3, Kind::Expansion);
                self.arithmetic();
            }
            [b'(', ..] => self.substitution(2),
            [byte, ..] if !is_name_start(*byte) => {
                let known = byte.is_ascii_digit() || b"@*#?-$!".contains(byte);
                self.at += 1 + usize::from(known);
                if known {
                    self.piece(from, Kind::Expansion);
                }
            }
            _ => {
                self.at += 1;
                let start = self.at;
                self.name();
                if self.is_at_end() {
                    self.ends_in(start, Role::Parameter { braced: false });
                }
                self.piece(from, Kind::Expansion);
            }
        }
    }

    fn name(&mut self) {
        let name = self.rest().iter().take_while(|byte| is_name_byte(**byte));
        self.at += name.count();
    }

    fn braced(&mut self, quoted: bool) {
        let mut from = self.at;
        self.at += 2;
        if matches!(self.rest(), [b'#' | b'!', byte, ..] if is_name_byte(*byte)) {
            self.at += 1;
        }
        let start = self.at;
        self.name();
        if self.is_at_end() {
            self.ends_in(start, Role::Parameter { braced: true });
        }
        loop {
            match self.rest() {
                [] => {
                    self.ends_in(self.at, Role::Nothing);
                    break;
                }
                [b'}', ..] => {
                    self.at += 1;
                    break;
                }
                [b'\\', _, ..] => self.at += 2,
                [b'\'', ..] if quoted => self.at += 1,
                [b'\'' | b'"' | b'$' | b'`', ..] => {
                    self.piece(from, Kind::Expansion);
                    self.nested(|inner| inner.inner(quoted));
                    from = self.at;
                }
                _ => self.at += 1,
            }
        }
        self.piece(from, Kind::Expansion);
    }

    /// One quoted text or expansion within another expansion.
    fn inner(&mut self, quoted: bool) {
        match self.peek() {
            Some(b'\'') => drop(self.single()),
            Some(b'"') => drop(self.double()),
            Some(b'`') => self.backquote(),
            _ => drop(self.dollar(quoted)),
        }
    }

    /// `$(…)`, `<(…)`, `>(…)`: the delimiter is so long.
    fn substitution(&mut self, delimiter: usize) {
        self.take(delimiter, Kind::Expansion);
        self.nested(|inner| inner.list(Stop::Parenthesis));
        if self.peek() == Some(b')') {
            self.take(1, Kind::Expansion);
        }
    }

    fn backquote(&mut self) {
        self.take(1, Kind::Expansion);
        self.backquotes += 1;
        self.nested(|inner| inner.list(Stop::Backquote));
        self.backquotes -= 1;
        if self.peek() == Some(b'`') {
            self.take(1, Kind::Expansion);
        }
    }

    /// Whether parentheses that were opened twice close together, or not yet.
    pub fn is_arithmetic(&self, from: usize) -> bool {
        let mut depth = 0;
        let mut rest = self.text[from.min(self.text.len())..].iter();
        while let Some(byte) = rest.next() {
            match byte {
                b'\\' => drop(rest.next()),
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b')' => return matches!(rest.next(), Some(b')') | None),
                _ => {}
            }
        }
        true
    }

    /// From behind `((` to behind `))`.
    pub fn arithmetic(&mut self) {
        let mut depth = 0;
        let mut from = self.at;
        loop {
            match self.rest() {
                [] => {
                    self.ends_in(self.at, Role::Variable);
                    break;
                }
                [b')', ..] if depth == 0 => {
                    self.at = (self.at + 2).min(self.text.len());
                    break;
                }
                [b'(', ..] => {
                    depth += 1;
                    self.at += 1;
                }
                [b')', ..] => {
                    depth -= 1;
                    self.at += 1;
                }
                [b'\\', _, ..] => self.at += 2,
                [b'"' | b'$' | b'`', ..] => {
                    self.piece(from, Kind::Expansion);
                    self.nested(|inner| inner.inner(true));
                    from = self.at;
                }
                [byte, ..] if is_name_start(*byte) => {
                    let start = self.at;
                    self.name();
                    if self.is_at_end() {
                        self.ends_in(start, Role::Variable);
                    }
                }
                _ => self.at += 1,
            }
        }
        self.piece(from, Kind::Expansion);
    }

    /// `name=`, `name+=` or `name[…]=` and what is assigned; whether there was one.
    pub fn assignment(&mut self) -> bool {
        let rest = self.rest();
        let name = rest.iter().take_while(|byte| is_name_byte(**byte)).count();
        if name == 0 || rest[0].is_ascii_digit() {
            return false;
        }
        let subscript = match rest[name..].first() {
            Some(b'[') => rest[name..].iter().position(|byte| *byte == b']'),
            _ => None,
        };
        let operator = name + subscript.map_or(0, |end| end + 1);
        let length = match &rest[operator..] {
            [b'=', ..] => operator + 1,
            [b'+', b'=', ..] => operator + 2,
            _ => return false,
        };
        self.take(length, Kind::Assignment);
        if self.peek() != Some(b'(') {
            self.word(Role::Value);
            return true;
        }
        self.take(1, Kind::Operator);
        loop {
            self.blanks();
            match self.rest() {
                [] => self.ends_in(self.at, Role::Word),
                [b')', ..] => self.take(1, Kind::Operator),
                [b'\n', ..] => {
                    self.at += 1;
                    continue;
                }
                _ if self.ends_words() => {}
                _ => {
                    self.word(Role::Word);
                    continue;
                }
            }
            return true;
        }
    }
}
