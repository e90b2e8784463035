//! Metadata: the stat(2) family of both glibc generations, statx(2), statfs(2), statvfs(3).
#![allow(unsafe_code)]

use super::by_place;
use super::open::refuse_reserved;
use crate::real::{done, hooks, hooks_over, sys};
use crate::{fds, session};
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
    Ok(stats)
}

/// Metadata of an open host file.
pub fn metadata_of(fd: RemoteFd) -> Result<libc::statx, Errno> {
    metadata(fd.into(), c"", libc::AT_EMPTY_PATH, BASIC)
}

/// The same facts in the older structure.
fn convert(from: &libc::statx, to: &mut libc::stat) {
    // SAFETY: a stat of zeros is valid; it has private padding that cannot be named.
    *to = unsafe { std::mem::zeroed() };
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
}

unsafe fn stat_host(dir: DirFd, path: &CStr, flags: c_int, to: *mut libc::stat) -> c_int {
    done(metadata(dir, path, flags, BASIC).map(|stats| {
        // SAFETY: the calling program's structure.
        convert(&stats, unsafe { &mut *to });
    }))
}

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

hooks! {
    fn stat | stat64 (path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, 0)
    }

    fn lstat | lstat64 (path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, NOFOLLOW)
    }

    fn fstat | fstat64 (fd: c_int, to: *mut libc::stat) -> c_int {
        stat_fd(fd, to)
    }

    fn fstatat | fstatat64 (dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int {
        stat_any(dirfd, path, to, flags)
    }

    fn __xstat | __xstat64 (_version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, 0)
    }

    fn __lxstat | __lxstat64 (_version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int {
        stat_any(libc::AT_FDCWD, path, to, NOFOLLOW)
    }

    fn __fxstat | __fxstat64 (_version: c_int, fd: c_int, to: *mut libc::stat) -> c_int {
        stat_fd(fd, to)
    }

    fn __fxstatat | __fxstatat64 (_version: c_int, dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int {
        stat_any(dirfd, path, to, flags)
    }

    fn statx(dirfd: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut libc::statx) -> c_int {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::statx, dirfd, path, flags, mask, to),
            |dir, path| {
                // A null path with AT_EMPTY_PATH is the descriptor itself, like the empty one.
                done(metadata(dir, path, flags, mask).map(|stats| *to = stats))
            }
        )
    }
}

/// statfs(2) on the host.
fn file_system(dir: DirFd, path: &CStr) -> Result<libc::statfs, Errno> {
    let mut stats = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the structure is ours for the call.
    let sink = unsafe { Sink::from_raw(stats.as_mut_ptr().cast(), size_of::<libc::statfs>()) };
    session::client()?.statfs(dir, path, sink)?;
    // SAFETY: zeros and any bytes over them are a statfs.
    Ok(unsafe { stats.assume_init() })
}

/// The same facts in POSIX's structure.
fn convert_vfs(from: &libc::statfs) -> libc::statvfs {
    // SAFETY: a statvfs of zeros is valid.
    let mut to: libc::statvfs = unsafe { std::mem::zeroed() };
    // The kernel marks flags as valid with a bit of its own, which is not part of the answer.
    const VALID: libc::c_ulong = 0x20;
    // SAFETY: on 64-bit Linux the structure is words, the eleventh the flags, for which the crate has no name.
    let flags = unsafe { *std::ptr::from_ref(from).cast::<libc::c_ulong>().add(10) };
    // SAFETY: the identifier is two integers in both structures.
    let id: [c_int; 2] = unsafe { std::mem::transmute_copy(&from.f_fsid) };
    to.f_bsize = from.f_bsize as _;
    to.f_frsize = if from.f_frsize != 0 {
        from.f_frsize
    } else {
        from.f_bsize
    } as _;
    to.f_blocks = from.f_blocks;
    to.f_bfree = from.f_bfree;
    to.f_bavail = from.f_bavail;
    to.f_files = from.f_files;
    to.f_ffree = from.f_ffree;
    to.f_favail = from.f_ffree;
    to.f_fsid = id[0] as u32 as u64 | (id[1] as u32 as u64) << 32;
    to.f_flag = flags & !VALID;
    to.f_namemax = from.f_namelen as _;
    to
}

unsafe fn statfs_any(path: *const c_char, to: *mut libc::statfs) -> c_int {
    // SAFETY: the calling program's path and structure.
    unsafe {
        by_place!(
            libc::AT_FDCWD,
            path,
            |_, path| sys!(Sysno::statfs, path, to),
            |dir, path| done(file_system_named(dir, path).map(|stats| *to = stats))
        )
    }
}

/// An empty path names nothing in statfs(2), though the op takes it for the descriptor.
fn file_system_named(dir: DirFd, path: &CStr) -> Result<libc::statfs, Errno> {
    match path.is_empty() {
        true => Err(Errno(libc::ENOENT)),
        false => file_system(dir, path),
    }
}

hooks! {
    fn statfs | statfs64 (path: *const c_char, to: *mut libc::statfs) -> c_int {
        statfs_any(path, to)
    }

    fn fstatfs | fstatfs64 (fd: c_int, to: *mut libc::statfs) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(file_system(remote.into(), c"").map(|stats| *to = stats)),
            None => sys!(Sysno::fstatfs, fd, to),
        }
    }

    fn statvfs64(path: *const c_char, to: *mut libc::statvfs) -> c_int {
        statvfs::statvfs(path, to)
    }

    fn fstatvfs64(fd: c_int, to: *mut libc::statvfs) -> c_int {
        fstatvfs::fstatvfs(fd, to)
    }
}

hooks_over! {
    fn statvfs(path: *const c_char, to: *mut libc::statvfs) -> c_int => hooked_statvfs {
        by_place!(
            libc::AT_FDCWD,
            path,
            |_, path| redhook::real!(statvfs)(path, to),
            |dir, path| done(file_system_named(dir, path).map(|stats| *to = convert_vfs(&stats)))
        )
    }

    fn fstatvfs(fd: c_int, to: *mut libc::statvfs) -> c_int => hooked_fstatvfs {
        match fds::host(fd) {
            Some(remote) => done(file_system(remote.into(), c"").map(|stats| *to = convert_vfs(&stats))),
            None => redhook::real!(fstatvfs)(fd, to),
        }
    }

    fn pathconf(path: *const c_char, name: c_int) -> libc::c_long => hooked_pathconf {
        by_place!(
            libc::AT_FDCWD,
            path,
            |_, path| redhook::real!(pathconf)(path, name),
            // Limits are those of Linux file systems in general; the guest's root has them too.
            |_, _| redhook::real!(pathconf)(c"/".as_ptr(), name)
        )
    }

    fn fpathconf(fd: c_int, name: c_int) -> libc::c_long => hooked_fpathconf {
        match fds::host(fd) {
            Some(_) => redhook::real!(pathconf)(c"/".as_ptr(), name),
            None => redhook::real!(fpathconf)(fd, name),
        }
    }
}
