//! Where words are aliases, and their text takes their place (XCU 2.3.1).

use super::parser::{Parsed, Parser, CLOSING};
use std::rc::Rc;

/// Words that begin a command of the grammar's.
const OPENING: &[&[u8]] = &[
    b"!",
    b"{",
    b"[[",
    b"case",
    b"for",
    b"function",
    b"if",
    b"time",
    b"until",
    b"while",
];

impl Parser {
    /// Up to where a command begins: past newlines, and into the text of aliases, which may be nothing but more of them.
    pub fn skip_to_command(&mut self) -> Parsed<()> {
        self.skip_newlines()?;
        while self.substitute_alias()? {
            self.skip_newlines()?;
        }
        Ok(())
    }

    /// Puts an alias's text in the place of the word ahead, which begins a command, if it is an alias.
    pub fn substitute_alias(&mut self) -> Parsed<bool> {
        if self.aliases.is_empty() {
            return Ok(false);
        }
        self.substitute()
    }

    /// The same for a word that stands behind an alias whose text ends in a blank, whatever it is there.
    pub fn substitute_argument(&mut self) -> Parsed<()> {
        if !self.aliases.is_empty() && self.source.follows_blank_alias(self.start) {
            self.substitute()?;
        }
        Ok(())
    }

    /// Puts an alias's text in the place of the word ahead, if it is an alias and no reserved word.
    fn substitute(&mut self) -> Parsed<bool> {
        let start = self.start;
        let aliases = Rc::clone(&self.aliases);
        let Some(name) = self.peek()?.bare().map(<[u8]>::to_vec) else {
            return Ok(false);
        };
        let reserved = [OPENING, CLOSING, &[b"in"]].concat();
        let Some(value) = aliases
            .get(&name)
            .filter(|_| !reserved.contains(&&name[..]))
        else {
            return Ok(false);
        };
        if self.source.is_active(&name, start) {
            return Ok(false);
        }
        self.ahead = None;
        self.source.substitute(start, &name, value);
        self.no_arithmetic.clear();
        Ok(true)
    }
}
