//! Field splitting (XCU 2.6.5).

use super::{pattern, Sink};
use crate::dosh::ifs::{Ifs, Separates};
use crate::dosh::syntax::tree::Bytes;
use std::rc::Rc;

/// A field with the knowledge which of its bytes are quoted.
#[derive(Debug, Default)]
pub struct Field {
    pub text: Bytes,
    /// Where quoted text begins and ends, in order.
    quoted: Vec<(usize, usize)>,
    globs: bool,
}

impl Field {
    /// Whether an unquoted pattern character is in it.
    pub fn globs(&self) -> bool {
        self.globs
    }

    /// The field as a pattern: quoted text matches itself.
    pub fn pattern(&self) -> Bytes {
        let mut pattern = Bytes::with_capacity(self.text.len() + 8);
        let mut at = 0;
        for (start, end) in &self.quoted {
            pattern.extend_from_slice(&self.text[at..*start]);
            pattern::escape(&self.text[*start..*end], &mut pattern);
            at = *end;
        }
        pattern.extend_from_slice(&self.text[at..]);
        pattern
    }

    fn push_unquoted(&mut self, text: &[u8]) {
        self.globs |= text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        self.text.extend_from_slice(text);
    }

    fn push_quoted(&mut self, text: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        let end = self.text.len();
        match self.quoted.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ if start < end => self.quoted.push((start, end)),
            _ => {}
        }
    }
}

/// What the last separator was, while no field has begun behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Nothing,
    /// Blanks: a mark that follows belongs to them.
    Blanks,
    Mark,
}

/// The fields of one word.
pub struct Fields {
    ifs: Rc<Ifs>,
    done: Vec<Field>,
    current: Option<Field>,
    behind: Behind,
}

impl Fields {
    pub fn new(ifs: Rc<Ifs>) -> Fields {
        Fields {
            ifs,
            done: Vec::new(),
            current: None,
            behind: Behind::Nothing,
        }
    }

    pub fn finish(mut self) -> Vec<Field> {
        self.done.extend(self.current.take());
        self.done
    }

    fn current(&mut self) -> &mut Field {
        self.behind = Behind::Nothing;
        self.current.get_or_insert_default()
    }
}

impl Sink for Fields {
    fn literal(&mut self, text: &[u8]) {
        self.current().push_unquoted(text);
    }

    fn quoted(&mut self, text: &[u8]) {
        self.current().push_quoted(text);
    }

    fn expanded(&mut self, text: &[u8]) {
        let ifs = Rc::clone(&self.ifs);
        let mut rest = text;
        while let Some(first) = rest.first() {
            let separates = ifs.separates(*first);
            match separates {
                Separates::No => {
                    let inside = |byte: &u8| ifs.separates(*byte) != Separates::No;
                    let end = rest.iter().position(inside).unwrap_or(rest.len());
                    self.current().push_unquoted(&rest[..end]);
                    rest = &rest[end..];
                    continue;
                }
                Separates::Blank => {
                    if let Some(field) = self.current.take() {
                        self.done.push(field);
                        self.behind = Behind::Blanks;
                    }
                }
                Separates::Mark => {
                    match self.current.take() {
                        Some(field) => self.done.push(field),
                        None if self.behind == Behind::Blanks => {}
                        None => self.done.push(Field::default()),
                    }
                    self.behind = Behind::Mark;
                }
            }
            rest = &rest[1..];
        }
    }

    fn boundary(&mut self, _star: bool) {
        self.done.extend(self.current.take());
        self.behind = Behind::Nothing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(ifs: &str, text: &str) -> Vec<String> {
        let mut fields = Fields::new(Rc::new(Ifs::new(Some(ifs.as_bytes()))));
        fields.expanded(text.as_bytes());
        let fields = fields.finish().into_iter();
        fields
            .map(|field| String::from_utf8(field.text).unwrap())
            .collect()
    }

    #[test]
    fn blanks_separate_once_and_marks_each_time() {
        assert_eq!(split(" ", "  a  b "), ["a", "b"]);
        assert_eq!(split(":", "a::b:"), ["a", "", "b"]);
        assert_eq!(split(" :", " a : b :: c"), ["a", "b", "", "c"]);
        assert_eq!(split(":", ":a"), ["", "a"]);
        assert_eq!(split("", "a b"), ["a b"]);
    }

    #[test]
    fn quoted_bytes_of_a_pattern_are_escaped() {
        let mut fields = Fields::new(Rc::default());
        fields.literal(b"*");
        fields.quoted(b"*");
        fields.literal(b"?");
        assert_eq!(fields.finish()[0].pattern(), br"*\*?");
    }
}
