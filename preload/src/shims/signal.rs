//! What a program does at a signal, for the two that the library has an eye on ([`faults`]): sigaction(2), signal(2).
#![allow(unsafe_code)]

use crate::faults;
use crate::real::shims;
use crate::symbols::own;
use libc::{c_int, sighandler_t};
use std::mem::zeroed;

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

shims! {
    fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
        match faults::owns(signal) {
            true => faults::action(signal, new, old),
            false => own::sigaction(signal, new, old),
        }
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
