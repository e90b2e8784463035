//! Reading from an instance: the kernel's events, and in the place of each of the bell's one of the host's.
#![allow(unsafe_code)]

use super::instance::{Instance, RUNG};
use super::of;
use super::queue::{self, take, Event, Taken, HEAD, LONGEST};
use crate::real::{errno, set_errno};
use hostcall::types::Errno;
use libc::{c_int, c_void, iovec, size_t, ssize_t};
use std::sync::atomic::Ordering;

/// Bytes of the kernel's events that are taken at a time.
const ROOM: usize = 512;
/// An event of the bell's, which has no name, becomes one of the host's that is at most so many times as long.
const GROWTH: usize = LONGEST / HEAD;

/// read(2) for any descriptor; `real` is libc's, into a buffer of a length.
///
/// # Safety
/// `buffer` must be writable for `len` bytes, unless `real` is to find out that it is not.
#[inline]
pub unsafe fn read(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    real: impl Fn(*mut c_void, size_t) -> ssize_t,
) -> ssize_t {
    match of(fd) {
        // A buffer too short for any event is the kernel's to refuse.
        Some(instance) if len >= HEAD => {
            // SAFETY: the caller's promise.
            unsafe { merged(instance, fd, buffer.cast(), len, &real) }
        }
        _ => real(buffer, len),
    }
}

/// readv(2) of an instance: like the kernel, which reads into one buffer after the other. `None` for other descriptors.
///
/// # Safety
/// `list` must point to `count` vectors.
#[inline]
pub unsafe fn read_vectors(fd: c_int, list: *const iovec, count: c_int) -> Option<ssize_t> {
    of(fd)?;
    if !(1..=libc::UIO_MAXIOV).contains(&count) {
        return None;
    }
    // SAFETY: the caller's promise.
    let list = unsafe { std::slice::from_raw_parts(list, count as usize) };
    let mut total = 0;
    for vector in list {
        // SAFETY: the program's buffer.
        let read = unsafe { libc::read(fd, vector.iov_base, vector.iov_len) };
        if read < 0 {
            return Some(if total > 0 { total } else { read });
        }
        total += read;
        if read as usize != vector.iov_len {
            break;
        }
    }
    Some(total)
}

/// Bytes that can be read, `FIONREAD`.
pub fn unread(fd: c_int) -> c_int {
    if let Some(instance) = of(fd) {
        instance.catch_up();
    }
    let kernels = queue::waiting(fd, libc::FIONREAD);
    let all = of(fd).map_or(kernels, |instance| {
        let rings = instance.queued.load(Ordering::Acquire) as usize * HEAD;
        kernels.saturating_sub(rings) + queue::bytes(instance)
    });
    all as c_int
}

/// What one look brings.
enum Look {
    /// So many bytes are in the buffer.
    Filled(usize),
    /// The first event of the host's does not fit.
    TooLong,
    /// The kernel's answer, an error.
    Failed,
}

#[cold]
unsafe fn merged(
    instance: &Instance,
    fd: c_int,
    buffer: *mut u8,
    len: usize,
    real: &dyn Fn(*mut c_void, size_t) -> ssize_t,
) -> ssize_t {
    let before = errno();
    // What the program did before it reads, it finds.
    instance.catch_up();
    let mut filled = 0;
    loop {
        // SAFETY: `filled` is at most `len`, which the buffer has by the caller's promise.
        let look = unsafe { look(instance, buffer.add(filled), len - filled, real) };
        match look {
            // The bell rang for what another thread has taken.
            Look::Filled(0) => continue,
            Look::Filled(more) => filled += more,
            Look::TooLong if filled == 0 => {
                set_errno(Errno(libc::EINVAL));
                return -1;
            }
            Look::Failed if filled == 0 => return -1,
            Look::TooLong | Look::Failed => break,
        }
        // More if it is there and fits.
        let room = len - filled;
        if room < HEAD
            || queue::waiting(fd, libc::FIONREAD) == 0
            || room < LONGEST && !queue::fits(instance, room)
        {
            break;
        }
    }
    set_errno(before);
    filled as ssize_t
}

/// Takes some of the kernel's events, and for them what they stand for: so few that all will fit.
unsafe fn look(
    instance: &Instance,
    buffer: *mut u8,
    len: usize,
    real: &dyn Fn(*mut c_void, size_t) -> ssize_t,
) -> Look {
    let mut room = [0u8; ROOM];
    let mut asked = (len / GROWTH).clamp(HEAD, ROOM) / HEAD * HEAD;
    let read = loop {
        let read = real(room.as_mut_ptr().cast(), asked);
        // The first event has a name, and may be longer than that: then it comes alone.
        let refused = read < 0 && errno() == Errno(libc::EINVAL);
        if !refused || asked + HEAD > len.min(ROOM) {
            break read;
        }
        asked += HEAD;
    };
    if read < 0 {
        return Look::Failed;
    }
    let mut rest = &room[..read as usize];
    let mut filled = 0;
    while let Some((event, next)) = Event::first(rest) {
        let rung = event.watch() == instance.bell_watch.load(Ordering::Acquire)
            && event.mask() & RUNG != 0;
        if !rung {
            let bytes = event.bytes();
            // SAFETY: what is left of the kernel's events always fits into what is left of the buffer.
            unsafe {
                buffer
                    .add(filled)
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
            filled += bytes.len();
        } else {
            // SAFETY: as above, and what is behind this event has its room.
            match unsafe { take(instance, buffer.add(filled), len - filled - next.len()) } {
                Taken::Event(bytes) => filled += bytes,
                Taken::Nothing => {}
                Taken::TooLong => {
                    // It is still to be read.
                    instance.ring();
                    if filled == 0 && next.is_empty() {
                        return Look::TooLong;
                    }
                }
            }
        }
        rest = next;
    }
    Look::Filled(filled)
}
