//! What begins with `$`: parameters, substitutions, arithmetic (XCU 2.6).

use super::parser::{Parsed, Parser};
use super::shape;
use super::token::{is_name_byte, is_name_start};
use super::tree::*;
use super::word::Stop;

const SPECIAL: &[u8] = b"@*#?-$!";

impl Parser {
    /// From behind the `$`.
    pub fn dollar(&mut self, quoted: bool) -> Parsed<Part> {
        match self.source.peek() {
            Some(b'{') => {
                self.source.skip(1);
                self.braced(quoted)
            }
            Some(b'(') => {
                self.source.skip(1);
                if self.source.looks_at(b"(") {
                    if let Some(arithmetic) = self.attempt_arithmetic(1) {
                        return Ok(Part::Arithmetic(Box::new(arithmetic)));
                    }
                }
                Ok(Part::Command(self.enclosed()?))
            }
            Some(b'\'') if !quoted => {
                self.source.skip(1);
                self.escaped()
            }
            Some(b'"') if !quoted => {
                self.source.skip(1);
                self.double_quoted()
            }
            Some(byte) if is_name_start(byte) => Ok(value(Name::Variable(self.name_bytes()))),
            Some(byte) if byte.is_ascii_digit() => {
                self.source.skip(1);
                Ok(value(Name::Positional(usize::from(byte - b'0'))))
            }
            Some(byte) if SPECIAL.contains(&byte) => {
                self.source.skip(1);
                Ok(value(Name::Special(byte)))
            }
            _ if quoted => Ok(Part::Quoted(b"$".to_vec())),
            _ => Ok(Part::Literal(b"$".to_vec())),
        }
    }

    fn name_bytes(&mut self) -> Bytes {
        let mut name = Bytes::new();
        while let Some(byte) = self.source.peek().filter(|byte| is_name_byte(*byte)) {
            name.push(byte);
            self.source.skip(1);
        }
        name
    }

    /// `${…}` from behind the brace.
    fn braced(&mut self, quoted: bool) -> Parsed<Part> {
        let length = self.is_length();
        let indirect = !length && self.is_indirect();
        if length || indirect {
            self.source.peek();
            self.source.skip(1);
        }
        let name = self.parameter_name()?;
        let index = match self.source.peek() {
            Some(b'[') if matches!(name, Name::Variable(_)) => Some(self.subscript()?),
            _ => None,
        };
        let listed = matches!(index, Some(Index::At | Index::Star));
        let action = match (length, indirect && listed) {
            (true, _) => Action::Length,
            (_, true) => Action::Indices,
            _ => self.action(quoted)?,
        };
        if !self.source.eat(b'}') {
            return Err(match self.source.peek() {
                None => self.ended("matching `}'"),
                Some(_) => self.error("bad substitution"),
            });
        }
        Ok(Part::Parameter(Box::new(Parameter {
            name,
            index,
            indirect: indirect && !listed,
            action,
        })))
    }

    /// Whether `#` asks for a length, and is not the parameter itself.
    fn is_length(&mut self) -> bool {
        match self.source.coming() {
            [b'#', b'-' | b'?' | b'#', b'}'] => true,
            [b'#', byte, _] => is_name_byte(byte) || matches!(byte, b'@' | b'*' | b'$' | b'!'),
            _ => false,
        }
    }

    /// Whether `!` asks for what the parameter names.
    fn is_indirect(&mut self) -> bool {
        let [first, second] = self.source.coming();
        first == b'!' && (is_name_byte(second) || matches!(second, b'@' | b'#'))
    }

