//! Metadata: the stat(2) family of both glibc generations, statx(2).
#![allow(unsafe_code)]

use super::by_place;
use super::open::refuse_reserved;
use crate::real::{done, shims, sys};
use crate::{fds, session};
use hostcall::access::put;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, RemoteFd};
use hostcall::wire::Sink;
use libc::{c_char, c_int, c_uint};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use syscalls::Sysno;

/// Set in the major number of every device that a host file lies on. Device numbers of two kernels may be equal by
/// chance, and then `cp` and `mv` would take two files for the same one. Kernels give out 12 bits.
const HOST_DEVICE: u32 = 1 << 19;

/// What stat(2) needs of statx(2).
const BASIC: c_uint = libc::STATX_BASIC_STATS;

/// statx(2) on the host, with host devices told apart.
fn metadata(dir: DirFd, path: &CStr, flags: c_int, mask: c_uint) -> Result<libc::statx, Errno> {
    let mut stats = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the structure is ours for the call.
    let sink = unsafe { Sink::from_raw(stats.as_mut_ptr().cast(), size_of::<libc::statx>()) };
    session::client()?.statx(dir, path, AtFlags(flags), mask, sink)?;
    // SAFETY: zeros and any bytes over them are a statx.
    let mut stats = unsafe { stats.assume_init() };
    stats.stx_dev_major |= HOST_DEVICE;
    if u32::from(stats.stx_mode) & libc::S_IFMT == libc::S_IFLNK && stats.stx_size > 0 {
        stats.stx_size += lengthened(dir, path)?;
    }
    Ok(stats)
}

/// By how much the target of a symbolic link is longer as readlink(2) shows it. Programs make room for it by the link's size.
#[cold]
fn lengthened(dir: DirFd, path: &CStr) -> Result<u64, Errno> {
    let mut first = [0];
    session::client()?.readlinkat(dir, path, Sink::new(&mut first))?;
    Ok(match first {
        [b'/'] => session::prefix().as_bytes().len() as u64,
        _ => 0,
    })
}

/// Metadata of an open host file.
pub fn metadata_of(fd: RemoteFd) -> Result<libc::statx, Errno> {
    metadata(fd.into(), c"", libc::AT_EMPTY_PATH, BASIC)
}

/// The same facts in the older structure.
fn convert(from: &libc::statx) -> libc::stat {
    // SAFETY: a stat of zeros is valid; it has private padding that cannot be named.
    let mut to: libc::stat = unsafe { std::mem::zeroed() };
    to.st_dev = libc::makedev(from.stx_dev_major, from.stx_dev_minor);
    to.st_ino = from.stx_ino;
    to.st_nlink = from.stx_nlink as _;
    to.st_mode = from.stx_mode.into();
    to.st_uid = from.stx_uid;
    to.st_gid = from.stx_gid;
    to.st_rdev = libc::makedev(from.stx_rdev_major, from.stx_rdev_minor);
    to.st_size = from.stx_size as _;
    to.st_blksize = from.stx_blksize as _;
    to.st_blocks = from.stx_blocks as _;
    to.st_atime = from.stx_atime.tv_sec;
    to.st_atime_nsec = from.stx_atime.tv_nsec.into();
    to.st_mtime = from.stx_mtime.tv_sec;
    to.st_mtime_nsec = from.stx_mtime.tv_nsec.into();
    to.st_ctime = from.stx_ctime.tv_sec;
    to.st_ctime_nsec = from.stx_ctime.tv_nsec.into();
    to
}

unsafe fn stat_host(dir: DirFd, path: &CStr, flags: c_int, to: *mut libc::stat) -> c_int {
    done(
        metadata(dir, path, flags, BASIC)
            // SAFETY: the calling program's structure.
            .and_then(|stats| unsafe { put(to, &convert(&stats)) }),
    )
}

#[inline(always)]
unsafe fn stat_any(dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int {
    // SAFETY: the calling program's path and structure.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(STAT_AT, dirfd, path, to, flags),
            |dir, path| stat_host(dir, path, flags, to)
        )
    }
}

#[cfg(target_arch = "x86_64")]
pub const STAT_AT: Sysno = Sysno::newfstatat;
#[cfg(not(target_arch = "x86_64"))]
pub const STAT_AT: Sysno = Sysno::fstatat;

unsafe fn stat_fd(fd: c_int, to: *mut libc::stat) -> c_int {
    match fds::host(fd) {
        // SAFETY: the calling program's structure.
        Some(remote) => unsafe { stat_host(remote.into(), c"", libc::AT_EMPTY_PATH, to) },
        None if refuse_reserved(fd) => -1,
        // SAFETY: as above.
        None => unsafe { sys!(Sysno::fstat, fd, to) },
    }
}

const NOFOLLOW: c_int = libc::AT_SYMLINK_NOFOLLOW;

shims! {
    brief

    fn stat(path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, 0)
    }

    fn lstat(path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, NOFOLLOW)
    }

    fn fstat(fd: c_int, to: *mut libc::stat) -> c_int {
        stat_fd(fd, to)
    }

    fn fstatat(dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int {
        stat_any(dirfd, path, to, flags)
    }

    fn __xstat(_version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, 0)
    }

    fn __lxstat(_version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, NOFOLLOW)
    }

    fn __fxstat(_version: c_int, fd: c_int, to: *mut libc::stat) -> c_int {
        stat_fd(fd, to)
    }

    fn __fxstatat(_version: c_int, dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int {
        stat_any(dirfd, path, to, flags)
    }

    /// Whether a descriptor is of a kind, such as `S_IFSOCK`: isfdtype(3).
    fn isfdtype(fd: c_int, kind: c_int) -> c_int {
        let mut stats = MaybeUninit::<libc::stat>::zeroed();
        match stat_fd(fd, stats.as_mut_ptr()) {
            0 => (stats.assume_init().st_mode & libc::S_IFMT == kind as libc::mode_t).into(),
            failed => failed,
        }
    }

    fn statx(dirfd: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut libc::statx) -> c_int {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::statx, dirfd, path, flags, mask, to),
            |dir, path| {
                // A null path with AT_EMPTY_PATH is the descriptor itself, like the empty one.
                done(metadata(dir, path, flags, mask).and_then(|stats| put(to, &stats)))
            }
        )
    }
}
