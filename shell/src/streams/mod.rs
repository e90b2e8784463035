//! The three standard streams, each joined to the host program's by itself.
//!
//! What is a file of the host goes over as it is ([`handover`]), and so does a pipe of the host's own kernel; a terminal, pipe, socket or file of the guest is carried
//! by a thread ([`pump`]) through a pipe or terminal of the host.

pub mod handover;
pub mod join;
pub mod kind;
pub mod plan;
pub mod pump;
pub mod rewind;

use std::os::fd::BorrowedFd;

/// Names for people.
pub const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// One of this process's standard streams. It may be closed: then calls answer `EBADF`.
#[allow(unsafe_code)]
pub fn guest(number: usize) -> BorrowedFd<'static> {
    // SAFETY: the numbers 0 to 2 are never -1, and are not closed here: what is to be let go gets /dev/null in its place.
    unsafe { BorrowedFd::borrow_raw(number as i32) }
}

/// Lets go of a standard stream, so that whoever is at its other end hears that nobody reads or writes here any more.
#[allow(unsafe_code)]
pub fn let_go(number: usize) {
    use std::os::fd::AsRawFd;
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null");
    if let Ok(null) = null {
        // SAFETY: the standard streams' numbers are nobody's own.
        unsafe { libc::dup2(null.as_raw_fd(), number as i32) };
    }
}
