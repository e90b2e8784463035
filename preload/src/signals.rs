//! The calling thread's mask of signals, as the kernel has it: 64 bits.
#![allow(unsafe_code)]

use crate::entering;
use crate::real::try_sys;
use syscalls::Sysno;

/// Blocks all signals of this thread; answers the mask before. What handlers of a fork do by themselves may be a
/// [fault](entering) meanwhile.
pub fn block() -> u64 {
    let (all, mut old) = (!entering::ILLEGAL, 0u64);
    // SAFETY: two live masks of the size that is passed.
    let _ = unsafe {
        try_sys!(
            Sysno::rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const all,
            &raw mut old,
            8
        )
    };
    old
}

/// Restores a mask that [`block`] answered.
pub fn restore(mask: u64) {
    // SAFETY: a live mask of the size that is passed; a null pointer asks for nothing back.
    let _ = unsafe {
        try_sys!(
            Sysno::rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            0,
            8
        )
    };
}
