//! Names in the quotes that stand around the cursor, so that the shell reads them back as they are.

use crate::dosh::syntax::tree::Bytes;

/// Quotes that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quote {
    #[default]
    None,
    Single,
    Double,
    /// `$'…'`.
    Escaped,
}

impl Quote {
    /// What opens it.
    pub fn opening(self) -> &'static str {
        match self {
            Quote::None => "",
            Quote::Single => "'",
            Quote::Double => "\"",
            Quote::Escaped => "$'",
        }
    }

    /// What closes it.
    pub fn closing(self) -> &'static str {
        match self {
            Quote::None => "",
            Quote::Single | Quote::Escaped => "'",
            Quote::Double => "\"",
        }
    }
}

/// Where a name is to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The quotes that are open where it begins.
    pub outer: Quote,
    /// Those that the user has open at the cursor: the name is written in them if it can be.
    pub wanted: Quote,
    /// It is the beginning of its word.
    pub begins_word: bool,
}

/// A name as text of the shell, and the quotes that are open behind it. The quotes before it are closed or continued.
pub fn write(name: &[u8], setting: Setting) -> (String, Quote) {
    let text = std::str::from_utf8(name).ok();
    let plain = text.filter(|text| !text.chars().any(char::is_control));
    let quote = match plain {
        Some(_) => setting.wanted,
        None => Quote::Escaped,
    };
    let mut written = String::with_capacity(name.len() + 4);
    if quote != setting.outer {
        written.push_str(setting.outer.closing());
        written.push_str(quote.opening());
    }
    match plain {
        None => escape(name, &mut written),
        Some(text) => {
            for (at, letter) in text.char_indices() {
                let first = at == 0 && setting.begins_word;
                push(letter, first, quote, &mut written);
            }
        }
    }
    (written, quote)
}

fn push(letter: char, first: bool, quote: Quote, written: &mut String) {
    let escaped = match quote {
        Quote::None => is_special(letter, first),
        Quote::Double => matches!(letter, '"' | '\\' | '$' | '`'),
        Quote::Escaped => matches!(letter, '\'' | '\\'),
        Quote::Single if letter == '\'' => return written.push_str("'\\''"),
        Quote::Single => false,
    };
    if escaped {
        written.push('\\');
    }
    written.push(letter);
}

/// Whether a character does not stand for itself outside quotes.
fn is_special(letter: char, first: bool) -> bool {
    match letter {
        '~' | '#' => first,
        '_' | '-' | '+' | '.' | ',' | '/' | ':' | '@' | '%' | '^' => false,
        letter if letter.is_ascii() => !letter.is_ascii_alphanumeric(),
        letter => letter.is_whitespace(),
    }
}

/// As the inside of `$'…'`. An octal number has three digits at most, so what follows is never read into it.
fn escape(name: &[u8], written: &mut String) {
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => written.push_str("\\n"),
                '\t' => written.push_str("\\t"),
                '\r' => written.push_str("\\r"),
                letter if letter.is_control() => {
                    let mut bytes = [0; 4];
                    octal(letter.encode_utf8(&mut bytes).as_bytes(), written);
                }
                letter => push(letter, false, Quote::Escaped, written),
            }
        }
        octal(chunk.invalid(), written);
    }
}

fn octal(bytes: &[u8], written: &mut String) {
    for byte in bytes {
        written.push_str(&format!("\\{byte:03o}"));
    }
}

/// What the names begin with together, whole characters only.
pub fn common<'n>(names: impl IntoIterator<Item = &'n [u8]>) -> Bytes {
    let mut names = names.into_iter();
    let Some(first) = names.next() else {
        return Bytes::new();
    };
    let mut length = first.len();
    for name in names {
        let same = first.iter().zip(name).take_while(|(a, b)| a == b).count();
        length = length.min(same);
    }
    let whole = first[..length].utf8_chunks();
    // A character that is cut in the middle is none yet.
    let cut = match whole.last() {
        Some(chunk) if length < first.len() && std::str::from_utf8(first).is_ok() => {
            chunk.invalid().len()
        }
        _ => 0,
    };
    first[..length - cut].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dosh::syntax::parser::Parser;
    use crate::dosh::syntax::tree::{Kind, Word};

    const QUOTES: [Quote; 4] = [Quote::None, Quote::Single, Quote::Double, Quote::Escaped];

    fn setting(outer: Quote, wanted: Quote) -> Setting {
        Setting {
            outer,
            wanted,
            begins_word: outer == Quote::None,
        }
    }

    #[test]
    fn names_look_as_a_person_would_write_them() {
        for (name, quote, expected) in [
            ("a b", Quote::None, r"a\ b"),
            ("it's", Quote::None, r"it\'s"),
            ("~x#y", Quote::None, r"\~x#y"),
            ("größe", Quote::None, "größe"),
            ("a$b c", Quote::Double, r"a\$b c"),
            ("it's", Quote::Single, r"it'\''s"),
            ("a\nb", Quote::None, r"$'a\nb"),
            ("a\nb", Quote::Double, "\"$'a\\nb"),
        ] {
            assert_eq!(write(name.as_bytes(), setting(quote, quote)).0, expected);
        }
    }

    /// Whatever the name and the quotes, the parser reads the same name back.
    #[test]
    fn every_name_is_read_back() {
        let names: [&[u8]; 9] = [
            b"plain",
            b"two words",
            b"quo'te\"s\\",
            b"$HOME`x`*?[a]{b,c}",
            b"line\nfeed\x1b7",
            b"latin\xe9 and \xff8",
            "naïve — ünïcode\u{a0}x".as_bytes(),
            b"-option=~#!&|;<>()",
            b"\x017",
        ];
        for name in names {
            for outer in QUOTES {
                for wanted in QUOTES {
                    let (written, open) = write(name, setting(outer, wanted));
                    let text = format!("x {}{written}{}", outer.opening(), open.closing());
                    let list = Parser::new(text.as_bytes(), 1).program().expect(&text);
                    let Kind::Simple(simple) = &list.0[0].and_or.first.stages[0].kind else {
                        panic!("{text}");
                    };
                    let words: Vec<_> = simple.words.iter().collect();
                    assert!(
                        matches!(words[..], [_, Word::Plain(read)] if read == name),
                        "{text}: {words:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_names_share_ends_with_a_character() {
        let common = |names: &[&str]| {
            let shared = common(names.iter().map(|name| name.as_bytes()));
            String::from_utf8(shared).unwrap()
        };
        assert_eq!(common(&["make", "makefile"]), "make");
        assert_eq!(common(&["é1", "è1"]), "");
        assert_eq!(common(&["a"]), "a");
        assert_eq!(common(&[]), "");
    }
}
