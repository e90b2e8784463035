//! `read` (XCU read).

use super::terminal::Taken;
use super::{number, settled, shown, Letters};
use crate::dosh::ifs::{Ifs, Separates};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::token::is_name;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How a line is read.
struct Options {
    raw: bool,
    delimiter: u8,
    most: Option<usize>,
    /// The delimiter ends nothing.
    exact: bool,
    silent: bool,
    /// What is shown first, at a terminal.
    prompt: Bytes,
    until: Option<Instant>,
    /// Nothing is read: whether there is something is the status.
    asks: bool,
}

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"pdnNtua");
    let mut options = Options {
        raw: false,
        delimiter: b'\n',
        most: None,
        exact: false,
        silent: false,
        prompt: Bytes::new(),
        until: None,
        asks: false,
    };
    let (mut fd, mut array) = (0, None);
    while let Some((letter, operand)) = letters.next() {
        match letter {
            b'r' => options.raw = true,
            b'p' => options.prompt = operand.to_vec(),
            b'd' => options.delimiter = operand.first().copied().unwrap_or(0),
            b'n' | b'N' => {
                let Some(most) = number(operand) else {
                    return Ok(invalid(shell, operand, "number"));
                };
                options.exact = letter == b'N';
                options.most = Some(most as usize);
            }
            b't' => {
                let text = std::str::from_utf8(operand).ok();
                let seconds = text.and_then(|text| text.parse::<f64>().ok());
                let Some(seconds) = seconds.filter(|seconds| *seconds >= 0.0) else {
                    return Ok(invalid(shell, operand, "timeout specification"));
                };
                options.asks = seconds == 0.0;
                options.until =
                    Some(Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
            }
            b'u' => {
                let Some(number) = number(operand) else {
                    return Ok(invalid(shell, operand, "file descriptor specification"));
                };
                fd = number as i32;
            }
            b'a' => array = Some(operand.to_vec()),
            b's' => options.silent = true,
            b'e' => {}
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"read", message, 2));
            }
        }
    }
    let names = letters.operands();
    if let Some(name) = names.iter().chain(&array).find(|name| !is_name(name)) {
        return Ok(shell.refuse_with(
            b"read",
            format_args!("`{}': not a valid identifier", shown(name)),
            1,
        ));
    }
    let (line, status) = match read_line(shell, fd, &options)? {
        Ok(read) => read,
        Err(error) => {
            return Ok(shell.refuse_with(
                b"read",
                format_args!("read error: {}", sys::reason(error)),
                1,
            ))
        }
    };
    let ifs = match options.exact {
        true => Rc::new(Ifs::new(Some(b""))),
        false => shell.variables.ifs(),
    };
    settled(assign(shell, array, names, &line, &ifs), status)
}

fn invalid(shell: &mut Shell, operand: &[u8], what: &str) -> i32 {
    let message = format!("{}: invalid {what}", shown(operand));
    shell.refuse_with(b"read", message, 1)
}

fn assign(
    shell: &mut Shell,
    array: Option<Bytes>,
    names: &[Bytes],
    line: &[Read],
    ifs: &Ifs,
) -> Run {
    if let Some(name) = array {
        let mut rest = trim_start(line, ifs);
        let mut fields = std::collections::BTreeMap::new();
        while !rest.is_empty() {
            let (field, after) = take_field(rest, ifs);
            fields.insert(fields.len() as i64, field);
            rest = after;
        }
        let result = shell.variables.set_array(&name, fields);
        return shell.assigned(&name, result);
    }
    match names {
        [] => shell.assign(b"REPLY", bytes(line)),
        names => assign_fields(shell, names, line, ifs),
    }
}

/// A byte, and whether a backslash stood before it.
type Read = (u8, bool);

