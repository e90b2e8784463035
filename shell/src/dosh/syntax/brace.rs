//! Brace expansion: `a{b,c}d` and `{1..9}`, before anything else is expanded.

use super::tree::{Bytes, Part};
use std::rc::Rc;

/// A word's parts as braces see them: bytes of unquoted text, and parts that are carried along.
#[derive(Clone, Copy)]
enum Piece<'p> {
    Byte(u8),
    Part(&'p Part),
}

/// Whether unquoted text of the word holds a brace that could expand.
pub fn has_braces(parts: &[Part]) -> bool {
    let mut open = false;
    parts.iter().any(|part| match part {
        Part::Literal(text) => text.iter().any(|byte| {
            open |= *byte == b'{';
            open && *byte == b'}'
        }),
        _ => false,
    })
}

/// The words that the braces make of one.
pub fn expand(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let mut pieces = Vec::new();
    let parts: Vec<Part> = parts.into_iter().map(share).collect();
    for part in &parts {
        match part {
            Part::Literal(text) => pieces.extend(text.iter().map(|byte| Piece::Byte(*byte))),
            part => pieces.push(Piece::Part(part)),
        }
    }
    let words = alternatives(&pieces);
    // A sequence of one shortens its word; what holds no list stays whole.
    if words.len() == 1 && words[0].len() == pieces.len() {
        return vec![parts];
    }
    words.into_iter().map(|word| join(&word)).collect()
}

fn join(pieces: &[Piece]) -> Vec<Part> {
    let mut parts = Vec::new();
    for piece in pieces {
        match (piece, parts.last_mut()) {
            (Piece::Byte(byte), Some(Part::Literal(text))) => text.push(*byte),
            (Piece::Byte(byte), _) => parts.push(Part::Literal(vec![*byte])),
            (Piece::Part(Part::Shared(part)), _) => parts.push(Part::Shared(Rc::clone(part))),
            (Piece::Part(_), _) => {}
        }
    }
    parts
}

/// Several words can hold the part.
fn share(part: Part) -> Part {
    match part {
        Part::Literal(_) | Part::Shared(_) => part,
        part => Part::Shared(Rc::new(part)),
    }
}

/// Every word that the pieces stand for.
fn alternatives<'p>(pieces: &[Piece<'p>]) -> Vec<Vec<Piece<'p>>> {
    let mut at = 0;
    while at < pieces.len() {
        if let Piece::Byte(b'{') = pieces[at] {
            if let Some((end, choices)) = choices(pieces, at) {
                let tails = alternatives(&pieces[end + 1..]);
                let mut words = Vec::new();
                for choice in &choices {
                    for tail in &tails {
                        let head = pieces[..at].iter().chain(choice);
                        words.push(head.chain(tail).copied().collect());
                    }
                }
                return words;
            }
        }
        at += 1;
    }
    vec![pieces.to_vec()]
}

/// What stands between the brace and the one that closes it, if that is a list or a sequence.
fn choices<'p>(pieces: &[Piece<'p>], open: usize) -> Option<(usize, Vec<Vec<Piece<'p>>>)> {
    let (mut depth, mut start) = (0, open + 1);
    let mut items: Vec<&[Piece]> = Vec::new();
    for (at, piece) in pieces.iter().enumerate().skip(open + 1) {
        match piece {
            Piece::Byte(b'{') => depth += 1,
            Piece::Byte(b'}') if depth > 0 => depth -= 1,
            Piece::Byte(b',') if depth == 0 => {
                items.push(&pieces[start..at]);
                start = at + 1;
            }
            Piece::Byte(b'}') => {
                let last = &pieces[start..at];
                if items.is_empty() {
                    return sequence(last).map(|words| (at, words));
                }
                items.push(last);
                let words = items.into_iter().flat_map(alternatives).collect();
                return Some((at, words));
            }
            _ => {}
        }
    }
    None
}

/// `1..9`, `a..e`, with an optional step.
fn sequence<'p>(pieces: &[Piece<'p>]) -> Option<Vec<Vec<Piece<'p>>>> {
    let bytes = pieces.iter().map(|piece| match piece {
        Piece::Byte(byte) => Some(*byte),
        Piece::Part(_) => None,
    });
    let text = String::from_utf8(bytes.collect::<Option<Bytes>>()?).ok()?;
    let fields: Vec<&str> = text.split("..").collect();
    let (from, to, step) = match fields[..] {
        [from, to] => (from, to, 1),
        [from, to, step] => (from, to, step.parse::<i64>().ok()?),
        _ => return None,
    };
    let step = step.checked_abs()?.max(1) as usize;
    let word = |text: Bytes| text.into_iter().map(Piece::Byte).collect();
    if let (Ok(first), Ok(last)) = (from.parse::<i64>(), to.parse::<i64>()) {
        let padded = |text: &str| text.trim_start_matches('-').starts_with('0') && text.len() > 1;
        let width = match padded(from) || padded(to) {
            true => from.len().max(to.len()),
            false => 0,
        };
        let number = |number: i64| word(format!("{number:0width$}").into_bytes());
        return Some(range(first, last, step).map(number).collect());
    }
    match (from.as_bytes(), to.as_bytes()) {
        ([first], [last]) if first.is_ascii_alphabetic() && last.is_ascii_alphabetic() => {
            let letters = range(i64::from(*first), i64::from(*last), step);
            Some(letters.map(|letter| word(vec![letter as u8])).collect())
        }
        _ => None,
    }
}

fn range(first: i64, last: i64, step: usize) -> Box<dyn Iterator<Item = i64>> {
    match first <= last {
        true => Box::new((first..=last).step_by(step)),
        false => Box::new((last..=first).rev().step_by(step)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let words = expand(vec![Part::Literal(text.as_bytes().to_vec())]);
        let text = |part: &Part| match part {
            Part::Literal(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        words
            .iter()
            .map(|word| word.iter().map(text).collect())
            .collect()
    }

    #[test]
    fn braces_multiply_words() {
        assert_eq!(words("a{b,c}d{e,f}"), ["abde", "abdf", "acde", "acdf"]);
        assert_eq!(words("{a,{b,c}}"), ["a", "b", "c"]);
        assert_eq!(words("{08..10}"), ["08", "09", "10"]);
        assert_eq!(words("{c..a}"), ["c", "b", "a"]);
        assert_eq!(words("{1..7..3}"), ["1", "4", "7"]);
        assert_eq!(words("a{3..3}"), ["a3"]);
    }

    #[test]
    fn braces_of_no_list_stay() {
        assert_eq!(words("{a}"), ["{a}"]);
        assert_eq!(words("{a,b"), ["{a,b"]);
        assert_eq!(words("{}"), ["{}"]);
    }
}
