//! Escapes of `$'…'`, and quotes that make text one word again.

use super::tree::Bytes;

/// What `$'…'` means, as its inside is written: up to a NUL, which ends a text.
pub fn unescape(raw: &[u8]) -> Bytes {
    let mut text = unescape_all(raw);
    let end = text.iter().position(|byte| *byte == 0);
    text.truncate(end.unwrap_or(text.len()));
    text
}

fn unescape_all(raw: &[u8]) -> Bytes {
    let mut text = Bytes::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' || rest.is_empty() {
            text.push(*first);
            continue;
        }
        let letter = rest[0];
        rest = &rest[1..];
        match letter {
            b'a' => text.push(7),
            b'b' => text.push(8),
            b'e' | b'E' => text.push(27),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'v' => text.push(11),
            b'\\' | b'\'' | b'"' | b'?' => text.push(letter),
            b'c' => {
                text.extend(rest.first().map(|byte| byte & 0x1f));
                rest = rest.get(1..).unwrap_or_default();
            }
            b'x' => text.extend(digits(&mut rest, 16, 2).map(|n| n as u8)),
            b'u' => push_char(&mut text, digits(&mut rest, 16, 4)),
            b'U' => push_char(&mut text, digits(&mut rest, 16, 8)),
            b'0'..=b'7' => {
                rest = &raw[raw.len() - rest.len() - 1..];
                text.extend(digits(&mut rest, 8, 3).map(|n| n as u8));
            }
            _ => text.extend([b'\\', letter]),
        }
    }
    text
}

fn push_char(text: &mut Bytes, code: Option<u32>) {
    if let Some(letter) = code.and_then(char::from_u32) {
        text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// A number of at most so many digits, taken off the front.
pub fn digits(rest: &mut &[u8], radix: u32, most: usize) -> Option<u32> {
    let mut number = None;
    for _ in 0..most {
        let digit = rest
            .first()
            .and_then(|byte| (*byte as char).to_digit(radix));
        let Some(digit) = digit else { break };
        number = Some(
            number
                .unwrap_or(0u32)
                .wrapping_mul(radix)
                .wrapping_add(digit),
        );
        *rest = &rest[1..];
    }
    number
}

/// The text in quotes, so that the shell reads it back as it is; as it stands if no byte of it is special.
pub fn quote(text: &[u8]) -> Bytes {
    let special = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"_-+./,:@%=^".contains(byte));
    if text.iter().any(|byte| byte.is_ascii_control()) {
        return quote_escaped(text);
    }
    match text.is_empty() || text.iter().any(special) {
        true => quote_always(text),
        false => text.to_vec(),
    }
}

/// The text in single quotes.
pub fn quote_always(text: &[u8]) -> Bytes {
    let mut quoted = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// The text as `$'…'`, its control characters escaped.
fn quote_escaped(text: &[u8]) -> Bytes {
    let mut quoted = b"$'".to_vec();
    for byte in text {
        match byte {
            b'\n' => quoted.extend_from_slice(b"\\n"),
            b'\t' => quoted.extend_from_slice(b"\\t"),
            b'\r' => quoted.extend_from_slice(b"\\r"),
            27 => quoted.extend_from_slice(b"\\E"),
            b'\'' | b'\\' => quoted.extend([b'\\', *byte]),
            byte if byte.is_ascii_control() => {
                quoted.extend_from_slice(format!("\\{byte:03o}").as_bytes());
            }
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_name_bytes() {
        assert_eq!(unescape(br"a\n\x41\101\'\u00e9\q"), b"a\nAA'\xc3\xa9\\q");
        assert_eq!(unescape(br"\cA\e"), b"\x01\x1b");
        assert_eq!(unescape(br"ab\x00c"), b"ab");
    }

    #[test]
    fn quoted_text_is_one_word() {
        assert_eq!(quote(b"a.b"), b"a.b");
        assert_eq!(quote(b""), b"''");
        assert_eq!(quote(b"it's"), br"'it'\''s'");
        assert_eq!(quote(b"a\nb'"), br"$'a\nb\''");
    }
}
