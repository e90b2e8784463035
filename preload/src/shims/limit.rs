//! Limits of resources: setrlimit(2), prlimit(2). That of the size of files is told to the host.
#![allow(unsafe_code)]

use crate::limits;
use crate::real::{shims, sys, try_sys};
use libc::{c_int, pid_t, rlimit};
use syscalls::Sysno;

shims! {
    fn setrlimit(resource: c_int, limit: *const rlimit) -> c_int {
        prlimit(0, resource, limit, std::ptr::null_mut())
    }

    fn prlimit(process: pid_t, resource: c_int, limit: *const rlimit, old: *mut rlimit) -> c_int {
        let done: c_int = sys!(Sysno::prlimit64, process, resource, limit, old);
        let own = || process == 0 || try_sys!(Sysno::getpid) == Ok(process as isize);
        if done == 0 && resource == libc::RLIMIT_FSIZE as c_int && !limit.is_null() && own() {
            limits::changed();
        }
        done
    }

    fn ulimit(command: c_int, value: libc::c_long) -> libc::c_long {
        /// `UL_SETFSIZE` of ulimit.h: in blocks of 512 bytes.
        const SET: c_int = 2;
        let done = crate::symbols::own::ulimit(command, value);
        if command == SET && done != -1 {
            limits::changed();
        }
        done
    }
}
