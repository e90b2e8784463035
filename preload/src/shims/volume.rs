//! File systems and limits: statfs(2), statvfs(3), pathconf(3).
#![allow(unsafe_code)]

use super::by_file;
use super::open::refuse_reserved;
use crate::real::{done, finish, shims, sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::access::put;
use hostcall::ops::Calls;
use hostcall::types::{DirFd, Errno};
use hostcall::wire::Sink;
use libc::{c_char, c_int};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use syscalls::Sysno;

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
        by_file!(
            libc::AT_FDCWD,
            path,
            0,
            |_, path| sys!(Sysno::statfs, path, to),
            |dir, path, flags| done(
                file_system_named(dir, path, flags).and_then(|stats| put(to, &stats))
            )
        )
    }
}

/// An empty path of a program names nothing in statfs(2), though the op takes it for the descriptor.
fn file_system_named(dir: DirFd, path: &CStr, flags: c_int) -> Result<libc::statfs, Errno> {
    match path.is_empty() && flags & libc::AT_EMPTY_PATH == 0 {
        true => Err(Errno(libc::ENOENT)),
        false => file_system(dir, path),
    }
}

/// Whether libc asks the file system for a limit, and so finds out that there is no such file.
fn of_file_system(name: c_int) -> bool {
    let asked = [
        libc::_PC_LINK_MAX,
        libc::_PC_NAME_MAX,
        libc::_PC_FILESIZEBITS,
        libc::_PC_2_SYMLINKS,
        libc::_PC_CHOWN_RESTRICTED,
    ];
    asked.contains(&name)
}

shims! {
    fn statfs(path: *const c_char, to: *mut libc::statfs) -> c_int {
        statfs_any(path, to)
    }

    fn fstatfs(fd: c_int, to: *mut libc::statfs) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(file_system(remote.into(), c"").and_then(|stats| put(to, &stats))),
            None if refuse_reserved(fd) => -1,
            None => sys!(Sysno::fstatfs, fd, to),
        }
    }

    fn statvfs(path: *const c_char, to: *mut libc::statvfs) -> c_int {
        by_file!(
            libc::AT_FDCWD,
            path,
            0,
            |_, path| own::statvfs(path, to),
            |dir, path, flags| done(file_system_named(dir, path, flags).and_then(|stats| put(to, &convert_vfs(&stats))))
        )
    }

    fn fstatvfs(fd: c_int, to: *mut libc::statvfs) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(file_system(remote.into(), c"").and_then(|stats| put(to, &convert_vfs(&stats)))),
            None if refuse_reserved(fd) => -1,
            None => own::fstatvfs(fd, to),
        }
    }

    fn pathconf(path: *const c_char, name: c_int) -> libc::c_long {
        by_file!(
            libc::AT_FDCWD,
            path,
            0,
            |_, path| own::pathconf(path, name),
            |dir, path, flags| match of_file_system(name).then(|| file_system_named(dir, path, flags)) {
                Some(Err(errno)) => finish(Err(errno)),
                // Limits are those of Linux file systems in general; the guest's root has them too.
                _ => own::pathconf(c"/".as_ptr(), name),
            }
        )
    }

    fn fpathconf(fd: c_int, name: c_int) -> libc::c_long {
        match fds::host(fd) {
            Some(_) => own::pathconf(c"/".as_ptr(), name),
            None if refuse_reserved(fd) => -1,
            None => own::fpathconf(fd, name),
        }
    }
}
