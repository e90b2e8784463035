//! The descriptor that all host files' numbers duplicate.
//!
//! A path-only descriptor of a device file: no read, write, map or ioctl works on it, nor a path relative to it, so whatever misses the
//! hooks fails at once.
#![allow(unsafe_code)]

use crate::fds;
use crate::real::try_sys;
use hostcall::types::Errno;
use libc::c_int;
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

/// Another one, at the lowest free number, close-on-exec.
pub fn open() -> Result<c_int, Errno> {
    const CANDIDATES: [&std::ffi::CStr; 3] = [c"/dev/null", c"/proc/self/exe", c"/etc/passwd"];
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

/// Whether `fd` is some placeholder of ours, perhaps of a former program image: same file, path-only.
pub fn is_one(fd: c_int) -> bool {
    let Ok(known) = get() else {
        return false;
    };
    // SAFETY: stat is valid when zeroed; both are live locals.
    unsafe {
        let mut stats: [libc::stat; 2] = std::mem::zeroed();
        let same = try_sys!(Sysno::fstat, fd, &raw mut stats[0]).is_ok()
            && try_sys!(Sysno::fstat, known, &raw mut stats[1]).is_ok()
            && (stats[0].st_dev, stats[0].st_ino) == (stats[1].st_dev, stats[1].st_ino);
        let flags = try_sys!(Sysno::fcntl, fd, libc::F_GETFL, 0);
        same && flags.is_ok_and(|flags| flags & libc::O_PATH as isize != 0)
    }
}
