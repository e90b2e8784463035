//! Opening and closing: open(2), creat(2), close(2), close_range(2).
#![allow(unsafe_code)]

use super::by_place;
use crate::fds;
use crate::real::{apart, done, finish, set_errno, shims, sys, try_sys};
use crate::{kept, place, session, watching};
use hostcall::access::string;
use hostcall::ops::Calls;
use hostcall::types::{DirFd, Errno, Mode, OpenFlags, RemoteFd};
use libc::{c_char, c_int, c_uint, c_void, mode_t};
use std::ffi::CStr;
use std::hint::cold_path;
use syscalls::Sysno;

/// Opens on the host and gives the file a number.
pub fn open_host(dir: DirFd, path: &CStr, flags: c_int, mode: mode_t) -> Result<c_int, Errno> {
    // The mode argument exists only with these flags; otherwise it is whatever stood in the register.
    let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let mode = Mode(if makes { mode & 0o7777 } else { 0 });
    // A shadow never gets a controlling terminal by opening one.
    let remote_flags = OpenFlags(flags | libc::O_NOCTTY);
    let client = session::client()?;
    let reply = client.openat(dir, path, remote_flags, mode)?;
    let fd = fds::install(reply.fd, flags & libc::O_CLOEXEC != 0)?;
    // Before the table knew of this file, another thread may have seen the host's end and begun another session, in
    // which the number means another file.
    match session::attached() {
        Some(current) if std::ptr::eq(current, client) => Ok(fd),
        _ => {
            fds::abandon(fd);
            Err(Errno(libc::ENOTCONN))
        }
    }
}

/// openat(2) for any path.
///
/// # Safety
/// `path` must be a C string.
#[inline(always)]
pub unsafe fn open_any(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise; the guest kernel checks what it is given.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| match fds::touched() {
                false => sys!(Sysno::openat, dirfd, path, flags, mode),
                true => {
                    cold_path();
                    apart(move || open_guest(dirfd, path, flags, mode))
                }
            },
            |dir, path| finish(open_host(dir, path, flags, mode))
        )
    }
}

/// openat(2) of a path of the guest's.
unsafe fn open_guest(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        if let Some(remote) = named_descriptor(path) {
            return finish(reopen(remote, flags));
        }
        fds::release_reserved();
        sys!(Sysno::openat, dirfd, path, flags, mode)
    }
}

/// The host file that `/dev/stdin`, `/dev/fd/N` or `/proc/self/fd/N` names: the guest kernel would find the placeholder.
///
/// # Safety
/// `path` is a C string, or none.
pub unsafe fn named_descriptor(path: *const c_char) -> Option<RemoteFd> {
    if !fds::any() {
        return None;
    }
    // SAFETY: the caller's promise.
    place::numbered(unsafe { string(path) }.ok()?)
}

/// Opens a host file anew by its descriptor: a file or directory with a position of its own, anything else as a duplicate.
fn reopen(remote: RemoteFd, flags: c_int) -> Result<c_int, Errno> {
    let client = session::client()?;
    if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL {
        return Err(Errno(libc::EEXIST));
    }
    let anew = OpenFlags(flags & !libc::O_CREAT | libc::O_NOCTTY);
    match client.reopen(remote, anew) {
        Ok(reply) => return fds::install(reply.fd, flags & libc::O_CLOEXEC != 0),
        Err(Errno(libc::ENXIO)) => {}
        Err(errno) => return Err(errno),
    }
    if flags & libc::O_TRUNC != 0 && flags & libc::O_ACCMODE != libc::O_RDONLY {
        client.ftruncate(remote, 0)?;
    }
    let copy = client.dup(remote, OpenFlags(flags & libc::O_CLOEXEC))?;
    fds::install(copy.fd, flags & libc::O_CLOEXEC != 0)
}

shims! {
    brief

    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        open_any(libc::AT_FDCWD, path, flags, mode)
    }

    fn openat(dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        open_any(dirfd, path, flags, mode)
    }

    fn creat(path: *const c_char, mode: mode_t) -> c_int {
        open_any(libc::AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode)
    }

    fn __open_2(path: *const c_char, flags: c_int) -> c_int {
        open_any(libc::AT_FDCWD, path, flags, 0)
    }

    fn __openat_2(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
        open_any(dirfd, path, flags, 0)
    }

    fn close(fd: c_int) -> c_int {
        fds::close_any(fd)
    }

}

shims! {
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        done(close_numbers(first, last, flags as c_uint))
    }

    fn closefrom(first: c_int) -> () {
        let _ = close_numbers(first.max(0) as c_uint, c_uint::MAX, 0);
    }

    /// A handle of a file, name_to_handle_at(2). The kernel would give one of the placeholder; a host file has none.
    fn name_to_handle_at(dirfd: c_int, path: *const c_char, handle: *mut c_void, mount: *mut c_int, flags: c_int) -> c_int {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::name_to_handle_at, dirfd, path, handle, mount, flags),
            |_, _| finish(Err(Errno(libc::EOPNOTSUPP)))
        )
    }
}

/// close_range(2) that leaves the shim's own descriptors alone.
fn close_numbers(first: c_uint, last: c_uint, flags: c_uint) -> Result<(), Errno> {
    let known = libc::CLOSE_RANGE_CLOEXEC | libc::CLOSE_RANGE_UNSHARE;
    if first > last || flags & !known != 0 {
        return Err(Errno(libc::EINVAL));
    }
    fds::release_reserved();
    let only_mark = flags & libc::CLOSE_RANGE_CLOEXEC != 0;
    for (fd, entry) in fds::all() {
        if !(first..=last).contains(&(fd as c_uint)) {
            continue;
        }
        if !only_mark {
            let _ = fds::close(fd);
        } else if !entry.cloexec {
            super::descriptor::mark_cloexec(fd, true)?;
        }
    }
    if !only_mark {
        let most = c_int::MAX as c_uint;
        let range = (first.min(most) as c_int, last.min(most) as c_int);
        kept::closed_between(range.0, range.1);
        watching::closed_between(range.0, range.1);
    }
    fds::release_reserved();
    fds::note_local_close(first.min(c_int::MAX as c_uint) as c_int);
    // Between the internal descriptors, which are few and lie close together.
    let mut start = first;
    let mut lowest = fds::internal_from(start);
    loop {
        let end = match lowest {
            Some(internal) if internal <= last => internal,
            _ => last.saturating_add(1),
        };
        if start < end {
            let until = if end > last { last } else { end - 1 };
            // SAFETY: plain system call on numbers that belong to the program.
            unsafe { try_sys!(Sysno::close_range, start, until, flags) }?;
        }
        match lowest {
            Some(internal) if internal < last => start = internal + 1,
            _ => return Ok(()),
        }
        lowest = fds::internal_from(start);
    }
}

/// Fails with `EBADF` for a number that is only reserved; the kernel would find the placeholder there.
pub fn refuse_reserved(fd: c_int) -> bool {
    let reserved = fds::is_reserved(fd);
    if reserved {
        set_errno(Errno(libc::EBADF));
    }
    reserved
}
