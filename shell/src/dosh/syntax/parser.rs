//! The grammar from lists down to simple commands (XCU 2.9, 2.10), by recursive descent.

use super::shape;
use super::source::{Feed, Source};
use super::token::{is_name, Op, Token};
use super::tree::*;
use super::word::Stop;
use crate::dosh::stack;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Names and the text that stands for them.
pub type Aliases = HashMap<Bytes, Bytes>;

/// Text that is no program.
#[derive(Debug)]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: u32,
    pub message: String,
    /// More text could make it one.
    pub incomplete: bool,
}

pub type Parsed<T> = Result<T, SyntaxError>;

/// A here-document whose body has not been reached.
pub struct Pending {
    pub delimiter: Bytes,
    pub quoted: bool,
    pub strip_tabs: bool,
    pub body: Rc<OnceCell<Word>>,
    /// Where its delimiter begins.
    pub start: usize,
    /// Who keeps it as it is written.
    pub kept: Option<Rc<OnceCell<Bytes>>>,
}

pub struct Parser {
    pub source: Source,
    pub ahead: Option<Token>,
    /// Where the token ahead begins.
    pub start: usize,
    pub start_line: u32,
    /// Where the last token taken has ended.
    pub end: usize,
    pub pending: Vec<Pending>,
    /// The body of a here-document has ended with the text, and not by its delimiter.
    pub unfinished: bool,
    /// Where two parentheses were tried as arithmetic's in vain: nested ones are not tried again and again.
    pub no_arithmetic: HashSet<usize>,
    /// Where the last complete command began.
    begun: usize,
    pub aliases: Rc<Aliases>,
}

/// Built-ins whose arguments can be assignments.
pub const DECLARING: &[&[u8]] = &[b"export", b"readonly", b"local", b"declare", b"typeset"];

/// Words that end a list.
pub const CLOSING: &[&[u8]] = &[
    b"then", b"else", b"elif", b"fi", b"do", b"done", b"esac", b"}",
];

impl Parser {
    pub fn new(text: &[u8], line: u32) -> Parser {
        Parser::of(Source::new(text.to_vec(), line))
    }

    pub fn fed(feed: Box<dyn Feed>) -> Parser {
        Parser::of(Source::fed(feed))
    }

    fn of(source: Source) -> Parser {
        Parser {
            source,
            ahead: None,
            start: 0,
            start_line: 1,
            end: 0,
            pending: Vec::new(),
            unfinished: false,
            no_arithmetic: HashSet::new(),
            begun: 0,
            aliases: Rc::default(),
        }
    }

    /// The next complete command; nothing at the end.
    ///
    /// # Errors
    /// The text is no command. The next call goes on with the next line.
    pub fn next(&mut self, aliases: &Rc<Aliases>) -> Parsed<Option<List>> {
        self.aliases = Rc::clone(aliases);
        self.source.forget();
        self.no_arithmetic.clear();
        self.begun = self.source.place();
        let parsed = self.complete_command();
        if parsed.is_err() {
            self.ahead = None;
            self.pending.clear();
            self.source.drop_line();
        }
        parsed
    }

    /// The text of the last command, with its comments and newlines.
    pub fn taken(&self) -> &[u8] {
        self.source.between(self.begun, self.source.place())
    }

    /// Whether nothing but blanks and newlines follows.
    pub fn at_end(&mut self) -> bool {
        let blank = |byte: &u8| byte.is_ascii_whitespace();
        self.ahead.is_none() && self.source.rest().iter().all(blank)
    }

    /// The whole text as if between double quotes: a prompt.
    pub fn template(&mut self) -> Parsed<Word> {
        Ok(shape::here_document(self.parts(Stop::End, true)?))
    }

    fn complete_command(&mut self) -> Parsed<Option<List>> {
        self.skip_to_command()?;
        if matches!(self.peek()?, Token::End) {
            return Ok(None);
        }
        let on_host = self.peek()?.bare() == Some(b"@");
        let (start, line) = (self.start, self.start_line);
        if on_host {
            self.take()?;
            // What follows on the next line is a line of its own.
            if matches!(self.peek()?, Token::Newline | Token::End) {
                return Err(SyntaxError {
                    line,
                    ..self.error("syntax error: `@' without a command")
                });
            }
        }
        let mut list = List::default();
        loop {
            let more = self.item(&mut list)?;
            while more && self.substitute_alias()? {}
            match self.peek()? {
                Token::Newline | Token::End => break,
                _ if more => {}
                _ => return Err(self.unexpected()),
            }
        }
        let text: Rc<[u8]> = self.source.between(start, self.end).into();
        if matches!(self.peek()?, Token::Newline) {
            self.take()?;
        }
        self.finish_here_documents()?;
        Ok(Some(match on_host {
            true => List::of(Kind::OnHost(list), line, text),
            false => list,
        }))
    }

