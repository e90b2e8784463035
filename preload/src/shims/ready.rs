//! Readiness: poll(2), select(2), epoll_ctl(2). A host file is always ready, as regular files are.
#![allow(unsafe_code)]

use super::io::fortify;
use crate::real::{set_errno, shims};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::types::Errno;
use libc::{c_int, epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

/// What a ready file answers of what is asked for.
const READY: i16 =
    libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM | libc::POLLRDBAND;

/// Has the guest kernel ask about its own descriptors only and adds the host files.
///
/// # Safety
/// `list` must point to `count` entries.
unsafe fn poll_mixed(list: *mut pollfd, count: nfds_t, real: impl FnOnce(bool) -> c_int) -> c_int {
    let list = match count {
        0 => return real(false),
        // SAFETY: the caller's promise.
        _ => unsafe { std::slice::from_raw_parts_mut(list, count as usize) },
    };
    let hosts = list
        .iter()
        .filter(|one| fds::host(one.fd).is_some())
        .count() as c_int;
    if hosts == 0 {
        return real(false);
    }
    // The kernel skips negative descriptors. `!fd` is its own inverse, and negative for every valid one.
    let flip = |list: &mut [pollfd]| {
        let ours = list
            .iter_mut()
            .filter(|one| fds::host(one.fd.max(!one.fd)).is_some());
        ours.for_each(|one| one.fd = !one.fd);
    };
    flip(list);
    let others = real(true);
    flip(list);
    if others < 0 {
        return others;
    }
    let mut ready = others;
    for one in list.iter_mut().filter(|one| fds::host(one.fd).is_some()) {
        one.revents = one.events & READY;
        ready += c_int::from(one.revents != 0);
    }
    ready
}

/// No time to wait.
pub const NOW: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

shims! {
    fn poll(list: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
        poll_mixed(list, count, |ready| own::poll(list, count, if ready { 0 } else { timeout }))
    }

    fn ppoll(list: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        poll_mixed(list, count, |ready| own::ppoll(list, count, if ready { &NOW } else { timeout }, mask))
    }

    fn __poll_chk(list: *mut pollfd, count: nfds_t, timeout: c_int, room: size_t) -> c_int {
        fortify((count as size_t).saturating_mul(size_of::<pollfd>()), room);
        poll(list, count, timeout)
    }

    fn __ppoll_chk(list: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, room: size_t) -> c_int {
        fortify((count as size_t).saturating_mul(size_of::<pollfd>()), room);
        ppoll(list, count, timeout, mask)
    }

    fn select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int {
        let mut now = timeval { tv_sec: 0, tv_usec: 0 };
        select_mixed(count, [read, write, except], |ready| {
            own::select(count, read, write, except, if ready { &mut now } else { timeout })
        })
    }

    fn pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        select_mixed(count, [read, write, except], |ready| {
            own::pselect(count, read, write, except, if ready { &NOW } else { timeout }, mask)
        })
    }

    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
        if let Some(remote) = fds::host(fd) {
            // What the kernel says of regular files, and of what only names one.
            let named = session::client().and_then(|client| client.fcntl(remote, libc::F_GETFL, 0));
            let named = named.is_ok_and(|reply| reply.value & libc::O_PATH != 0);
            set_errno(Errno(if named { libc::EBADF } else { libc::EPERM }));
            return -1;
        }
        own::epoll_ctl(epoll, operation, fd, event)
    }
}

/// [`poll_mixed`] for sets: host files are taken out of the sets for the kernel and put back as ready.
///
/// # Safety
/// The sets are null or hold `count` bits.
unsafe fn select_mixed(
    count: c_int,
    sets: [*mut fd_set; 3],
    real: impl FnOnce(bool) -> c_int,
) -> c_int {
    let limit = (libc::FD_SETSIZE as c_int).min(count);
    let asked = |fd| {
        // SAFETY: as below.
        let has = |set: &*mut fd_set| !set.is_null() && unsafe { libc::FD_ISSET(fd, *set) };
        sets.iter().any(has)
    };
    // The kernel takes a number that is kept for an open one.
    if (0..limit).any(|fd| fds::is_reserved(fd) && asked(fd)) {
        fds::release_reserved();
    }
    let mut ours: [fd_set; 2] = [empty(), empty()];
    let mut ready = 0;
    if fds::any() {
        for fd in (0..limit).filter(|&fd| fds::host(fd).is_some()) {
            // SAFETY: `fd` is below the size of a set; the program's sets hold that many bits.
            unsafe {
                for (set, mine) in sets.iter().zip(&mut ours) {
                    if !set.is_null() && libc::FD_ISSET(fd, *set) {
                        libc::FD_CLR(fd, *set);
                        libc::FD_SET(fd, mine);
                        ready += 1;
                    }
                }
                if !sets[2].is_null() {
                    libc::FD_CLR(fd, sets[2]);
                }
            }
        }
    }
    let others = real(ready > 0);
    if ready == 0 || others < 0 {
        return others;
    }
    for (set, mine) in sets.iter().zip(&ours) {
        for fd in 0..limit {
            // SAFETY: as above; `mine` has bits only where the program's set exists.
            unsafe {
                if libc::FD_ISSET(fd, mine) {
                    libc::FD_SET(fd, *set);
                }
            }
        }
    }
    others + ready
}

fn empty() -> fd_set {
    // SAFETY: an fd_set of zeros is the empty set.
    unsafe { std::mem::zeroed() }
}
