//! How a process confines itself: filters of system calls, prctl(2) and seccomp(2), and rules on files, landlock(7). Libc has functions
//! for the first alone.
#![allow(unsafe_code)]

use crate::materialise::{self, set_filtered};
use crate::real::{finish, shims, sys, try_sys};
use crate::{cwd, fds, session};
use hostcall::access::get;
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

/// `struct landlock_path_beneath_attr` of `linux/landlock.h`.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Beneath {
    allowed: u64,
    parent: c_int,
}

/// The kind of rule that a [`Beneath`] is.
const PATH_BENEATH: c_int = 1;

/// landlock_add_rule(2): the guest kernel judges what lies on the mount, so that is what a rule on a host file is made of.
///
/// # Safety
/// As the system call.
pub unsafe fn landlock_add_rule(
    ruleset: c_int,
    kind: c_int,
    rule: *const Beneath,
    flags: c_uint,
) -> c_int {
    // SAFETY: the caller's promise; any bytes are a rule.
    unsafe {
        let named = match kind {
            PATH_BENEATH => get(rule).ok(),
            _ => None,
        };
        let host = named.and_then(|named| Some((named, fds::host(named.parent)?)));
        let Some((mut named, remote)) = host else {
            return sys!(Sysno::landlock_add_rule, ruleset, kind, rule, flags);
        };
        finish(materialise::name(remote).and_then(|opened| {
            named.parent = opened;
            let done = try_sys!(
                Sysno::landlock_add_rule,
                ruleset,
                kind,
                &raw const named,
                flags
            );
            let _ = try_sys!(Sysno::close, opened);
            done.map(|done| done as c_int)
        }))
    }
}

/// landlock_restrict_self(2). From then on the guest kernel alone walks: what the host is asked it does not judge.
///
/// # Safety
/// As the system call.
pub unsafe fn landlock_restrict_self(ruleset: c_int, flags: c_uint) -> c_int {
    // Once confined, the process may not reach the mount.
    materialise::all_and_names();
    let stands_there = cwd::on_host() && cwd::kernel_is_there();
    // SAFETY: the caller's promise.
    let done: c_int = unsafe { sys!(Sysno::landlock_restrict_self, ruleset, flags) };
    if done == 0 {
        session::leave_prefix();
        if stands_there {
            cwd::forget();
        }
        materialise::set_confined();
    }
    done
}
