//! Reading, writing and positions: read(2) to pwritev2(2), lseek(2), and what else needs only a descriptor.
#![allow(unsafe_code)]

use crate::real::{done, finish, hooks, hooks_over, sys, try_sys};
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::region::CHUNK;
use hostcall::transfer::{read_vectored, write_vectored};
use hostcall::types::{Errno, Offset, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use libc::{c_int, c_void, iovec, off_t, size_t, ssize_t};
use std::ffi::c_char;
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
hooks_over! {
    fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t => hooked_read {
        match fds::host(fd) {
            Some(remote) => finish(read_host(remote, buffer, len, Offset::CURRENT)),
            None => redhook::real!(read)(fd, buffer, len),
        }
    }

    fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t => hooked_write {
        match fds::host(fd) {
            Some(remote) => finish(write_host(remote, buffer, len, Offset::CURRENT)),
            None => redhook::real!(write)(fd, buffer, len),
        }
    }

    fn pread(fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t) -> ssize_t => hooked_pread {
        match fds::host(fd) {
            Some(remote) => read_at(remote, buffer, len, offset),
            None => redhook::real!(pread)(fd, buffer, len, offset),
        }
    }

    fn pread64(fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t) -> ssize_t => hooked_pread64 {
        match fds::host(fd) {
            Some(remote) => read_at(remote, buffer, len, offset),
            None => redhook::real!(pread64)(fd, buffer, len, offset),
        }
    }

    fn pwrite(fd: c_int, buffer: *const c_void, len: size_t, offset: off_t) -> ssize_t => hooked_pwrite {
        match fds::host(fd) {
            Some(remote) => write_at(remote, buffer, len, offset),
            None => redhook::real!(pwrite)(fd, buffer, len, offset),
        }
    }

    fn pwrite64(fd: c_int, buffer: *const c_void, len: size_t, offset: off_t) -> ssize_t => hooked_pwrite64 {
        match fds::host(fd) {
            Some(remote) => write_at(remote, buffer, len, offset),
            None => redhook::real!(pwrite64)(fd, buffer, len, offset),
        }
    }

    fn readv(fd: c_int, list: *const iovec, count: c_int) -> ssize_t => hooked_readv {
        match fds::host(fd) {
            Some(remote) => gather(remote, list, count, Ok(Offset::CURRENT), 0),
            None => redhook::real!(readv)(fd, list, count),
        }
    }

    fn writev(fd: c_int, list: *const iovec, count: c_int) -> ssize_t => hooked_writev {
        match fds::host(fd) {
            Some(remote) => scatter(remote, list, count, Ok(Offset::CURRENT), 0),
            None => redhook::real!(writev)(fd, list, count),
        }
    }

    fn fsync(fd: c_int) -> c_int => hooked_fsync {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.fsync(remote))),
            None => redhook::real!(fsync)(fd),
        }
    }

    fn fdatasync(fd: c_int) -> c_int => hooked_fdatasync {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.fdatasync(remote))),
            None => redhook::real!(fdatasync)(fd),
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

