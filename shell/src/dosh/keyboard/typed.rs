//! The word at the cursor: what its quotes and expansions mean, and where completion goes on in it.

use super::quoted::Quote;
use crate::dosh::syntax::quoting;
use crate::dosh::syntax::token::{is_name_byte, is_name_start};
use crate::dosh::syntax::tree::Bytes;

/// What stands for something else at the beginning of a word or within it.
pub trait Values {
    /// The value of a variable.
    fn variable(&self, name: &[u8]) -> Option<Bytes>;
    /// The home directory of a user; of the user at the keyboard if the name is empty.
    fn home(&self, user: &[u8]) -> Option<Bytes>;
}

/// A byte of the text that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    /// Where it is written.
    at: usize,
    quote: Quote,
    /// Where the quotes around it begin.
    opened: usize,
}

/// A word as far as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// What it means.
    pub text: Bytes,
    /// The quotes that are open at its end.
    pub quote: Quote,
    /// Its first part is the name of a user: `~name`.
    pub is_user: bool,
    origins: Vec<Origin>,
    /// Where in the text the last expansion has ended.
    expanded: usize,
    end: Origin,
}

/// The last component of a word that is a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component<'t> {
    /// What stands before it, with the slash.
    pub parent: &'t [u8],
    /// What of it is there.
    pub begin: &'t [u8],
    /// Bytes of the beginning that an expansion gives, and that cannot be written anew.
    pub given: usize,
    /// Where what can be written anew begins.
    pub start: usize,
    /// The quotes that are open there.
    pub outer: Quote,
}

impl Typed {
    /// Undoes a word's quotes; nothing if a part of it is known only when it is run.
    pub fn undo(raw: &[u8], values: &dyn Values) -> Option<Typed> {
        Undo::new(raw).run(values)
    }

    /// The last component, the word being a path.
    pub fn component(&self) -> Component<'_> {
        let slash = self.text.iter().rposition(|byte| *byte == b'/');
        let split = slash.map_or(0, |slash| slash + 1);
        self.from(split)
    }

    /// What follows the last of these bytes, which is not quoted.
    pub fn behind(&self, separator: &[u8]) -> Option<usize> {
        let separates = |at: &usize| {
            *at >= self.expanded
                && self.origins[*at].quote == Quote::None
                && separator.contains(&self.text[*at])
        };
        (0..self.text.len()).rev().find(separates).map(|at| at + 1)
    }

    /// Where in the word a byte of the text is written.
    pub fn written(&self, at: usize) -> usize {
        self.origins.get(at).map_or(self.end.at, |origin| origin.at)
    }

    /// The text from there on, to be written anew.
    pub fn from(&self, split: usize) -> Component<'_> {
        let first = split.max(self.expanded);
        let origin = self.origins.get(first).copied().unwrap_or(self.end);
        // Quotes that were opened for this part alone, and closed again, are written anew with it.
        let own =
            origin.quote != self.quote && origin.at == origin.opened + origin.quote.opening().len();
        let (start, outer) = match own {
            true => (origin.opened, Quote::None),
            false => (origin.at, origin.quote),
        };
        Component {
            parent: &self.text[..split],
            begin: &self.text[split..],
            given: first - split,
            start,
            outer,
        }
    }
}

struct Undo<'r> {
    raw: &'r [u8],
    at: usize,
    quote: Quote,
    opened: usize,
    text: Bytes,
    origins: Vec<Origin>,
    expanded: usize,
}

