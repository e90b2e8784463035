//! Filters of system calls: prctl(2), and seccomp(2), for which libc has no function.
#![allow(unsafe_code)]

use crate::materialise::set_filtered;
use crate::real::{shims, sys};
use libc::{c_int, c_uint, c_ulong, c_void};
use syscalls::Sysno;

shims! {
    fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int {
        let done: c_int = sys!(Sysno::prctl, option, a, b, c, d);
        if option == libc::PR_SET_SECCOMP && done == 0 {
            set_filtered();
        }
        done
    }
}

/// seccomp(2), as programs call it by its number.
///
/// # Safety
/// As the system call.
pub unsafe fn seccomp(operation: c_uint, flags: c_uint, argument: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let done: c_int = unsafe { sys!(Sysno::seccomp, operation, flags, argument) };
    if operation != libc::SECCOMP_GET_ACTION_AVAIL && done == 0 {
        set_filtered();
    }
    done
}
