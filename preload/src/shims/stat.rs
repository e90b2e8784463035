//! Metadata: the stat(2) family of both glibc generations, statx(2).
#![allow(unsafe_code)]

use super::by_file;
use super::open::refuse_reserved;
use crate::real::{done, shims, sys, try_sys};
use crate::route::PREFIX_MAX;
use crate::{fds, session};
use hostcall::access::put;
use hostcall::metadata::Metadata;
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

/// statx(2) on the host, with host devices told apart.
fn extended(dir: DirFd, path: &CStr, flags: c_int, mask: c_uint) -> Result<libc::statx, Errno> {
    let mut stats = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the structure is ours for the call.
    let sink = unsafe { Sink::from_raw(stats.as_mut_ptr().cast(), size_of::<libc::statx>()) };
    session::client()?.statx(dir, path, AtFlags(flags), mask, sink)?;
    // SAFETY: zeros and any bytes over them are a statx.
    let mut stats = unsafe { stats.assume_init() };
    stats.stx_dev_major |= HOST_DEVICE;
    of_our_mount(&mut stats, mask & MOUNT);
    if is_link(stats.stx_mode.into()) && stats.stx_size > 0 {
        stats.stx_size = stats.stx_size.saturating_add(lengthened(dir, path)?);
    }
    Ok(stats)
}

/// The mount's number: `STATX_MNT_ID` or `STATX_MNT_ID_UNIQUE`.
const MOUNT: c_uint = libc::STATX_MNT_ID | 0x4000;

/// Shows, where it is asked for, the number of the guest's mount instead of the host's, which no table of the guest's has.
fn of_our_mount(stats: &mut libc::statx, asked: c_uint) {
    stats.stx_mask &= !MOUNT;
    stats.stx_mnt_id = 0;
    if asked == 0 {
        return;
    }
    let (mut path, prefix) = ([0; PREFIX_MAX + 1], session::prefix().as_bytes());
    path[..prefix.len()].copy_from_slice(prefix);
    let mut mount = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: a C string and a structure of ours, which zeros and any bytes over them are.
    let (found, mount) = unsafe {
        let at = (libc::AT_FDCWD, path.as_ptr(), mount.as_mut_ptr());
        let found = try_sys!(Sysno::statx, at.0, at.1, libc::AT_NO_AUTOMOUNT, asked, at.2);
        (found.is_ok(), mount.assume_init())
    };
    if found {
        stats.stx_mask |= mount.stx_mask & MOUNT;
        stats.stx_mnt_id = mount.stx_mnt_id;
    }
}

fn is_link(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFLNK
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
pub fn metadata_of(fd: RemoteFd) -> Result<Metadata, Errno> {
    let asked = session::client()?.stat(fd.into(), c"", AtFlags(libc::AT_EMPTY_PATH))?;
    Ok(asked.stat)
}

/// The same facts in libc's structure, with host devices told apart.
fn convert(from: &Metadata) -> libc::stat {
    // SAFETY: a stat of zeros is valid; it has private padding that cannot be named.
    let mut to: libc::stat = unsafe { std::mem::zeroed() };
    let (major, minor) = (libc::major(from.device), libc::minor(from.device));
    to.st_dev = libc::makedev(major | HOST_DEVICE, minor);
    to.st_ino = from.inode;
    to.st_nlink = from.links as _;
    to.st_mode = from.mode;
    to.st_uid = from.uid;
    to.st_gid = from.gid;
    to.st_rdev = from.is_device;
    to.st_size = from.size as _;
    to.st_blksize = from.block as _;
    to.st_blocks = from.blocks as _;
    (to.st_atime, to.st_atime_nsec) = (from.accessed.0, from.accessed.1.into());
    (to.st_mtime, to.st_mtime_nsec) = (from.modified.0, from.modified.1.into());
    (to.st_ctime, to.st_ctime_nsec) = (from.changed.0, from.changed.1.into());
    to
}

fn stat_of(dir: DirFd, path: &CStr, flags: c_int) -> Result<libc::stat, Errno> {
    let asked = session::client()?.stat(dir, path, AtFlags(flags))?;
    let mut stats = convert(&asked.stat);
    if is_link(stats.st_mode) && stats.st_size > 0 {
        stats.st_size = stats
            .st_size
            .saturating_add_unsigned(lengthened(dir, path)?);
    }
    Ok(stats)
}

unsafe fn stat_host(dir: DirFd, path: &CStr, flags: c_int, to: *mut libc::stat) -> c_int {
    done(
        stat_of(dir, path, flags)
            // SAFETY: the calling program's structure.
            .and_then(|stats| unsafe { put(to, &stats) }),
    )
}

#[inline(always)]
unsafe fn stat_any(dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int {
    // SAFETY: the calling program's path and structure.
    unsafe {
        by_file!(
            dirfd,
            path,
            flags,
            |dirfd, path| sys!(STAT_AT, dirfd, path, to, flags),
            |dir, path, flags| stat_host(dir, path, flags, to)
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
        by_file!(
            dirfd,
            path,
            flags,
            |dirfd, path| sys!(Sysno::statx, dirfd, path, flags, mask, to),
            |dir, path, flags| {
                // A null path with AT_EMPTY_PATH is the descriptor itself, like the empty one.
                done(extended(dir, path, flags, mask).and_then(|stats| put(to, &stats)))
            }
        )
    }
}
