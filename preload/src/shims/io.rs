//! Reading, writing and positions: read(2) to pwritev2(2), lseek(2), and what else needs only a descriptor.
#![allow(unsafe_code)]

use crate::real::{apart, done, finish, shims, signal_self, sys};
use crate::symbols::own;
use crate::{fds, session, watching};
use hostcall::access::{copy, get};
use hostcall::client::{take_surplus, Client};
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
/// What there is of `len` bytes at `buffer` must be writable.
pub unsafe fn read_host(
    fd: RemoteFd,
    buffer: *mut c_void,
    len: size_t,
    offset: Offset,
) -> Result<ssize_t, Errno> {
    let vector = [iovec {
        iov_base: buffer,
        iov_len: len,
    }];
    if len > CHUNK {
        // SAFETY: the caller's promise.
        return unsafe { read_many(fd, &vector, offset, RwFlags(0)) };
    }
    let client = session::client()?;
    // SAFETY: the caller's promise.
    let sink = unsafe { Sink::from_raw(buffer.cast(), len) };
    let read = client.read(fd, offset, RwFlags(0), sink);
    match read.map(|reply| reply.filled.0) {
        Ok(n) if n == len => Ok(n as ssize_t),
        shorter => taken(client, fd, offset, shorter),
    }
}

/// Writes one buffer, like [`read_host`].
///
/// # Safety
/// What there is of `len` bytes at `buffer` must be readable.
pub unsafe fn write_host(
    fd: RemoteFd,
    buffer: *const c_void,
    len: size_t,
    offset: Offset,
) -> Result<ssize_t, Errno> {
    if len <= CHUNK {
        // SAFETY: the caller's promise.
        let source = unsafe { Source::from_raw(buffer.cast_mut().cast(), len) };
        match session::client()?.write(fd, offset, RwFlags(0), source) {
            Ok(reply) => return Ok(reply.written as ssize_t),
            Err(Errno(libc::EFAULT)) => {}
            Err(errno) => return Err(told(errno)),
        }
    }
    let vector = [iovec {
        iov_base: buffer.cast_mut(),
        iov_len: len,
    }];
    // SAFETY: the caller's promise.
    unsafe { write_many(fd, &vector, offset, RwFlags(0)) }
}

/// What a read answers that was shorter than asked for. It may have been for the program's memory: then the file's position goes back
/// to where that ended.
#[cold]
fn taken(
    client: &Client,
    fd: RemoteFd,
    offset: Offset,
    read: Result<usize, Errno>,
) -> Result<ssize_t, Errno> {
    let surplus = take_surplus();
    if surplus > 0 && offset == Offset::CURRENT {
        let _ = client.lseek(fd, -(surplus as i64), libc::SEEK_CUR);
    }
    read.map(|n| n as ssize_t)
}

/// Reads into many buffers.
///
/// # Safety
/// What there is of the buffers must be writable.
unsafe fn read_many(
    fd: RemoteFd,
    list: &[iovec],
    offset: Offset,
    flags: RwFlags,
) -> Result<ssize_t, Errno> {
    let client = session::client()?;
    // SAFETY: the caller's promise.
    let read = unsafe { read_vectored(client, fd, offset, flags, list) };
    taken(client, fd, offset, read)
}

/// Writes many buffers: as far as there is memory, for a call is not sent with less than it says.
///
/// # Safety
/// What there is of the buffers must be readable.
unsafe fn write_many(
    fd: RemoteFd,
    list: &[iovec],
    offset: Offset,
    flags: RwFlags,
) -> Result<ssize_t, Errno> {
    let client = session::client()?;
    // SAFETY: the caller's promise.
    let write = |list: &[iovec]| unsafe { write_vectored(client, fd, offset, flags, list) };
    let written = match write(list) {
        Err(Errno(libc::EFAULT)) => {
            // SAFETY: the caller's promise.
            let whole = |vector: &&iovec| unsafe { present(vector) == vector.iov_len };
            let count = list.iter().take_while(whole).count();
            match list.get(count) {
                Some(cut) if count == 0 => {
                    // SAFETY: the caller's promise.
                    let iov_len = unsafe { present(cut) };
                    if iov_len == 0 {
                        return Err(Errno(libc::EFAULT));
                    }
                    write(&[iovec { iov_len, ..*cut }])
                }
                _ => write(&list[..count]),
            }
        }
        written => written,
    };
    written.map(|n| n as ssize_t).map_err(told)
}

/// The error of a write on the host. The thread hears by a signal too that nobody reads a FIFO any more.
fn told(errno: Errno) -> Errno {
    if errno == Errno(libc::EPIPE) {
        signal_self(libc::SIGPIPE);
    }
    errno
}

/// How many bytes of a buffer can be read.
///
/// # Safety
/// What can be read of it may be read.
unsafe fn present(vector: &iovec) -> usize {
    let mut room = [0u8; 4096];
    let mut done = 0;
    while done < vector.iov_len {
        let step = room.len().min(vector.iov_len - done);
        let from = vector.iov_base.cast::<u8>().wrapping_add(done);
        // SAFETY: the caller's promise, and a live array.
        let left = unsafe { copy(from, room.as_mut_ptr(), step) };
        done += step - left;
        if left > 0 {
            break;
        }
    }
    done
}

/// An explicit offset; on the wire -1 means the file's own position, so it must not get there from here.
fn explicit(offset: off_t) -> Result<Offset, Errno> {
    match offset {
        0.. => Ok(Offset(offset)),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// The program's list, once each page of it has been found to be there.
///
/// # Safety
/// What there is at `vectors` is `count` vectors.
unsafe fn vectors<'a>(vectors: *const iovec, count: c_int) -> Result<&'a [iovec], Errno> {
    const STEP: usize = 4096 / size_of::<iovec>();
    if count == 0 {
        return Ok(&[]);
    }
    let count = match usize::try_from(count) {
        Ok(count @ 1..=1024) => count,
        _ => return Err(Errno(libc::EINVAL)),
    };
    for at in (0..count).step_by(STEP).chain([count - 1]) {
        // SAFETY: the caller's promise.
        unsafe { get(vectors.wrapping_add(at)) }?;
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(vectors, count) })
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
        read_many(fd, list, offset?, RwFlags(flags))
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
        write_many(fd, list, offset?, RwFlags(flags))
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
