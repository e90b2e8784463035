//! The last step of a word: tildes are found, braces expanded, and what means only itself becomes plain.

use super::arithmetic;
use super::brace;
use super::tree::{Arithmetic, Bytes, Part, Word};

/// A word where tildes are known at its beginning only.
pub fn word(mut parts: Vec<Part>) -> Word {
    tildes(&mut parts, false);
    plain(parts)
}

/// The value of an assignment: tildes are known behind colons too.
pub fn value(mut parts: Vec<Part>) -> Word {
    tildes(&mut parts, true);
    plain(parts)
}

/// An argument, of which braces can make several.
pub fn arguments(parts: Vec<Part>) -> Vec<Word> {
    match brace::has_braces(&parts) {
        true => brace::expand(parts).into_iter().map(alternative).collect(),
        false => vec![word(parts)],
    }
}

/// One of the words that braces have made; one of nothing is no field.
fn alternative(parts: Vec<Part>) -> Word {
    match parts.is_empty() {
        true => Word::Parts(Box::default()),
        false => word(parts),
    }
}

/// The body of a here-document.
pub fn here_document(parts: Vec<Part>) -> Word {
    plain(parts)
}

/// What replaces a value outside of double quotes, or a pattern: a word that can begin with a tilde.
pub fn instead(mut parts: Vec<Part>) -> Word {
    tildes(&mut parts, false);
    operand(parts)
}

/// What stands behind the operator of a parameter expansion: its unquoted text is still to be split, and nothing at all
/// is no field.
pub fn operand(parts: Vec<Part>) -> Word {
    let quoted = |part: &Part| matches!(part, Part::Quoted(_));
    match !parts.is_empty() && parts.iter().all(quoted) {
        true => plain(parts),
        false => Word::Parts(parts.into()),
    }
}

fn plain(parts: Vec<Part>) -> Word {
    let parts = match &parts[..] {
        // The command `[`.
        [Part::Literal(text)] if text == b"[" => return Word::Plain(text.clone()),
        _ => parts,
    };
    let is_plain = |part: &Part| match part {
        Part::Quoted(_) => true,
        Part::Literal(text) => !text.iter().any(|byte| b"*?[".contains(byte)),
        _ => false,
    };
    match parts.iter().all(is_plain) {
        true => Word::Plain(parts.into_iter().flat_map(text).collect()),
        false => Word::Parts(parts.into()),
    }
}

fn text(part: Part) -> Bytes {
    match part {
        Part::Quoted(text) | Part::Literal(text) => text,
        _ => Bytes::new(),
    }
}

/// An expression: parsed if there is nothing to expand. What is no expression is told when it is evaluated.
pub fn arithmetic(parts: Vec<Part>) -> Arithmetic {
    match plain(parts) {
        Word::Plain(text) => match arithmetic::parse(&text) {
            Ok(expr) => Arithmetic::Parsed(expr),
            Err(_) => Arithmetic::Text(Word::Plain(text)),
        },
        word => Arithmetic::Text(word),
    }
}

/// Splits tilde prefixes off the unquoted text: at the beginning, and in values behind each colon.
fn tildes(parts: &mut Vec<Part>, colons: bool) {
    let found = |part: &Part| matches!(part, Part::Literal(text) if text.contains(&b'~'));
    if !parts.iter().any(found) {
        return;
    }
    let old = std::mem::take(parts);
    let count = old.len();
    for (at, part) in old.into_iter().enumerate() {
        match part {
            Part::Literal(text) => split_tildes(&text, at == 0, at + 1 == count, colons, parts),
            part => parts.push(part),
        }
    }
}

fn split_tildes(text: &[u8], first: bool, last: bool, colons: bool, parts: &mut Vec<Part>) {
    let mut literal = Bytes::new();
    let mut at = 0;
    while at < text.len() {
        let begins = (at == 0 && first) || (colons && at > 0 && text[at - 1] == b':');
        if begins && text[at] == b'~' {
            let rest = &text[at + 1..];
            let ends = |byte: &u8| *byte == b'/' || (colons && *byte == b':');
            let end = rest.iter().position(ends);
            if end.is_some() || last {
                let user = &rest[..end.unwrap_or(rest.len())];
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Tilde(user.to_vec()));
                at += 1 + user.len();
                continue;
            }
        }
        literal.push(text[at]);
        at += 1;
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
}
