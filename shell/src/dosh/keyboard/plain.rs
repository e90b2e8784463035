//! Reading lines as the terminal gives them: where it can do no more, and what was typed before the prompt.

use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::io::ErrorKind;

/// The longest line that a terminal gives, n_tty(7).
const LONGEST: usize = 4096;

/// Reads a line, without its newline. Nothing at the end of input.
///
/// # Errors
/// A signal ends the reading.
pub fn line(shell: &mut Shell) -> Run<Option<Bytes>> {
    let mut line = Bytes::new();
    loop {
        let mut byte = [0];
        match sys::read_unless_noted(0, &mut byte) {
            Ok(1) if byte[0] == b'\n' => {
                // An interrupt takes away what was typed before it: this line came behind it.
                if let Err(Flow::Abort(status)) = shell.run_pending_traps() {
                    shell.status = status;
                }
                return Ok(Some(line));
            }
            Ok(1) => line.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => shell.run_pending_traps()?,
            Ok(_) | Err(_) => return Ok((!line.is_empty()).then_some(line)),
        }
    }
}

/// What was typed while a command ran.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Nothing,
    /// A whole line.
    Line(Bytes),
    /// Text for the editor: its line was not ended, or edited by keys that the terminal does not know.
    Part(String),
    End,
}

/// Takes one line of what was typed. What follows it stays in the terminal: it can be meant for the line's command. Of a line that was
/// not ended nothing can be read, and the editor gets it as it is, but where it was typed between the last Enter and the editor's end.
pub fn typed() -> Typed {
    if !sys::readable(0, 0) {
        return Typed::Nothing;
    }
    let mut line = vec![0; LONGEST];
    let count = sys::read(0, &mut line).unwrap_or(0);
    line.truncate(count);
    of(&line)
}

fn of(line: &[u8]) -> Typed {
    let plain = |line: &[u8]| {
        !line
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    };
    match line.strip_suffix(b"\n") {
        _ if line.is_empty() => Typed::End,
        Some(line) if plain(line) => Typed::Line(line.to_vec()),
        ended => Typed::Part(edited(&String::from_utf8_lossy(ended.unwrap_or(line)))),
    }
}

/// What keys leave of a line, as far as they need no cursor.
fn edited(keys: &str) -> String {
    let mut text = String::new();
    let mut keys = keys.chars();
    while let Some(key) = keys.next() {
        match key {
            '\x03' | '\x15' => text.clear(),
            '\x08' | '\x7f' => drop(text.pop()),
            '\x1b' => skip_sequence(&mut keys),
            '\t' => text.push('\t'),
            key if key.is_control() => {}
            key => text.push(key),
        }
    }
    text
}

/// Behind an escape: a letter, or all up to one (ECMA-48, 5.4).
fn skip_sequence(keys: &mut std::str::Chars) {
    if matches!(keys.next(), Some('[' | 'O')) {
        keys.find(|key| matches!(key, '@'..='~'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_is_one() {
        assert_eq!(of(b"ls\t-l\n"), Typed::Line(b"ls\t-l".to_vec()));
        assert_eq!(of(b"\n"), Typed::Line(Bytes::new()));
        assert_eq!(of(b""), Typed::End);
        assert_eq!(of(b"ls"), Typed::Part("ls".to_owned()));
        assert_eq!(of(b"ls\x1b[A\n"), Typed::Part("ls".to_owned()));
    }

    #[test]
    fn keys_edit_as_they_would_have() {
        assert_eq!(edited("a\x03bc\x7fd"), "bd");
        assert_eq!(edited("a\x1b[1;5Cb\x1bOPc\x1bfd\x0c"), "abcd");
    }
}
