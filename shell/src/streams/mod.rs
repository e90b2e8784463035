//! The three standard streams, each joined to the host program's by itself.
//!
//! What is a file of the host goes over as it is ([`handover`]), and so does a pipe of the host's own kernel; a terminal, pipe, socket or file of the guest is carried
//! by a thread ([`pump`]) through a pipe or terminal of the host, in [`busy`] stretches without a copy of its own.

pub mod busy;
pub mod handover;
pub mod join;
pub mod kind;
pub mod plan;
pub mod pump;
pub mod rewind;

use std::os::fd::BorrowedFd;

/// Names for people, of a program's standard input, output and error.
pub const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// One of this process's descriptors: a standard stream, or what is one of another program's. It may be closed: then calls answer
/// `EBADF`.
#[allow(unsafe_code)]
pub fn guest(number: usize) -> BorrowedFd<'static> {
    // SAFETY: the number is never -1, and is not closed here: what is to be let go gets /dev/null in its place.
    unsafe { BorrowedFd::borrow_raw(number as i32) }
}

/// Lets go of a stream, so that whoever is at its other end hears that nobody reads or writes here any more.
#[allow(unsafe_code)]
pub fn let_go(number: usize) {
    use std::os::fd::AsRawFd;
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null");
    if let Ok(null) = null {
        // SAFETY: the streams' numbers are nobody's own.
        unsafe { libc::dup3(null.as_raw_fd(), number as i32, cloexec(number)) };
    }
}

/// What is none of the process's own standard streams is nobody's but this process's.
fn cloexec(number: usize) -> i32 {
    match number {
        0..3 => 0,
        _ => libc::O_CLOEXEC,
    }
}
