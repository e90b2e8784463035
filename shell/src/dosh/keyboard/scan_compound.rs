//! Reserved words, redirections and here-documents of a text that is being typed.

use super::scan::{Here, Kind, Role, Scanner, Stop};
use crate::dosh::syntax::tree::Bytes;

/// Reserved words behind which a command begins.
const OPENING: &[&[u8]] = &[
    b"if", b"then", b"else", b"elif", b"while", b"until", b"do", b"{", b"!", b"time",
];

/// Reserved words that end a compound command.
const CLOSING: &[&[u8]] = &[b"fi", b"done", b"}", b"esac"];

/// All reserved words, for those who type them.
pub fn reserved() -> impl Iterator<Item = &'static [u8]> {
    let others: [&[u8]; 4] = [b"case", b"for", b"function", b"[["];
    OPENING.iter().chain(CLOSING).copied().chain(others)
}

impl Scanner<'_> {
    /// A command, from a place where one may begin.
    pub fn command(&mut self) {
        let word = self.bare().unwrap_or_default().to_vec();
        let ends = self.at + word.len() == self.text.len();
        if ends {
            // It may become another word yet.
            return self.simple_or_reserved(&word);
        }
        match &word[..] {
            b"case" => self.case(),
            b"for" => self.repeated_for(),
            b"function" => {
                self.take(word.len(), Kind::Keyword);
                self.blanks();
                self.word(Role::Nothing);
                self.blanks();
                while matches!(self.peek(), Some(b'(' | b')')) {
                    self.take(1, Kind::Operator);
                }
            }
            b"[[" => self.condition(),
            word if OPENING.contains(&word) => {
                self.take(word.len(), Kind::Keyword);
                let opens = matches!(word, b"if" | b"while" | b"until" | b"{");
                self.open += u32::from(opens);
                self.blanks();
                if word == b"time" && self.bare() == Some(b"-p") {
                    self.take(2, Kind::Option);
                }
            }
            word if CLOSING.contains(&word) => {
                self.take(word.len(), Kind::Keyword);
                self.open = self.open.saturating_sub(1);
                self.redirects();
            }
            _ => self.simple(),
        }
    }

    /// The last word of the text, which looks like a reserved one or a command's.
    fn simple_or_reserved(&mut self, word: &[u8]) {
        if !reserved().any(|reserved| reserved == word) {
            return self.simple();
        }
        let pieces = self.found.pieces.len();
        let start = self.at;
        self.simple();
        self.found.calls.pop();
        self.found.pieces.truncate(pieces);
        self.piece(start, Kind::Keyword);
        if let Some(open) = &mut self.found.open {
            if let Role::Argument(_) = open.role {
                open.role = Role::Nothing;
            }
        }
    }

    /// Redirections behind a compound command.
    fn redirects(&mut self) {
        self.blanks();
        while self.redirect_begins() {
            self.redirect();
            self.blanks();
        }
        if self.is_at_end() {
            self.ends_in(self.at, Role::Nothing);
        }
    }

    /// `((…))` or a subshell.
    pub fn parenthesis(&mut self) {
        if self.rest().starts_with(b"((") && self.is_arithmetic(self.at + 2) {
            self.take(2, Kind::Expansion);
            self.arithmetic();
        } else {
            self.take(1, Kind::Operator);
            self.nested(|inner| inner.list(Stop::Parenthesis));
            if self.peek() == Some(b')') {
                self.take(1, Kind::Operator);
            }
        }
        self.redirects();
    }

    fn case(&mut self) {
        self.take(4, Kind::Keyword);
        self.gap();
        self.word(Role::Word);
        self.gap();
        if self.bare() == Some(b"in") {
            self.take(2, Kind::Keyword);
        }
        self.nested(|inner| inner.arms());
        self.redirects();
    }

    fn arms(&mut self) {
        loop {
            self.gap();
            if self.bare() == Some(b"esac") {
                return self.take(4, Kind::Keyword);
            }
            if self.peek() == Some(b'(') {
                self.take(1, Kind::Operator);
            }
            loop {
                self.blanks();
                match self.peek() {
                    None => return self.ends_in(self.at, Role::Nothing),
                    Some(b'|') => self.take(1, Kind::Operator),
                    Some(b')') => break self.take(1, Kind::Operator),
                    // No pattern: whatever this is, it is no `case`.
                    _ if self.ends_words() => return,
                    _ => drop(self.word(Role::Nothing)),
                }
            }
            self.list(Stop::Arm);
            match self.rest() {
                [b';', b';', b'&', ..] => self.take(3, Kind::Operator),
                [b';', ..] => self.take(2, Kind::Operator),
                [] => return,
                _ => {}
            }
        }
    }

    /// Blanks and newlines.
    fn gap(&mut self) {
        self.blanks();
        while self.peek() == Some(b'\n') {
            self.newline();
            self.blanks();
        }
    }

    fn repeated_for(&mut self) {
        self.take(3, Kind::Keyword);
        self.open += 1;
        self.blanks();
        if self.rest().starts_with(b"((") {
            self.take(2, Kind::Expansion);
            return self.arithmetic();
        }
        self.word(Role::Variable);
        self.gap();
        if self.bare() == Some(b"in") {
            self.take(2, Kind::Keyword);
            self.blanks();
            while !self.ends_words() {
                self.word(Role::Word);
                self.blanks();
            }
            if self.is_at_end() {
                self.ends_in(self.at, Role::Word);
            }
        }
    }

    /// `[[ … ]]`.
    fn condition(&mut self) {
        self.take(2, Kind::Keyword);
        loop {
            self.gap();
            match self.rest() {
                [] => return self.ends_in(self.at, Role::Word),
                _ if self.bare() == Some(b"]]") => {
                    self.take(2, Kind::Keyword);
                    return self.redirects();
                }
                [b';', ..] | [b'`', ..] if self.ends_words() => return,
                _ if self.ends_words() => self.take(1, Kind::Operator),
                [b'-', letter, b' ' | b'\t', ..] if letter.is_ascii_alphabetic() => {
                    self.take(2, Kind::Option);
                }
                _ => drop(self.word(Role::Word)),
            }
        }
    }

    /// Whether a redirection begins here, with its descriptor if one is written.
    pub fn redirect_begins(&self) -> bool {
        let rest = self.rest();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match &rest[digits..] {
            [b'<' | b'>', b'(', ..] => false,
            [b'<' | b'>', ..] => true,
            [b'&', b'>', ..] => digits == 0,
            _ => false,
        }
    }

    /// A redirection and its target.
    pub fn redirect(&mut self) {
        let rest = self.rest();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let here = match &rest[digits..] {
            [b'<', b'<', b'<', ..] => None,
            [b'<', b'<', b'-', ..] => Some(true),
            [b'<', b'<', ..] => Some(false),
            _ => None,
        };
        let length = match &rest[digits..] {
            [b'<', b'<', b'<' | b'-', ..] | [b'&', b'>', b'>', ..] => 3,
            [b'<', b'<' | b'>' | b'&', ..] | [b'>', b'>' | b'&' | b'|', ..] | [b'&', b'>', ..] => 2,
            _ => 1,
        };
        let duplicates = matches!(&rest[digits..], [b'<' | b'>', b'&', ..]);
        self.take(digits + length, Kind::Redirect);
        self.blanks();
        if self.ends_words() {
            if self.is_at_end() {
                let role = if here.is_some() {
                    Role::Nothing
                } else {
                    Role::Target
                };
                self.ends_in(self.at, role);
            }
            return;
        }
        match here {
            Some(strip_tabs) => {
                let from = self.at;
                let delimiter = self.word(Role::Nothing).unwrap_or_default();
                let quoted = has_quotes(&self.text[from..self.at]);
                self.bodies.push(Here {
                    delimiter,
                    strip_tabs,
                    quoted,
                });
            }
            None => {
                let from = self.at;
                let target = self.word(Role::Target).unwrap_or_default();
                let descriptor = target
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || *byte == b'-');
                if duplicates && descriptor {
                    self.piece(from, Kind::Redirect);
                }
            }
        }
    }

    /// A newline, and the here-documents behind it.
    pub fn newline(&mut self) {
        self.at += 1;
        for here in std::mem::take(&mut self.bodies) {
            self.body(&here);
        }
    }

    fn body(&mut self, here: &Here) {
        let from = self.at;
        // A line with those that continue it.
        let (mut whole, mut continued) = (Bytes::new(), false);
        loop {
            if self.is_at_end() {
                self.piece(from, Kind::Quoted);
                return self.ends_in(self.at, Role::Nothing);
            }
            let rest = self.rest();
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let line = &rest[..newline.unwrap_or(rest.len())];
            let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
            let text = match here.strip_tabs && !continued {
                true => &line[tabs..],
                false => line,
            };
            if !continued {
                whole.clear();
            }
            let escapes = text.iter().rev().take_while(|byte| **byte == b'\\');
            continued = !here.quoted && escapes.count() % 2 == 1;
            whole.extend_from_slice(&text[..text.len() - usize::from(continued)]);
            let ends = whole == here.delimiter && !continued;
            self.at += line.len() + usize::from(newline.is_some() && !ends);
            if ends {
                self.piece(from, Kind::Quoted);
                self.at += usize::from(newline.is_some());
                if newline.is_none() {
                    self.ends_in(self.at, Role::Nothing);
                }
                return;
            }
        }
    }
}

/// Whether a part of the word is quoted.
fn has_quotes(word: &[u8]) -> bool {
    word.iter().enumerate().any(|(at, byte)| match byte {
        b'\'' | b'"' => true,
        b'\\' => word.get(at + 1) != Some(&b'\n'),
        _ => false,
    })
}
