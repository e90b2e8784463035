//! The three standard streams, each joined to the host program's by itself.
//!
//! What is a file of the host goes over as it is ([`handover`]); a terminal, pipe, socket or file of the guest is carried
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