    /// Everything to the end.
    pub fn program(&mut self) -> Parsed<List> {
        let list = self.list()?;
        match self.peek()? {
            Token::End => self.finish_here_documents().map(|()| list),
            _ => Err(self.unexpected()),
        }
    }

    /// As many commands as there are, over as many lines.
    pub fn list(&mut self) -> Parsed<List> {
        let mut list = List::default();
        loop {
            self.skip_newlines()?;
            // What ends the list can stand in an alias.
            while !self.list_ends()? && self.substitute_alias()? {
                self.skip_newlines()?;
            }
            if self.list_ends()? || !self.item(&mut list)? {
                return Ok(list);
            }
        }
    }

    /// A list that must not be empty.
    pub fn body(&mut self) -> Parsed<List> {
        let list = self.list()?;
        match list.0.is_empty() {
            true => Err(self.unexpected()),
            false => Ok(list),
        }
    }

    fn list_ends(&mut self) -> Parsed<bool> {
        Ok(match self.peek()? {
            Token::End | Token::Op(Op::Close | Op::SemiSemi | Op::SemiAnd | Op::SemiSemiAnd) => {
                true
            }
            token => token.bare().is_some_and(|word| CLOSING.contains(&word)),
        })
    }

    /// One entry of a list; whether another may follow.
    fn item(&mut self, list: &mut List) -> Parsed<bool> {
        let and_or = self.and_or()?;
        let background = self.eat_op(Op::And)?;
        list.0.push(Item { and_or, background });
        let separated = background || self.eat_op(Op::Semi)?;
        Ok(separated || matches!(self.peek()?, Token::Newline))
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        self.peek()?;
        let start = self.start;
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            let connector = match self.peek()? {
                Token::Op(Op::AndAnd) => Connector::And,
                Token::Op(Op::OrOr) => Connector::Or,
                _ => break,
            };
            self.take()?;
            self.skip_to_command()?;
            rest.push((connector, self.pipeline()?));
        }
        let text = match rest.is_empty() {
            true => Rc::clone(&first.text),
            false => self.text_since(start),
        };
        Ok(AndOr { first, rest, text })
    }

    fn text_since(&self, start: usize) -> Rc<[u8]> {
        // An alias can have moved the end before the start.
        self.source.between(start.min(self.end), self.end).into()
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        self.peek()?;
        let start = self.start;
        let (mut negated, mut timed) = (false, None);
        loop {
            if self.eat_reserved(b"!")? {
                negated = !negated;
            } else if self.eat_reserved(b"time")? {
                timed = Some(match self.eat_reserved(b"-p")? {
                    true => Times::Seconds,
                    false => Times::Minutes,
                });
            } else {
                break;
            }
        }
        let mut stages = Vec::new();
        if timed.is_none() || !self.command_ends()? {
            stages.push(self.command()?);
        }
        loop {
            let both = self.is_op(Op::PipeBoth)?;
            if !both && !self.is_op(Op::Pipe)? {
                break;
            }
            self.take()?;
            if let (true, Some(last)) = (both, stages.last_mut()) {
                let target = Target::Duplicate(Word::Plain(b"1".to_vec()));
                last.redirects.push(Redirect { fd: 2, target });
            }
            self.skip_to_command()?;
            stages.push(self.command()?);
        }
        Ok(Pipeline {
            negated,
            timed,
            stages,
            text: self.text_since(start),
        })
    }

    fn command_ends(&mut self) -> Parsed<bool> {
        Ok(matches!(
            self.peek()?,
            Token::Newline | Token::End | Token::Op(Op::Semi | Op::And | Op::AndAnd | Op::OrOr)
        ))
    }

    /// A simple command, or a function's definition that looks like one at first.
    pub fn simple(&mut self) -> Parsed<Command> {
        self.peek()?;
        let (start, line) = (self.start, self.start_line);
        let mut simple = Simple::default();
        let mut redirects = Vec::new();
        loop {
            let first = simple.words.is_empty();
            match self.peek()? {
                Token::Assignment if first => simple.assignments.push(self.assignment()?),
                Token::Assignment if declares(&simple) => {
                    let assignment = self.assignment()?;
                    simple.words.push(Word::Declares(Box::new(assignment)));
                }
                Token::Number(_) => redirects.push(self.redirect()?),
                Token::Op(op) if redirects_by(*op) => redirects.push(self.redirect()?),
                Token::Op(Op::Open) if simple.words.len() == 1 && redirects.is_empty() => {
                    if let ([Word::Plain(name)], []) = (&simple.words[..], &simple.assignments[..])
                    {
                        let name = name.clone();
                        return self.function(start, line, name);
                    }
                    return Err(self.unexpected());
                }
                Token::Word(_) | Token::Assignment => {
                    if first && self.substitute_alias()? {
                        continue;
                    }
                    let parts = self.word_parts()?;
                    simple.words.extend(shape::arguments(parts));
                }
                _ => break,
            }
        }
        if simple.words.is_empty() && simple.assignments.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        let kind = Kind::Simple(simple);
        Ok(Command {
            kind,
            redirects,
            line,
        })
    }

    /// The parts of the word that comes next.
    pub fn word_parts(&mut self) -> Parsed<Vec<Part>> {
        match self.peek()? {
            Token::Word(_) => match self.take()? {
                Token::Word(parts) => Ok(parts),
                _ => Err(self.unexpected()),
            },
            Token::Assignment => {
                self.ahead = None;
                let parts = self.parts(Stop::Word, false)?;
                self.end = self.source.place();
                Ok(parts)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// One word, its braces left alone.
    pub fn word(&mut self) -> Parsed<Word> {
        Ok(shape::word(self.word_parts()?))
    }

    /// A word that is a name.
    pub fn name(&mut self) -> Parsed<Bytes> {
        match self.peek()?.bare() {
            Some(name) if is_name(name) => {
                let name = name.to_vec();
                self.take()?;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Takes this reserved word.
    pub fn expect(&mut self, word: &[u8]) -> Parsed<()> {
        match self.eat_reserved(word)? {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// Takes this operator.
    pub fn expect_op(&mut self, op: Op) -> Parsed<()> {
        match self.eat_op(op)? {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    /// # Errors
    /// The text is nested too deeply.
    pub fn check_depth(&self) -> Parsed<()> {
        match stack::is_low() {
            true => Err(self.error("syntax error: nested too deeply")),
            false => Ok(()),
        }
    }

    pub fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            line: self.source.line(),
            message: message.into(),
            incomplete: false,
        }
    }

    /// The text ended where it must not.
    pub fn ended(&self, missing: &str) -> SyntaxError {
        SyntaxError {
            incomplete: true,
            ..self.error(format!(
                "unexpected end of file while looking for {missing}"
            ))
        }
    }

    /// The token ahead must not stand there.
    pub fn unexpected(&mut self) -> SyntaxError {
        let token = match self.peek() {
            Err(error) => return error,
            Ok(Token::End) => {
                return SyntaxError {
                    incomplete: true,
                    ..self.error("syntax error: unexpected end of file")
                }
            }
            Ok(Token::Op(op)) => op.text().to_owned(),
            Ok(Token::Newline) => "newline".to_owned(),
            Ok(_) => {
                let end = self.source.place();
                let text = self.source.between(self.start.min(end), end);
                String::from_utf8_lossy(text).into_owned()
            }
        };
        SyntaxError {
            line: self.start_line,
            ..self.error(format!("syntax error near unexpected token `{token}'"))
        }
    }
}

fn declares(simple: &Simple) -> bool {
    let named = |word: &Word| matches!(word, Word::Plain(name) if DECLARING.contains(&&name[..]));
    match &simple.words[..] {
        [Word::Plain(command), word, ..] if command == b"command" => named(word),
        [word, ..] => named(word),
        [] => false,
    }
}

pub fn redirects_by(op: Op) -> bool {
    matches!(
        op,
        Op::Less
            | Op::Great
            | Op::GreatGreat
            | Op::Clobber
            | Op::LessGreat
            | Op::LessAnd
            | Op::GreatAnd
            | Op::AndGreat
            | Op::AndGreatGreat
            | Op::Here
            | Op::HereTabs
            | Op::HereString
    )
}
