//! Word expansion (XCU 2.6): from parsed words to fields, to one text, or to a pattern.

pub mod arithmetic;
mod fields;
mod glob;
mod parameter;
pub mod pattern;
mod substitution;
mod value;

use super::shell::{Run, Shell};
use super::syntax::tree::{Bytes, Part, Word};
use fields::Fields;

/// What takes the pieces of an expanded word.
pub trait Sink {
    /// Text of the script, unquoted.
    fn literal(&mut self, text: &[u8]);
    /// Text that means itself.
    fn quoted(&mut self, text: &[u8]);
    /// What an unquoted expansion has given.
    fn expanded(&mut self, text: &[u8]);
    /// Between two elements of a list: of `*` or of `@`.
    fn boundary(&mut self, star: bool);
}

/// Where a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a word: its text is the script's.
    Word,
    /// Behind the operator of an unquoted parameter expansion: its text is split as the value would be.
    Operand,
    /// Between double quotes.
    Quoted,
}

/// What becomes of quoted text where all text is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Nothing,
    /// Pattern characters stand behind a backslash.
    Pattern,
    /// So do those of regular expressions.
    Regex,
}

/// A word as one text, neither split nor matched with files.
struct Joined {
    text: Bytes,
    escape: Escape,
    star: Option<u8>,
}

impl Sink for Joined {
    fn literal(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn quoted(&mut self, text: &[u8]) {
        match self.escape {
            Escape::Nothing => self.text.extend_from_slice(text),
            Escape::Pattern => pattern::escape(text, &mut self.text),
            Escape::Regex => {
                for byte in text {
                    if b".[]{}()*+?|^$\\".contains(byte) {
                        self.text.push(b'\\');
                    }
                    self.text.push(*byte);
                }
            }
        }
    }

    fn expanded(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn boundary(&mut self, star: bool) {
        match star {
            true => self.text.extend(self.star),
            false => self.text.push(b' '),
        }
    }
}

impl Shell {
    /// The fields that the words become.
    pub fn fields(&mut self, words: &[Word]) -> Run<Vec<Bytes>> {
        let mut fields = Vec::with_capacity(words.len());
        for word in words {
            match word {
                Word::Plain(text) => fields.push(text.clone()),
                Word::Parts(parts) => self.split(parts, &mut fields)?,
                Word::Declares(assignment) => fields.push(self.declared(assignment)?),
            }
        }
        Ok(fields)
    }

    fn split(&mut self, parts: &[Part], fields: &mut Vec<Bytes>) -> Run {
        let mut sink = Fields::new(self.variables.ifs());
        self.expand(parts, Place::Word, &mut sink)?;
        for field in sink.finish() {
            let found = match field.globs() && !self.options.noglob() {
                true => glob::expand(&field.pattern()),
                false => Vec::new(),
            };
            match found.is_empty() {
                true => fields.push(field.text),
                false => fields.extend(found),
            }
        }
        Ok(())
    }

    /// The word as one text.
    pub fn text(&mut self, word: &Word) -> Run<Bytes> {
        match word {
            Word::Plain(text) => Ok(text.clone()),
            word => self.joined(word, Escape::Nothing),
        }
    }

    /// The word as a pattern: its quoted text matches itself.
    pub fn pattern(&mut self, word: &Word) -> Run<Bytes> {
        self.joined(word, Escape::Pattern)
    }

    /// The word as a regular expression: its quoted text matches itself.
    pub fn regex(&mut self, word: &Word) -> Run<Bytes> {
        self.joined(word, Escape::Regex)
    }

    fn joined(&mut self, word: &Word, escape: Escape) -> Run<Bytes> {
        let mut sink = Joined {
            text: Bytes::new(),
            escape,
            star: self.variables.ifs().first,
        };
        match word {
            Word::Plain(text) => sink.quoted(text),
            Word::Parts(parts) => self.expand(parts, Place::Word, &mut sink)?,
            Word::Declares(assignment) => return self.declared(assignment),
        }
        Ok(sink.text)
    }

    /// Expands what stands behind an operator into the word around it.
    fn expand_operand(&mut self, word: &Word, place: Place, out: &mut dyn Sink) -> Run {
        match (word, place) {
            (Word::Plain(text), _) => out.quoted(text),
            (Word::Parts(parts), Place::Quoted) => {
                // `$@` without parameters removes the quotes around itself, not those around the operator.
                out.quoted(b"");
                self.expand(parts, place, out)?;
            }
            (Word::Parts(parts), _) => self.expand(parts, Place::Operand, out)?,
            (Word::Declares(_), _) => {}
        }
        Ok(())
    }

    fn expand(&mut self, parts: &[Part], place: Place, out: &mut dyn Sink) -> Run {
        for part in parts {
            self.expand_part(part, place, out)?;
        }
        Ok(())
    }

    fn expand_part(&mut self, part: &Part, place: Place, out: &mut dyn Sink) -> Run {
        let quoted = place == Place::Quoted;
        match part {
            Part::Literal(text) => match place {
                Place::Word => out.literal(text),
                Place::Operand => out.expanded(text),
                Place::Quoted => out.quoted(text),
            },
            Part::Quoted(text) => out.quoted(text),
            Part::Double(parts) => self.expand(parts, Place::Quoted, out)?,
            Part::Parameter(parameter) => self.parameter(parameter, place, out)?,
            Part::Tilde(user) => out.quoted(&self.home_of(user)),
            Part::Command(list) => {
                let text = self.substitute(list)?;
                match quoted {
                    true => out.quoted(&text),
                    false => out.expanded(&text),
                }
            }
            Part::Arithmetic(arithmetic) => {
                let text = self.arithmetic(arithmetic)?.to_string();
                match quoted {
                    true => out.quoted(text.as_bytes()),
                    false => out.expanded(text.as_bytes()),
                }
            }
            Part::Process { reads, list } => {
                let path = self.process_substitution(*reads, list)?;
                out.quoted(&path);
            }
            Part::Shared(part) => self.expand_part(part, place, out)?,
        }
        Ok(())
    }

    /// What `~user` stands for; itself if there is no such user.
    fn home_of(&self, user: &[u8]) -> Bytes {
        let variable = match user {
            b"" => self.variables.get(b"HOME"),
            b"+" => self.variables.get(b"PWD"),
            b"-" => self.variables.get(b"OLDPWD"),
            _ => None,
        };
        if let Some(home) = variable {
            return home.to_vec();
        }
        let name = std::str::from_utf8(user).ok();
        let home = match user {
            b"" => nix::unistd::User::from_uid(nix::unistd::getuid()),
            _ => name.map_or(Ok(None), nix::unistd::User::from_name),
        };
        match home {
            Ok(Some(found)) => found.dir.into_os_string().into_encoded_bytes(),
            _ => [b"~", user].concat(),
        }
    }
}