/// Reads no byte more than the line, because a program may read on behind it.
fn read_line(
    shell: &mut Shell,
    fd: i32,
    options: &Options,
) -> Run<std::io::Result<(Vec<Read>, i32)>> {
    if options.asks {
        let is_ready = Input::new(fd, shell.interactive).is_ready(0);
        return Ok(Ok((Vec::new(), i32::from(!is_ready))));
    }
    let by_key = options.most.is_some() || options.delimiter != b'\n';
    let terminal = Taken::take(fd, options.silent, by_key);
    // Behind that: whoever sees the prompt types.
    if !options.prompt.is_empty() && sys::is_terminal(fd) {
        let _ = sys::write_all(2, &options.prompt);
    }
    let mut input = Input::new(fd, shell.interactive || terminal.is_some());
    let mut line = Vec::new();
    let mut escaped = false;
    let status = loop {
        if options.most.is_some_and(|most| line.len() >= most) {
            break 0;
        }
        if let Some(until) = options.until {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            if !input.is_ready(i32::try_from(left).unwrap_or(i32::MAX)) {
                if sys::any_arrived() {
                    heed(terminal.as_ref());
                    shell.run_pending_traps()?;
                    continue;
                }
                break 128 + libc::SIGALRM;
            }
        }
        let byte = match input.byte() {
            Ok(Some(byte)) => byte,
            Ok(None) => break 1,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                heed(terminal.as_ref());
                shell.run_pending_traps()?;
                continue;
            }
            Err(error) => return Ok(Err(error)),
        };
        match byte {
            b'\n' if escaped => escaped = false,
            byte if escaped => {
                line.push((byte, true));
                escaped = false;
            }
            b'\\' if !options.raw => escaped = true,
            byte if byte == options.delimiter && !options.exact => break 0,
            // A variable holds no NUL.
            0 => {}
            byte => line.push((byte, false)),
        }
    };
    input.finish();
    Ok(Ok((line, status)))
}

fn heed(terminal: Option<&Taken>) {
    if let Some(terminal) = terminal {
        terminal.heed();
    }
}

/// Input by blocks where what was read too much can be given back, else by bytes.
struct Input {
    fd: i32,
    block: Bytes,
    at: usize,
    size: usize,
    /// No signal may be missed: somebody sits before it.
    attentive: bool,
}

impl Input {
    fn new(fd: i32, interactive: bool) -> Input {
        let size = if sys::rewind(fd, 0) { 512 } else { 1 };
        Input {
            attentive: interactive && size == 1,
            fd,
            block: Bytes::new(),
            at: 0,
            size,
        }
    }

    fn is_ready(&self, milliseconds: i32) -> bool {
        self.at < self.block.len() || sys::readable(self.fd, milliseconds)
    }

    fn byte(&mut self) -> std::io::Result<Option<u8>> {
        if self.at == self.block.len() {
            self.block.resize(self.size, 0);
            let read = match self.attentive {
                true => sys::read_unless_noted,
                false => sys::read,
            };
            let count = match read(self.fd, &mut self.block) {
                Ok(count) => count,
                Err(error) => {
                    self.block.clear();
                    return Err(error);
                }
            };
            self.block.truncate(count);
            self.at = 0;
        }
        let byte = self.block.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }

    fn finish(&mut self) {
        let left = self.block.len() - self.at;
        if left > 0 {
            sys::rewind(self.fd, left);
        }
    }
}

fn separates(read: &Read, ifs: &Ifs) -> Separates {
    match read {
        (_, true) => Separates::No,
        (byte, false) => ifs.separates(*byte),
    }
}

fn trim_start<'l>(line: &'l [Read], ifs: &Ifs) -> &'l [Read] {
    let blanks = line
        .iter()
        .take_while(|read| separates(read, ifs) == Separates::Blank)
        .count();
    &line[blanks..]
}

/// The first field, and what follows its separator.
fn take_field<'l>(line: &'l [Read], ifs: &Ifs) -> (Bytes, &'l [Read]) {
    let end = line
        .iter()
        .position(|read| separates(read, ifs) != Separates::No);
    let (field, rest) = line.split_at(end.unwrap_or(line.len()));
    let mut rest = trim_start(rest, ifs);
    if rest
        .first()
        .is_some_and(|read| separates(read, ifs) == Separates::Mark)
    {
        rest = trim_start(&rest[1..], ifs);
    }
    (bytes(field), rest)
}

fn bytes(line: &[Read]) -> Bytes {
    line.iter().map(|(byte, _)| *byte).collect()
}

/// The last variable gets all that is left, without blanks at its end, and without a separator behind a last field.
fn assign_fields(shell: &mut Shell, names: &[Bytes], line: &[Read], ifs: &Ifs) -> Run {
    let mut rest = trim_start(line, ifs);
    let Some((last, names)) = names.split_last() else {
        return Ok(());
    };
    for name in names {
        let (field, after) = take_field(rest, ifs);
        shell.assign(name, field)?;
        rest = after;
    }
    let (field, after) = take_field(rest, ifs);
    if after.is_empty() {
        return shell.assign(last, field);
    }
    let blanks = rest
        .iter()
        .rev()
        .take_while(|read| separates(read, ifs) == Separates::Blank)
        .count();
    shell.assign(last, bytes(&rest[..rest.len() - blanks]))
}
