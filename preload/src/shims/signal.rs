//! What a program does at a signal, for those that the library has an eye on ([`faults`]), and what it blocks: sigaction(2), signal(2),
//! sigprocmask(2).
#![allow(unsafe_code)]

use crate::real::{finish, shims, try_sys};
use crate::symbols::own;
use crate::{entering, faults};
use hostcall::types::Errno;
use libc::{c_int, sighandler_t, sigset_t};
use std::mem::zeroed;
use syscalls::Sysno;

/// signal(2) and its kin, which say how a handler is called.
///
/// # Safety
/// As signal(2).
unsafe fn set(signal: c_int, handler: sighandler_t, flags: c_int, blocks: bool) -> sighandler_t {
    // SAFETY: live structures; the caller's handler.
    unsafe {
        let (mut new, mut old): (libc::sigaction, libc::sigaction) = (zeroed(), zeroed());
        new.sa_sigaction = handler;
        new.sa_flags = flags;
        if blocks {
            libc::sigaddset(&mut new.sa_mask, signal);
        }
        match faults::action(signal, &new, &mut old) {
            0 => old.sa_sigaction,
            _ => libc::SIG_ERR,
        }
    }
}

/// The kernel's set is of 64 signals, and the first word of libc's.
type Kernels = u64;

/// sigprocmask(2) for this thread.
///
/// # Safety
/// As pthread_sigmask(3).
unsafe fn change_mask(
    how: c_int,
    set: *const sigset_t,
    old: *mut sigset_t,
) -> Result<isize, Errno> {
    /// libc's own signals, for cancelling threads and for changing the ids of all, which it keeps out of masks.
    const KEPT: Kernels = 1 << 31 | 1 << 32;
    // SAFETY: the caller's structures, and a live word.
    unsafe {
        let set = set.cast::<Kernels>().as_ref().map(|set| match how {
            libc::SIG_UNBLOCK => *set & !KEPT,
            _ => entering::unblocked(*set & !KEPT),
        });
        let set = set.as_ref().map_or(std::ptr::null(), |set| set);
        try_sys!(Sysno::rt_sigprocmask, how, set, old, size_of::<Kernels>())
    }
}

shims! {
    fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
        let masked = new.as_ref().map(|new| {
            let mut new = *new;
            let blocked = &raw mut new.sa_mask;
            *blocked.cast() = entering::unblocked(*blocked.cast::<Kernels>());
            new
        });
        let new = masked.as_ref().map_or(new, |masked| masked);
        match faults::owns(signal) {
            true => faults::action(signal, new, old),
            false => own::sigaction(signal, new, old),
        }
    }

    fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
        match change_mask(how, set, old) {
            Ok(_) => 0,
            Err(error) => error.0,
        }
    }

    fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
        finish(change_mask(how, set, old).map(|_| 0))
    }

    fn signal(number: c_int, handler: sighandler_t) -> sighandler_t {
        match faults::owns(number) {
            true => set(number, handler, libc::SA_RESTART, true),
            false => own::signal(number, handler),
        }
    }

    /// signal(2) of System V: the handler is called once, and may be interrupted by its own signal.
    fn sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        match faults::owns(signal) {
            true => set(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER, false),
            false => own::sysv_signal(signal, handler),
        }
    }
}
