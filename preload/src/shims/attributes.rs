//! Permissions, owners, access, length and extended attributes: chmod(2), chown(2), access(2), truncate(2), xattr(7).
#![allow(unsafe_code)]

use super::{by_place, identity};
use crate::real::{done, finish, hooks, sys, Symbol};
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode};
use hostcall::wire::{Sink, Source};
use libc::{c_char, c_int, c_void, gid_t, mode_t, off_t, size_t, ssize_t, uid_t};
use std::ffi::CStr;
use syscalls::Sysno;

const CWD: c_int = libc::AT_FDCWD;
const NOFOLLOW: c_int = libc::AT_SYMLINK_NOFOLLOW;
const ITSELF: c_int = libc::AT_EMPTY_PATH;

// libc's own emulate the flags that older kernels lack.
static FCHMODAT: Symbol = Symbol::new(c"fchmodat");
static FACCESSAT: Symbol = Symbol::new(c"faccessat");
type AtFunction = unsafe extern "C" fn(c_int, *const c_char, c_int, c_int) -> c_int;

unsafe fn change_mode(dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
    // SAFETY: the calling program's path; libc's function has this type.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| match (flags, FCHMODAT.get::<AtFunction>()) {
                (0, _) | (_, None) => sys!(Sysno::fchmodat, dirfd, path, mode),
                (_, Some(real)) => real(dirfd, path, mode as c_int, flags),
            },
            |dir, path| {
                done(session::client().and_then(|client| {
                    client.fchmodat2(dir, path, Mode(mode & 0o7777), AtFlags(flags))
                }))
            }
        )
    }
}

unsafe fn change_owner(
    dirfd: c_int,
    path: *const c_char,
    uid: uid_t,
    gid: gid_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::fchownat, dirfd, path, uid, gid, flags),
            |dir, path| {
                done(session::client().and_then(|client| {
                    client.fchownat(dir, path, uid.into(), gid.into(), AtFlags(flags))
                }))
            }
        )
    }
}

unsafe fn may_access(dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: the calling program's path; libc's function has this type.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| match (flags, FACCESSAT.get::<AtFunction>()) {
                (0, _) | (_, None) => sys!(Sysno::faccessat, dirfd, path, mode),
                (_, Some(real)) => real(dirfd, path, mode, flags),
            },
            |dir, path| {
                done(
                    session::client()
                        .and_then(|client| identity::may_access(client, dir, path, mode, flags)),
                )
            }
        )
    }
}

unsafe fn set_length(path: *const c_char, len: off_t) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_place!(
            CWD,
            path,
            |_, path| sys!(Sysno::truncate, path, len),
            |dir, path| {
                done(session::client().and_then(|client| match dir {
                    DirFd::CWD => client.truncate(path, len),
                    _ => Err(Errno(libc::EINVAL)),
                }))
            }
        )
    }
}

hooks! {
    fn chmod(path: *const c_char, mode: mode_t) -> c_int {
        change_mode(CWD, path, mode, 0)
    }

    fn lchmod(path: *const c_char, mode: mode_t) -> c_int {
        change_mode(CWD, path, mode, NOFOLLOW)
    }

    fn fchmodat(dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
        change_mode(dirfd, path, mode, flags)
    }

    fn fchmod(fd: c_int, mode: mode_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| {
                client.fchmodat2(remote.into(), c"", Mode(mode & 0o7777), AtFlags(ITSELF))
            })),
            None => sys!(Sysno::fchmod, fd, mode),
        }
    }

    fn chown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
        change_owner(CWD, path, uid, gid, 0)
    }

    fn lchown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
        change_owner(CWD, path, uid, gid, NOFOLLOW)
    }

    fn fchownat(dirfd: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int {
        change_owner(dirfd, path, uid, gid, flags)
    }

    fn fchown(fd: c_int, uid: uid_t, gid: gid_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| {
                client.fchownat(remote.into(), c"", uid.into(), gid.into(), AtFlags(ITSELF))
            })),
            None => sys!(Sysno::fchown, fd, uid, gid),
        }
    }

    fn access(path: *const c_char, mode: c_int) -> c_int {
        may_access(CWD, path, mode, 0)
    }

    fn faccessat(dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
        may_access(dirfd, path, mode, flags)
    }

    fn euidaccess | eaccess (path: *const c_char, mode: c_int) -> c_int {
        may_access(CWD, path, mode, libc::AT_EACCESS)
    }

    fn truncate | truncate64 (path: *const c_char, len: off_t) -> c_int {
        set_length(path, len)
    }
}

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
    let (name, sink) = unsafe { (CStr::from_ptr(name), Sink::from_raw(value.cast(), len)) };
    finish(session::client().and_then(|client| {
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
            CStr::from_ptr(name),
            Source::from_raw(value.0.cast_mut().cast(), value.1),
        )
    };
    done(
        session::client()
            .and_then(|client| client.setxattr(dir, path, AtFlags(flags), name, value, create)),
    )
}

unsafe fn remove(dir: DirFd, path: &CStr, flags: c_int, name: *const c_char) -> c_int {
    // SAFETY: the calling program's name.
    let name = unsafe { CStr::from_ptr(name) };
    done(session::client().and_then(|client| client.removexattr(dir, path, AtFlags(flags), name)))
}

hooks! {
    fn getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t {
        by_place!(CWD, path, |_, path| sys!(Sysno::getxattr, path, name, value, len), |dir, path| get(dir, path, 0, name, value, len))
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
        by_place!(CWD, path, |_, path| sys!(Sysno::listxattr, path, names, len), |dir, path| list(dir, path, 0, names, len))
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
        by_place!(CWD, path, |_, path| sys!(Sysno::setxattr, path, name, value, len, create), |dir, path| set(dir, path, 0, name, (value, len), create))
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
        by_place!(CWD, path, |_, path| sys!(Sysno::removexattr, path, name), |dir, path| remove(dir, path, 0, name))
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
