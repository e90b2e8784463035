//! What is being typed: a text as far as it goes, in pieces for the eye and with what stands at its end.
//!
//! The parser takes complete commands or none. Here nothing is refused: what is open ends with the text, and what does not
//! fit is taken for what it looks like. Tests hold both to the same commands.

use super::scan_call::{self, Expected, Spoken};
use crate::dosh::plan::Place;
use crate::dosh::syntax::parser::DECLARING;
use crate::dosh::syntax::token::ends_word;
use crate::dosh::syntax::tree::Bytes;
use std::ops::Range;

/// What a piece of the text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A reserved word, or the `@` of a line for the host.
    Keyword,
    /// A command's name, without its quotes, and where it would be looked for.
    Command(Place, Bytes),
    /// A word that begins with `-`.
    Option,
    /// `name=` in front of a value.
    Assignment,
    /// Quoted text with its quotes.
    Quoted,
    /// A parameter, arithmetic, or the delimiters of a substitution.
    Expansion,
    /// What ends or joins commands.
    Operator,
    /// A redirection without its target.
    Redirect,
    Comment,
}

/// A piece. What is between pieces is plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the text.
    pub range: Range<usize>,
    pub kind: Kind,
}

/// A word of a simple command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub range: Range<usize>,
    /// Its text without quotes, unless something in it is expanded.
    pub text: Option<Bytes>,
}

/// A simple command as far as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub words: Vec<Word>,
    /// The mode that the command stands in.
    pub on_host: bool,
}

/// What the word at the end of the text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A command's name.
    Command(Place),
    /// A word of this call, behind what is in it.
    Argument(usize),
    /// The target of a redirection.
    Target,
    /// The value of an assignment.
    Value,
    /// A word that is no command's: of `for`, `case` or `[[`.
    Word,
    /// A parameter's name, behind `$`, or behind `${`.
    Parameter { braced: bool },
    /// A variable's name that stands by itself: in arithmetic, behind `for`.
    Variable,
    /// Nothing that could be guessed: a comment, a new function's name.
    Nothing,
}

/// The word at the end of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Where it begins: at the end of the text if nothing of it is there.
    pub start: usize,
    pub role: Role,
}

/// A text that has been looked through.
#[derive(Debug, Default)]
pub struct Scan {
    /// In the order of the text, apart from each other.
    pub pieces: Vec<Piece>,
    pub calls: Vec<Call>,
    pub open: Option<Open>,
}

/// What decides about the place of commands.
#[derive(Clone, Copy)]
pub struct Mode<'m> {
    /// Commands run on the host unless the line says otherwise.
    pub on_host: bool,
    /// Whether a name is a function or a built-in of the shell.
    pub is_own: &'m dyn Fn(&[u8]) -> bool,
    /// The text of an alias.
    pub alias: &'m dyn Fn(&[u8]) -> Option<Bytes>,
}

/// Looks through a text.
pub fn scan(text: &[u8], mode: Mode) -> Scan {
    let mut scanner = Scanner {
        text,
        at: 0,
        mode,
        line_on_host: false,
        found: Scan::default(),
        bodies: Vec::new(),
        open: 0,
        backquotes: 0,
        depth: 0,
    };
    scanner.list(Stop::End);
    scanner.found
}

/// What ends a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    End,
    /// At `)`.
    Parenthesis,
    /// At a backquote.
    Backquote,
    /// At `;;` and its like, or `esac`.
    Arm,
}

/// Constructs within each other that are looked into.
const DEEPEST: u32 = 50;

/// A here-document whose body is still to come.
pub struct Here {
    pub delimiter: Bytes,
    /// Tabs before its lines are dropped.
    pub strip_tabs: bool,
    /// Its delimiter is quoted: no line of it is continued.
    pub quoted: bool,
}

pub struct Scanner<'t> {
    pub text: &'t [u8],
    pub at: usize,
    pub mode: Mode<'t>,
    /// The line began with `@`.
    pub line_on_host: bool,
    pub found: Scan,
    /// Here-documents whose bodies follow.
    pub bodies: Vec<Here>,
    /// Compound commands around this place that reserved words have opened.
    pub open: u32,
    /// Backquotes around this place.
    pub backquotes: u32,
    depth: u32,
}

