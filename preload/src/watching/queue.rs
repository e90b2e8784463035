//! The queue of an instance: the host's events, one a packet, with the kernel's numbers.
#![allow(unsafe_code)]

use super::instance::Instance;
use crate::real::try_sys;
use hostcall::types::Errno;
use libc::{c_int, c_void};
use std::sync::atomic::Ordering;
use syscalls::Sysno;

/// Bytes of a `struct inotify_event` before its name.
pub const HEAD: usize = size_of::<libc::inotify_event>();
/// Bytes of the longest event: a name and its NUL, filled up.
pub const LONGEST: usize = HEAD + (libc::NAME_MAX as usize + 1).next_multiple_of(HEAD);

/// The host counts the two halves of its moves, and so does the guest's kernel: here the host's have this bit.
const HOSTS_COOKIE: u32 = 1 << 31;

/// One event, inotify(7).
#[derive(Clone, Copy)]
pub struct Event {
    bytes: [u8; LONGEST],
    len: usize,
}

impl PartialEq for Event {
    fn eq(&self, other: &Event) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Event {
    /// Nothing.
    pub const NONE: Event = Event {
        bytes: [0; LONGEST],
        len: 0,
    };

    /// The first of packed events, and the others. `None` if there is none, or what stands there is none of inotify's.
    pub fn first(packed: &[u8]) -> Option<(Event, &[u8])> {
        let mut event = Event {
            len: HEAD,
            ..Event::NONE
        };
        event.bytes[..HEAD].copy_from_slice(packed.get(..HEAD)?);
        event.len += event.word(12) as usize;
        let (own, rest) = packed.split_at_checked(event.len)?;
        event.bytes.get_mut(..event.len)?.copy_from_slice(own);
        Some((event, rest))
    }

    /// `IN_IGNORED`.
    pub fn ended(watch: c_int) -> Event {
        let mut event = Event {
            len: HEAD,
            ..Event::NONE
        };
        event.set_word(0, watch as u32);
        event.set_word(4, libc::IN_IGNORED);
        event
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes([0, 1, 2, 3].map(|byte| self.bytes[at + byte]))
    }

    fn set_word(&mut self, at: usize, word: u32) {
        self.bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }

    /// As it is packed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Which watch.
    pub fn watch(&self) -> c_int {
        self.word(0) as c_int
    }

    /// What happened.
    pub fn mask(&self) -> u32 {
        self.word(4)
    }

    /// Whether it is about a watch. That events were lost is not.
    pub fn is_of_a_watch(&self) -> bool {
        self.watch() > 0
    }

    /// Whether it is a watch's last.
    pub fn ends_the_watch(&self) -> bool {
        self.mask() & libc::IN_IGNORED != 0
    }

    /// Makes an event of the host's one of a watch of the kernel's.
    pub fn becomes(&mut self, watch: c_int) {
        self.set_word(0, watch as u32);
        match self.word(8) {
            0 => {}
            cookie => self.set_word(8, cookie | HOSTS_COOKIE),
        }
    }
}

/// Queues an event and rings; whether there was room.
pub fn put(instance: &Instance, event: &Event) -> bool {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let entrance = instance.entrance.load(Ordering::Relaxed);
    let bytes = event.bytes();
    // Before it can be taken.
    instance.queued.fetch_add(1, Ordering::AcqRel);
    // SAFETY: a live buffer and its length; no address.
    let sent = unsafe {
        try_sys!(
            Sysno::sendto,
            entrance,
            bytes.as_ptr(),
            bytes.len(),
            flags,
            0,
            0
        )
    };
    match sent {
        // After the packet: whoever hears the bell finds it.
        Ok(_) => instance.ring(),
        Err(_) => {
            instance.queued.fetch_sub(1, Ordering::AcqRel);
        }
    }
    // Only then is there anything to wait for.
    sent != Err(Errno(libc::EAGAIN))
}

/// Whether what was queued last has not been taken.
pub fn holds_any(instance: &Instance) -> bool {
    waiting(instance.entrance.load(Ordering::Relaxed), libc::TIOCOUTQ) > 0
}

/// Bytes in it.
pub fn bytes(instance: &Instance) -> usize {
    waiting(instance.exit.load(Ordering::Relaxed), libc::FIONREAD)
}

/// Bytes that wait in a file, by an ioctl(2) that tells.
pub fn waiting(fd: c_int, request: libc::c_ulong) -> usize {
    let mut bytes: c_int = 0;
    // SAFETY: the request's argument is a pointer to an int.
    match unsafe { try_sys!(Sysno::ioctl, fd, request, &raw mut bytes) } {
        Ok(_) => bytes.max(0) as usize,
        Err(_) => 0,
    }
}

/// Whether there is a first event, and it fits into a room.
pub fn fits(instance: &Instance, room: usize) -> bool {
    let exit = instance.exit.load(Ordering::Relaxed);
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    let mut byte = 0u8;
    // SAFETY: a live byte; no address.
    let len = unsafe { try_sys!(Sysno::recvfrom, exit, &raw mut byte, 1, flags, 0, 0) };
    len.is_ok_and(|len| len as usize <= room)
}

/// Waits for room, but not for long: nobody could end the wait.
pub fn await_room(instance: &Instance) {
    let limit = libc::timespec {
        tv_sec: 0,
        tv_nsec: 200_000_000,
    };
    let mut poll = libc::pollfd {
        fd: instance.entrance.load(Ordering::Relaxed),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one live pollfd and a live limit; no mask.
    let _ = unsafe { try_sys!(Sysno::ppoll, &raw mut poll, 1, &raw const limit, 0, 8) };
}

/// What [`take`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// An event of so many bytes.
    Event(usize),
    /// Nothing: another thread was faster.
    Nothing,
    /// An event that is longer than the room; it stays.
    TooLong,
}

/// Takes the first event out, into a buffer.
///
/// # Safety
/// `buffer` must be writable for `room` bytes.
pub unsafe fn take(instance: &Instance, buffer: *mut u8, room: usize) -> Taken {
    let exit = instance.exit.load(Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let receive = |flags: c_int| unsafe {
        try_sys!(
            Sysno::recvfrom,
            exit,
            buffer.cast::<c_void>(),
            room,
            flags | libc::MSG_DONTWAIT | libc::MSG_TRUNC,
            0,
            0
        )
    };
    // What does not fit would be cut off.
    if room < LONGEST {
        match receive(libc::MSG_PEEK) {
            Ok(len) if len as usize > room => return Taken::TooLong,
            _ => {}
        }
    }
    match receive(0) {
        Ok(len) if len > 0 => {
            instance.queued.fetch_sub(1, Ordering::AcqRel);
            Taken::Event((len as usize).min(room))
        }
        _ => Taken::Nothing,
    }
}