    fn parameter_name(&mut self) -> Parsed<Name> {
        match self.source.peek() {
            Some(byte) if is_name_start(byte) => Ok(Name::Variable(self.name_bytes())),
            Some(byte) if byte.is_ascii_digit() => {
                let digits = self.name_bytes();
                let number = std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|n| n.parse().ok());
                number
                    .map(Name::Positional)
                    .ok_or_else(|| self.error("bad substitution"))
            }
            Some(byte) if SPECIAL.contains(&byte) => {
                self.source.skip(1);
                Ok(Name::Special(byte))
            }
            None => Err(self.ended("matching `}'")),
            Some(_) => Err(self.error("bad substitution")),
        }
    }

    /// `[…]`.
    pub fn subscript(&mut self) -> Parsed<Index> {
        self.source.skip(1);
        for (text, index) in [(b"@]", Index::At), (b"*]", Index::Star)] {
            if self.source.eat_all(text) {
                return Ok(index);
            }
        }
        let parts = self.parts(Stop::Bracket, true)?;
        self.source.skip(1);
        Ok(Index::Number(shape::arithmetic(parts)))
    }

    fn action(&mut self, quoted: bool) -> Parsed<Action> {
        let Some(byte) = self.source.peek() else {
            return Err(self.ended("matching `}'"));
        };
        if byte == b'}' {
            return Ok(Action::Value);
        }
        self.source.skip(1);
        let doubled = self.source.peek() == Some(byte);
        match byte {
            b':' => match self.source.peek() {
                Some(next) if b"-=?+".contains(&next) => {
                    self.source.skip(1);
                    self.instead(next, true, quoted)
                }
                _ => self.slice(),
            },
            b'-' | b'=' | b'?' | b'+' => self.instead(byte, false, quoted),
            b'#' | b'%' => {
                self.source.skip(usize::from(doubled));
                let pattern = shape::instead(self.parts(Stop::Brace, false)?);
                Ok(Action::Remove {
                    suffix: byte == b'%',
                    longest: doubled,
                    pattern,
                })
            }
            b'/' => self.replace(),
            b'^' | b',' => {
                self.source.skip(usize::from(doubled));
                let pattern = self.parts(Stop::Brace, false)?;
                Ok(Action::Case {
                    upper: byte == b'^',
                    all: doubled,
                    pattern: (!pattern.is_empty()).then(|| shape::operand(pattern)),
                })
            }
            _ => Err(self.error("bad substitution")),
        }
    }

    fn instead(&mut self, byte: u8, empty: bool, quoted: bool) -> Parsed<Action> {
        let kind = match byte {
            b'-' => Instead::Default,
            b'=' => Instead::Assign,
            b'?' => Instead::Error,
            _ => Instead::Alternative,
        };
        let parts = self.parts(Stop::Brace, quoted)?;
        let word = match quoted {
            true => shape::operand(parts),
            false => shape::instead(parts),
        };
        Ok(Action::Instead { kind, empty, word })
    }

    fn replace(&mut self) -> Parsed<Action> {
        let which = match self.source.peek() {
            Some(b'/') => Which::All,
            Some(b'#') => Which::Prefix,
            Some(b'%') => Which::Suffix,
            _ => Which::First,
        };
        self.source.skip(usize::from(which != Which::First));
        // Behind two slashes a third one is the pattern's.
        let slash = which == Which::All && self.source.eat(b'/');
        let mut parts = self.parts(Stop::Slash, false)?;
        if slash {
            parts.insert(0, Part::Quoted(b"/".to_vec()));
        }
        let pattern = shape::instead(parts);
        let with = match self.source.eat(b'/') {
            true => self.parts(Stop::Brace, false)?,
            false => Vec::new(),
        };
        Ok(Action::Replace {
            which,
            pattern,
            with: shape::instead(with),
        })
    }

    fn slice(&mut self) -> Parsed<Action> {
        if self.source.peek() == Some(b'}') {
            return Err(self.error("bad substitution"));
        }
        let offset = shape::arithmetic(self.parts(Stop::Colon, true)?);
        let length = match self.source.eat(b':') {
            true => Some(shape::arithmetic(self.parts(Stop::Brace, true)?)),
            false => None,
        };
        Ok(Action::Slice { offset, length })
    }
}

fn value(name: Name) -> Part {
    Part::Parameter(Box::new(Parameter {
        name,
        index: None,
        indirect: false,
        action: Action::Value,
    }))
}
