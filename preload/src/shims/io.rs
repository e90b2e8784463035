//! Reading, writing and positions: read(2) to pwritev2(2), lseek(2), and what else needs only a descriptor.
#![allow(unsafe_code)]

use crate::real::{apart, done, finish, shims, sys};
use crate::symbols::own;
use crate::{fds, session, watching};
use hostcall::ops::Calls;
use hostcall::region::CHUNK;
use hostcall::transfer::{read_vectored, write_vectored};
use hostcall::types::{Errno, Offset, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use libc::{c_int, c_void, iovec, off_t, size_t, ssize_t};
use syscalls::Sysno;

/// Reads into one buffer: a single call if it fits a chunk, else pipelined chunks.
///
/// # Safety
/// `buffer` must be writable for `len` bytes.
pub unsafe fn read_host(
    fd: RemoteFd,
    buffer: *mut c_void,
    len: size_t,
    offset: Offset,
) -> Result<ssize_t, Errno> {
    let client = session::client()?;
    if len <= CHUNK {
        // SAFETY: the caller's promise.
        let sink = unsafe { Sink::from_raw(buffer.cast(), len) };
        let reply = client.read(fd, offset, RwFlags(0), sink)?;
        return Ok(reply.filled.0 as ssize_t);
    }
    let vector = [iovec {
        iov_base: buffer,
        iov_len: len,
    }];
    // SAFETY: the caller's promise.
    unsafe { read_vectored(client, fd, offset, RwFlags(0), &vector) }.map(|n| n as ssize_t)
}

/// Writes one buffer, like [`read_host`].
///
/// # Safety
/// `buffer` must be readable for `len` bytes.
pub unsafe fn write_host(
    fd: RemoteFd,
    buffer: *const c_void,
    len: size_t,
    offset: Offset,
) -> Result<ssize_t, Errno> {
    let client = session::client()?;
    if len <= CHUNK {
        // SAFETY: the caller's promise.
        let source = unsafe { Source::from_raw(buffer.cast_mut().cast(), len) };
        let reply = client.write(fd, offset, RwFlags(0), source)?;
        return Ok(reply.written as ssize_t);
    }
    let vector = [iovec {
        iov_base: buffer.cast_mut(),
        iov_len: len,
    }];
    // SAFETY: the caller's promise.
    unsafe { write_vectored(client, fd, offset, RwFlags(0), &vector) }.map(|n| n as ssize_t)
}

/// An explicit offset; on the wire -1 means the file's own position, so it must not get there from here.
fn explicit(offset: off_t) -> Result<Offset, Errno> {
    match offset {
        0.. => Ok(Offset(offset)),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// # Safety
/// `vectors` must point to `count` vectors.
unsafe fn vectors<'a>(vectors: *const iovec, count: c_int) -> Result<&'a [iovec], Errno> {
    match count {
        0 => Ok(&[]),
        // SAFETY: the caller's promise.
        1..=1024 => Ok(unsafe { std::slice::from_raw_parts(vectors, count as usize) }),
        _ => Err(Errno(libc::EINVAL)),
    }
}

unsafe fn gather(
    fd: RemoteFd,
    list: *const iovec,
    count: c_int,
    offset: Result<Offset, Errno>,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the calling program's vectors and buffers, as readv(2) has them.
    finish((|| unsafe {
        let list = vectors(list, count)?;
        let n = read_vectored(session::client()?, fd, offset?, RwFlags(flags), list)?;
        Ok(n as ssize_t)
    })())
}

unsafe fn scatter(
    fd: RemoteFd,
    list: *const iovec,
    count: c_int,
    offset: Result<Offset, Errno>,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the calling program's vectors and buffers, as writev(2) has them.
    finish((|| unsafe {
        let list = vectors(list, count)?;
        let n = write_vectored(session::client()?, fd, offset?, RwFlags(flags), list)?;
        Ok(n as ssize_t)
    })())
}

unsafe fn read_at(fd: RemoteFd, buffer: *mut c_void, len: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the calling program's buffer.
    finish(explicit(offset).and_then(|offset| unsafe { read_host(fd, buffer, len, offset) }))
}

unsafe fn write_at(fd: RemoteFd, buffer: *const c_void, len: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the calling program's buffer.
    finish(explicit(offset).and_then(|offset| unsafe { write_host(fd, buffer, len, offset) }))
}

/// The offset of preadv2(2), where -1 asks for the file's own position.
fn explicit_or_own(offset: off_t) -> Result<Offset, Errno> {
    match offset {
        -1 => Ok(Offset::CURRENT),
        offset => explicit(offset),
    }
}

// Cancellation points: a thread blocked in one of these on a guest descriptor can be cancelled only inside libc's own.
shims! {
    fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => apart(move || finish(read_host(remote, buffer, len, Offset::CURRENT))),
            None if watching::any() => apart(move || {
                watching::read(fd, buffer, len, |buffer, len| own::read(fd, buffer, len))
            }),
            None => own::read(fd, buffer, len),
        }
    }

    fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => apart(move || finish(write_host(remote, buffer, len, Offset::CURRENT))),
            None => own::write(fd, buffer, len),
        }
    }

    fn pread(fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => apart(move || read_at(remote, buffer, len, offset)),
            None => own::pread(fd, buffer, len, offset),
        }
    }

    fn pwrite(fd: c_int, buffer: *const c_void, len: size_t, offset: off_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => apart(move || write_at(remote, buffer, len, offset)),
            None => own::pwrite(fd, buffer, len, offset),
        }
    }

    fn readv(fd: c_int, list: *const iovec, count: c_int) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => apart(move || gather(remote, list, count, Ok(Offset::CURRENT), 0)),
            None if watching::any() => apart(move || {
                let read = watching::read_vectors(fd, list, count);
                read.unwrap_or_else(|| own::readv(fd, list, count))
            }),
            None => own::readv(fd, list, count),
        }
    }

    fn writev(fd: c_int, list: *const iovec, count: c_int) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => apart(move || scatter(remote, list, count, Ok(Offset::CURRENT), 0)),
            None => own::writev(fd, list, count),
        }
    }

    fn fsync(fd: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => apart(move || done(session::client().and_then(|client| client.fsync(remote)))),
            None => own::fsync(fd),
        }
    }

    fn fdatasync(fd: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => apart(move || done(session::client().and_then(|client| client.fdatasync(remote)))),
            None => own::fdatasync(fd),
        }
    }
}

