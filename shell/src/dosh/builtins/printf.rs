//! `printf` (XCU printf).

use super::declare::element;
use super::{settled, shown};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::quoting::{digits, quote};
use crate::dosh::syntax::token::is_name;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::ffi::CString;

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut words = &words[1..];
    let mut variable = None;
    match words {
        [option, name, rest @ ..] if option == b"-v" => {
            if !is_name(name) && element(name).is_none() {
                let message = format_args!("`{}': not a valid identifier", shown(name));
                return Ok(shell.refuse_with(b"printf", message, 2));
            }
            variable = Some(name);
            words = rest;
        }
        [option, rest @ ..] if option == b"--" => words = rest,
        _ => {}
    }
    let Some((format, arguments)) = words.split_first() else {
        return Ok(shell.refuse_with(b"printf", "usage: printf format [arguments]", 2));
    };
    let mut output = Output {
        text: Bytes::new(),
        arguments,
        used: 0,
        shell,
        status: 0,
    };
    loop {
        let before = output.used;
        let stopped = output.format(format);
        // The format is used again as long as it uses arguments up.
        if stopped || output.used == before || output.used >= arguments.len() {
            break;
        }
    }
    let (text, status) = (output.text, output.status);
    match variable {
        Some(name) => settled(assign(shell, name, text), status),
        None => Ok(shell.put(b"printf", &text).max(status)),
    }
}

fn assign(shell: &mut Shell, name: &[u8], text: Bytes) -> Run {
    match element(name) {
        Some((array, index)) => {
            let index = shell.arithmetic_text(index, 0)?;
            shell.assign_element(array, index, text)
        }
        None => shell.assign(name, text),
    }
}

/// Appends text with its escapes replaced as `echo -e` and `%b` do; whether `\c` has ended all output.
pub fn escapes(text: &[u8], out: &mut Bytes) -> bool {
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        match rest.first() {
            Some(b'c') => return true,
            Some(b'0') => {
                rest = &rest[1..];
                out.push(digits(&mut rest, 8, 3).unwrap_or(0) as u8);
            }
            _ => escape(&mut rest, out),
        }
    }
    false
}

/// One escape, from behind its backslash.
fn escape(rest: &mut &[u8], out: &mut Bytes) {
    let Some((letter, tail)) = rest.split_first() else {
        return out.push(b'\\');
    };
    if (b'0'..=b'7').contains(letter) {
        return out.push(digits(rest, 8, 3).unwrap_or(0) as u8);
    }
    *rest = tail;
    match letter {
        b'a' => out.push(7),
        b'b' => out.push(8),
        b'e' | b'E' => out.push(27),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(11),
        b'\\' | b'"' | b'\'' => out.push(*letter),
        b'x' => match digits(rest, 16, 2) {
            Some(code) => out.push(code as u8),
            None => out.extend_from_slice(b"\\x"),
        },
        b'u' | b'U' => {
            let most = if *letter == b'u' { 4 } else { 8 };
            let code = digits(rest, 16, most).and_then(char::from_u32);
            out.extend(
                code.into_iter()
                    .flat_map(|code| code.to_string().into_bytes()),
            );
        }
        letter => out.extend([b'\\', *letter]),
    }
}

/// Flags, width and precision of one conversion.
#[derive(Default)]
struct Conversion {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// What a conversion can show.
#[derive(Clone, Copy)]
enum Range {
    Signed,
    Unsigned,
}

/// The constant of C that a text begins with, at most the largest there is, and where it ends.
fn leading_number(text: &[u8]) -> (u128, usize) {
    let (base, start) = match text {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (16, 2),
        [b'0', ..] => (8, 0),
        _ => (10, 0),
    };
    let mut number = 0u128;
    let mut end = start;
    while let Some(digit) = text
        .get(end)
        .and_then(|byte| char::from(*byte).to_digit(base))
    {
        number = number
            .saturating_mul(base.into())
            .saturating_add(digit.into());
        end += 1;
    }
    (number, end)
}

struct Output<'a> {
    text: Bytes,
    arguments: &'a [Bytes],
    used: usize,
    shell: &'a Shell,
    status: i32,
}

