//! The descriptor that all host files' numbers duplicate.
//!
//! A path-only descriptor of a device file: no read, write, map or ioctl works on it, nor a path relative to it, so whatever misses the
//! hooks fails at once.
#![allow(unsafe_code)]

use crate::fds;
use crate::real::try_sys;
use hostcall::types::Errno;
use libc::c_int;
use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, Ordering};
use syscalls::Sysno;

/// -1 before the first.
static PLACEHOLDER: AtomicI32 = AtomicI32::new(-1);

/// Whether `fd` is it.
pub fn owns(fd: c_int) -> bool {
    PLACEHOLDER.load(Ordering::Relaxed) == fd
}

/// It, opened at the first need.
pub fn get() -> Result<c_int, Errno> {
    let known = PLACEHOLDER.load(Ordering::Acquire);
    if known >= 0 {
        return Ok(known);
    }
    fds::touch();
    let high = hostcall::attach::out_of_the_way(open()?)?;
    match PLACEHOLDER.compare_exchange(-1, high, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(high),
        Err(other) => {
            // SAFETY: ours, and nobody else has seen it.
            let _ = unsafe { try_sys!(Sysno::close, high) };
            Ok(other)
        }
    }
}

/// What may be opened as one: the first that is there.
const CANDIDATES: [&CStr; 3] = [c"/dev/null", c"/proc/self/exe", c"/etc/passwd"];

/// Another one, at the lowest free number, close-on-exec.
pub fn open() -> Result<c_int, Errno> {
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    let mut opened = Err(Errno(libc::ENOENT));
    for path in CANDIDATES {
        // SAFETY: a NUL-terminated path.
        opened = unsafe { try_sys!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) };
        if opened.is_ok() || opened == Err(Errno(libc::EMFILE)) {
            break;
        }
    }
    opened.map(|fd| fd as c_int)
}

/// Gives up the placeholder's number until it is needed again. There is one thread.
pub fn lend() {
    let fd = PLACEHOLDER.swap(-1, Ordering::AcqRel);
    if fd >= 0 {
        // SAFETY: the library's own, which nobody knows any more.
        let _ = unsafe { try_sys!(Sysno::close, fd) };
    }
}

/// Whether `fd` is some placeholder of ours, perhaps of a former program image: same file, path-only. Takes no number.
pub fn is_one(fd: c_int) -> bool {
    // SAFETY: plain system call.
    let flags = unsafe { try_sys!(Sysno::fcntl, fd, libc::F_GETFL, 0) };
    flags.is_ok_and(|flags| flags & libc::O_PATH as isize != 0)
        && inode(fd, c"").is_some_and(|inode| of_all() == Some(inode))
}

/// The inode of all placeholders.
fn of_all() -> Option<(libc::dev_t, libc::ino_t)> {
    match PLACEHOLDER.load(Ordering::Acquire) {
        -1 => CANDIDATES
            .iter()
            .find_map(|path| inode(libc::AT_FDCWD, path)),
        known => inode(known, c""),
    }
}

/// That of a path, or if it is empty of a descriptor.
fn inode(at: c_int, path: &CStr) -> Option<(libc::dev_t, libc::ino_t)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    let (call, flags) = (crate::shims::stat::STAT_AT, libc::AT_EMPTY_PATH);
    // SAFETY: a NUL-terminated path and a live structure, of which zeros are one.
    unsafe {
        let found = try_sys!(call, at, path.as_ptr(), stat.as_mut_ptr(), flags);
        let stat = found.is_ok().then(|| stat.assume_init())?;
        Some((stat.st_dev, stat.st_ino))
    }
}