hooks! {
    fn __read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
        read::read(fd, buffer, len)
    }

    fn __write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
        write::write(fd, buffer, len)
    }

    fn __pread64(fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t) -> ssize_t {
        pread64::pread64(fd, buffer, len, offset)
    }

    fn __pwrite64(fd: c_int, buffer: *const c_void, len: size_t, offset: off_t) -> ssize_t {
        pwrite64::pwrite64(fd, buffer, len, offset)
    }

    fn __read_chk(fd: c_int, buffer: *mut c_void, len: size_t, room: size_t) -> ssize_t {
        fortify(len, room);
        read::read(fd, buffer, len)
    }

    fn __pread_chk | __pread64_chk (fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t, room: size_t) -> ssize_t {
        fortify(len, room);
        pread::pread(fd, buffer, len, offset)
    }

    fn preadv | preadv64 (fd: c_int, list: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => gather(remote, list, count, explicit(offset), 0),
            // The offset goes in two halves; on a 64-bit kernel the first holds it all.
            None => sys!(Sysno::preadv, fd, list, count, offset, 0),
        }
    }

    fn pwritev | pwritev64 (fd: c_int, list: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => scatter(remote, list, count, explicit(offset), 0),
            None => sys!(Sysno::pwritev, fd, list, count, offset, 0),
        }
    }

    fn preadv2 | preadv64v2 (fd: c_int, list: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => gather(remote, list, count, explicit_or_own(offset), flags),
            None => sys!(Sysno::preadv2, fd, list, count, offset, 0, flags),
        }
    }

    fn pwritev2 | pwritev64v2 (fd: c_int, list: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => scatter(remote, list, count, explicit_or_own(offset), flags),
            None => sys!(Sysno::pwritev2, fd, list, count, offset, 0, flags),
        }
    }

    fn lseek | lseek64 | __lseek (fd: c_int, offset: off_t, whence: c_int) -> off_t {
        match fds::host(fd) {
            Some(remote) => finish(session::client().and_then(|client| Ok(client.lseek(remote, offset, whence)?.offset))),
            None => sys!(Sysno::lseek, fd, offset, whence),
        }
    }

    fn ftruncate | ftruncate64 (fd: c_int, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.ftruncate(remote, len))),
            None => sys!(Sysno::ftruncate, fd, len),
        }
    }

    fn fallocate | fallocate64 (fd: c_int, mode: c_int, offset: off_t, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.fallocate(remote, mode, offset, len))),
            None => sys!(Sysno::fallocate, fd, mode, offset, len),
        }
    }

    fn syncfs(fd: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.syncfs(remote))),
            None => sys!(Sysno::syncfs, fd),
        }
    }

    fn sync_file_range(fd: c_int, offset: off_t, len: off_t, flags: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.fdatasync(remote))),
            None => sys!(Sysno::sync_file_range, fd, offset, len, flags),
        }
    }

    fn readahead(fd: c_int, offset: off_t, count: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => {
                let advice = libc::POSIX_FADV_WILLNEED;
                finish(session::client().and_then(|client| client.fadvise(remote, offset, count as i64, advice)).map(|_| 0))
            }
            None => sys!(Sysno::readahead, fd, offset, count),
        }
    }

    fn getdents64(fd: c_int, buffer: *mut c_char, len: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => {
                let sink = Sink::from_raw(buffer.cast(), len.min(CHUNK));
                finish(session::client().and_then(|client| Ok(client.getdents(remote, sink)?.filled.0 as ssize_t)))
            }
            None => sys!(Sysno::getdents64, fd, buffer, len),
        }
    }
}

/// The functions of POSIX that answer an error number instead of setting errno.
fn number<T>(result: Result<T, Errno>) -> c_int {
    result.map_or_else(|errno| errno.0, |_| 0)
}

hooks! {
    fn posix_fadvise | posix_fadvise64 (fd: c_int, offset: off_t, len: off_t, advice: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => number(session::client().and_then(|client| client.fadvise(remote, offset, len, advice))),
            None => number(try_sys!(Sysno::fadvise64, fd, offset, len, advice)),
        }
    }

    fn posix_fallocate | posix_fallocate64 (fd: c_int, offset: off_t, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => number(allocate(remote, offset, len)),
            None => {
                let result = try_sys!(Sysno::fallocate, fd, 0, offset, len);
                match (result, POSIX_FALLOCATE.get::<unsafe extern "C" fn(c_int, off_t, off_t) -> c_int>()) {
                    // libc writes to each block of a file system that cannot allocate.
                    (Err(Errno(libc::EOPNOTSUPP)), Some(real)) => real(fd, offset, len),
                    (result, _) => number(result),
                }
            }
        }
    }
}

static POSIX_FALLOCATE: crate::real::Symbol = crate::real::Symbol::new(c"posix_fallocate");

/// posix_fallocate(3): at least the length is granted where the host's file system cannot allocate.
fn allocate(fd: RemoteFd, offset: off_t, len: off_t) -> Result<(), Errno> {
    let client = session::client()?;
    let end = offset.checked_add(len).ok_or(Errno(libc::EFBIG))?;
    if offset < 0 || len <= 0 {
        return Err(Errno(libc::EINVAL));
    }
    match client.fallocate(fd, 0, offset, len) {
        Err(Errno(libc::EOPNOTSUPP)) => {
            let place = super::stat::metadata_of(fd)?;
            if end > place.stx_size as i64 {
                client.ftruncate(fd, end)?;
            }
            Ok(())
        }
        result => result.map(|_| ()),
    }
}
