//! select(2): three sets of descriptors.
#![allow(unsafe_code)]

use super::terms::spec;
use super::{answer, host, wait, Asked, Terms};
use crate::fds;
use crate::real::{errno, failed, sys};
use hostcall::access::copy;
use hostcall::types::Errno;
use libc::{c_int, c_ulong, fd_set};
use std::time::Duration;
use syscalls::Sysno;

/// The bits of a set.
type Set = [c_ulong; libc::FD_SETSIZE / BITS];
const BITS: usize = c_ulong::BITS as usize;
const NOTHING: Set = [0; libc::FD_SETSIZE / BITS];

/// For each set what is asked for, and what it is told of besides, as in the kernel (`fs/select.c`).
const EVENTS: [(i16, i16); 3] = [
    (
        libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND,
        libc::POLLHUP | libc::POLLERR | libc::POLLNVAL,
    ),
    (
        libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND,
        libc::POLLERR | libc::POLLNVAL,
    ),
    (libc::POLLPRI, libc::POLLNVAL),
];

/// select(2) of any sets: read, write, except. `real` is the call as it was made, for what the guest kernel alone has to answer.
///
/// # Safety
/// What there is of `count` bits at the sets that are not null is the program's.
pub unsafe fn select(
    count: c_int,
    sets: [*mut fd_set; 3],
    terms: impl FnOnce() -> Option<Terms>,
    real: impl FnOnce() -> c_int,
) -> c_int {
    let limit = (libc::FD_SETSIZE as c_int).min(count).max(0);
    if !fds::any() && !(0..limit).any(fds::is_reserved) {
        return real();
    }
    // SAFETY: the caller's promise.
    let Some(mut asked) = (unsafe { Sets::read(limit, sets) }) else {
        return real();
    };
    // The kernel takes a number that is kept for an open one.
    if asked.numbers().any(fds::is_reserved) {
        fds::release_reserved();
    }
    asked.hide_hosts();
    if asked.hosts == NOTHING {
        return real();
    }
    let Some(mut terms) = terms() else {
        return real();
    };
    let ready = wait(&mut asked, &mut terms);
    // A call that fails leaves the sets as they were.
    // SAFETY: the caller's promise.
    match ready < 0 || unsafe { asked.write(sets) } {
        true => answer(ready, errno()),
        false => failed(Errno(libc::EFAULT)),
    }
}

fn holds(set: &Set, fd: c_int) -> bool {
    set[fd as usize / BITS] >> (fd as usize % BITS) & 1 != 0
}

fn include(set: &mut Set, fd: c_int) {
    set[fd as usize / BITS] |= 1 << (fd as usize % BITS);
}

/// A program's sets.
struct Sets {
    /// One above the highest number that counts.
    limit: c_int,
    given: [bool; 3],
    asked: [Set; 3],
    /// The host's files of all of them.
    hosts: Set,
    /// What is ready.
    found: [Set; 3],
}

impl Sets {
    /// Reads them; `None` if that cannot be.
    ///
    /// # Safety
    /// As for [`select`].
    unsafe fn read(limit: c_int, sets: [*mut fd_set; 3]) -> Option<Sets> {
        let mut read = Sets {
            limit,
            given: sets.map(|set| !set.is_null()),
            asked: [NOTHING; 3],
            hosts: NOTHING,
            found: [NOTHING; 3],
        };
        for (from, to) in sets.into_iter().zip(&mut read.asked) {
            let bytes = (limit as usize).div_ceil(BITS) * size_of::<c_ulong>();
            // SAFETY: the caller's promise, and no more than a set has.
            if !from.is_null() && unsafe { copy(from.cast(), to.as_mut_ptr().cast(), bytes) } > 0 {
                return None;
            }
        }
        Some(read)
    }

    /// Tells the program what is ready; whether its sets can be written to.
    ///
    /// # Safety
    /// As for [`select`].
    unsafe fn write(&self, sets: [*mut fd_set; 3]) -> bool {
        let bytes = (self.limit as usize).div_ceil(BITS) * size_of::<c_ulong>();
        let sets = sets.into_iter().zip(&self.found);
        sets.filter(|(to, _)| !to.is_null())
            // SAFETY: the caller's promise, and no more than a set has.
            .all(|(to, from)| unsafe { copy(from.as_ptr().cast(), to.cast(), bytes) } == 0)
    }

    /// All that are asked for.
    fn numbers(&self) -> impl Iterator<Item = c_int> + '_ {
        let is_asked = |fd: &c_int| self.asked.iter().any(|set| holds(set, *fd));
        (0..self.limit).filter(is_asked)
    }

    fn hide_hosts(&mut self) {
        let mut hosts = NOTHING;
        let ours = self.numbers().filter(|fd| fds::host(*fd).is_some());
        ours.for_each(|fd| include(&mut hosts, fd));
        self.hosts = hosts;
    }

    /// What is asked of a number.
    fn events(&self, fd: c_int) -> i16 {
        let asked = self.asked.iter().zip(EVENTS);
        let asked = asked.filter(|(set, _)| holds(set, fd));
        asked.fold(0, |all, (_, (events, _))| all | events)
    }
}

impl Asked for Sets {
    fn guests(&mut self, limit: Duration, mask: Option<u64>) -> c_int {
        self.found = self.asked;
        for (word, hosts) in self
            .found
            .iter_mut()
            .flat_map(|set| set.iter_mut().zip(self.hosts))
        {
            *word &= !hosts;
        }
        let mut sets = [std::ptr::null_mut::<fd_set>(); 3];
        for ((set, found), given) in sets.iter_mut().zip(&mut self.found).zip(self.given) {
            if given {
                *set = found.as_mut_ptr().cast();
            }
        }
        let [read, write, except] = sets;
        let mut limit = spec(limit);
        let mask = mask
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref::<u64>);
        // A mask and its size, for the call has no seventh argument.
        let mask = (mask, size_of::<u64>());
        // SAFETY: live sets or none, a live limit, and a live mask of the size that is passed, or none.
        unsafe {
            sys!(
                Sysno::pselect6,
                self.limit,
                read,
                write,
                except,
                &raw mut limit,
                &raw const mask
            )
        }
    }

    fn hosts(&mut self) -> Result<c_int, Errno> {
        let mut ready = 0;
        let hosts = self.hosts;
        for fd in (0..self.limit).filter(|fd| holds(&hosts, *fd)) {
            let events = host(fd, self.events(fd))?;
            let sets = self.asked.iter().zip(&mut self.found).zip(EVENTS);
            for ((asked, found), (own, besides)) in sets {
                if holds(asked, fd) && events & (own | besides) != 0 {
                    include(found, fd);
                    ready += 1;
                }
            }
        }
        Ok(ready)
    }

    fn alone(&mut self) -> Option<(c_int, i16)> {
        let mut numbers = self.numbers();
        let one = numbers.next().filter(|_| numbers.next().is_none())?;
        holds(&self.hosts, one).then(|| (one, self.events(one)))
    }
}
