//! Numbers for the files that come with a session, in a process that has none left.
//!
//! With the answer to a child, or a new program image, that takes a session over come two files, which it maps and closes.
//! Without numbers for them the kernel drops them, and all that was to be inherited would be lost. So the library goes beyond the soft
//! limit, or if there is nothing beyond it, a child lends numbers that hold nothing but a placeholder.
#![allow(unsafe_code)]

use crate::fds::{self, Entry};
use crate::placeholder;
use crate::real::try_sys;
use hostcall::types::Errno;
use libc::c_int;
use syscalls::Sysno;

/// What was raised and lent. Dropped, it is as it was.
pub struct Room {
    limit: Option<libc::rlimit>,
    lent: Option<(c_int, Entry)>,
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(file) = self.lent {
            let _ = fds::restore(file);
        }
        // While there is a number for it.
        let _ = placeholder::get();
        if let Some(limit) = self.limit {
            set_limit(&limit);
        }
    }
}

/// Makes room where there is none. There is one thread.
pub fn make() -> Option<Room> {
    if is_there() {
        return None;
    }
    let limit = raise_limit();
    if !is_there() {
        placeholder::lend();
    }
    let lent = match is_there() {
        true => None,
        false => fds::lend(),
    };
    Some(Room { limit, lent })
}

/// Makes something for the library's own use at a number that the program could not have, if there is no other.
pub fn beyond_the_limit<T>(make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    let made = make();
    match made {
        Err(Errno(libc::EMFILE)) => match raise_limit() {
            Some(limit) => {
                let made = make();
                set_limit(&limit);
                made
            }
            None => made,
        },
        made => made,
    }
}

/// Raises the soft limit of numbers to the hard one; answers what it was, if it was lower.
fn raise_limit() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a live rlimit.
    unsafe { try_sys!(Sysno::prlimit64, 0, libc::RLIMIT_NOFILE, 0, &raw mut limit) }.ok()?;
    let raised = libc::rlimit {
        rlim_cur: limit.rlim_max,
        ..limit
    };
    (limit.rlim_cur < limit.rlim_max && set_limit(&raised)).then_some(limit)
}

fn set_limit(limit: &libc::rlimit) -> bool {
    let limit = std::ptr::from_ref(limit);
    // SAFETY: a live rlimit.
    unsafe { try_sys!(Sysno::prlimit64, 0, libc::RLIMIT_NOFILE, limit, 0) }.is_ok()
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
