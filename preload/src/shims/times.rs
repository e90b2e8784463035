//! File times, five generations of them: utimensat(2), utimes(2), utime(2) and their relatives.
#![allow(unsafe_code)]

use super::attributes::of_inode;
use super::by_file;
use crate::real::{done, shims, try_sys};
use crate::{fds, session};
use hostcall::access::get;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Times};
use libc::{c_char, c_int, timespec, timeval};
use std::ffi::CStr;
use syscalls::Sysno;

const CWD: c_int = libc::AT_FDCWD;

fn now() -> [timespec; 2] {
    [timespec {
        tv_sec: 0,
        tv_nsec: libc::UTIME_NOW,
    }; 2]
}

/// # Safety
/// `times` is null (which means now) or points to two times.
unsafe fn from_spec(times: *const timespec) -> Result<[timespec; 2], Errno> {
    match times.is_null() {
        true => Ok(now()),
        // SAFETY: the caller's promise.
        false => unsafe { get(times.cast()) },
    }
}

/// # Safety
/// `times` is null (which means now) or points to two times.
unsafe fn from_val(times: *const timeval) -> Result<[timespec; 2], Errno> {
    if times.is_null() {
        return Ok(now());
    }
    // SAFETY: the caller's promise.
    let times: [timeval; 2] = unsafe { get(times.cast()) }?;
    match times
        .iter()
        .all(|time| (0..1_000_000).contains(&time.tv_usec))
    {
        true => Ok(times.map(|time| timespec {
            tv_sec: time.tv_sec,
            tv_nsec: time.tv_usec * 1000,
        })),
        false => Err(Errno(libc::EINVAL)),
    }
}

fn on_host(dir: DirFd, path: &CStr, times: [timespec; 2], flags: c_int) -> Result<(), Errno> {
    let [access, modification] = times;
    let valid = |time: timespec| {
        (0..1_000_000_000).contains(&time.tv_nsec)
            || [libc::UTIME_NOW, libc::UTIME_OMIT].contains(&time.tv_nsec)
    };
    if !times.into_iter().all(valid) {
        return Err(Errno(libc::EINVAL));
    }
    let times = Times {
        atime: access.tv_sec,
        mtime: modification.tv_sec,
        atime_nsec: access.tv_nsec as u32,
        mtime_nsec: modification.tv_nsec as u32,
    };
    session::client()?
        .utimensat(dir, path, times, AtFlags(flags))
        .map(|_| ())
}

unsafe fn by_path(
    dirfd: c_int,
    path: *const c_char,
    times: Result<[timespec; 2], Errno>,
    flags: c_int,
) -> c_int {
    let times = match times {
        Ok(times) => times,
        Err(errno) => return done::<()>(Err(errno)),
    };
    // SAFETY: the calling program's path.
    unsafe {
        by_file!(
            dirfd,
            path,
            flags,
            |dirfd, path| done(try_sys!(
                Sysno::utimensat,
                dirfd,
                path,
                times.as_ptr(),
                flags
            )),
            |dir, path, flags| match path.is_empty() && flags & libc::AT_EMPTY_PATH == 0 {
                // The op takes the empty path for the descriptor itself.
                true => done::<()>(Err(Errno(libc::ENOENT))),
                false => done(on_host(dir, path, times, of_inode(path, flags).0)),
            }
        )
    }
}

unsafe fn by_fd(fd: c_int, times: Result<[timespec; 2], Errno>) -> c_int {
    done(times.and_then(|times| match fds::host(fd) {
        Some(remote) => on_host(remote.into(), c"", times, 0),
        // SAFETY: a live array; the null path means the descriptor.
        None => unsafe { try_sys!(Sysno::utimensat, fd, 0, times.as_ptr(), 0) }.map(|_| ()),
    }))
}

/// The system call itself, for which no path means the descriptor.
///
/// # Safety
/// As the system call.
pub unsafe fn by_number(
    dirfd: c_int,
    path: *const c_char,
    times: *const timespec,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match path.is_null() && dirfd != CWD {
            true => by_fd(dirfd, from_spec(times)),
            false => by_path(dirfd, path, from_spec(times), flags),
        }
    }
}

shims! {
    fn utimensat(dirfd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int {
        match path.is_null() {
            true => done::<()>(Err(Errno(libc::EINVAL))),
            false => by_path(dirfd, path, from_spec(times), flags),
        }
    }

    fn futimens(fd: c_int, times: *const timespec) -> c_int {
        match fd < 0 {
            true => done::<()>(Err(Errno(libc::EBADF))),
            false => by_fd(fd, from_spec(times)),
        }
    }

    fn utimes(path: *const c_char, times: *const timeval) -> c_int {
        by_path(CWD, path, from_val(times), 0)
    }

    fn lutimes(path: *const c_char, times: *const timeval) -> c_int {
        by_path(CWD, path, from_val(times), libc::AT_SYMLINK_NOFOLLOW)
    }

    fn futimes(fd: c_int, times: *const timeval) -> c_int {
        by_fd(fd, from_val(times))
    }

    fn futimesat(dirfd: c_int, path: *const c_char, times: *const timeval) -> c_int {
        match path.is_null() {
            true => by_fd(dirfd, from_val(times)),
            false => by_path(dirfd, path, from_val(times), 0),
        }
    }

    fn utime(path: *const c_char, times: *const libc::utimbuf) -> c_int {
        let times = times.as_ref().map_or_else(now, |times| {
            [times.actime, times.modtime].map(|tv_sec| timespec { tv_sec, tv_nsec: 0 })
        });
        by_path(CWD, path, Ok(times), 0)
    }
}
