//! Tokens: operators, newlines, and words parsed as far as they go (XCU 2.3).

use super::parser::{Parsed, Parser};
use super::tree::Part;
use super::word::Stop;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    AndAnd,
    OrOr,
    Pipe,
    PipeBoth,
    Semi,
    SemiSemi,
    SemiAnd,
    SemiSemiAnd,
    And,
    Open,
    Close,
    Less,
    Great,
    GreatGreat,
    Clobber,
    LessGreat,
    LessAnd,
    GreatAnd,
    AndGreat,
    AndGreatGreat,
    Here,
    HereTabs,
    HereString,
}

/// Longest first: the first that fits is the token.
const OPERATORS: &[(&[u8], Op)] = &[
    (b"&>>", Op::AndGreatGreat),
    (b"<<-", Op::HereTabs),
    (b"<<<", Op::HereString),
    (b";;&", Op::SemiSemiAnd),
    (b"&&", Op::AndAnd),
    (b"&>", Op::AndGreat),
    (b"||", Op::OrOr),
    (b"|&", Op::PipeBoth),
    (b";;", Op::SemiSemi),
    (b";&", Op::SemiAnd),
    (b"<<", Op::Here),
    (b"<&", Op::LessAnd),
    (b"<>", Op::LessGreat),
    (b">>", Op::GreatGreat),
    (b">&", Op::GreatAnd),
    (b">|", Op::Clobber),
    (b"&", Op::And),
    (b"|", Op::Pipe),
    (b";", Op::Semi),
    (b"<", Op::Less),
    (b">", Op::Great),
    (b"(", Op::Open),
    (b")", Op::Close),
];

impl Op {
    pub fn text(self) -> &'static str {
        let found = OPERATORS.iter().find(|(_, op)| *op == self);
        found.map_or("", |(text, _)| std::str::from_utf8(text).unwrap_or(""))
    }
}

#[derive(Debug)]
pub enum Token {
    Word(Vec<Part>),
    /// Here begins `name=`, which is read as an assignment where one may stand, and as a word elsewhere.
    Assignment,
    /// The descriptor before a redirection.
    Number(i32),
    Op(Op),
    Newline,
    End,
}

impl Token {
    /// The text of a word that can be a reserved word, a name or an alias.
    pub fn bare(&self) -> Option<&[u8]> {
        match self {
            Token::Word(parts) => bare(parts),
            _ => None,
        }
    }
}

/// The text of a word in which nothing is quoted or expanded.
pub fn bare(parts: &[Part]) -> Option<&[u8]> {
    match parts {
        [Part::Literal(text)] => Some(text),
        _ => None,
    }
}

pub fn ends_word(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')'
    )
}

pub fn is_name_start(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}

pub fn is_name_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

pub fn is_name(text: &[u8]) -> bool {
    text.first().is_some_and(|first| is_name_start(*first)) && text.iter().all(|b| is_name_byte(*b))
}

impl Parser {
    /// The next token, which stays next.
    pub fn peek(&mut self) -> Parsed<&Token> {
        while self.ahead.is_none() {
            let token = self.read_token()?;
            self.ahead = Some(token);
            self.substitute_argument()?;
        }
        Ok(self.ahead.as_ref().unwrap_or(&Token::End))
    }

    /// Takes the next token.
    pub fn take(&mut self) -> Parsed<Token> {
        self.peek()?;
        let token = self.ahead.take().unwrap_or(Token::End);
        self.end = self.source.place();
        if matches!(token, Token::Newline) && !self.pending.is_empty() {
            self.read_here_documents()?;
        }
        Ok(token)
    }

    pub fn is_op(&mut self, op: Op) -> Parsed<bool> {
        Ok(matches!(self.peek()?, Token::Op(found) if *found == op))
    }

    /// Takes the operator if it is next.
    pub fn eat_op(&mut self, op: Op) -> Parsed<bool> {
        let found = self.is_op(op)?;
        if found {
            self.take()?;
        }
        Ok(found)
    }

    /// Takes the reserved word if it is next.
    pub fn eat_reserved(&mut self, word: &[u8]) -> Parsed<bool> {
        let found = self.peek()?.bare() == Some(word);
        if found {
            self.take()?;
        }
        Ok(found)
    }

