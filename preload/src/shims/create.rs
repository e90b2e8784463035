//! Making directories, FIFOs and nodes: mkdir(2), mknod(2), mkfifo(3).
#![allow(unsafe_code)]

use super::by_place;
use crate::real::{done, shims, sys};
use crate::session;
use hostcall::ops::Calls;
use hostcall::types::Mode;
use libc::{c_char, c_int, dev_t, mode_t};
use syscalls::Sysno;

unsafe fn make_directory(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::mkdirat, dirfd, path, mode),
            |dir, path| done(session::client().and_then(|client| client.mkdirat(
                dir,
                path,
                Mode(mode)
            )))
        )
    }
}

unsafe fn make_node(dirfd: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::mknodat, dirfd, path, mode, device),
            |dir, path| done(session::client().and_then(|client| client.mknodat(
                dir,
                path,
                Mode(mode),
                device
            )))
        )
    }
}

shims! {
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
        make_directory(libc::AT_FDCWD, path, mode)
    }

    fn mkdirat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
        make_directory(dirfd, path, mode)
    }

    fn mknod(path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
        make_node(libc::AT_FDCWD, path, mode, device)
    }

    fn mknodat(dirfd: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int {
        make_node(dirfd, path, mode, device)
    }

    fn __xmknod(_version: c_int, path: *const c_char, mode: mode_t, device: *const dev_t) -> c_int {
        make_node(libc::AT_FDCWD, path, mode, *device)
    }

    fn __xmknodat(_version: c_int, dirfd: c_int, path: *const c_char, mode: mode_t, device: *const dev_t) -> c_int {
        make_node(dirfd, path, mode, *device)
    }

    fn mkfifo(path: *const c_char, mode: mode_t) -> c_int {
        make_node(libc::AT_FDCWD, path, mode & 0o7777 | libc::S_IFIFO, 0)
    }

    fn mkfifoat(dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int {
        make_node(dirfd, path, mode & 0o7777 | libc::S_IFIFO, 0)
    }
}