/// Ends the process when a fortified call names a buffer smaller than what it asks for.
pub unsafe fn fortify(len: size_t, room: size_t) {
    extern "C" {
        fn __chk_fail() -> !;
    }
    if len > room {
        // SAFETY: libc's own way to end the process.
        unsafe { __chk_fail() }
    }
}

shims! {
    fn __read_chk(fd: c_int, buffer: *mut c_void, len: size_t, room: size_t) -> ssize_t {
        fortify(len, room);
        read(fd, buffer, len)
    }

    fn __pread_chk(fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t, room: size_t) -> ssize_t {
        fortify(len, room);
        pread(fd, buffer, len, offset)
    }

    fn preadv(fd: c_int, list: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => gather(remote, list, count, explicit(offset), 0),
            // The offset goes in two halves; on a 64-bit kernel the first holds it all.
            None => sys!(Sysno::preadv, fd, list, count, offset, 0),
        }
    }

    fn pwritev(fd: c_int, list: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => scatter(remote, list, count, explicit(offset), 0),
            None => sys!(Sysno::pwritev, fd, list, count, offset, 0),
        }
    }

    fn preadv2(fd: c_int, list: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => gather(remote, list, count, explicit_or_own(offset), flags),
            None => sys!(Sysno::preadv2, fd, list, count, offset, 0, flags),
        }
    }

    fn pwritev2(fd: c_int, list: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => scatter(remote, list, count, explicit_or_own(offset), flags),
            None => sys!(Sysno::pwritev2, fd, list, count, offset, 0, flags),
        }
    }

    fn lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t {
        match fds::host(fd) {
            Some(remote) => finish(session::client().and_then(|client| Ok(client.lseek(remote, offset, whence)?.offset))),
            None => sys!(Sysno::lseek, fd, offset, whence),
        }
    }

}
