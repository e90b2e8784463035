//! Mounting, which changes whose files are found below the prefix: mount(2), umount2(2), move_mount(2), setns(2).
//!
//! The guest's kernel does all of it. What it changes over host files is told to every process before the call returns.
#![allow(unsafe_code)]

use crate::covers;
use crate::real::{shims, sys};
use libc::{c_char, c_int, c_uint, c_ulong, c_void};
use syscalls::Sysno;

shims! {
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int {
        covers::changing(|| sys!(Sysno::mount, source, target, kind, flags, data))
    }

    fn umount(target: *const c_char) -> c_int {
        umount2(target, 0)
    }

    fn umount2(target: *const c_char, flags: c_int) -> c_int {
        covers::changing(|| sys!(Sysno::umount2, target, flags))
    }

    fn move_mount(from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char, flags: c_uint) -> c_int {
        covers::changing(|| sys!(Sysno::move_mount, from_dirfd, from, to_dirfd, to, flags))
    }

    fn setns(fd: c_int, kind: c_int) -> c_int {
        covers::changing(|| sys!(Sysno::setns, fd, kind))
    }
}
