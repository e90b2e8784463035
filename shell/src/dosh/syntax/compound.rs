//! Compound commands and functions (XCU 2.9.4, 2.9.5).

use super::parser::{redirects_by, Parsed, Parser};
use super::shape;
use super::token::{Op, Token};
use super::tree::*;
use super::word::Stop;
use std::rc::Rc;

impl Parser {
    pub fn command(&mut self) -> Parsed<Command> {
        self.check_depth()?;
        loop {
            self.peek()?;
            let (start, line) = (self.start, self.start_line);
            if self.is_op(Op::Open)? {
                let kind = self.parenthesis()?;
                return self.redirected(kind, line);
            }
            let word = self.peek()?.bare().map(<[u8]>::to_vec);
            let kind = match word.as_deref() {
                Some(b"{") => {
                    self.take()?;
                    let list = self.body()?;
                    self.expect(b"}")?;
                    Kind::Group(list)
                }
                Some(b"if") => self.conditional()?,
                Some(b"while") => self.repeated(false)?,
                Some(b"until") => self.repeated(true)?,
                Some(b"for") => self.counted()?,
                Some(b"case") => self.case()?,
                Some(b"[[") => self.condition()?,
                Some(b"function") => {
                    self.take()?;
                    let Word::Plain(name) = self.word()? else {
                        return Err(self.error("syntax error: a function's name is expanded"));
                    };
                    return self.function(start, line, name);
                }
                Some(b"then" | b"else" | b"elif" | b"fi" | b"do" | b"done" | b"esac" | b"}") => {
                    return Err(self.unexpected())
                }
                _ if self.substitute_alias()? => continue,
                _ => return self.simple(),
            };
            return self.redirected(kind, line);
        }
    }

    fn redirected(&mut self, kind: Kind, line: u32) -> Parsed<Command> {
        let mut redirects = Vec::new();
        loop {
            match self.peek()? {
                Token::Number(_) => redirects.push(self.redirect()?),
                Token::Op(op) if redirects_by(*op) => redirects.push(self.redirect()?),
                _ => {
                    return Ok(Command {
                        kind,
                        redirects,
                        line,
                    })
                }
            }
        }
    }

    /// `((…))`, or a subshell.
    fn parenthesis(&mut self) -> Parsed<Kind> {
        self.take()?;
        if self.source.looks_at(b"(") {
            if let Some(arithmetic) = self.attempt_arithmetic(1) {
                self.end = self.source.place();
                return Ok(Kind::Arithmetic(arithmetic));
            }
        }
        let list = self.body()?;
        self.expect_op(Op::Close)?;
        Ok(Kind::Subshell(list))
    }

    /// What stands between the parentheses, if they close as those of arithmetic do.
    pub fn attempt_arithmetic(&mut self, skip: usize) -> Option<Arithmetic> {
        let (place, line) = (self.source.place(), self.source.line());
        if self.no_arithmetic.contains(&place) {
            return None;
        }
        let pending = self.pending.len();
        self.source.skip(skip);
        let parts = self.parts(Stop::Arithmetic, true);
        match parts {
            Ok(parts) if self.source.eat_all(b"))") => Some(shape::arithmetic(parts)),
            _ => {
                self.source.rewind(place, line);
                self.pending.truncate(pending);
                self.no_arithmetic.insert(place);
                self.ahead = None;
                None
            }
        }
    }

    fn conditional(&mut self) -> Parsed<Kind> {
        self.take()?;
        let mut arms = Vec::new();
        loop {
            let condition = self.body()?;
            self.expect(b"then")?;
            arms.push((condition, self.body()?));
            if self.eat_reserved(b"elif")? {
                continue;
            }
            let otherwise = match self.eat_reserved(b"else")? {
                true => Some(self.body()?),
                false => None,
            };
            self.expect(b"fi")?;
            return Ok(Kind::If { arms, otherwise });
        }
    }

    fn repeated(&mut self, until: bool) -> Parsed<Kind> {
        self.take()?;
        let condition = self.body()?;
        let body = self.do_group()?;
        Ok(Kind::Loop {
            until,
            condition,
            body,
        })
    }

