//! fork(2), vfork(2), daemon(3), and _exit(2) at their end: the child gets a shadow of its own, with the same files and directory.
//!
//! A child made past these hooks (a raw clone) finds its session page wiped, lets go of what it inherited, and begins a
//! session of its own at the first host path; its parent's host files answer `EBADF` there.
#![allow(unsafe_code)]

use crate::real::{errno, set_errno, shims, try_sys};
use crate::symbols::own;
use crate::{materialise, observe, session};
use libc::{c_int, pid_t};
use syscalls::Sysno;

/// Forks by `real`, with the session prepared before and taken over or let go after.
fn fork_with(real: impl FnOnce() -> pid_t) -> pid_t {
    materialise::before_fork();
    let prepared = session::prepare_fork();
    // A handler that ran in the child before it has its session would begin an empty one.
    let signals = prepared.map(|_| session::block_signals());
    let child = real();
    let saved = errno();
    if child == 0 {
        observe::forked();
        session::after_fork(prepared);
    }
    if let Some(signals) = signals {
        session::restore_signals(signals);
    }
    set_errno(saved);
    child
}

shims! {
    // A vfork child borrows its parent's memory, and with it our table; so it gets a copy instead, as POSIX allows.
    fn fork() -> pid_t {
        fork_with(|| own::fork())
    }
}

shims! {
    fn _Fork() -> pid_t {
        fork_with(|| own::_Fork())
    }

    /// Ends the process without its handlers, _exit(2).
    fn _exit(status: c_int) -> c_int {
        observe::end();
        loop {
            let _ = try_sys!(Sysno::exit_group, status);
        }
    }

    fn daemon(stay: c_int, keep: c_int) -> c_int {
        match fork() {
            -1 => return -1,
            0 => {}
            _ => libc::_exit(0),
        }
        if libc::setsid() == -1 {
            return -1;
        }
        if stay == 0 {
            let _ = crate::shims::working::change(c"/".as_ptr());
        }
        if keep == 0 {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            if null == -1 {
                return -1;
            }
            (0..3).for_each(|stream| {
                libc::dup2(null, stream);
            });
            if null > 2 {
                libc::close(null);
            }
        }
        0
    }
}