impl Output<'_> {
    fn argument(&mut self) -> Option<&[u8]> {
        let argument = self.arguments.get(self.used);
        self.used += 1;
        argument.map(|argument| &argument[..])
    }

    fn refuse(&mut self, text: &[u8], why: &str) {
        let text = shown(text);
        self.status = self
            .shell
            .refuse_with(b"printf", format_args!("{text}: {why}"), 1);
    }

    /// Uses the format once; whether output has ended.
    fn format(&mut self, format: &[u8]) -> bool {
        let mut rest = format;
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            match first {
                b'\\' if rest.first() == Some(&b'c') => return true,
                b'\\' => escape(&mut rest, &mut self.text),
                b'%' if rest.first() == Some(&b'%') => {
                    self.text.push(b'%');
                    rest = &rest[1..];
                }
                b'%' => {
                    if self.convert(&mut rest) {
                        return true;
                    }
                }
                byte => self.text.push(*byte),
            }
        }
        false
    }

    fn convert(&mut self, rest: &mut &[u8]) -> bool {
        let mut conversion = Conversion::default();
        while let Some((flag, tail)) = rest.split_first() {
            match flag {
                b'-' => conversion.left = true,
                b'0' => conversion.zero = true,
                b'+' => conversion.plus = true,
                b' ' => conversion.space = true,
                b'#' => conversion.alternate = true,
                _ => break,
            }
            *rest = tail;
        }
        let width = self.size(rest);
        if let Some(width) = width {
            conversion.left |= width < 0;
            conversion.width = width.unsigned_abs() as usize;
        }
        if let [b'.', tail @ ..] = rest {
            *rest = tail;
            let precision = self.size(rest).unwrap_or(0);
            conversion.precision = usize::try_from(precision).ok();
        }
        while let [b'l' | b'h' | b'L' | b'j' | b'z' | b't', tail @ ..] = rest {
            *rest = tail;
        }
        let Some((letter, tail)) = rest.split_first() else {
            self.refuse(b"%", "missing format character");
            return true;
        };
        *rest = tail;
        self.one(*letter, &conversion)
    }

    /// A width or precision: digits, or `*` for an argument.
    fn size(&mut self, rest: &mut &[u8]) -> Option<i64> {
        if let [b'*', tail @ ..] = rest {
            *rest = tail;
            let argument = self.argument().unwrap_or_default().to_vec();
            return Some(self.integer(&argument, Range::Signed));
        }
        digits(rest, 10, 9).map(i64::from)
    }

    /// Converts one argument; whether output has ended.
    fn one(&mut self, letter: u8, conversion: &Conversion) -> bool {
        let argument = self.argument().map(<[u8]>::to_vec);
        let given = argument.as_deref().unwrap_or_default();
        match letter {
            b's' => self.pad_text(given, conversion),
            b'c' => self.pad_text(&given[..given.len().min(1)], conversion),
            b'q' => self.pad_text(&quote(given), conversion),
            b'b' => {
                let mut text = Bytes::new();
                let ended = escapes(given, &mut text);
                self.pad_text(&text, conversion);
                return ended;
            }
            b'd' | b'i' => {
                let value = self.integer(given, Range::Signed);
                let sign = match value {
                    value if value < 0 => "-",
                    _ if conversion.plus => "+",
                    _ if conversion.space => " ",
                    _ => "",
                };
                self.pad_number(sign, &value.unsigned_abs().to_string(), conversion);
            }
            b'u' => {
                let value = self.integer(given, Range::Unsigned) as u64;
                self.pad_number("", &value.to_string(), conversion);
            }
            b'o' => {
                let value = self.integer(given, Range::Unsigned) as u64;
                let text = format!("{value:o}");
                let prefix = if conversion.alternate && value != 0 {
                    "0"
                } else {
                    ""
                };
                self.pad_number(prefix, &text, conversion);
            }
            b'x' | b'X' => {
                let value = self.integer(given, Range::Unsigned) as u64;
                let (prefix, text) = match letter {
                    b'x' => ("0x", format!("{value:x}")),
                    _ => ("0X", format!("{value:X}")),
                };
                let prefix = if conversion.alternate && value != 0 {
                    prefix
                } else {
                    ""
                };
                self.pad_number(prefix, &text, conversion);
            }
            b'e' | b'E' | b'f' | b'F' | b'g' | b'G' | b'a' | b'A' => {
                let value = self.double(given);
                self.push_double(letter, value, conversion);
            }
            letter => {
                self.refuse(&[b'%', letter], "invalid format character");
                return true;
            }
        }
        false
    }

    fn pad_text(&mut self, text: &[u8], conversion: &Conversion) {
        let length = conversion
            .precision
            .map_or(text.len(), |most| text.len().min(most));
        self.pad(&text[..length], conversion);
    }

    fn pad(&mut self, text: &[u8], conversion: &Conversion) {
        let missing = conversion.width.saturating_sub(text.len());
        let blanks = std::iter::repeat_n(b' ', missing);
        match conversion.left {
            true => {
                self.text.extend_from_slice(text);
                self.text.extend(blanks);
            }
            false => {
                self.text.extend(blanks);
                self.text.extend_from_slice(text);
            }
        }
    }

    fn pad_number(&mut self, sign: &str, digits: &str, conversion: &Conversion) {
        let least = match conversion.precision {
            Some(precision) => precision,
            None if conversion.zero && !conversion.left => {
                conversion.width.saturating_sub(sign.len())
            }
            None => 1,
        };
        // A precision of 0 leaves nothing of the number 0.
        let digits = if conversion.precision == Some(0) && digits == "0" {
            ""
        } else {
            digits
        };
        let text = format!("{sign}{digits:0>least$}");
        self.pad(text.as_bytes(), conversion);
    }

    fn push_double(&mut self, letter: u8, value: f64, conversion: &Conversion) {
        let mut format = b"%".to_vec();
        for (on, flag) in [
            (conversion.left, b'-'),
            (conversion.zero, b'0'),
            (conversion.plus, b'+'),
            (conversion.space, b' '),
            (conversion.alternate, b'#'),
        ] {
            format.extend(on.then_some(flag));
        }
        if conversion.width > 0 {
            format.extend(conversion.width.to_string().into_bytes());
        }
        if let Some(precision) = conversion.precision {
            format.extend(format!(".{precision}").into_bytes());
        }
        format.push(letter);
        if let Ok(format) = CString::new(format) {
            self.text.extend(sys::format_double(&format, value));
        }
    }

    /// The number that an argument is: `'x` is the byte's. What follows a number, or is too large, is refused.
    fn integer(&mut self, text: &[u8], range: Range) -> i64 {
        if let [b'\'' | b'"', rest @ ..] = text {
            return rest.first().map_or(0, |byte| i64::from(*byte));
        }
        if text.is_empty() {
            return 0;
        }
        let (negative, rest) = match text.trim_ascii_start() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (magnitude, end) = leading_number(rest);
        if end == 0 || end < rest.len() {
            self.refuse(text, "invalid number");
        }
        let most = match (range, negative) {
            (Range::Signed, true) => i64::MIN.unsigned_abs(),
            (Range::Signed, false) => i64::MAX as u64,
            (Range::Unsigned, _) => u64::MAX,
        };
        match u64::try_from(magnitude) {
            Ok(value) if value <= most && negative => value.wrapping_neg() as i64,
            Ok(value) if value <= most => value as i64,
            _ => {
                self.refuse(text, "number out of range");
                match (range, negative) {
                    (Range::Signed, true) => i64::MIN,
                    _ => most as i64,
                }
            }
        }
    }

    fn double(&mut self, text: &[u8]) -> f64 {
        if let [b'\'' | b'"', rest @ ..] = text {
            return rest.first().map_or(0.0, |byte| f64::from(*byte));
        }
        if text.is_empty() {
            return 0.0;
        }
        let trimmed = text.trim_ascii_start();
        let parsed = |end: &usize| {
            std::str::from_utf8(&trimmed[..*end])
                .ok()
                .and_then(|text| text.parse::<f64>().ok())
        };
        if let [b'0', b'x' | b'X', ..] = trimmed {
            return self.integer(text, Range::Signed) as f64;
        }
        let longest = (1..=trimmed.len()).rev().find(|end| parsed(end).is_some());
        if longest != Some(trimmed.len()) {
            self.refuse(text, "invalid number");
        }
        longest.and_then(|end| parsed(&end)).unwrap_or(0.0)
    }
}
