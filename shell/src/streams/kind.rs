//! What a standard stream is, as far as it matters here.

use super::guest;
use hostcall::missing;
use nix::sys::stat::{fstat, major, minor};
use std::io::IsTerminal;

#[used]
#[allow(unsafe_code)]
#[link_section = ".init_array"]
static LOOK: extern "C" fn() = missing::look;

/// Does so for this process as the runtime does when a program starts: what is missing is /dev/null from here on, so that no file of
/// ours takes its number.
pub fn fill_missing() {
    missing::look();
    for number in { 0..3 }.filter(|number| missing::is_missing(*number)) {
        super::let_go(number);
    }
}

/// Kinds of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No open file.
    Closed,
    /// `/dev/null`.
    Null,
    /// A terminal.
    Terminal,
    /// A regular file.
    File,
    /// A pipe.
    Pipe,
    /// Whatever else carries bytes: a socket, a device.
    Other,
}

/// Looks at one.
pub fn of(number: usize) -> Kind {
    let Ok(stat) = fstat(guest(number)) else {
        return Kind::Closed;
    };
    if missing::is_missing(number) {
        return Kind::Closed;
    }
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => Kind::File,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFCHR if device == (1, 3) => Kind::Null,
        libc::S_IFCHR if guest(number).is_terminal() => Kind::Terminal,
        _ => Kind::Other,
    }
}

/// Whether two streams are one open file.
pub fn are_one(a: usize, b: usize) -> bool {
    hostcall::open_file::are_one(guest(a), guest(b))
}
