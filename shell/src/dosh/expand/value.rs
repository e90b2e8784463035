//! What a parameter holds (XCU 2.5).

use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::token::is_name;
use crate::dosh::syntax::tree::{Bytes, Index, Name};

pub enum Value {
    Unset,
    One(Bytes),
    /// `@`, or `*`.
    Many {
        list: Vec<Bytes>,
        star: bool,
    },
}

impl Value {
    pub fn is_unset(&self) -> bool {
        match self {
            Value::Unset => true,
            Value::One(_) => false,
            Value::Many { list, .. } => list.is_empty(),
        }
    }

    /// Whether no text comes of it, where this stands between the words of `*`.
    pub fn is_empty(&self, joiner: Option<u8>) -> bool {
        match self {
            Value::Unset => true,
            Value::One(text) => text.is_empty(),
            Value::Many { list, star } => {
                let one = list.len() < 2 || (*star && joiner.is_none());
                one && list.iter().all(Vec::is_empty)
            }
        }
    }

    pub fn map(self, mut change: impl FnMut(Bytes) -> Bytes) -> Value {
        match self {
            Value::Unset => Value::Unset,
            Value::One(text) => Value::One(change(text)),
            Value::Many { list, star } => Value::Many {
                list: list.into_iter().map(change).collect(),
                star,
            },
        }
    }
}

impl Shell {
    pub fn value_of(&mut self, name: &Name, index: Option<&Index>) -> Run<Value> {
        let one = |text: Option<Bytes>| text.map_or(Value::Unset, Value::One);
        Ok(match (name, index) {
            (Name::Variable(name), None) => one(self.variable(name)),
            (Name::Variable(name), Some(Index::Number(number))) => {
                let number = self.arithmetic(number)?;
                let statuses = self.pipe_statuses();
                let elements = match &name[..] {
                    b"PIPESTATUS" => (0..).zip(statuses.iter().map(|text| &text[..])).collect(),
                    name => self.variables.elements(name),
                };
                let number = match (number < 0, elements.last()) {
                    (true, Some((last, _))) => last + 1 + number,
                    _ => number,
                };
                let found = elements.iter().find(|(at, _)| *at == number);
                one(found.map(|(_, text)| text.to_vec()))
            }
            (Name::Variable(name), Some(index)) => Value::Many {
                list: match &name[..] {
                    b"PIPESTATUS" => self.pipe_statuses(),
                    name => {
                        let elements = self.variables.elements(name);
                        elements.iter().map(|(_, text)| text.to_vec()).collect()
                    }
                },
                star: matches!(index, Index::Star),
            },
            (Name::Positional(0), _) => Value::One(self.zero.clone()),
            (Name::Positional(at), _) => one(self.arguments.get(at - 1).cloned()),
            (Name::Special(byte @ (b'@' | b'*')), _) => Value::Many {
                list: self.arguments.to_vec(),
                star: *byte == b'*',
            },
            (Name::Special(byte), _) => one(self.special(*byte)),
        })
    }

    pub fn pipe_statuses(&self) -> Vec<Bytes> {
        let statuses = self.pipe_status.iter();
        statuses
            .map(|status| status.to_string().into_bytes())
            .collect()
    }

    /// The value of one of `#?-$!`.
    fn special(&self, byte: u8) -> Option<Bytes> {
        let number = match byte {
            b'#' => self.arguments.len() as i64,
            b'?' => i64::from(self.status),
            b'$' => i64::from(self.pid),
            b'!' => i64::from(self.background?),
            _ => return Some(self.flags()),
        };
        Some(number.to_string().into_bytes())
    }

    /// `$-`.
    fn flags(&self) -> Bytes {
        let mut flags = self.options.letters();
        flags.extend(self.interactive.then_some(b'i'));
        flags.extend(self.source_letter);
        flags
    }

    /// The parameter that a text names.
    pub fn named(&self, text: &[u8]) -> Option<Name> {
        match text {
            [byte] if b"@*#?-$!".contains(byte) => Some(Name::Special(*byte)),
            digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
                Some(Name::Positional(number))
            }
            name => is_name(name).then(|| Name::Variable(name.to_vec())),
        }
    }
}
