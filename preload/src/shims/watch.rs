//! Watches: inotify_add_watch(2), inotify_rm_watch(2). Their events come by read(2), see [`watching`].
#![allow(unsafe_code)]

use super::by_place;
use super::open::named_descriptor;
use crate::real::{done, finish, shims, try_sys};
use crate::symbols::own;
use crate::{fds, session, watching};
use hostcall::ops::Calls;
use hostcall::types::{DirFd, Errno, Mode, OpenFlags, RemoteFd};
use libc::{c_char, c_int};
use std::ffi::CStr;
use syscalls::Sysno;

/// Bits of which the kernel wants at least one.
const KNOWN: u32 = libc::IN_ALL_EVENTS
    | libc::IN_UNMOUNT
    | libc::IN_Q_OVERFLOW
    | libc::IN_IGNORED
    | libc::IN_ONLYDIR
    | libc::IN_DONT_FOLLOW
    | libc::IN_EXCL_UNLINK
    | libc::IN_MASK_ADD
    | libc::IN_MASK_CREATE
    | libc::IN_ISDIR
    | libc::IN_ONESHOT;

/// What the kernel looks at before the path.
fn check(fd: c_int, mask: u32) -> Result<(), Errno> {
    const BOTH: u32 = libc::IN_MASK_ADD | libc::IN_MASK_CREATE;
    if mask & KNOWN == 0 || mask & BOTH == BOTH || fds::host(fd).is_some() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: plain system call.
    unsafe { try_sys!(Sysno::fcntl, fd, libc::F_GETFD, 0) }.map(drop)
}

/// Watches a path of the host.
fn add(fd: c_int, dir: DirFd, path: &CStr, mask: u32) -> Result<c_int, Errno> {
    check(fd, mask)?;
    let flag = |bit: u32, flag: c_int| if mask & bit != 0 { flag } else { 0 };
    let flags = libc::O_PATH
        | libc::O_CLOEXEC
        | flag(libc::IN_ONLYDIR, libc::O_DIRECTORY)
        | flag(libc::IN_DONT_FOLLOW, libc::O_NOFOLLOW);
    let client = session::client()?;
    let target = client.openat(dir, path, OpenFlags(flags), Mode(0))?.fd;
    let added = watching::add(fd, target, mask);
    let _ = client.close(target);
    added
}

/// Watches an open file of the host.
fn add_open(fd: c_int, target: RemoteFd, mask: u32) -> Result<c_int, Errno> {
    check(fd, mask)?;
    watching::add(fd, target, mask)
}

shims! {
    fn inotify_init() -> c_int {
        fds::release_reserved();
        own::inotify_init()
    }

    fn inotify_init1(flags: c_int) -> c_int {
        fds::release_reserved();
        own::inotify_init1(flags)
    }

    fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int {
        by_place!(
            libc::AT_FDCWD,
            path,
            |_, path| match named_descriptor(path) {
                Some(remote) => finish(add_open(fd, remote, mask)),
                None => own::inotify_add_watch(fd, path, mask),
            },
            |dir, path| finish(add(fd, dir, path, mask))
        )
    }

    fn inotify_rm_watch(fd: c_int, watch: c_int) -> c_int {
        match watching::remove(fd, watch) {
            Some(removed) => done(removed),
            None => own::inotify_rm_watch(fd, watch),
        }
    }
}
