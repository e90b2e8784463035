//! Copies inside the kernel: copy_file_range(2), sendfile(2), splice(2).
#![allow(unsafe_code)]

use super::io::{read_host, write_host};
use crate::real::{finish, shims, sys, try_sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::types::{Errno, Offset, RemoteFd};
use libc::{c_int, c_uint, c_void, iovec, off_t, size_t, ssize_t};
use syscalls::Sysno;

/// Bytes that a mixed sendfile moves at a time; on the stack.
const STEP: usize = 32 * 1024;

/// Bytes that one call moves at most, as in the kernel.
const MOST: usize = 0x7fff_f000;

/// # Safety
/// `offset` is null or points to the program's offset.
unsafe fn position(offset: *const off_t) -> Result<Offset, Errno> {
    // SAFETY: the caller's promise.
    match unsafe { offset.as_ref() }.copied() {
        None => Ok(Offset::CURRENT),
        Some(offset @ 0..) => Ok(Offset(offset)),
        Some(_) => Err(Errno(libc::EINVAL)),
    }
}

/// Whether a guest descriptor is open.
fn is_open(fd: c_int) -> bool {
    // SAFETY: plain system call.
    !fds::is_reserved(fd) && unsafe { try_sys!(Sysno::fcntl, fd, libc::F_GETFD) }.is_ok()
}

shims! {
    fn splice(from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, len: size_t, flags: c_uint) -> ssize_t {
        match (fds::host(from), fds::host(to)) {
            (None, None) => own::splice(from, from_offset, to, to_offset, len, flags),
            (Some(source), None) => finish(pour(source, from_offset, (to, to_offset), len)),
            (None, Some(target)) => finish(draw((from, from_offset), target, to_offset, len)),
            (Some(_), Some(_)) => finish(Err(Errno(libc::EINVAL))),
        }
    }
}

shims! {
    fn copy_file_range(from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, len: size_t, flags: c_uint) -> ssize_t {
        match (fds::host(from), fds::host(to)) {
            (None, None) => sys!(Sysno::copy_file_range, from, from_offset, to, to_offset, len, flags),
            (Some(source), Some(target)) => finish((|| {
                let (start, end) = (position(from_offset)?, position(to_offset)?);
                let len = len.min(MOST) as u64;
                let copied = session::client()?.copy_file_range(source, start, target, end, len, flags)?.copied;
                for offset in [from_offset, to_offset] {
                    if let Some(offset) = offset.as_mut() {
                        *offset += copied as off_t;
                    }
                }
                Ok(copied as ssize_t)
            })()),
            // Two file systems, and all programs know what to do then; but a number that is not open comes first.
            (source, _) => finish(Err(match is_open(if source.is_some() { to } else { from }) {
                true => Errno(libc::EXDEV),
                false => Errno(libc::EBADF),
            })),
        }
    }

    fn sendfile(to: c_int, from: c_int, offset: *mut off_t, len: size_t) -> ssize_t {
        match (fds::host(from), fds::host(to)) {
            (None, None) => sys!(Sysno::sendfile, to, from, offset, len),
            (source, target) => finish(send(Side(from, source), Side(to, target), offset, len.min(MOST))),
        }
    }

    fn vmsplice(fd: c_int, list: *const iovec, count: size_t, flags: c_uint) -> ssize_t {
        match fds::host(fd) {
            Some(_) => finish(Err(Errno(libc::EBADF))),
            None => sys!(Sysno::vmsplice, fd, list, count, flags),
        }
    }

    fn tee(from: c_int, to: c_int, len: size_t, flags: c_uint) -> ssize_t {
        match fds::host(from).or(fds::host(to)) {
            Some(_) => finish(Err(Errno(libc::EINVAL))),
            None => sys!(Sysno::tee, from, to, len, flags),
        }
    }
}

/// How many bytes a guest's pipe takes or gives without a wait, at least one; the errno of what splice(2) refuses.
///
/// # Safety
/// As splice(2).
unsafe fn pipe((fd, offset): (c_int, *mut off_t), free: bool) -> Result<usize, Errno> {
    let mut held: c_int = 0;
    // SAFETY: plain system calls, a live integer.
    let room = unsafe {
        let room = try_sys!(Sysno::fcntl, fd, libc::F_GETPIPE_SZ).map_err(|errno| match errno {
            Errno(libc::EBADF) if !is_open(fd) => errno,
            _ => Errno(libc::EINVAL),
        })?;
        try_sys!(Sysno::ioctl, fd, libc::FIONREAD, &raw mut held)?;
        room as usize
    };
    if !offset.is_null() {
        return Err(Errno(libc::ESPIPE));
    }
    // A pipe that holds anything has an unknown number of pages left.
    Ok(match (free, held as usize) {
        (true, 0) => room,
        (true, _) => PIPE_BUF,
        (false, held) => held.max(1),
    })
}

/// Most bytes that a pipe takes whole.
const PIPE_BUF: usize = libc::PIPE_BUF;

/// splice(2) of a host file into a pipe.
///
/// # Safety
/// As splice(2).
unsafe fn pour(
    source: RemoteFd,
    offset: *mut off_t,
    to: (c_int, *mut off_t),
    len: usize,
) -> Result<ssize_t, Errno> {
    // SAFETY: the caller's promise.
    unsafe {
        let room = pipe(to, true)?;
        send(
            Side(-1, Some(source)),
            Side(to.0, None),
            offset,
            len.min(room),
        )
    }
}

/// splice(2) of a pipe into a host file.
///
/// # Safety
/// As splice(2).
unsafe fn draw(
    from: (c_int, *mut off_t),
    target: RemoteFd,
    offset: *mut off_t,
    len: usize,
) -> Result<ssize_t, Errno> {
    let mut room = [0u8; STEP];
    // SAFETY: the caller's promise; live buffers and their lengths.
    unsafe {
        let len = len.min(pipe(from, false)?).min(STEP);
        let end = position(offset)?;
        let got = try_sys!(Sysno::read, from.0, room.as_mut_ptr(), len)? as usize;
        let written = write_host(target, room.as_ptr().cast(), got, end)?;
        if let Some(offset) = offset.as_mut() {
            *offset += written as off_t;
        }
        Ok(written as ssize_t)
    }
}

/// One end of a copy: the program's descriptor and the host file behind it.
#[derive(Clone, Copy)]
struct Side(c_int, Option<RemoteFd>);

impl Side {
    fn read(self, room: &mut [u8], offset: Offset) -> Result<usize, Errno> {
        let (at, len) = (room.as_mut_ptr().cast::<c_void>(), room.len());
        // SAFETY: a live buffer and its length.
        let n = unsafe {
            match (self.1, offset) {
                (Some(remote), offset) => read_host(remote, at, len, offset)?,
                (None, Offset::CURRENT) => try_sys!(Sysno::read, self.0, at, len)?,
                (None, Offset(offset)) => try_sys!(Sysno::pread64, self.0, at, len, offset)?,
            }
        };
        Ok(n as usize)
    }

    fn write(self, bytes: &[u8]) -> Result<usize, Errno> {
        let (at, len) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
        // SAFETY: a live buffer and its length.
        let n = unsafe {
            match self.1 {
                Some(remote) => write_host(remote, at, len, Offset::CURRENT)?,
                None => try_sys!(Sysno::write, self.0, at, len)?,
            }
        };
        Ok(n as usize)
    }

    /// Gives back what was read and could not be written.
    fn unread(self, bytes: usize) {
        let back = -(bytes as i64);
        let _ = match self.1 {
            Some(remote) => session::client()
                .and_then(|client| client.lseek(remote, back, libc::SEEK_CUR))
                .map(|_| ()),
            // SAFETY: plain system call.
            None => unsafe { try_sys!(Sysno::lseek, self.0, back, libc::SEEK_CUR) }.map(|_| ()),
        };
    }
}

/// sendfile(2) through memory. Stops early, with what was moved, at an error after the first byte.
unsafe fn send(from: Side, to: Side, offset: *mut off_t, len: usize) -> Result<ssize_t, Errno> {
    // SAFETY: the calling program's offset.
    let start = unsafe { position(offset) }?;
    let mut room = [0u8; STEP];
    let mut moved = 0;
    let mut failure = Ok(());
    'copy: while moved < len {
        let at = match start {
            Offset::CURRENT => start,
            Offset(start) => Offset(start + moved as i64),
        };
        let want = STEP.min(len - moved);
        let got = match from.read(&mut room[..want], at) {
            Ok(0) => break,
            Ok(got) => got,
            Err(errno) => {
                failure = Err(errno);
                break;
            }
        };
        let mut written = 0;
        while written < got {
            match to.write(&room[written..got]) {
                Ok(n) => written += n,
                Err(errno) => {
                    failure = Err(errno);
                    moved += written;
                    if start == Offset::CURRENT {
                        from.unread(got - written);
                    }
                    break 'copy;
                }
            }
        }
        moved += written;
    }
    // SAFETY: the calling program's offset.
    if let Some(offset) = unsafe { offset.as_mut() } {
        *offset += moved as off_t;
    }
    match moved {
        0 => failure.map(|()| 0),
        moved => Ok(moved as ssize_t),
    }
}