impl Scanner<'_> {
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    /// Adds a piece from there to here.
    pub fn piece(&mut self, from: usize, kind: Kind) {
        if from < self.at {
            let range = from..self.at;
            self.found.pieces.push(Piece { range, kind });
        }
    }

    /// Takes so many bytes as a piece.
    pub fn take(&mut self, count: usize, kind: Kind) {
        let from = self.at;
        self.at = (self.at + count).min(self.text.len());
        self.piece(from, kind);
    }

    /// The text has ended within a word. Who is innermost knows best and says so first.
    pub fn ends_in(&mut self, start: usize, role: Role) {
        self.found.open.get_or_insert(Open { start, role });
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Goes into a construct.
    pub fn nested(&mut self, run: impl FnOnce(&mut Self)) {
        if self.depth == DEEPEST {
            self.at = self.text.len();
            return self.ends_in(self.at, Role::Nothing);
        }
        self.depth += 1;
        let open = self.open;
        run(self);
        self.open = open;
        self.depth -= 1;
    }

    fn on_host(&self) -> bool {
        self.mode.on_host || self.line_on_host
    }

    /// Blanks, continued lines, and comments.
    pub fn blanks(&mut self) {
        loop {
            match self.rest() {
                [b' ' | b'\t', ..] => self.at += 1,
                [b'\\', b'\n', ..] => self.at += 2,
                [b'#', ..] => {
                    let rest = self.rest();
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    self.take(end.unwrap_or(rest.len()), Kind::Comment);
                    if self.is_at_end() {
                        self.ends_in(self.at, Role::Nothing);
                    }
                }
                _ => return,
            }
        }
    }

    /// Commands up to the stop, which stays.
    pub fn list(&mut self, stop: Stop) {
        let mut begins = true;
        loop {
            self.blanks();
            let before = self.at;
            let Some(byte) = self.peek() else {
                let place = place_of(self.on_host());
                return self.ends_in(self.at, Role::Command(place));
            };
            match byte {
                b'\n' => {
                    self.newline();
                    if stop == Stop::End && self.open == 0 {
                        (begins, self.line_on_host) = (true, false);
                    }
                    continue;
                }
                b')' if stop == Stop::Parenthesis => return,
                b'`' if stop == Stop::Backquote => return,
                b';' if stop == Stop::Arm && matches!(self.rest(), [_, b';' | b'&', ..]) => return,
                b'(' => self.parenthesis(),
                b';' | b'&' | b'|' | b')' if !self.redirect_begins() => self.operator(),
                b'@' if begins && stop == Stop::End && self.bare() == Some(b"@") => {
                    self.take(1, Kind::Keyword);
                    self.line_on_host = true;
                }
                _ if stop == Stop::Arm && self.bare() == Some(b"esac") => return,
                _ => self.command(),
            }
            begins = false;
            if self.at == before {
                // It closes what was opened further out.
                return;
            }
        }
    }

    fn operator(&mut self) {
        let rest = self.rest();
        let run = rest
            .iter()
            .take_while(|byte| **byte == rest[0])
            .count()
            .min(2);
        let count = match rest {
            [b')', ..] => 1,
            [b';', b'&', ..] | [b'|', b'&', ..] => 2,
            _ => run,
        };
        self.take(count, Kind::Operator);
    }

    /// The bytes of a word in which nothing is quoted or expanded.
    pub fn bare(&self) -> Option<&[u8]> {
        let rest = self.rest();
        let special =
            |byte: &u8| ends_word(*byte) || matches!(byte, b'\'' | b'"' | b'\\' | b'$' | b'`');
        let end = rest.iter().position(special).unwrap_or(rest.len());
        match rest.get(end) {
            Some(b'`') if self.backquotes > 0 => Some(&rest[..end]),
            Some(b'\'' | b'"' | b'\\' | b'$' | b'`') => None,
            _ => Some(&rest[..end]),
        }
    }

    /// A simple command, from its first word.
    pub fn simple(&mut self) {
        let call = self.found.calls.len();
        let on_host = self.on_host();
        self.found.calls.push(Call {
            words: Vec::new(),
            on_host,
        });
        let mut assigns = false;
        loop {
            self.blanks();
            let expected = scan_call::expected(&self.found.calls[call], &self.mode);
            let role = match expected {
                Expected::Command(place) => Role::Command(place),
                Expected::Argument(_) => Role::Argument(call),
            };
            let Some(byte) = self.peek() else {
                return self.ends_in(self.at, role);
            };
            if self.redirect_begins() {
                self.redirect();
                continue;
            }
            let none = self.found.calls[call].words.is_empty();
            if byte == b'(' && !assigns && self.found.calls[call].words.len() == 1 {
                // A function's definition: what looked like a command is its name.
                self.found.calls.pop();
                if matches!(self.found.pieces.last(), Some(piece) if matches!(piece.kind, Kind::Command(..)))
                {
                    self.found.pieces.pop();
                }
                self.take(1, Kind::Operator);
                self.blanks();
                if self.peek() == Some(b')') {
                    self.take(1, Kind::Operator);
                }
                return;
            }
            if self.ends_words() {
                return;
            }
            let words = &self.found.calls[call].words;
            let declares = words.iter().take(2).any(|word| {
                let text = word.text.as_deref().unwrap_or_default();
                DECLARING.contains(&text)
            });
            if (none || declares) && self.assignment() {
                assigns |= none;
                continue;
            }
            self.command_word(call, expected, role);
        }
    }

    fn command_word(&mut self, call: usize, expected: Expected, role: Role) {
        let (start, pieces) = (self.at, self.found.pieces.len());
        let role = match role {
            // hrun's own options, and those of commands that start others.
            Role::Command(_) if self.peek() == Some(b'-') && !self.is_first(call) => {
                Role::Argument(call)
            }
            role => role,
        };
        let text = self.word(role.clone());
        let range = start..self.at;
        let whole = self.found.pieces.len() == pieces;
        match (expected, role, &text) {
            (Expected::Command(place), Role::Command(_), Some(name)) => {
                self.found.pieces.truncate(pieces);
                let is_own = scan_call::is_own(&self.found.calls[call], name, &self.mode);
                let alias = self.alias(call, &self.text[start..self.at]);
                let place = match is_own || alias.is_some() {
                    true => Place::Guest,
                    false => place,
                };
                self.piece(start, Kind::Command(place, name.clone()));
                if let Some(words) = alias {
                    let words = words.into_iter().map(|word| Word {
                        range: range.clone(),
                        ..word
                    });
                    return self.found.calls[call].words.extend(words);
                }
            }
            _ if self.text[start] == b'-' && whole => self.piece(start, Kind::Option),
            _ => {}
        }
        self.found.calls[call].words.push(Word { range, text });
    }

    /// The words that an alias puts in the place of a call's first one, as it is written.
    fn alias(&self, call: usize, written: &[u8]) -> Option<Vec<Word>> {
        if !self.is_first(call) {
            return None;
        }
        let text = (self.mode.alias)(written)?;
        let plain = Mode {
            alias: &|_| None,
            ..self.mode
        };
        // What follows belongs to the last of its commands.
        let last = scan(&text, plain).calls.pop();
        last.map(|call| call.words)
    }

    fn is_first(&self, call: usize) -> bool {
        self.found.calls[call].words.is_empty()
    }
}

/// The place that the mode gives.
pub fn place_of(on_host: bool) -> Place {
    match on_host {
        true => Place::Host,
        false => Place::Guest,
    }
}

impl Scan {
    /// Who the command of a call is, and where.
    pub fn spoken(&self, call: usize, mode: &Mode) -> Option<Spoken<'_>> {
        scan_call::spoken(self.calls.get(call)?, mode)
    }

    /// Where the arguments of a call stand that runs in the guest.
    pub fn arguments(&self, call: usize, mode: &Mode) -> Vec<Range<usize>> {
        match self.spoken(call, mode) {
            Some(spoken) if spoken.place == Place::Guest => {
                let arguments = spoken.arguments.iter();
                arguments.map(|word| word.range.clone()).collect()
            }
            _ => Vec::new(),
        }
    }
}
