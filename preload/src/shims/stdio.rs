//! Streams on host files: fopen(3), fdopen(3), freopen(3) and their `64` twins.
//!
//! A stream is always glibc's own, made by glibc's own fdopen on the placeholder; [`slots`](super::slots) then serves
//! its reads and writes. Everything else about it (buffers, locks, orientation, the flush at exit) is glibc's.
#![allow(unsafe_code)]

use super::libio::{conversion, File, Mode};
use super::open::named_descriptor;
use super::slots;
use crate::place::{self, PathBuffer, Place};
use crate::real::{errno, finish, set_errno, shims};
use crate::symbols::own;
use crate::{cancel, fds, report};
use hostcall::types::Errno;
use libc::{c_char, c_int};
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

shims! {
    /// Opens a stream on a path, fopen(3).
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut File {
        match place::of(path, &mut PathBuffer::new()) {
            Ok(Place::Host { .. }) => finish(open(path, CStr::from_ptr(mode).to_bytes())),
            Ok(Place::Guest { path, .. }) if named_descriptor(path).is_some() => {
                finish(open(path, CStr::from_ptr(mode).to_bytes()))
            }
            Ok(Place::Guest { path, .. }) => {
                fds::release_reserved();
                own::fopen(path, mode)
            }
            Err(error) => finish(Err(error)),
        }
    }

    /// Makes a stream of an open descriptor, fdopen(3).
    fn fdopen(fd: c_int, mode: *const c_char) -> *mut File {
        match fds::host(fd) {
            Some(_) => finish(adopt(fd, CStr::from_ptr(mode).to_bytes())),
            None if fds::is_reserved(fd) => finish(Err(Errno(libc::EBADF))),
            None => own::fdopen(fd, mode),
        }
    }

    /// Puts another file under a stream, freopen(3). The stream keeps its descriptor's number.
    fn freopen(path: *const c_char, mode: *const c_char, stream: *mut File) -> *mut File {
        if stream.is_null() || (*stream).flags & File::FILEBUF == 0 {
            return own::freopen(path, mode, stream);
        }
        let old = (*stream).fileno;
        let was_host = fds::host(old).is_some();
        let mut buffer = PathBuffer::new();
        let guest_path = if path.is_null() {
            (!was_host).then_some(path)
        } else {
            match place::of(path, &mut buffer) {
                Ok(Place::Host { .. }) => None,
                Ok(Place::Guest { path, .. }) if named_descriptor(path).is_some() => None,
                Ok(Place::Guest { path, .. }) => Some(path),
                Err(error) => return shut(stream, error),
            }
        };
        let Some(guest_path) = guest_path else {
            return match reopen(path, CStr::from_ptr(mode).to_bytes(), stream) {
                Ok(()) => stream,
                Err(error) => shut(stream, error),
            };
        };
        fds::release_reserved();
        let result = own::freopen(guest_path, mode, stream);
        settle(old, was_host, result.is_null());
        result
    }
}

/// A cancellation point, unless the mode says that the stream has none.
fn begin(mode: Mode) {
    if mode.stream2 & File::NOT_CANCEL == 0 {
        cancel::point();
    }
}

/// fopen(3) of a host file.
///
/// # Safety
/// `path` is a C string.
unsafe fn open(path: *const c_char, text: &[u8]) -> Result<*mut File, Errno> {
    let mode = Mode::parse(text).ok_or(Errno(libc::EINVAL))?;
    usable()?;
    begin(mode);
    // SAFETY: `path` is a C string by contract; the new descriptor and stream are ours until they are returned.
    unsafe {
        let fd = check(libc::open(path, mode.open, 0o666))?;
        let stream = match conversion(text) {
            b"" => attach(fd, mode),
            _ => attach_converting(fd, mode, text),
        };
        let stream = stream.inspect_err(|_| {
            super::open::close(fd);
        })?;
        (*stream).flags2 |= mode.stream2;
        if mode.starts_at_end() {
            // A pipe has no end to go to; glibc forgives that too.
            libc::lseek64(fd, 0, libc::SEEK_END);
        }
        Ok(stream)
    }
}

/// fdopen(3) of a host file. glibc would ask the kernel for the flags, which knows only the placeholder's.
fn adopt(fd: c_int, text: &[u8]) -> Result<*mut File, Errno> {
    let mode = Mode::parse(text).ok_or(Errno(libc::EINVAL))?;
    usable()?;
    // SAFETY: system calls without pointers; the descriptor is the caller's to give away.
    unsafe {
        let flags = check(libc::fcntl(fd, libc::F_GETFL))?;
        if !mode.fits(flags) {
            return Err(Errno(libc::EINVAL));
        }
        let appends = mode.stream & File::APPENDING != 0 && flags & libc::O_APPEND == 0;
        if appends {
            check(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_APPEND))?;
        }
        let stream = attach(fd, mode)?;
        if appends && mode.starts_at_end() {
            libc::lseek64(fd, 0, libc::SEEK_END);
        }
        Ok(stream)
    }
}