impl<'r> Undo<'r> {
    fn new(raw: &'r [u8]) -> Undo<'r> {
        Undo {
            raw,
            at: 0,
            quote: Quote::None,
            opened: 0,
            text: Bytes::new(),
            origins: Vec::new(),
            expanded: 0,
        }
    }

    fn run(mut self, values: &dyn Values) -> Option<Typed> {
        let is_user = self.tilde(values)?;
        while let [byte, rest @ ..] = &self.raw[self.at..] {
            let next = rest.first().copied();
            match (self.quote, byte) {
                (Quote::None, b'\\') | (Quote::Double, b'\\') => self.backslash(next),
                (Quote::None, b'\'') => self.open(Quote::Single),
                (Quote::None, b'"') => self.open(Quote::Double),
                (Quote::None, b'$') if next == Some(b'\'') => self.open(Quote::Escaped),
                (Quote::Single | Quote::Escaped, b'\'') | (Quote::Double, b'"') => {
                    self.quote = Quote::None;
                    self.at += 1;
                }
                (Quote::Escaped, b'\\') => self.escape(),
                (Quote::None | Quote::Double, b'$') => self.parameter(values)?,
                (Quote::None | Quote::Double, b'`') => return None,
                (Quote::None, b'(' | b')' | b'<' | b'>') => return None,
                (_, byte) => self.add(*byte, 1),
            }
        }
        let end = self.here();
        Some(Typed {
            text: self.text,
            quote: self.quote,
            is_user,
            origins: self.origins,
            expanded: self.expanded,
            end,
        })
    }

    fn here(&self) -> Origin {
        Origin {
            at: self.at,
            quote: self.quote,
            opened: self.opened,
        }
    }

    /// A byte that is written in so many.
    fn add(&mut self, byte: u8, length: usize) {
        self.origins.push(self.here());
        self.text.push(byte);
        self.at += length;
    }

    fn open(&mut self, quote: Quote) {
        self.opened = self.at;
        self.quote = quote;
        self.at += quote.opening().len();
    }

    fn backslash(&mut self, next: Option<u8>) {
        match (self.quote, next) {
            (_, Some(b'\n')) => self.at += 2,
            // It will be one of the byte that comes next.
            (_, None) => self.at += 1,
            (Quote::Double, Some(byte)) if !b"$`\"\\".contains(&byte) => self.add(b'\\', 1),
            (_, Some(byte)) => self.add(byte, 2),
        }
    }

    fn escape(&mut self) {
        // As long an escape as means one thing together.
        let rest = &self.raw[self.at..];
        let digits = |from: usize, most: usize, radix: u32| {
            let digit = |byte: &&u8| char::from(**byte).is_digit(radix);
            let rest = rest.get(from..).unwrap_or_default();
            from + rest.iter().take(most).take_while(digit).count()
        };
        let length = match rest.get(1) {
            None => 1,
            Some(b'x') => digits(2, 2, 16),
            Some(b'u') => digits(2, 4, 16),
            Some(b'U') => digits(2, 8, 16),
            Some(b'c') => 3,
            Some(b'0'..=b'7') => digits(1, 3, 8),
            Some(_) => 2,
        };
        let length = length.min(rest.len());
        for byte in quoting::unescape(&rest[..length]) {
            self.add(byte, 0);
        }
        self.at += length;
    }

    /// `~`, `~user` at the beginning; whether the user's name may still go on.
    fn tilde(&mut self, values: &dyn Values) -> Option<bool> {
        if self.raw.first() != Some(&b'~') {
            return Some(false);
        }
        let name = &self.raw[1..];
        let end = name.iter().position(|byte| *byte == b'/');
        let name = &name[..end.unwrap_or(name.len())];
        if name.iter().any(|byte| b"\\'\"$`".contains(byte)) {
            return Some(false);
        }
        if end.is_none() {
            return Some(true);
        }
        // Of an unknown user the tilde is text.
        if let Some(home) = values.home(name) {
            self.expand(&home, 1 + name.len());
        }
        Some(false)
    }

    fn expand(&mut self, value: &[u8], length: usize) {
        for byte in value {
            self.add(*byte, 0);
        }
        self.at += length;
        self.expanded = self.text.len();
    }

    /// `$name` and `${name}`.
    fn parameter(&mut self, values: &dyn Values) -> Option<()> {
        let rest = &self.raw[self.at + 1..];
        let braced = rest.first() == Some(&b'{');
        let name = &rest[usize::from(braced)..];
        let length = name.iter().take_while(|byte| is_name_byte(**byte)).count();
        let (name, behind) = name.split_at(length);
        if !name.first().is_some_and(|first| is_name_start(*first)) {
            return None;
        }
        if braced && behind.first() != Some(&b'}') {
            return None;
        }
        let value = values.variable(name)?;
        self.expand(&value, 1 + length + 2 * usize::from(braced));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Values for Fixed {
        fn variable(&self, name: &[u8]) -> Option<Bytes> {
            (name == b"D").then(|| b"/srv/data".to_vec())
        }

        fn home(&self, user: &[u8]) -> Option<Bytes> {
            match user {
                b"" => Some(b"/root".to_vec()),
                b"me" => Some(b"/home/me".to_vec()),
                _ => None,
            }
        }
    }

    fn undo(raw: &str) -> Typed {
        Typed::undo(raw.as_bytes(), &Fixed).expect(raw)
    }

    #[test]
    fn quotes_are_undone() {
        for (raw, text, quote) in [
            ("a b", "a b", Quote::None),
            (r"a\ b", "a b", Quote::None),
            ("'a b", "a b", Quote::Single),
            ("a' 'b", "a b", Quote::None),
            (r#""a\b\"c"#, r#"a\b"c"#, Quote::Double),
            (r"$'a\nb\'\101\x41", "a\nb'AA", Quote::Escaped),
            (r"$'a'b", "ab", Quote::None),
            ("~/a", "/root/a", Quote::None),
            ("~me/a", "/home/me/a", Quote::None),
            ("~nobody/a", "~nobody/a", Quote::None),
            ("'~'/a", "~/a", Quote::None),
            ("$D/a", "/srv/data/a", Quote::None),
            ("\"${D}/a", "/srv/data/a", Quote::Double),
            ("'$D", "$D", Quote::Single),
            ("a\\", "a", Quote::None),
        ] {
            let typed = undo(raw);
            assert_eq!(
                (&typed.text[..], typed.quote),
                (text.as_bytes(), quote),
                "{raw}"
            );
        }
        for raw in ["`a", "$(a)/", "$E/a", "${D:-x}/", "$1/", "<(a"] {
            assert_eq!(Typed::undo(raw.as_bytes(), &Fixed), None, "{raw}");
        }
        assert!(undo("~ro").is_user && !undo("~ro/").is_user && !undo("a~").is_user);
    }

    #[test]
    fn a_component_is_written_anew_from_where_it_begins() {
        for (raw, parent, begin, given, start, outer) in [
            ("fo", "", "fo", 0, 0, Quote::None),
            ("a/fo", "a/", "fo", 0, 2, Quote::None),
            ("a/", "a/", "", 0, 2, Quote::None),
            (r"a\ b/c\ d", "a b/", "c d", 0, 5, Quote::None),
            ("\"a/fo", "a/", "fo", 0, 3, Quote::Double),
            ("a/\"fo", "a/", "fo", 0, 3, Quote::Double),
            ("\"a/\"fo", "a/", "fo", 0, 4, Quote::None),
            ("a/\"f\"o", "a/", "fo", 0, 2, Quote::None),
            ("'a/f'o", "a/", "fo", 0, 3, Quote::Single),
            ("~/fo", "/root/", "fo", 0, 2, Quote::None),
            ("$D/fo", "/srv/data/", "fo", 0, 3, Quote::None),
            ("${D}fo", "/srv/", "datafo", 4, 4, Quote::None),
            ("\"", "", "", 0, 1, Quote::Double),
        ] {
            let typed = undo(raw);
            let expected = Component {
                parent: parent.as_bytes(),
                begin: begin.as_bytes(),
                given,
                start,
                outer,
            };
            assert_eq!(typed.component(), expected, "{raw}");
        }
    }

    #[test]
    fn values_of_assignments_and_options_are_words_of_their_own() {
        let typed = undo("--x=a:'b:c'");
        assert_eq!(typed.behind(b"="), Some(4));
        assert_eq!(typed.behind(b":="), Some(6));
        assert_eq!(undo("a").behind(b"="), None);
    }
}
