//! Copies inside the kernel: copy_file_range(2), sendfile(2), splice(2).
#![allow(unsafe_code)]

use super::io::{read_host, write_host};
use crate::real::{finish, shims, sys, try_sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::access::{get, put};
use hostcall::cancellation;
use hostcall::ops::Calls;
use hostcall::types::{Errno, Offset, RemoteFd};
use libc::{c_int, c_uint, c_void, iovec, off_t, pollfd, size_t, ssize_t};
use syscalls::Sysno;

/// Bytes that a mixed sendfile moves at a time; on the stack.
const STEP: usize = 32 * 1024;

/// Bytes that one call moves at most, as in the kernel.
const MOST: usize = 0x7fff_f000;

/// # Safety
/// `offset` is null or points to the program's offset.
unsafe fn position(offset: *const off_t) -> Result<Offset, Errno> {
    match offset.is_null() {
        true => Ok(Offset::CURRENT),
        // SAFETY: the caller's promise.
        false => match unsafe { get(offset) }? {
            offset @ 0.. => Ok(Offset(offset)),
            _ => Err(Errno(libc::EINVAL)),
        },
    }
}

/// Moves the program's offset behind what was copied.
///
/// # Safety
/// As for [`position`].
unsafe fn advance(offset: *mut off_t, by: usize) -> Result<(), Errno> {
    if offset.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    unsafe { put(offset, &(get(offset)? + by as off_t)) }
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
            (source, target) => {
                let (from, to) = (Side(from, source), Side(to, target));
                finish(spliced((from, from_offset), (to, to_offset), len, flags))
            }
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
                    advance(offset, copied as usize)?;
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
            // No cancellation point.
            (source, target) => cancellation::passed(|| finish((|| {
                let (from, to) = (Side(from, source), Side(to, target));
                let flags = to.flags()?;
                takes(flags)?;
                appends(to, flags)?;
                send(from, to, offset, len.min(MOST))
            })())),
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

/// splice(2) between a host file and a pipe of the guest. What the kernel refuses is refused before a byte leaves the pipe.
///
/// # Safety
/// As splice(2).
unsafe fn spliced(
    (from, from_offset): (Side, *mut off_t),
    (to, to_offset): (Side, *mut off_t),
    len: usize,
    flags: c_uint,
) -> Result<ssize_t, Errno> {
    if len == 0 {
        return Ok(0);
    }
    let (source, target) = (from.flags()?, to.flags()?);
    for (side, offset) in [(from, from_offset), (to, to_offset)] {
        if !offset.is_null() && side.pipe().is_some() {
            return Err(Errno(libc::ESPIPE));
        }
    }
    gives(source)?;
    takes(target)?;
    let waits = flags & libc::SPLICE_F_NONBLOCK == 0 && (source | target) & libc::O_NONBLOCK == 0;
    // SAFETY: the caller's promise.
    unsafe {
        match (from.pipe(), to.pipe()) {
            (None, Some(room)) => {
                if !waits && !is_ready(to.0, libc::POLLOUT) {
                    return Err(Errno(libc::EAGAIN));
                }
                // A pipe that holds anything has an unknown number of pages left.
                let room = if held(to.0)? == 0 { room } else { PIPE_BUF };
                send(from, to, from_offset, len.min(room))
            }
            (Some(_), None) => {
                appends(to, target)?;
                if !waits && !is_ready(from.0, libc::POLLIN) {
                    return Err(Errno(libc::EAGAIN));
                }
                draw(from, to, to_offset, len)
            }
            _ => Err(Errno(libc::EINVAL)),
        }
    }
}

/// Most bytes that a pipe takes whole.
const PIPE_BUF: usize = libc::PIPE_BUF;

/// The bytes that a guest's pipe holds.
fn held(pipe: c_int) -> Result<usize, Errno> {
    let mut held: c_int = 0;
    // SAFETY: plain system call, a live integer.
    unsafe { try_sys!(Sysno::ioctl, pipe, libc::FIONREAD, &raw mut held) }?;
    Ok(held as usize)
}

/// Whether a guest's pipe has something to say at once: bytes, room, or that its other end is closed.
fn is_ready(pipe: c_int, events: i16) -> bool {
    let mut asked = pollfd {
        fd: pipe,
        events,
        revents: 0,
    };
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: plain system call, live structures.
    let ready = unsafe { try_sys!(Sysno::ppoll, &raw mut asked, 1, &raw const now, 0, 0) };
    ready != Ok(0)
}

/// All that a pipe holds, up to a length, into a host file. Waits for the first byte only, as the kernel does.
///
/// # Safety
/// `offset` is null or points to the program's offset.
unsafe fn draw(from: Side, target: Side, offset: *mut off_t, len: usize) -> Result<ssize_t, Errno> {
    // SAFETY: the caller's promise.
    let start = unsafe { position(offset) }?;
    let mut room = [0u8; STEP];
    let mut moved = 0;
    while moved < len {
        let waiting = match held(from.0)? {
            0 if moved > 0 => break,
            0 => 1,
            held => held,
        };
        let want = waiting.min(STEP).min(len - moved);
        let drawn = from
            .read(&mut room[..want], Offset::CURRENT)
            .and_then(|got| {
                let written = target.write(&room[..got], after(start, moved))?;
                moved += written;
                Ok(written > 0 && written == got)
            });
        match drawn {
            Ok(true) => {}
            Err(errno) if moved == 0 => return Err(errno),
            Ok(false) | Err(_) => break,
        }
    }
    // SAFETY: the caller's promise.
    unsafe { advance(offset, moved) }?;
    Ok(moved as ssize_t)
}

/// Whether an open file with these flags can be read.
fn gives(flags: c_int) -> Result<(), Errno> {
    match flags & libc::O_ACCMODE {
        libc::O_WRONLY => Err(Errno(libc::EBADF)),
        _ => Ok(()),
    }
}

/// Whether an open file with these flags can be written.
fn takes(flags: c_int) -> Result<(), Errno> {
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => Err(Errno(libc::EBADF)),
        _ => Ok(()),
    }
}

/// The kernel moves no pages to the end of a file that others may append to.
fn appends(side: Side, flags: c_int) -> Result<(), Errno> {
    match flags & libc::O_APPEND != 0 && side.pipe().is_none() {
        true => Err(Errno(libc::EINVAL)),
        false => Ok(()),
    }
}

/// One end of a copy: the program's descriptor and the host file behind it.
#[derive(Clone, Copy)]
struct Side(c_int, Option<RemoteFd>);

impl Side {
    /// Access mode and status flags; `EBADF` for a number that is not open, or only names a file.
    fn flags(self) -> Result<c_int, Errno> {
        let flags = match self.1 {
            Some(remote) => session::client()?.fcntl(remote, libc::F_GETFL, 0)?.value,
            None if fds::is_reserved(self.0) => return Err(Errno(libc::EBADF)),
            // SAFETY: plain system call.
            None => unsafe { try_sys!(Sysno::fcntl, self.0, libc::F_GETFL, 0) }? as c_int,
        };
        match flags & libc::O_PATH {
            0 => Ok(flags),
            _ => Err(Errno(libc::EBADF)),
        }
    }

    /// The bytes for which a pipe of the guest has room; `None` for anything else.
    fn pipe(self) -> Option<usize> {
        // SAFETY: plain system call.
        let room = || unsafe { try_sys!(Sysno::fcntl, self.0, libc::F_GETPIPE_SZ, 0) }.ok();
        self.1.is_none().then(room)?.map(|room| room as usize)
    }

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

    /// Writes to the end, or to an error after the first byte.
    fn write(self, bytes: &[u8], offset: Offset) -> Result<usize, Errno> {
        let mut written = 0;
        while written < bytes.len() {
            let rest = &bytes[written..];
            let (from, len) = (rest.as_ptr().cast::<c_void>(), rest.len());
            // SAFETY: a live buffer and its length.
            let wrote = unsafe {
                match (self.1, after(offset, written)) {
                    (Some(remote), offset) => write_host(remote, from, len, offset),
                    (None, Offset::CURRENT) => {
                        try_sys!(Sysno::write, self.0, from, len).map(|n| n as _)
                    }
                    (None, Offset(at)) => {
                        try_sys!(Sysno::pwrite64, self.0, from, len, at).map(|n| n as _)
                    }
                }
            };
            match wrote {
                Ok(n) => written += n as usize,
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(written)
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

/// Where a copy goes on that began at an offset.
fn after(start: Offset, moved: usize) -> Offset {
    match start {
        Offset::CURRENT => start,
        Offset(start) => Offset(start + moved as i64),
    }
}

/// sendfile(2) through memory. Stops early, with what was moved, at an error after the first byte.
///
/// # Safety
/// As sendfile(2).
unsafe fn send(from: Side, to: Side, offset: *mut off_t, len: usize) -> Result<ssize_t, Errno> {
    // SAFETY: the calling program's offset.
    let start = unsafe { position(offset) }?;
    let mut room = [0u8; STEP];
    let mut moved = 0;
    while moved < len {
        let want = STEP.min(len - moved);
        let sent = match from.read(&mut room[..want], after(start, moved)) {
            // What cannot be read in pages, the kernel does not send.
            Err(Errno(libc::EISDIR)) => Err(Errno(libc::EINVAL)),
            Err(errno) => Err(errno),
            Ok(got) => {
                let written = to.write(&room[..got], Offset::CURRENT);
                let unwritten = got - written.unwrap_or(0);
                if unwritten > 0 && start == Offset::CURRENT {
                    from.unread(unwritten);
                }
                moved += written.unwrap_or(0);
                written.map(|written| written > 0 && unwritten == 0)
            }
        };
        match sent {
            Ok(true) => {}
            Err(errno) if moved == 0 => return Err(errno),
            Ok(false) | Err(_) => break,
        }
    }
    // SAFETY: the calling program's offset.
    unsafe { advance(offset, moved) }?;
    Ok(moved as ssize_t)
}
