//! Redirections, here-documents and assignments (XCU 2.7, 2.9.1).

use super::parser::{Parsed, Parser, Pending};
use super::shape;
use super::token::{ends_word, Op, Token};
use super::tree::*;
use super::word::Stop;
use std::cell::OnceCell;
use std::rc::Rc;

impl Pending {
    /// The lines of a body that was read, and that of the delimiter.
    fn written(&self, body: &[u8]) -> Bytes {
        let cut_off = !body.is_empty() && !body.ends_with(b"\n");
        let newline: &[u8] = if cut_off { b"\n" } else { b"" };
        [body, newline, &self.delimiter].concat()
    }
}

impl Parser {
    pub fn redirect(&mut self) -> Parsed<Redirect> {
        let given = match self.peek()? {
            Token::Number(number) => Some(*number),
            _ => None,
        };
        if given.is_some() {
            self.take()?;
        }
        let Token::Op(op) = self.take()? else {
            return Err(self.unexpected());
        };
        let reads = matches!(
            op,
            Op::Less | Op::LessGreat | Op::LessAnd | Op::Here | Op::HereTabs | Op::HereString
        );
        let fd = given.unwrap_or(i32::from(!reads));
        let target = match op {
            Op::Here | Op::HereTabs => self.here_document(op == Op::HereTabs)?,
            Op::HereString => Target::HereString(self.word()?),
            Op::AndGreat => Target::Both(Mode::Write, self.word()?),
            Op::AndGreatGreat => Target::Both(Mode::Append, self.word()?),
            Op::GreatAnd if given.is_none() => match self.word()? {
                // Without a descriptor before or behind, `>&` is `&>`.
                Word::Plain(text) if !text.iter().all(|b| b.is_ascii_digit() || *b == b'-') => {
                    Target::Both(Mode::Write, Word::Plain(text))
                }
                word => Target::Duplicate(word),
            },
            Op::LessAnd | Op::GreatAnd => Target::Duplicate(self.word()?),
            Op::Less => Target::File(Mode::Read, self.word()?),
            Op::LessGreat => Target::File(Mode::ReadWrite, self.word()?),
            Op::GreatGreat => Target::File(Mode::Append, self.word()?),
            Op::Clobber => Target::File(Mode::Clobber, self.word()?),
            _ => Target::File(Mode::Write, self.word()?),
        };
        Ok(Redirect { fd, target })
    }

    fn here_document(&mut self, strip_tabs: bool) -> Parsed<Target> {
        self.skip_blanks();
        if self.source.follows_blank_alias(self.source.place()) {
            // As a token it is an alias's text; as a delimiter it is read once more.
            self.peek()?;
            self.ahead = None;
            self.source.rewind(self.start, self.start_line);
        }
        let start = self.source.place();
        let (delimiter, quoted) = self.delimiter()?;
        let body = Rc::new(OnceCell::new());
        self.pending.push(Pending {
            delimiter,
            quoted,
            strip_tabs,
            body: Rc::clone(&body),
            start,
            kept: None,
        });
        Ok(Target::Here(body))
    }

    /// The word behind `<<`, its quotes removed and nothing expanded, and whether there were quotes.
    fn delimiter(&mut self) -> Parsed<(Bytes, bool)> {
        let (mut text, mut quoted) = (Bytes::new(), false);
        let start = self.source.place();
        while let Some(byte) = self.source.peek().filter(|byte| !ends_word(*byte)) {
            self.source.skip(1);
            match byte {
                b'\\' => {
                    quoted = true;
                    text.extend(self.source.raw());
                    self.source
                        .skip(usize::from(self.source.second().is_some()));
                }
                b'\'' | b'"' => {
                    quoted = true;
                    while let Some(inner) = self.source.raw().filter(|inner| *inner != byte) {
                        self.source.skip(1);
                        let next = self.source.rest().first().copied();
                        match (byte, inner, next) {
                            (b'"', b'\\', Some(next @ (b'$' | b'`' | b'"' | b'\\'))) => {
                                text.push(next);
                                self.source.skip(1);
                            }
                            (b'"', b'\\', Some(b'\n')) => self.source.skip(1),
                            _ => text.push(inner),
                        }
                    }
                    self.source.eat(byte);
                }
                byte => text.push(byte),
            }
        }
        self.end = self.source.place();
        match self.end == start {
            true => Err(self.unexpected()),
            false => Ok((text, quoted)),
        }
    }

