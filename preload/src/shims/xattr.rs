//! Extended attributes, xattr(7).
#![allow(unsafe_code)]

use super::{by_file, by_place};
use crate::real::{done, finish, shims, sys};
use crate::{fds, session};
use hostcall::access::string;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd};
use hostcall::wire::{Sink, Source};
use libc::{c_char, c_int, c_void, size_t, ssize_t};
use std::ffi::CStr;
use syscalls::Sysno;

const CWD: c_int = libc::AT_FDCWD;
const NOFOLLOW: c_int = libc::AT_SYMLINK_NOFOLLOW;
const ITSELF: c_int = libc::AT_EMPTY_PATH;

/// Answers a call that fills a buffer or, with an empty one, tells the size.
fn sized(size: u64) -> ssize_t {
    size as ssize_t
}

unsafe fn get(
    dir: DirFd,
    path: &CStr,
    flags: c_int,
    name: *const c_char,
    value: *mut c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the calling program's name and buffer.
    let (name, sink) = unsafe { (string(name), Sink::from_raw(value.cast(), len)) };
    finish(name.and_then(|name| {
        let client = session::client()?;
        Ok(sized(
            client.getxattr(dir, path, AtFlags(flags), name, sink)?.size,
        ))
    }))
}

unsafe fn list(dir: DirFd, path: &CStr, flags: c_int, names: *mut c_char, len: size_t) -> ssize_t {
    // SAFETY: the calling program's buffer.
    let sink = unsafe { Sink::from_raw(names.cast(), len) };
    finish(session::client().and_then(|client| {
        Ok(sized(
            client.listxattr(dir, path, AtFlags(flags), sink)?.size,
        ))
    }))
}

unsafe fn set(
    dir: DirFd,
    path: &CStr,
    flags: c_int,
    name: *const c_char,
    value: (*const c_void, size_t),
    create: c_int,
) -> c_int {
    // SAFETY: the calling program's name and value.
    let (name, value) = unsafe {
        (
            string(name),
            Source::from_raw(value.0.cast_mut().cast(), value.1),
        )
    };
    done(name.and_then(|name| {
        session::client()?.setxattr(dir, path, AtFlags(flags), name, value, create)
    }))
}

unsafe fn remove(dir: DirFd, path: &CStr, flags: c_int, name: *const c_char) -> c_int {
    // SAFETY: the calling program's name.
    let name = unsafe { string(name) };
    done(name.and_then(|name| session::client()?.removexattr(dir, path, AtFlags(flags), name)))
}

shims! {
    fn getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t {
        by_file!(CWD, path, 0, |_, path| sys!(Sysno::getxattr, path, name, value, len), |dir, path, flags| get(dir, path, flags, name, value, len))
    }

    fn lgetxattr(path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t {
        by_place!(CWD, path, |_, path| sys!(Sysno::lgetxattr, path, name, value, len), |dir, path| get(dir, path, NOFOLLOW, name, value, len))
    }

    fn fgetxattr(fd: c_int, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => get(remote.into(), c"", ITSELF, name, value, len),
            None => sys!(Sysno::fgetxattr, fd, name, value, len),
        }
    }

    fn listxattr(path: *const c_char, names: *mut c_char, len: size_t) -> ssize_t {
        by_file!(CWD, path, 0, |_, path| sys!(Sysno::listxattr, path, names, len), |dir, path, flags| list(dir, path, flags, names, len))
    }

    fn llistxattr(path: *const c_char, names: *mut c_char, len: size_t) -> ssize_t {
        by_place!(CWD, path, |_, path| sys!(Sysno::llistxattr, path, names, len), |dir, path| list(dir, path, NOFOLLOW, names, len))
    }

    fn flistxattr(fd: c_int, names: *mut c_char, len: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => list(remote.into(), c"", ITSELF, names, len),
            None => sys!(Sysno::flistxattr, fd, names, len),
        }
    }

    fn setxattr(path: *const c_char, name: *const c_char, value: *const c_void, len: size_t, create: c_int) -> c_int {
        by_file!(CWD, path, 0, |_, path| sys!(Sysno::setxattr, path, name, value, len, create), |dir, path, flags| set(dir, path, flags, name, (value, len), create))
    }

    fn lsetxattr(path: *const c_char, name: *const c_char, value: *const c_void, len: size_t, create: c_int) -> c_int {
        by_place!(CWD, path, |_, path| sys!(Sysno::lsetxattr, path, name, value, len, create), |dir, path| set(dir, path, NOFOLLOW, name, (value, len), create))
    }

    fn fsetxattr(fd: c_int, name: *const c_char, value: *const c_void, len: size_t, create: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => set(remote.into(), c"", ITSELF, name, (value, len), create),
            None => sys!(Sysno::fsetxattr, fd, name, value, len, create),
        }
    }

    fn removexattr(path: *const c_char, name: *const c_char) -> c_int {
        by_file!(CWD, path, 0, |_, path| sys!(Sysno::removexattr, path, name), |dir, path, flags| remove(dir, path, flags, name))
    }

    fn lremovexattr(path: *const c_char, name: *const c_char) -> c_int {
        by_place!(CWD, path, |_, path| sys!(Sysno::lremovexattr, path, name), |dir, path| remove(dir, path, NOFOLLOW, name))
    }

    fn fremovexattr(fd: c_int, name: *const c_char) -> c_int {
        match fds::host(fd) {
            Some(remote) => remove(remote.into(), c"", ITSELF, name),
            None => sys!(Sysno::fremovexattr, fd, name),
        }
    }
}
