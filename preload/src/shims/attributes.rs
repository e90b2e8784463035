//! Permissions, owners, access and length: chmod(2), chown(2), access(2), truncate(2).
#![allow(unsafe_code)]

use super::{by_file, identity};
use crate::real::{done, shims, sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, OpenFlags, RemoteFd};
use libc::{c_char, c_int, gid_t, mode_t, off_t, uid_t};
use std::ffi::CStr;
use syscalls::Sysno;

const CWD: c_int = libc::AT_FDCWD;
const NOFOLLOW: c_int = libc::AT_SYMLINK_NOFOLLOW;
const ITSELF: c_int = libc::AT_EMPTY_PATH;

/// The flags of a call that takes the empty path for a descriptor, whatever that was opened for: for the op, the inode's.
pub fn of_inode(path: &CStr, flags: c_int) -> AtFlags {
    match path.is_empty() && flags & ITSELF != 0 {
        true => AtFlags(flags | NOFOLLOW),
        false => AtFlags(flags),
    }
}

unsafe fn change_mode(dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_file!(
            dirfd,
            path,
            flags,
            |dirfd, path| match flags {
                0 => sys!(Sysno::fchmodat, dirfd, path, mode),
                // libc emulates the flags that older kernels lack.
                _ => own::fchmodat(dirfd, path, mode, flags),
            },
            |dir, path, flags| {
                done(session::client().and_then(|client| {
                    client.fchmodat2(dir, path, Mode(mode & 0o7777), of_inode(path, flags))
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
        by_file!(
            dirfd,
            path,
            flags,
            |dirfd, path| sys!(Sysno::fchownat, dirfd, path, uid, gid, flags),
            |dir, path, flags| {
                done(session::client().and_then(|client| {
                    client.fchownat(dir, path, uid.into(), gid.into(), of_inode(path, flags))
                }))
            }
        )
    }
}

unsafe fn may_access(dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_file!(
            dirfd,
            path,
            flags,
            |dirfd, path| match flags {
                0 => sys!(Sysno::faccessat, dirfd, path, mode),
                _ => own::faccessat(dirfd, path, mode, flags),
            },
            |dir, path, flags| {
                done(
                    session::client()
                        .and_then(|client| identity::may_access(client, dir, path, mode, flags)),
                )
            }
        )
    }
}

/// truncate(2) of an open file, which need not be open for writing.
fn cut(client: &Client, file: RemoteFd, len: off_t) -> Result<(), Errno> {
    match client.ftruncate(file, len) {
        // Not open for writing, perhaps. To open it anew costs the process its record locks on the file, when that is closed again.
        Err(Errno(libc::EINVAL | libc::EBADF)) => {}
        cut => return cut.map(|_| ()),
    }
    let anew = client.reopen(file, OpenFlags(libc::O_WRONLY));
    let anew = anew.map_err(|errno| match errno {
        // A FIFO or a device.
        Errno(libc::ENXIO) => Errno(libc::EINVAL),
        errno => errno,
    })?;
    let cut = client.ftruncate(anew.fd, len);
    let _ = client.close(anew.fd);
    cut.map(|_| ())
}

unsafe fn set_length(path: *const c_char, len: off_t) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_file!(
            CWD,
            path,
            0,
            |_, path| sys!(Sysno::truncate, path, len),
            |dir, path, _| {
                done(session::client().and_then(|client| match dir {
                    DirFd::CWD => client.truncate(path, len).map(|_| ()),
                    open => cut(client, RemoteFd(open.0), len),
                }))
            }
        )
    }
}

shims! {
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

    fn euidaccess(path: *const c_char, mode: c_int) -> c_int {
        may_access(CWD, path, mode, libc::AT_EACCESS)
    }

    fn truncate(path: *const c_char, len: off_t) -> c_int {
        set_length(path, len)
    }
}