    /// The bodies of the line's here-documents, from behind its newline.
    pub fn read_here_documents(&mut self) -> Parsed<()> {
        for pending in std::mem::take(&mut self.pending) {
            let line = self.source.line();
            let text = self.here_body(&pending)?;
            if let Some(kept) = &pending.kept {
                let _ = kept.set(pending.written(&text));
            }
            let word = match pending.quoted {
                true => Word::Plain(text),
                false => {
                    let mut parser = Parser::new(&text, line);
                    parser.aliases = Rc::clone(&self.aliases);
                    shape::here_document(parser.parts(Stop::End, true)?)
                }
            };
            let _ = pending.body.set(word);
        }
        Ok(())
    }

    fn here_body(&mut self, pending: &Pending) -> Parsed<Bytes> {
        let mut body = Bytes::new();
        // The line with those that continue it, and where it begins.
        let (mut whole, mut begin) = (Bytes::new(), 0);
        let mut continued = false;
        while self.source.raw().is_some() {
            let rest = self.source.rest();
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let mut line = rest[..newline.unwrap_or(rest.len())].to_vec();
            let length = line.len() + usize::from(newline.is_some());
            self.source.skip(length);
            if pending.strip_tabs && !continued {
                let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
                line.drain(..tabs);
            }
            if !continued {
                whole.clear();
                begin = body.len();
            }
            let escapes = line.iter().rev().take_while(|byte| **byte == b'\\').count();
            continued = !pending.quoted && escapes % 2 == 1;
            whole.extend_from_slice(&line[..line.len() - usize::from(continued)]);
            if whole == pending.delimiter && !continued {
                body.truncate(begin);
                return Ok(body);
            }
            body.extend_from_slice(&line);
            if newline.is_some() {
                body.push(b'\n');
            }
        }
        self.unfinished = true;
        Ok(body)
    }

    /// The text has ended: a here-document without body is empty.
    pub fn finish_here_documents(&mut self) -> Parsed<()> {
        match self.pending.is_empty() {
            true => Ok(()),
            false => self.read_here_documents(),
        }
    }

    /// `name=value`, from its first byte.
    pub fn assignment(&mut self) -> Parsed<Assignment> {
        self.ahead = None;
        let mut name = Bytes::new();
        while let Some(byte) = self.source.peek().filter(|b| !b"+=[".contains(b)) {
            name.push(byte);
            self.source.skip(1);
        }
        let index = match self.source.peek() {
            Some(b'[') => match self.subscript()? {
                Index::Number(number) => Some(number),
                _ => return Err(self.error("bad array subscript")),
            },
            _ => None,
        };
        let append = self.source.eat(b'+');
        self.source.eat(b'=');
        let value = match self.source.peek() {
            Some(b'(') if index.is_none() => self.elements()?,
            _ => Assigned::Scalar(shape::value(self.parts(Stop::Word, false)?)),
        };
        self.end = self.source.place();
        Ok(Assignment {
            name,
            index,
            append,
            value,
        })
    }

    /// `(…)`: the elements of an array.
    fn elements(&mut self) -> Parsed<Assigned> {
        self.source.skip(1);
        let mut elements = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.eat_op(Op::Close)? {
                return Ok(Assigned::Array(elements));
            }
            let place = self.start;
            if matches!(self.peek()?, Token::Word(_))
                && self.source.between(place, place + 1) == b"["
            {
                if let Some(element) = self.subscripted(place)? {
                    elements.push(element);
                    continue;
                }
            }
            let words = shape::arguments(self.word_parts()?);
            elements.extend(words.into_iter().map(|word| (None, word)));
        }
    }

    /// `[index]=value`, if the word that begins at the place is one.
    fn subscripted(&mut self, place: usize) -> Parsed<Option<(Option<Arithmetic>, Word)>> {
        let (after, after_line) = (self.source.place(), self.source.line());
        self.source.rewind(place, self.start_line);
        if let Index::Number(index) = self.subscript()? {
            if self.source.eat(b'=') {
                self.ahead = None;
                let word = shape::value(self.parts(Stop::Word, false)?);
                return Ok(Some((Some(index), word)));
            }
        }
        self.source.rewind(after, after_line);
        Ok(None)
    }
}
