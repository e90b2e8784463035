//! Numbers for the files that come with a session, in a process that has none left.
//!
//! A child, or a new program image, that takes a session over makes a socket, and with the answer come two files, which it maps and
//! closes. Without numbers for them all that was to be inherited would be lost. So the library goes beyond the soft limit, or if there is
//! nothing beyond it, lends numbers that hold nothing but a placeholder.
#![allow(unsafe_code)]

use crate::fds::{self, Entry};
use crate::placeholder;
use crate::real::try_sys;
use crate::report;
use libc::c_int;
use syscalls::Sysno;

/// Numbers that are lent at most: for the socket and the two files.
const LENT: usize = 3;

/// What was raised and lent. Dropped, it is as it was, but for a host file whose number the session itself has to have.
#[derive(Default)]
pub struct Room {
    limit: Option<libc::rlimit>,
    lent: [Option<(c_int, Entry)>; LENT],
}

impl Room {
    /// Frees numbers until there are two; whether it could. There is one thread.
    pub fn make(&mut self) -> bool {
        if self.limit.is_none() {
            self.limit = raise_limit();
        }
        if !is_there() {
            placeholder::lend();
        }
        for lent in self.lent.iter_mut().filter(|lent| lent.is_none()) {
            if is_there() {
                break;
            }
            *lent = fds::lend();
        }
        is_there()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.limit.is_none() && self.lent.iter().all(Option::is_none) {
            return;
        }
        for file in self.lent.into_iter().flatten() {
            if fds::restore(file).is_err() {
                report::say(&"a host file is lost: no descriptor number is left for it beside the library's own");
            }
        }
        // While there is a number for it.
        let _ = placeholder::get();
        if let Some(limit) = self.limit {
            set_limit(&limit);
        }
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
    made.is_ok()
}
