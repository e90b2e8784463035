//! `test` and `[` (XCU test).

use super::declare::element;
use super::shown;
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::{metadata, symlink_metadata, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

type Verdict = Result<bool, String>;

const UNARY: &[u8] = b"abcdefghknoprstuvwxzGLNOS";

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut arguments: Vec<&[u8]> = words[1..].iter().map(|word| &word[..]).collect();
    if words[0] == b"[" && arguments.pop() != Some(b"]") {
        return Ok(shell.refuse_with(b"[", "missing `]'", 2));
    }
    Ok(match evaluate(shell, &arguments) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(why) => shell.refuse_with(&words[0], why, 2),
    })
}

/// By the number of arguments, as XCU has it.
fn evaluate(shell: &mut Shell, arguments: &[&[u8]]) -> Verdict {
    match arguments {
        [] => Ok(false),
        [one] => Ok(!one.is_empty()),
        [b"!", one] => Ok(one.is_empty()),
        [op, operand] if is_unary(op) => unary(shell, op, operand),
        [op, _] => Err(format!("{}: unary operator expected", shown(op))),
        [left, op, right] if is_binary(op) => binary(left, op, right),
        [left, b"-a", right] => Ok(!left.is_empty() && !right.is_empty()),
        [left, b"-o", right] => Ok(!left.is_empty() || !right.is_empty()),
        [b"!", rest @ ..] if rest.len() < 4 => evaluate(shell, rest).map(|verdict| !verdict),
        [b"(", one, b")"] => Ok(!one.is_empty()),
        [b"(", one, two, b")"] => evaluate(shell, &[one, two]),
        [_, op, _] => Err(format!("{}: binary operator expected", shown(op))),
        arguments => {
            let mut rest = arguments;
            let verdict = either(shell, &mut rest)?;
            match rest {
                [] => Ok(verdict),
                _ => Err("too many arguments".to_owned()),
            }
        }
    }
}

fn either(shell: &mut Shell, rest: &mut &[&[u8]]) -> Verdict {
    let mut verdict = both(shell, rest)?;
    while let [b"-o", tail @ ..] = rest {
        *rest = tail;
        verdict |= both(shell, rest)?;
    }
    Ok(verdict)
}

fn both(shell: &mut Shell, rest: &mut &[&[u8]]) -> Verdict {
    let mut verdict = primary(shell, rest)?;
    while let [b"-a", tail @ ..] = rest {
        *rest = tail;
        verdict &= primary(shell, rest)?;
    }
    Ok(verdict)
}

fn primary(shell: &mut Shell, rest: &mut &[&[u8]]) -> Verdict {
    match *rest {
        // Between parentheses even an operator is a word.
        [b"(", one, b")", tail @ ..] => {
            *rest = tail;
            Ok(!one.is_empty())
        }
        [left, op, right, tail @ ..] if is_binary(op) => {
            *rest = tail;
            binary(left, op, right)
        }
        [b"!", tail @ ..] => {
            *rest = tail;
            primary(shell, rest).map(|verdict| !verdict)
        }
        [b"(", tail @ ..] => {
            *rest = tail;
            let verdict = either(shell, rest)?;
            match rest {
                [b")", tail @ ..] => {
                    *rest = tail;
                    Ok(verdict)
                }
                _ => Err("`)' expected".to_owned()),
            }
        }
        [op, operand, tail @ ..] if is_unary(op) => {
            *rest = tail;
            unary(shell, op, operand)
        }
        [one, tail @ ..] => {
            *rest = tail;
            Ok(!one.is_empty())
        }
        [] => Err("argument expected".to_owned()),
    }
}

fn is_unary(op: &[u8]) -> bool {
    matches!(op, [b'-', letter] if UNARY.contains(letter))
}

fn is_binary(op: &[u8]) -> bool {
    matches!(
        op,
        b"=" | b"=="
            | b"!="
            | b"<"
            | b">"
            | b"-eq"
            | b"-ne"
            | b"-lt"
            | b"-le"
            | b"-gt"
            | b"-ge"
            | b"-nt"
            | b"-ot"
            | b"-ef"
    )
}