    pub fn skip_newlines(&mut self) -> Parsed<()> {
        while matches!(self.peek()?, Token::Newline) {
            self.take()?;
        }
        Ok(())
    }

    pub fn skip_blanks(&mut self) {
        while let Some(byte) = self.source.peek() {
            match byte {
                b' ' | b'\t' => self.source.skip(1),
                b'#' => {
                    while self.source.raw().is_some_and(|byte| byte != b'\n') {
                        self.source.skip(1);
                    }
                }
                _ => return,
            }
        }
    }

    fn read_token(&mut self) -> Parsed<Token> {
        self.skip_blanks();
        self.start = self.source.place();
        self.start_line = self.source.line();
        let Some(first) = self.source.peek() else {
            return Ok(Token::End);
        };
        if first == b'\n' {
            self.source.skip(1);
            return Ok(Token::Newline);
        }
        let substitution = matches!(first, b'<' | b'>') && self.source.second() == Some(b'(');
        if ends_word(first) && !substitution {
            return Ok(Token::Op(self.read_operator()));
        }
        if let Some(number) = self.descriptor() {
            return Ok(Token::Number(number));
        }
        if self.assignment_begins() {
            return Ok(Token::Assignment);
        }
        Ok(Token::Word(self.parts(Stop::Word, false)?))
    }

    fn read_operator(&mut self) -> Op {
        // A continued line may stand within an operator: bytes are taken one after another.
        let (place, line) = (self.source.place(), self.source.line());
        let mut text = Vec::with_capacity(3);
        while text.len() < 3 {
            match self.source.peek() {
                Some(byte) if ends_word(byte) && byte != b'\n' => text.push(byte),
                Some(b'-') if text == b"<<" => text.push(b'-'),
                _ => break,
            }
            self.source.skip(1);
        }
        let found = OPERATORS.iter().find(|(op, _)| text.starts_with(op));
        let (length, op) = found.map_or((1, Op::Semi), |(text, op)| (text.len(), *op));
        self.source.rewind(place, line);
        for _ in 0..length {
            self.source.peek();
            self.source.skip(1);
        }
        op
    }

    /// Digits right before `<` or `>`.
    fn descriptor(&mut self) -> Option<i32> {
        let (place, line) = (self.source.place(), self.source.line());
        let mut digits = String::new();
        while let Some(byte) = self.source.peek().filter(u8::is_ascii_digit) {
            digits.push(char::from(byte));
            self.source.skip(1);
        }
        let number = match self.source.peek() {
            Some(b'<' | b'>') => digits.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.source.rewind(place, line);
        }
        number
    }

    /// Whether `name=`, `name+=` or `name[` comes next.
    fn assignment_begins(&mut self) -> bool {
        let rest = self.source.rest();
        let name = rest.iter().take_while(|byte| is_name_byte(**byte)).count();
        if rest[name..].starts_with(b"\\\n") {
            return self.continued_assignment_begins();
        }
        if name == 0 || rest[0].is_ascii_digit() {
            return false;
        }
        match &rest[name..] {
            [b'=', ..] | [b'+', b'=', ..] => true,
            [b'[', inner @ ..] => subscript_ends(inner).is_some_and(|end| {
                inner[end..].starts_with(b"=") || inner[end..].starts_with(b"+=")
            }),
            _ => false,
        }
    }

    /// The same where a continued line stands within the name or behind it.
    fn continued_assignment_begins(&mut self) -> bool {
        let (place, line) = (self.source.place(), self.source.line());
        let mut name = Vec::new();
        while let Some(byte) = self.source.peek().filter(|byte| is_name_byte(*byte)) {
            name.push(byte);
            self.source.skip(1);
        }
        let begins = is_name(&name) && (self.source.looks_at(b"=") || self.source.looks_at(b"+="));
        self.source.rewind(place, line);
        begins
    }
}

/// Where the subscript has ended whose inside this is.
fn subscript_ends(inner: &[u8]) -> Option<usize> {
    let mut depth = 1;
    for (at, byte) in inner.iter().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            b'\n' => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}
