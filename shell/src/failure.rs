//! Why a program of ours gives up: one line, and a status by which scripts tell it from the host program's.

use hostcall::say::complain;
use hostcall::types::Errno;
use std::fmt;

/// hrun itself failed.
pub const OWN: u8 = 125;
/// The program is refused, or is none.
pub const REFUSED: u8 = 126;
/// There is no such program.
pub const MISSING: u8 = 127;

/// A line for the user, with the cure, and the status to end with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub status: u8,
    /// The line, without the program's name.
    pub line: String,
}

impl Failure {
    /// A failure of our own.
    pub fn own(line: impl fmt::Display) -> Failure {
        Failure {
            status: OWN,
            line: line.to_string(),
        }
    }

    /// Tells it, as the program of this name.
    pub fn tell(&self, name: &str) {
        complain(name, &self.line);
    }

    /// The host is gone, or does not do what it should.
    pub fn host(what: &str, errno: Errno) -> Failure {
        match errno.0 {
            libc::ENOTCONN => Failure::own("the host is gone; is hostd running?"),
            _ => Failure::own(format_args!("{what}: {errno}")),
        }
    }
}

/// Text from elsewhere, without what would move a terminal's cursor.
pub fn plain(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let escaped = text.chars().map(|letter| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_no_cursor() {
        assert_eq!(plain(b"a\x1b[2J\n\xc3\xa9"), "a\\u{1b}[2J\\né");
    }
}