/// freopen(3) to a host file, or of one with another mode if `path` is null. After an error the stream is still open.
///
/// # Safety
/// `path` is null or a C string, `stream` a live stream on a descriptor, of a host file if `path` is null.
unsafe fn reopen(path: *const c_char, text: &[u8], stream: *mut File) -> Result<(), Errno> {
    let mode = Mode::parse(text).ok_or(Errno(libc::EINVAL))?;
    let stand_in = mode.stand_in(text).ok_or(Errno(libc::EINVAL))?;
    usable()?;
    begin(mode);
    // SAFETY: as the contract says; new descriptors are ours.
    unsafe {
        let old = (*stream).fileno;
        let was_host = fds::host(old).is_some();
        // What goes away with the stream's old descriptor is taken before.
        let kept = if path.is_null() {
            Some(reuse(old, mode)?)
        } else if named_descriptor(path).is_some() {
            Some(check(libc::open(path, mode.open, 0o666))?)
        } else {
            None
        };
        // glibc flushes, resets the stream for the new mode and keeps the number; a guest file stands in meanwhile.
        fds::release_reserved();
        let result = own::freopen(c"/dev/null".as_ptr(), stand_in.as_ptr(), stream);
        let error = errno();
        settle(old, was_host, result.is_null());
        let fd = match kept {
            _ if result.is_null() => {
                kept.map(|fd| super::open::close(fd));
                return Err(error);
            }
            // Not before the flush: with `w` the file may be the one that the stream was writing.
            None => check(libc::open(path, mode.open, 0o666))?,
            Some(fd) => fd,
        };
        let placed = start(fd, mode, path.is_null()).and_then(|()| {
            check(libc::dup3(
                fd,
                (*stream).fileno,
                mode.open & libc::O_CLOEXEC,
            ))
        });
        super::open::close(fd);
        placed.map(drop)
    }
}

/// Brings an open file to where a stream of this mode begins. One that goes on is truncated by hand.
fn start(fd: c_int, mode: Mode, goes_on: bool) -> Result<(), Errno> {
    // SAFETY: system calls without pointers. A pipe has no position; glibc forgives that too.
    unsafe {
        if goes_on && mode.open & libc::O_TRUNC != 0 {
            check(libc::ftruncate64(fd, 0))?;
        }
        if mode.starts_at_end() {
            libc::lseek64(fd, 0, libc::SEEK_END);
        } else if goes_on {
            libc::lseek64(fd, 0, libc::SEEK_SET);
        }
    }
    Ok(())
}

/// A second descriptor for `freopen(NULL, …)`: the open file goes on. POSIX leaves open which changes of mode that
/// allows; here those that its access mode serves.
fn reuse(old: c_int, mode: Mode) -> Result<c_int, Errno> {
    // SAFETY: system calls without pointers.
    unsafe {
        let flags = check(libc::fcntl(old, libc::F_GETFL))?;
        if !mode.fits(flags) {
            return Err(Errno(libc::EBADF));
        }
        let wanted = flags & !libc::O_APPEND | mode.open & libc::O_APPEND;
        if wanted != flags {
            check(libc::fcntl(old, libc::F_SETFL, wanted))?;
        }
        check(libc::fcntl(old, libc::F_DUPFD_CLOEXEC, 0))
    }
}

/// Tells the table what glibc's freopen has done to a descriptor behind its back: put a guest file over the number,
/// or closed it.
fn settle(fd: c_int, was_host: bool, closed: bool) {
    let error = errno();
    if was_host {
        fds::displaced(fd);
    }
    if closed && fd >= 0 {
        fds::note_local_close(fd);
    }
    set_errno(error);
}

/// Ends a stream whose freopen(3) failed, as glibc does: flushed, closed, but not freed.
///
/// # Safety
/// `stream` is a live stream.
unsafe fn shut(stream: *mut File, error: Errno) -> *mut File {
    // SAFETY: by contract. A file below one that is no directory never exists.
    unsafe {
        let fd = (*stream).fileno;
        let was_host = fds::host(fd).is_some();
        own::freopen(c"/dev/null/".as_ptr(), c"r".as_ptr(), stream);
        settle(fd, was_host, true);
    }
    finish(Err(error))
}

/// A glibc stream over a placeholder. The placeholder's flags say read-only, so glibc is asked for `r` and the mode's
/// own bits are set afterwards.
///
/// # Safety
/// `fd` is a host file that no other stream owns.
unsafe fn attach(fd: c_int, mode: Mode) -> Result<*mut File, Errno> {
    const MASK: c_int = File::NO_READS | File::NO_WRITES | File::APPENDING;
    // SAFETY: the descriptor is open and the mode a C string; a new stream is ours until it is returned.
    unsafe {
        let stream = own::fdopen(fd, c"r".as_ptr());
        if stream.is_null() {
            return Err(errno());
        }
        (*stream).flags = (*stream).flags & !MASK | mode.stream;
        Ok(stream)
    }
}

/// As [`attach`], for a mode with `,ccs=`: only glibc's fopen loads a conversion, so it opens a stand-in, whose
/// descriptor is then exchanged.
///
/// # Safety
/// As [`attach`].
unsafe fn attach_converting(fd: c_int, mode: Mode, text: &[u8]) -> Result<*mut File, Errno> {
    let stand_in = mode.stand_in(text).ok_or(Errno(libc::EINVAL))?;
    fds::release_reserved();
    // SAFETY: two C strings; a new stream is ours until it is returned, and nothing is buffered in it.
    unsafe {
        let stream = own::fopen(c"/dev/null".as_ptr(), stand_in.as_ptr());
        if stream.is_null() {
            return Err(errno());
        }
        super::open::close((*stream).fileno);
        (*stream).fileno = fd;
        Ok(stream)
    }
}

/// Whether glibc's streams can serve a host file; says so once if not.
fn usable() -> Result<(), Errno> {
    static SAID: AtomicBool = AtomicBool::new(false);
    if slots::covered() {
        return Ok(());
    }
    if !SAID.swap(true, Ordering::Relaxed) {
        report::say(&"stdio on host files is not covered by this libc; use a program that reads and writes directly");
    }
    Err(Errno(libc::EOPNOTSUPP))
}

/// The `-1` convention of the hooked calls as a result.
fn check(result: c_int) -> Result<c_int, Errno> {
    match result {
        -1 => Err(errno()),
        result => Ok(result),
    }
}
