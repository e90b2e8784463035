//! Numbers for the files that come with a session, in a process that has none left.
//!
//! With the answer to a child, or a new program image, that takes a session over come two files, which it maps and closes.
//! Without numbers for them the kernel drops them, and all that was to be inherited would be lost. So numbers that hold nothing but a
//! placeholder are lent.
#![allow(unsafe_code)]

use crate::fds::{self, Entry};
use crate::placeholder;
use crate::real::try_sys;
use hostcall::types::Errno;
use libc::c_int;
use syscalls::Sysno;

/// What was lent. Dropped, it is as it was.
pub struct Lent(Option<(c_int, Entry)>);

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            let _ = fds::restore(file);
        }
        // While there is a number for it.
        let _ = placeholder::get();
    }
}

/// Makes room where there is none. There is one thread.
pub fn make() -> Option<Lent> {
    if is_there() {
        return None;
    }
    placeholder::lend();
    let lent = match is_there() {
        true => None,
        false => fds::lend(),
    };
    Some(Lent(lent))
}

/// Whether two numbers are free.
fn is_there() -> bool {
    let mut pair = [-1 as c_int; 2];
    // SAFETY: two live integers.
    let made = unsafe { try_sys!(Sysno::pipe2, pair.as_mut_ptr(), libc::O_CLOEXEC) };
    if made.is_ok() {
        // SAFETY: ours, and nobody else has seen them.
        let _ = pair.map(|fd| unsafe { try_sys!(Sysno::close, fd) });
    }
    made != Err(Errno(libc::EMFILE))
}
