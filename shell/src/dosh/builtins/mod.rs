//! Built-in commands (XCU 2.14 and those that a shell must do itself).

mod control;
mod declare;
mod directory;
mod echo;
mod fc;
mod getopts;
mod history;
mod host;
mod jobs;
mod kill;
mod limits;
mod names;
mod printf;
mod read;
mod set;
mod terminal;
pub mod test;
mod trap;

pub use control::source;
pub use jobs::settle;

use super::shell::{Flow, Run, Shell};
use super::syntax::tree::Bytes;
use super::sys;
use std::fmt::Display;

/// Given the words of the command, answers the status.
pub type Main = fn(&mut Shell, &[Bytes]) -> Run<i32>;

#[derive(Clone, Copy)]
pub struct Builtin {
    pub run: Main,
    /// Its errors end a script, and its assignments stay (XCU 2.14).
    pub special: bool,
    /// It is a program of its own, in a process of its own.
    pub apart: bool,
}

/// Every built-in's name.
pub const NAMES: &[&[u8]] = &[
    b":",
    b".",
    b"break",
    b"continue",
    b"eval",
    b"exec",
    b"exit",
    b"export",
    b"readonly",
    b"return",
    b"set",
    b"shift",
    b"times",
    b"trap",
    b"unset",
    b"[",
    b"test",
    b"alias",
    b"bg",
    b"builtin",
    b"cd",
    b"command",
    b"echo",
    b"false",
    b"fc",
    b"fg",
    b"getopts",
    b"guest",
    b"hash",
    b"history",
    b"hcd",
    b"host",
    b"hpath",
    b"hpwd",
    b"hrun",
    b"hjobs",
    b"jobs",
    b"kill",
    b"local",
    b"declare",
    b"typeset",
    b"printf",
    b"pwd",
    b"read",
    b"source",
    b"true",
    b"type",
    b"ulimit",
    b"umask",
    b"unalias",
    b"wait",
];

/// The built-in of this name.
pub fn find(name: &[u8]) -> Option<Builtin> {
    let builtin = |run: Main, special, apart| {
        Some(Builtin {
            run,
            special,
            apart,
        })
    };
    let special = |run: Main| builtin(run, true, false);
    let regular = |run: Main| builtin(run, false, false);
    match name {
        b":" => special(control::colon),
        b"." => special(control::dot),
        b"break" => special(control::leave),
        b"continue" => special(control::go_on),
        b"eval" => special(control::eval),
        b"exec" => special(control::exec),
        b"exit" => special(control::exit),
        b"export" => special(declare::export),
        b"readonly" => special(declare::readonly),
        b"return" => special(control::go_back),
        b"set" => special(set::set),
        b"shift" => special(set::shift),
        b"times" => special(control::times),
        b"trap" => special(trap::trap),
        b"unset" => special(declare::unset),
        b"[" | b"test" => regular(test::main),
        b"alias" => regular(names::alias),
        b"bg" => regular(jobs::bg),
        b"builtin" => regular(names::builtin),
        b"cd" => regular(directory::cd),
        b"command" => regular(names::command),
        b"echo" => regular(echo::main),
        b"false" => regular(control::no),
        b"fc" => regular(fc::main),
        b"fg" => regular(jobs::fg),
        b"getopts" => regular(getopts::main),
        b"guest" => regular(host::guest),
        b"hash" => regular(names::hash),
        b"history" => regular(history::main),
        b"hcd" => regular(host::hcd),
        b"hjobs" => regular(jobs::hjobs),
        b"host" => regular(host::host),
        b"hpath" => regular(host::hpath),
        b"hpwd" => regular(host::hpwd),
        b"hrun" => builtin(host::hrun, false, true),
        b"jobs" => regular(jobs::jobs),
        b"kill" => regular(kill::main),
        b"local" | b"declare" | b"typeset" => regular(declare::local),
        b"printf" => regular(printf::main),
        b"pwd" => regular(directory::pwd),
        b"read" => regular(read::main),
        b"source" => regular(control::source),
        b"true" => regular(control::yes),
        b"type" => regular(names::kind),
        b"ulimit" => regular(limits::ulimit),
        b"umask" => regular(limits::umask),
        b"unalias" => regular(names::unalias),
        b"wait" => regular(jobs::wait),
        _ => None,
    }
}

impl Shell {
    /// Writes to standard output; answers the built-in's status.
    pub fn put(&self, name: &[u8], text: &[u8]) -> i32 {
        match sys::write_all(1, text) {
            Ok(()) => 0,
            Err(error) => {
                self.refuse_with(name, format_args!("write error: {}", sys::reason(error)), 1)
            }
        }
    }

    /// Tells a built-in's error; answers the status.
    pub fn refuse_with(&self, name: &[u8], message: impl Display, status: i32) -> i32 {
        self.complain(format_args!("{}: {message}", String::from_utf8_lossy(name)));
        status
    }

    /// The error of a special built-in, which ends a script.
    pub fn fail_with(&mut self, name: &[u8], message: impl Display, status: i32) -> Flow {
        Flow::Abort(self.refuse_with(name, message, status))
    }
}

/// The status of a regular built-in that has assigned: to fail in that is its failure, and ends nothing.
fn settled(assigned: Run, status: i32) -> Run<i32> {
    match assigned {
        Ok(()) => Ok(status),
        Err(Flow::Abort(status)) => Ok(status),
        Err(flow) => Err(flow),
    }
}

/// A decimal number that is not negative.
pub fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Text for a message.
pub fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Options at the front of the arguments: each letter, with its operand if it takes one.
pub struct Letters<'a> {
    rest: &'a [Bytes],
    /// Within the current word.
    within: &'a [u8],
    with_operand: &'static [u8],
}

impl<'a> Letters<'a> {
    /// `with_operand`: the letters that take one.
    pub fn new(arguments: &'a [Bytes], with_operand: &'static [u8]) -> Letters<'a> {
        Letters {
            rest: arguments.get(1..).unwrap_or_default(),
            within: b"",
            with_operand,
        }
    }

    /// The next option; an operand that is missing is empty.
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        if self.within.is_empty() {
            let (first, rest) = self.rest.split_first()?;
            match &first[..] {
                b"--" => {
                    self.rest = rest;
                    return None;
                }
                [b'-', letters @ ..] if !letters.is_empty() => {
                    self.within = letters;
                    self.rest = rest;
                }
                _ => return None,
            }
        }
        let (letter, within) = self.within.split_first()?;
        self.within = within;
        if !self.with_operand.contains(letter) {
            return Some((*letter, b""));
        }
        if !within.is_empty() {
            self.within = b"";
            return Some((*letter, within));
        }
        match self.rest.split_first() {
            Some((operand, rest)) => {
                self.rest = rest;
                Some((*letter, operand))
            }
            None => Some((*letter, b"")),
        }
    }

    /// What follows the options.
    pub fn operands(self) -> &'a [Bytes] {
        self.rest
    }
}
