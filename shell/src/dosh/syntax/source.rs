//! The text that is parsed: bytes, more of them on demand, and aliases put in their words' place.

use super::tree::Bytes;

/// Where more text comes from: a line at a time, so that a command can read what follows it.
pub trait Feed {
    /// The next line with its newline, or nothing at the end.
    fn line(&mut self) -> Option<Bytes>;
}

/// An alias whose text is being read: its name is no alias in there.
struct Active {
    name: Bytes,
    start: usize,
    end: usize,
    /// Its name stood behind such an alias: so does the first word of its text.
    behind: bool,
    /// Its text ends in a blank: the word behind it can be an alias too.
    blank: bool,
}

pub struct Source {
    text: Bytes,
    at: usize,
    line: u32,
    feed: Option<Box<dyn Feed>>,
    active: Vec<Active>,
}

impl Source {
    pub fn new(text: Bytes, line: u32) -> Source {
        Source {
            text,
            at: 0,
            line,
            feed: None,
            active: Vec::new(),
        }
    }

    pub fn fed(feed: Box<dyn Feed>) -> Source {
        let mut source = Source::new(Bytes::new(), 1);
        source.feed = Some(feed);
        source
    }

    /// The next byte, whatever it means.
    pub fn raw(&mut self) -> Option<u8> {
        if self.at == self.text.len() {
            let more = self.feed.as_mut()?.line()?;
            self.text.extend_from_slice(&more);
        }
        self.text.get(self.at).copied()
    }

    /// The next byte; a backslash before a newline is no byte at all.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.raw()?;
            if byte != b'\\' || self.text.get(self.at + 1) != Some(&b'\n') {
                return Some(byte);
            }
            self.skip(2);
        }
    }

    /// The byte after the next one, as far as it has been read.
    pub fn second(&self) -> Option<u8> {
        self.text.get(self.at + 1).copied()
    }

    /// What has been read but not parsed.
    pub fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    pub fn skip(&mut self, count: usize) {
        let end = self.at + count;
        let lines = self.text[self.at..end].iter().filter(|b| **b == b'\n');
        self.line += lines.count() as u32;
        self.at = end;
    }

    /// Takes the next byte if it is this one.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.skip(1);
        }
        found
    }

    /// Takes the next bytes if they are these.
    pub fn eat_all(&mut self, bytes: &[u8]) -> bool {
        self.peek();
        let (place, line) = (self.at, self.line);
        let found = bytes.iter().all(|byte| self.eat(*byte));
        if !found {
            self.rewind(place, line);
        }
        found
    }

    /// Whether the text goes on with these bytes.
    pub fn looks_at(&mut self, bytes: &[u8]) -> bool {
        self.peek();
        let (place, line) = (self.at, self.line);
        let found = self.eat_all(bytes);
        self.rewind(place, line);
        found
    }

    /// The next bytes, which stay; 0 behind the end.
    pub fn coming<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let (place, line) = (self.at, self.line);
        let bytes = std::array::from_fn(|_| {
            let byte = self.peek();
            self.skip(usize::from(byte.is_some()));
            byte.unwrap_or(0)
        });
        self.rewind(place, line);
        bytes
    }

    pub fn place(&self) -> usize {
        self.at
    }

    pub fn line(&self) -> u32 {
        self.line
    }

    /// Back to a place where the text was read before.
    pub fn rewind(&mut self, place: usize, line: u32) {
        (self.at, self.line) = (place, line);
    }

    pub fn between(&self, start: usize, end: usize) -> &[u8] {
        &self.text[start..end]
    }

    /// Forgets what has been parsed. Places told before mean nothing any more.
    pub fn forget(&mut self) {
        if self.feed.is_some() {
            self.text.drain(..self.at);
            self.active.retain(|active| active.end >= self.at);
            for active in &mut self.active {
                active.start = active.start.saturating_sub(self.at);
                active.end -= self.at;
            }
            self.at = 0;
        }
    }

    /// Drops the rest of the line: nothing of a line with an error in it is executed.
    pub fn drop_line(&mut self) {
        let rest = self.rest();
        let length = rest.iter().position(|byte| *byte == b'\n');
        self.skip(length.unwrap_or(rest.len()));
    }

    /// Whether this alias's own text is being read.
    pub fn is_active(&self, name: &[u8], start: usize) -> bool {
        let mut active = self.active.iter();
        active.any(|active| active.name == name && start < active.end)
    }

    /// Whether the word that begins here stands right behind an alias that ended in a blank.
    pub fn follows_blank_alias(&self, start: usize) -> bool {
        self.active.iter().any(|active| {
            let behind = active.blank && self.is_blank(active.end, start);
            behind || active.behind && start < active.end && self.is_blank(active.start, start)
        })
    }

    /// Whether nothing but blanks and continued lines stands there.
    fn is_blank(&self, start: usize, end: usize) -> bool {
        let mut text = self.text.get(start..end);
        while let Some(rest) = text {
            text = match rest {
                [] => return true,
                [b' ' | b'\t', rest @ ..] | [b'\\', b'\n', rest @ ..] => Some(rest),
                _ => None,
            };
        }
        false
    }

    /// Puts an alias's text in the place of its name, which was just read.
    pub fn substitute(&mut self, start: usize, name: &[u8], value: &[u8]) {
        let grown = value.len() as isize - (self.at - start) as isize;
        let behind = self.follows_blank_alias(start);
        self.active.retain(|active| start < active.end);
        self.text.splice(start..self.at, value.iter().copied());
        for active in self.active.iter_mut().filter(|active| active.end > start) {
            active.end = active.end.saturating_add_signed(grown);
        }
        self.active.push(Active {
            name: name.to_vec(),
            start,
            behind,
            end: start + value.len(),
            blank: matches!(value.last(), Some(b' ' | b'\t')),
        });
        self.at = start;
    }
}
