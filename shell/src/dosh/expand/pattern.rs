//! Pattern matching notation over bytes (XCU 2.13): `*`, `?`, bracket expressions, and backslashes before what is itself.

use crate::dosh::syntax::tree::Bytes;

/// Appends the text so that it matches itself.
pub fn escape(text: &[u8], pattern: &mut Bytes) {
    for byte in text {
        if b"*?[]\\-!^".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
}

/// The text that the pattern stands for, if it matches nothing else.
pub fn literal(pattern: &[u8]) -> Option<Bytes> {
    let mut text = Bytes::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'*' | b'?' => return None,
            // A bracket that nothing closes is one like any byte: the command `[` is no pattern.
            b'[' if rest.contains(&b']') => return None,
            b'\\' if !rest.is_empty() => {
                text.push(rest[0]);
                rest = &rest[1..];
            }
            byte => text.push(*byte),
        }
    }
    Some(text)
}

/// Whether the pattern matches the whole text.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    // Where to go on if what follows the last star does not fit: the star takes one byte more.
    let mut again: Option<(usize, usize)> = None;
    loop {
        if at < pattern.len() && pattern[at] == b'*' {
            again = Some((at + 1, here));
            at += 1;
            continue;
        }
        let fits = match (pattern.get(at), text.get(here)) {
            (None, None) => return true,
            (Some(_), Some(byte)) => one(&pattern[at..], *byte),
            _ => None,
        };
        match (fits, again) {
            (Some(length), _) => {
                at += length;
                here += 1;
            }
            (None, Some((after, from))) if from < text.len() => {
                (at, here) = (after, from + 1);
                again = Some((after, from + 1));
            }
            _ => return false,
        }
    }
}

/// How long the pattern's first element is, if it matches the byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', inner @ ..] => match bracket(inner, byte) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            // Not closed: a bracket like any byte.
            None => (byte == b'[').then_some(1),
        },
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

/// Whether a bracket expression matches, and how long it is from behind its `[`. Nothing if it is not closed.
fn bracket(inner: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(inner.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let (mut found, mut first) = (false, true);
    loop {
        match inner.get(at)? {
            b']' if !first => return Some((found != negated, at + 1)),
            b'[' if inner.get(at + 1) == Some(&b':') => {
                let rest = &inner[at + 2..];
                let end = rest.windows(2).position(|two| two == b":]");
                match end {
                    Some(end) => {
                        found |= in_class(&rest[..end], byte);
                        at += end + 4;
                    }
                    None => {
                        found |= byte == b'[';
                        at += 1;
                    }
                }
            }
            _ => {
                let (low, length) = element(&inner[at..])?;
                at += length;
                let is_range = inner.get(at) == Some(&b'-')
                    && inner.get(at + 1).is_some_and(|next| *next != b']');
                if is_range {
                    let (high, length) = element(&inner[at + 1..])?;
                    at += 1 + length;
                    found |= (low..=high).contains(&byte);
                } else {
                    found |= low == byte;
                }
            }
        }
        first = false;
    }
}

/// One byte of a bracket expression, and how long it is written: escaped, `[.x.]` or `[=x=]`.
fn element(inner: &[u8]) -> Option<(u8, usize)> {
    match inner {
        [b'\\', byte, ..] => Some((*byte, 2)),
        [b'[', b'.', byte, b'.', b']', ..] | [b'[', b'=', byte, b'=', b']', ..] => Some((*byte, 5)),
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

fn in_class(class: &[u8], byte: u8) -> bool {
    match class {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => matches!(byte, b' ' | 9..=13),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

/// How much of the text's beginning the pattern matches: as little or as much as can be.
pub fn prefix(pattern: &[u8], text: &[u8], longest: bool) -> Option<usize> {
    if let Some(exact) = literal(pattern) {
        return text.starts_with(&exact).then_some(exact.len());
    }
    let fits = |length: &usize| matches(pattern, &text[..*length]);
    match longest {
        true => (0..=text.len()).rev().find(fits),
        false => (0..=text.len()).find(fits),
    }
}

/// Where the text's end begins that the pattern matches.
pub fn suffix(pattern: &[u8], text: &[u8], longest: bool) -> Option<usize> {
    if let Some(exact) = literal(pattern) {
        return text.ends_with(&exact).then(|| text.len() - exact.len());
    }
    let fits = |start: &usize| matches(pattern, &text[*start..]);
    match longest {
        true => (0..=text.len()).find(fits),
        false => (0..=text.len()).rev().find(fits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b", "ab c", false),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[[:digit:]_]*", "7a", true),
            ("[a", "[a", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            (r"[\]]", "]", true),
            ("[a-]", "-", true),
            ("", "", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn what_matches_itself_only_is_no_pattern() {
        assert_eq!(literal(b"["), Some(b"[".to_vec()));
        assert_eq!(literal(br"a\*"), Some(b"a*".to_vec()));
        assert_eq!(literal(b"[a]"), None);
        assert_eq!(literal(b"a?"), None);
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"*a".repeat(50);
        assert!(!matches(&pattern, &[b'b'; 5000]));
    }

    #[test]
    fn ends_are_found_shortest_and_longest() {
        assert_eq!(prefix(b"*/", b"a/b/c", false), Some(2));
        assert_eq!(prefix(b"*/", b"a/b/c", true), Some(4));
        assert_eq!(suffix(b"/*", b"a/b/c", false), Some(3));
        assert_eq!(suffix(b"/*", b"a/b/c", true), Some(1));
        assert_eq!(suffix(b"x", b"abc", true), None);
    }
}
