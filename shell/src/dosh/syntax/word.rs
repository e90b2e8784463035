//! Words: quotes and expansions (XCU 2.2, 2.6).

use super::parser::{Parsed, Parser};
use super::quoting;
use super::token::{ends_word, Op};
use super::tree::{Bytes, List, Part};
use std::rc::Rc;

/// Where a word ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At a blank or an operator.
    Word,
    /// At a blank outside parentheses: the right side of `=~`.
    Regex,
    /// At the closing double quote.
    Quote,
    /// At the end of the text: a here-document.
    End,
    /// At `}`.
    Brace,
    /// At `/` or `}`.
    Slash,
    /// At `:` or `}`.
    Colon,
    /// At `]`.
    Bracket,
    /// At `))`.
    Arithmetic,
    /// At `;` or `))`.
    Counting,
}

/// Parts under construction: neighbouring text of one kind is one part.
#[derive(Default)]
pub struct Parts(Vec<Part>);

impl Parts {
    pub fn text(&mut self, quoted: bool, bytes: &[u8]) {
        match (self.0.last_mut(), quoted) {
            (Some(Part::Literal(text)), false) | (Some(Part::Quoted(text)), true) => {
                text.extend_from_slice(bytes);
            }
            (_, false) => self.0.push(Part::Literal(bytes.to_vec())),
            (_, true) => self.0.push(Part::Quoted(bytes.to_vec())),
        }
    }

    pub fn push(&mut self, part: Part) {
        match part {
            Part::Quoted(text) => self.text(true, &text),
            Part::Literal(text) => self.text(false, &text),
            part => self.0.push(part),
        }
    }

    pub fn into_inner(self) -> Vec<Part> {
        self.0
    }
}

impl Parser {
    /// Reads up to the stop, which stays. `quoted`: as within double quotes.
    pub fn parts(&mut self, stop: Stop, quoted: bool) -> Parsed<Vec<Part>> {
        self.check_depth()?;
        let mut parts = Parts::default();
        let mut depth = 0;
        while let Some(byte) = self.source.peek() {
            if self.stops(stop, byte, &mut depth) {
                return Ok(parts.into_inner());
            }
            match byte {
                b'\\' => self.backslash(stop, quoted, &mut parts),
                b'\'' if !quoted => {
                    self.source.skip(1);
                    let text = self.single_quoted()?;
                    parts.text(true, &text);
                }
                b'"' if stop != Stop::End => {
                    self.source.skip(1);
                    parts.push(self.double_quoted()?);
                }
                b'$' => {
                    self.source.skip(1);
                    parts.push(self.dollar(quoted)?);
                }
                b'`' => {
                    self.source.skip(1);
                    parts.push(self.backquoted(quoted && stop != Stop::End)?);
                }
                b'<' | b'>' if stop == Stop::Word && self.source.second() == Some(b'(') => {
                    self.source.skip(2);
                    let list = self.enclosed()?;
                    let reads = byte == b'>';
                    parts.push(Part::Process { reads, list });
                }
                byte => {
                    let run = self.plain_run(stop);
                    let bytes = [byte];
                    let text = match run {
                        0 | 1 => &bytes[..],
                        _ => &self.source.rest()[..run],
                    };
                    parts.text(quoted, text);
                    self.source.skip(run.max(1));
                }
            }
        }
        match stop {
            Stop::Word | Stop::Regex | Stop::End => Ok(parts.into_inner()),
            Stop::Quote => Err(self.ended("matching `\"'")),
            Stop::Bracket => Err(self.ended("matching `]'")),
            Stop::Arithmetic | Stop::Counting => Err(self.ended("matching `)'")),
            Stop::Brace | Stop::Slash | Stop::Colon => Err(self.ended("matching `}'")),
        }
    }

    /// How many of the next bytes mean nothing but themselves anywhere.
    fn plain_run(&self, stop: Stop) -> usize {
        let plain = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        match stop {
            Stop::End => {
                let special = |byte: &u8| matches!(byte, b'$' | b'`' | b'\\');
                let rest = self.source.rest();
                rest.iter().position(special).unwrap_or(rest.len())
            }
            _ => self.source.rest().iter().take_while(plain).count(),
        }
    }

