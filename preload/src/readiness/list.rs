//! poll(2): a list of descriptors.
#![allow(unsafe_code)]

use super::terms::spec;
use super::{answer, host, wait, Asked, Terms};
use crate::fds;
use crate::real::{errno, failed, sys, try_sys};
use hostcall::access::{copy, put};
use hostcall::types::Errno;
use libc::{c_int, nfds_t, pollfd};
use std::mem::MaybeUninit;
use std::time::Duration;
use syscalls::Sysno;

/// poll(2) of any list. `real` is the call as it was made, for what the guest kernel alone has to answer.
///
/// # Safety
/// What there is of `count` entries at `list` is the program's.
pub unsafe fn poll(
    list: *mut pollfd,
    count: nfds_t,
    terms: impl FnOnce() -> Option<Terms>,
    real: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    if !fds::any() || !unsafe { asks_for_hosts(list, count as usize) } {
        return real();
    }
    let Some(mut terms) = terms() else {
        return real();
    };
    // SAFETY: the caller's promise.
    let mut asked = match unsafe { List::of(list, count as usize) } {
        Ok(asked) => asked,
        Err(errno) => return failed(errno),
    };
    let ready = wait(&mut asked, &mut terms);
    let error = errno();
    // Of a call that fails, too: the kernel has written that nothing is ready.
    // SAFETY: the caller's promise.
    let told = unsafe { asked.tell(list) };
    drop(asked);
    match told {
        true => answer(ready, error),
        false => failed(Errno(libc::EFAULT)),
    }
}

/// Whether a whole list can be read and has a host file in it. Of any other the guest kernel says what it is.
///
/// # Safety
/// As for [`poll`].
unsafe fn asks_for_hosts(list: *const pollfd, count: usize) -> bool {
    const NOBODY: pollfd = pollfd {
        fd: -1,
        events: 0,
        revents: 0,
    };
    let mut room = [NOBODY; 64];
    let mut found = false;
    for start in (0..count.min(fds::MOST)).step_by(room.len()) {
        let part = &mut room[..(count - start).min(64)];
        // SAFETY: the caller's promise.
        let left = unsafe {
            let from = list.wrapping_add(start).cast();
            copy(from, part.as_mut_ptr().cast(), size_of_val(part))
        };
        if left > 0 {
            return false;
        }
        found |= part.iter().any(|one| fds::host(one.fd).is_some());
    }
    found && count <= fds::MOST
}

/// Makes a host file's number negative, so that the kernel passes over it; so far down is no number by which programs pass
/// over entries themselves.
const HIDDEN: c_int = c_int::MIN;

/// The number of a hidden entry.
fn hidden(one: &pollfd) -> Option<c_int> {
    let fd = one.fd & !HIDDEN;
    (one.fd < 0 && (fd as usize) < fds::MOST).then_some(fd)
}

/// A copy of a program's list with the host's files hidden. The program's own stays as it is while the call waits: a handler may leave
/// the call for good (many entries' memory is lost then), and another thread may use the list too.
struct List {
    few: [MaybeUninit<pollfd>; List::FEW],
    /// Memory of the kernel's for more of them.
    many: *mut pollfd,
    count: usize,
}

impl List {
    /// So many lie on the stack.
    const FEW: usize = 128;

    /// # Errors
    /// `ENOMEM`, or `EFAULT` for a list that cannot be read.
    ///
    /// # Safety
    /// What there is of `count` entries at `list` is the program's.
    unsafe fn of(list: *const pollfd, count: usize) -> Result<List, Errno> {
        let mut asked = List {
            few: [MaybeUninit::uninit(); List::FEW],
            many: std::ptr::null_mut(),
            count,
        };
        let bytes = count * size_of::<pollfd>();
        if count > List::FEW {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a fresh mapping overlaps nothing.
            let made = unsafe { try_sys!(Sysno::mmap, 0, bytes, protection, flags, -1isize, 0) };
            asked.many = made? as *mut pollfd;
        }
        // SAFETY: the caller's promise, and room for as many.
        if unsafe { copy(list.cast(), asked.place().cast(), bytes) } > 0 {
            return Err(Errno(libc::EFAULT));
        }
        let entries = asked.entries().iter_mut();
        let hosts = entries.filter(|one| fds::host(one.fd).is_some());
        hosts.for_each(|one| one.fd |= HIDDEN);
        Ok(asked)
    }

    fn place(&mut self) -> *mut pollfd {
        match self.many.is_null() {
            true => self.few.as_mut_ptr().cast(),
            false => self.many,
        }
    }

    fn entries(&mut self) -> &mut [pollfd] {
        // SAFETY: `of` has written them.
        unsafe { std::slice::from_raw_parts_mut(self.place(), self.count) }
    }

    /// Tells the program what each is ready for; whether its list can be written to.
    ///
    /// # Safety
    /// It is the list of [`of`](List::of).
    unsafe fn tell(&mut self, list: *mut pollfd) -> bool {
        self.entries().iter().enumerate().all(|(at, one)| {
            // SAFETY: the caller's promise.
            unsafe { put(&raw mut (*list.add(at)).revents, &one.revents) }.is_ok()
        })
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.many.is_null() {
            // SAFETY: the mapping of `of`.
            let _ = unsafe { try_sys!(Sysno::munmap, self.many, self.count * size_of::<pollfd>()) };
        }
    }
}

impl Asked for List {
    fn guests(&mut self, limit: Duration, mask: Option<u64>) -> c_int {
        let mut limit = spec(limit);
        let mask = mask
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref::<u64>);
        // SAFETY: a live list and its length, a live limit, and a live mask of the size that is passed, or none.
        unsafe {
            sys!(
                Sysno::ppoll,
                self.place(),
                self.count,
                &raw mut limit,
                mask,
                size_of::<u64>()
            )
        }
    }

    fn hosts(&mut self) -> Result<c_int, Errno> {
        let mut ready = 0;
        for one in self.entries() {
            if let Some(fd) = hidden(one) {
                one.revents = host(fd, one.events)?;
                ready += c_int::from(one.revents != 0);
            }
        }
        Ok(ready)
    }

    fn alone(&mut self) -> Option<(c_int, i16)> {
        let is_asked = |one: &&pollfd| one.fd >= 0 || hidden(one).is_some();
        let mut asked = self.entries().iter().filter(is_asked);
        let one = asked.next().filter(|_| asked.next().is_none())?;
        Some((hidden(one)?, one.events))
    }
}
