//! poll(2): a list of descriptors.
#![allow(unsafe_code)]

use super::terms::{signals, spec};
use super::{host, wait, Asked, Terms};
use crate::fds;
use crate::symbols::own;
use hostcall::access::copy;
use hostcall::types::Errno;
use libc::{c_int, nfds_t, pollfd};
use std::time::Duration;

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
    // SAFETY: as many entries have been read.
    let list = unsafe { std::slice::from_raw_parts_mut(list, count as usize) };
    wait(&mut List::hiding_hosts(list), &mut terms)
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

/// A program's list with the host's files hidden, until it is dropped.
struct List<'l>(&'l mut [pollfd]);

impl List<'_> {
    fn hiding_hosts(list: &mut [pollfd]) -> List<'_> {
        let hosts = list.iter_mut().filter(|one| fds::host(one.fd).is_some());
        hosts.for_each(|one| one.fd |= HIDDEN);
        List(list)
    }
}

impl Drop for List<'_> {
    fn drop(&mut self) {
        for one in self.0.iter_mut() {
            one.fd = hidden(one).unwrap_or(one.fd);
        }
    }
}

impl Asked for List<'_> {
    fn guests(&mut self, limit: Duration, mask: Option<u64>) -> c_int {
        let (limit, mask) = (spec(limit), mask.map(signals));
        let mask = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: a live list and its length, a live limit, and a live mask or none.
        unsafe { own::ppoll(self.0.as_mut_ptr(), self.0.len() as nfds_t, &limit, mask) }
    }

    fn hosts(&mut self) -> Result<c_int, Errno> {
        let mut ready = 0;
        for one in self.0.iter_mut() {
            if let Some(fd) = hidden(one) {
                one.revents = host(fd, one.events)?;
                ready += c_int::from(one.revents != 0);
            }
        }
        Ok(ready)
    }

    fn alone(&self) -> Option<(c_int, i16)> {
        let is_asked = |one: &&pollfd| one.fd >= 0 || hidden(one).is_some();
        let mut asked = self.0.iter().filter(is_asked);
        let one = asked.next().filter(|_| asked.next().is_none())?;
        Some((hidden(one)?, one.events))
    }
}