/// A primary with one operand.
///
/// # Errors
/// It makes no sense.
pub fn unary(shell: &mut Shell, op: &[u8], operand: &[u8]) -> Verdict {
    let path = OsStr::from_bytes(operand);
    let file = || metadata(path).ok();
    let is = |fits: fn(&Metadata) -> bool| Ok(file().is_some_and(|meta| fits(&meta)));
    match op {
        b"-n" => Ok(!operand.is_empty()),
        b"-z" => Ok(operand.is_empty()),
        b"-e" | b"-a" => Ok(file().is_some()),
        b"-f" => is(|meta| meta.is_file()),
        b"-d" => is(|meta| meta.is_dir()),
        b"-s" => is(|meta| meta.len() > 0),
        b"-b" => is(|meta| meta.file_type().is_block_device()),
        b"-c" => is(|meta| meta.file_type().is_char_device()),
        b"-p" => is(|meta| meta.file_type().is_fifo()),
        b"-S" => is(|meta| meta.file_type().is_socket()),
        b"-h" | b"-L" => Ok(symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())),
        b"-u" => is(|meta| meta.mode() & libc::S_ISUID != 0),
        b"-g" => is(|meta| meta.mode() & libc::S_ISGID != 0),
        b"-k" => is(|meta| meta.mode() & libc::S_ISVTX != 0),
        b"-O" => is(|meta| meta.uid() == nix::unistd::geteuid().as_raw()),
        b"-G" => is(|meta| meta.gid() == nix::unistd::getegid().as_raw()),
        b"-N" => is(|meta| meta.mtime() > meta.atime()),
        b"-r" => Ok(sys::may(operand, libc::R_OK)),
        b"-w" => Ok(sys::may(operand, libc::W_OK)),
        b"-x" => Ok(sys::may(operand, libc::X_OK)),
        b"-t" => match super::number(operand) {
            Some(fd) => Ok(sys::is_terminal(fd as i32)),
            None => Err(format!("{}: integer expression expected", shown(operand))),
        },
        b"-o" => Ok(shell.options.is_on(operand).unwrap_or(false)),
        b"-v" => has_value(shell, operand),
        op => Err(format!("{}: unary operator expected", shown(op))),
    }
}

/// Whether a variable, or an element of an array, has a value.
fn has_value(shell: &mut Shell, name: &[u8]) -> Verdict {
    let Some((array, index)) = element(name) else {
        return Ok(shell.variables.get(name).is_some());
    };
    let indices = |shell: &Shell| -> Vec<i64> {
        let elements = shell.variables.elements(array);
        elements.iter().map(|(at, _)| *at).collect()
    };
    if matches!(index, b"@" | b"*") {
        return Ok(!indices(shell).is_empty());
    }
    let index = shell.arithmetic_text(index, 0);
    let index = index.map_err(|_| format!("{}: bad array subscript", shown(name)))?;
    let indices = indices(shell);
    let end = indices.last().map_or(0, |last| last + 1);
    Ok(indices.contains(&if index < 0 { end + index } else { index }))
}

/// A primary with two operands.
///
/// # Errors
/// It makes no sense, or an operand is no number.
pub fn binary(left: &[u8], op: &[u8], right: &[u8]) -> Verdict {
    let compare = |fits: fn(Ordering) -> bool| Ok(fits(integer(left)?.cmp(&integer(right)?)));
    let times = || {
        let time = |path: &[u8]| {
            let meta = metadata(OsStr::from_bytes(path)).ok()?;
            Some((meta.mtime(), meta.mtime_nsec()))
        };
        (time(left), time(right))
    };
    match op {
        b"=" | b"==" => Ok(left == right),
        b"!=" => Ok(left != right),
        b"<" => Ok(left < right),
        b">" => Ok(left > right),
        b"-eq" => compare(|order| order == Ordering::Equal),
        b"-ne" => compare(|order| order != Ordering::Equal),
        b"-lt" => compare(|order| order == Ordering::Less),
        b"-le" => compare(|order| order != Ordering::Greater),
        b"-gt" => compare(|order| order == Ordering::Greater),
        b"-ge" => compare(|order| order != Ordering::Less),
        // A file that is not there is older than any.
        b"-nt" => Ok(times().0 > times().1),
        b"-ot" => Ok(times().0 < times().1),
        b"-ef" => {
            let place = |path: &[u8]| {
                let meta = metadata(OsStr::from_bytes(path)).ok()?;
                Some((meta.dev(), meta.ino()))
            };
            Ok(place(left).is_some() && place(left) == place(right))
        }
        op => Err(format!("{}: binary operator expected", shown(op))),
    }
}

fn integer(text: &[u8]) -> Result<i64, String> {
    let parsed = std::str::from_utf8(text.trim_ascii())
        .ok()
        .and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("{}: integer expression expected", shown(text)))
}