    fn stops(&mut self, stop: Stop, byte: u8, depth: &mut i32) -> bool {
        match stop {
            Stop::Word => {
                ends_word(byte)
                    && !(matches!(byte, b'<' | b'>') && self.source.second() == Some(b'('))
            }
            Stop::Regex => {
                let at_top = *depth == 0;
                *depth += i32::from(byte == b'(') - i32::from(byte == b')' && !at_top);
                match byte {
                    b'\n' => true,
                    b' ' | b'\t' | b';' | b'&' | b')' => at_top,
                    _ => false,
                }
            }
            Stop::Quote => byte == b'"',
            Stop::End => false,
            Stop::Brace => byte == b'}',
            Stop::Slash => matches!(byte, b'}' | b'/'),
            Stop::Colon => {
                *depth += i32::from(byte == b'?');
                match byte {
                    b':' if *depth > 0 => {
                        *depth -= 1;
                        false
                    }
                    byte => matches!(byte, b'}' | b':'),
                }
            }
            Stop::Bracket => {
                *depth += i32::from(byte == b'[') - i32::from(byte == b']');
                *depth < 0
            }
            Stop::Arithmetic | Stop::Counting => {
                *depth += i32::from(byte == b'(') - i32::from(byte == b')');
                *depth < 0 || (stop == Stop::Counting && *depth == 0 && byte == b';')
            }
        }
    }

    fn backslash(&mut self, stop: Stop, quoted: bool, parts: &mut Parts) {
        self.source.skip(1);
        let Some(byte) = self.source.raw() else {
            return parts.text(true, b"\\");
        };
        let escapes = match byte {
            b'$' | b'`' | b'\\' => true,
            b'"' => stop != Stop::End,
            b'}' => matches!(stop, Stop::Brace | Stop::Slash),
            _ => false,
        };
        if quoted && !escapes {
            return parts.text(true, b"\\");
        }
        self.source.skip(1);
        parts.text(true, &[byte]);
    }

    fn single_quoted(&mut self) -> Parsed<Bytes> {
        let mut text = Bytes::new();
        while let Some(byte) = self.source.raw() {
            self.source.skip(1);
            if byte == b'\'' {
                return Ok(text);
            }
            text.push(byte);
        }
        Err(self.ended("matching `''"))
    }

    /// From behind the opening quote.
    pub fn double_quoted(&mut self) -> Parsed<Part> {
        let mut parts = self.parts(Stop::Quote, true)?;
        self.source.skip(1);
        Ok(match &mut parts[..] {
            [] => Part::Quoted(Bytes::new()),
            [Part::Quoted(text)] => Part::Quoted(std::mem::take(text)),
            _ => Part::Double(parts.into()),
        })
    }

    /// `$'…'` from behind the opening quote.
    pub fn escaped(&mut self) -> Parsed<Part> {
        let mut raw = Bytes::new();
        while let Some(byte) = self.source.raw() {
            self.source.skip(1);
            match byte {
                b'\'' => return Ok(Part::Quoted(quoting::unescape(&raw))),
                b'\\' => {
                    raw.push(b'\\');
                    raw.extend(self.source.raw());
                    self.source
                        .skip(usize::from(!self.source.rest().is_empty()));
                }
                byte => raw.push(byte),
            }
        }
        Err(self.ended("matching `''"))
    }

    /// From behind the opening backquote. Within, a backslash is one before `$`, a backquote and a backslash only.
    fn backquoted(&mut self, quoted: bool) -> Parsed<Part> {
        let line = self.source.line();
        let mut text = Bytes::new();
        while let Some(byte) = self.source.raw() {
            self.source.skip(1);
            match (byte, self.source.rest().first().copied()) {
                (b'`', _) => {
                    let mut parser = Parser::new(&text, line);
                    parser.aliases = Rc::clone(&self.aliases);
                    let list = parser.program().map_err(|mut error| {
                        error.incomplete = false;
                        error
                    })?;
                    return Ok(Part::Command(Rc::new(list)));
                }
                (b'\\', Some(next))
                    if matches!(next, b'$' | b'`' | b'\\') || (quoted && next == b'"') =>
                {
                    self.source.skip(1);
                    text.push(next);
                }
                _ => text.push(byte),
            }
        }
        Err(self.ended("matching ``'"))
    }

    /// A list from behind its opening parenthesis to behind the closing one, within a word.
    pub fn enclosed(&mut self) -> Parsed<Rc<List>> {
        let (start, start_line, end) = (self.start, self.start_line, self.end);
        let ahead = self.ahead.take();
        let pending = std::mem::take(&mut self.pending);
        let list = self.list()?;
        self.expect_op(Op::Close)?;
        self.pending.splice(0..0, pending);
        self.ahead = ahead;
        (self.start, self.start_line, self.end) = (start, start_line, end);
        Ok(Rc::new(list))
    }
}
