//! `[[ … ]]`.

use super::parser::{Parsed, Parser};
use super::shape;
use super::token::{Op, Token};
use super::tree::{Condition, Kind, Word};
use super::word::Stop;

const BINARY: &[&[u8]] = &[
    b"=", b"==", b"!=", b"=~", b"-eq", b"-ne", b"-lt", b"-le", b"-gt", b"-ge", b"-nt", b"-ot",
    b"-ef",
];

impl Parser {
    pub fn condition(&mut self) -> Parsed<Kind> {
        self.take()?;
        let condition = self.either()?;
        self.skip_newlines()?;
        self.expect(b"]]")?;
        Ok(Kind::Condition(condition))
    }

    fn either(&mut self) -> Parsed<Condition> {
        let mut condition = self.both()?;
        self.skip_newlines()?;
        while self.eat_op(Op::OrOr)? {
            condition = Condition::Or(Box::new(condition), Box::new(self.both()?));
            self.skip_newlines()?;
        }
        Ok(condition)
    }

    fn both(&mut self) -> Parsed<Condition> {
        let mut condition = self.primary()?;
        self.skip_newlines()?;
        while self.eat_op(Op::AndAnd)? {
            condition = Condition::And(Box::new(condition), Box::new(self.primary()?));
            self.skip_newlines()?;
        }
        Ok(condition)
    }

    fn primary(&mut self) -> Parsed<Condition> {
        self.skip_newlines()?;
        if self.eat_reserved(b"!")? {
            return Ok(Condition::Not(Box::new(self.primary()?)));
        }
        if self.eat_op(Op::Open)? {
            let condition = self.either()?;
            self.expect_op(Op::Close)?;
            return Ok(condition);
        }
        let unary = match self.peek()?.bare() {
            Some(b"]]") => return Err(self.unexpected()),
            Some(op @ [b'-', letter]) if letter.is_ascii_alphabetic() => Some(op.to_vec()),
            _ => None,
        };
        let left = self.word()?;
        if let Some(op) = unary {
            let operand = match self.peek()? {
                Token::Word(_) => self.peek()?.bare() != Some(b"]]"),
                token => matches!(token, Token::Assignment),
            };
            if operand {
                return Ok(Condition::Unary(op, self.word()?));
            }
        }
        let op = match self.peek()? {
            Token::Op(Op::Less) => b"<".to_vec(),
            Token::Op(Op::Great) => b">".to_vec(),
            token => match token.bare() {
                Some(op) if BINARY.contains(&op) => op.to_vec(),
                _ => return Ok(Condition::Unary(b"-n".to_vec(), left)),
            },
        };
        self.take()?;
        let right = match &op[..] {
            b"=~" => self.regex()?,
            _ => self.word()?,
        };
        Ok(Condition::Binary(left, op, right))
    }

    /// Its parentheses and bars are no operators.
    fn regex(&mut self) -> Parsed<Word> {
        self.skip_blanks();
        let parts = self.parts(Stop::Regex, false)?;
        self.end = self.source.place();
        match parts.is_empty() {
            true => Err(self.unexpected()),
            false => Ok(shape::operand(parts)),
        }
    }
}