    fn do_group(&mut self) -> Parsed<List> {
        self.expect(b"do")?;
        let body = self.body()?;
        self.expect(b"done")?;
        Ok(body)
    }

    fn counted(&mut self) -> Parsed<Kind> {
        self.take()?;
        self.skip_blanks();
        if self.source.eat_all(b"((") {
            return self.count();
        }
        let name = self.name()?;
        self.skip_newlines()?;
        let mut words = None;
        if self.eat_reserved(b"in")? {
            let mut list = Vec::new();
            while matches!(self.peek()?, Token::Word(_) | Token::Assignment) {
                list.extend(shape::arguments(self.word_parts()?));
            }
            words = Some(list);
            if !matches!(self.peek()?, Token::Newline | Token::Op(Op::Semi)) {
                return Err(self.unexpected());
            }
        }
        self.eat_op(Op::Semi)?;
        self.skip_newlines()?;
        let body = self.do_group()?;
        Ok(Kind::For { name, words, body })
    }

    fn count(&mut self) -> Parsed<Kind> {
        self.ahead = None;
        let first = self.count_part(b";")?;
        let condition = self.count_part(b";")?;
        let step = self.count_part(b"))")?;
        self.eat_op(Op::Semi)?;
        self.skip_newlines()?;
        let body = match self.eat_reserved(b"{")? {
            true => {
                let body = self.body()?;
                self.expect(b"}")?;
                body
            }
            false => self.do_group()?,
        };
        Ok(Kind::Count {
            first,
            condition,
            step,
            body,
        })
    }

    fn count_part(&mut self, end: &[u8]) -> Parsed<Option<Arithmetic>> {
        let parts = self.parts(Stop::Counting, true)?;
        if !self.source.eat_all(end) {
            return Err(self.error("syntax error in for ((…))"));
        }
        let blank =
            |part: &Part| matches!(part, Part::Quoted(text) if text.trim_ascii().is_empty());
        let empty = parts.iter().all(blank);
        Ok((!empty).then(|| shape::arithmetic(parts)))
    }

    fn case(&mut self) -> Parsed<Kind> {
        self.take()?;
        let word = self.word()?;
        self.skip_newlines()?;
        self.expect(b"in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.eat_reserved(b"esac")? {
                return Ok(Kind::Case { word, arms });
            }
            self.eat_op(Op::Open)?;
            let mut patterns = vec![self.word()?];
            while self.eat_op(Op::Pipe)? {
                patterns.push(self.word()?);
            }
            self.expect_op(Op::Close)?;
            let body = self.list()?;
            let then = match self.peek()? {
                Token::Op(Op::SemiSemi) => Then::Leave,
                Token::Op(Op::SemiAnd) => Then::FallThrough,
                Token::Op(Op::SemiSemiAnd) => Then::TestNext,
                token if token.bare() == Some(b"esac") => Then::Leave,
                _ => return Err(self.unexpected()),
            };
            if matches!(self.peek()?, Token::Op(_)) {
                self.take()?;
            }
            arms.push(Arm {
                patterns,
                body,
                then,
            });
        }
    }

    /// A function's definition, from behind its name.
    pub fn function(&mut self, start: usize, line: u32, name: Bytes) -> Parsed<Command> {
        if self.eat_op(Op::Open)? {
            self.expect_op(Op::Close)?;
        }
        self.skip_newlines()?;
        let body = self.command()?;
        if matches!(body.kind, Kind::Simple(_)) {
            return Err(self.error("syntax error: a function's body is no compound command"));
        }
        let text = self.source.between(start.min(self.end), self.end).to_vec();
        let late = self.pending.iter_mut().filter(|one| one.start >= start);
        let behind = late.map(|one| Rc::clone(one.kept.get_or_insert_default()));
        let kind = Kind::Function(Rc::new(Function {
            name,
            body,
            text,
            behind: behind.collect(),
        }));
        Ok(Command {
            kind,
            redirects: Vec::new(),
            line,
        })
    }
}
