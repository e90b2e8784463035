//! What a standard stream is, as far as it matters here.
#![allow(unsafe_code)]

use super::guest;
use nix::sys::stat::{fstat, major, minor};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU8, Ordering};

/// A bit for each standard stream that this program was started without.
static MISSING: AtomicU8 = AtomicU8::new(0);

/// Looks ahead of std, which opens /dev/null for streams that are missing.
#[used]
#[link_section = ".init_array"]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    for number in 0..3 {
        // SAFETY: plain system call.
        match unsafe { libc::fcntl(number, libc::F_GETFD) } {
            -1 => MISSING.fetch_or(1 << number, Ordering::Relaxed),
            _ => MISSING.fetch_and(!(1 << number), Ordering::Relaxed),
        };
    }
}

/// Does so for this process as the runtime does when a program starts: what is missing is /dev/null from here on, so that no file of
/// ours takes its number.
pub fn fill_missing() {
    look();
    for number in 0..3 {
        if MISSING.load(Ordering::Relaxed) & 1 << number != 0 {
            super::let_go(number);
        }
    }
}

/// Undoes what the runtime has done when the program started: what was missing is missing again.
pub fn close_missing() {
    let missing = MISSING.swap(0, Ordering::Relaxed);
    for number in { 0..3 }.filter(|number| missing & 1 << number != 0) {
        // SAFETY: plain system call; what is open there is the runtime's, which does not use it.
        unsafe { libc::close(number) };
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
    let is_missing = number < 3 && MISSING.load(Ordering::Relaxed) & 1 << number != 0;
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFCHR if device == (1, 3) && is_missing => Kind::Closed,
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
