//! Readiness: poll(2), select(2), epoll_ctl(2). A host file is always ready, as regular files are.
#![allow(unsafe_code)]

use super::io::fortify;
use crate::real::{set_errno, shims, sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::access::copy;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use libc::{
    c_int, c_ulong, c_void, epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec,
    timeval,
};
use syscalls::Sysno;

/// What a ready file answers of what is asked for.
const READY: i16 =
    libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM | libc::POLLRDBAND;

/// Has the guest kernel ask about its own descriptors only and adds the host files.
///
/// # Safety
/// What there is of `count` entries at `list` is the program's.
unsafe fn poll_mixed(list: *mut pollfd, count: nfds_t, real: impl FnOnce(bool) -> c_int) -> c_int {
    // SAFETY: the caller's promise.
    if !fds::any() || !unsafe { asks_for_hosts(list, count as usize) } {
        return real(false);
    }
    // SAFETY: as many entries have been read.
    let list = unsafe { std::slice::from_raw_parts_mut(list, count as usize) };
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

/// Whether a whole list can be read and has a host file in it. Of any other the guest kernel says what it is.
///
/// # Safety
/// As for [`poll_mixed`].
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

/// The system calls themselves, which write to the time that they are given.
///
/// # Safety
/// As the system call.
pub unsafe fn ppoll_by_number(
    list: *mut pollfd,
    count: nfds_t,
    timeout: *mut timespec,
    mask: *const c_void,
    size: size_t,
) -> c_int {
    let real = |ready| {
        let mut now = NOW;
        let timeout = if ready { &raw mut now } else { timeout };
        // SAFETY: the caller's arguments.
        unsafe { sys!(Sysno::ppoll, list, count, timeout, mask, size) }
    };
    // SAFETY: the caller's promise.
    unsafe { poll_mixed(list, count, real) }
}

/// As above.
///
/// # Safety
/// As the system call.
pub unsafe fn pselect_by_number(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timespec,
    mask: *const c_void,
) -> c_int {
    let real = |ready| {
        let mut now = NOW;
        let timeout = if ready { &raw mut now } else { timeout };
        // SAFETY: the caller's arguments.
        unsafe { sys!(Sysno::pselect6, count, read, write, except, timeout, mask) }
    };
    // SAFETY: the caller's promise.
    unsafe { select_mixed(count, [read, write, except], real) }
}

/// As above.
///
/// # Safety
/// As the system call.
#[cfg(target_arch = "x86_64")]
pub unsafe fn select_by_number(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    let real = |ready| {
        let mut now = timeval {
            tv_sec: 0,
            tv_usec: 0,
        };
        let timeout = if ready { &raw mut now } else { timeout };
        // SAFETY: the caller's arguments.
        unsafe { sys!(Sysno::select, count, read, write, except, timeout) }
    };
    // SAFETY: the caller's promise.
    unsafe { select_mixed(count, [read, write, except], real) }
}

/// The bits of a set.
type Set = [c_ulong; libc::FD_SETSIZE / BITS];
const BITS: usize = c_ulong::BITS as usize;
const NOTHING: Set = [0; libc::FD_SETSIZE / BITS];

/// [`poll_mixed`] for sets: host files are taken out of the sets for the kernel and put back as ready.
///
/// # Safety
/// What there is of `count` bits at the sets that are not null is the program's.
unsafe fn select_mixed(
    count: c_int,
    sets: [*mut fd_set; 3],
    real: impl FnOnce(bool) -> c_int,
) -> c_int {
    let limit = (libc::FD_SETSIZE as c_int).min(count).max(0);
    if !fds::any() && !(0..limit).any(fds::is_reserved) {
        return real(false);
    }
    let words = (limit as usize).div_ceil(BITS);
    let sets = sets.map(<*mut fd_set>::cast::<c_ulong>);
    let mut asked = [NOTHING; 3];
    for (set, asked) in sets
        .iter()
        .zip(&mut asked)
        .filter(|(set, _)| !set.is_null())
    {
        let bytes = words * size_of::<c_ulong>();
        // SAFETY: the caller's promise, and no more than a set has.
        let left = unsafe { copy(set.cast(), asked.as_mut_ptr().cast(), bytes) };
        if left > 0 {
            // The guest kernel's to refuse.
            return real(false);
        }
    }
    let those = |which: &dyn Fn(c_int) -> bool| {
        let mut set = NOTHING;
        for fd in (0..limit).filter(|fd| which(*fd)) {
            set[fd as usize / BITS] |= 1 << (fd as usize % BITS);
        }
        set
    };
    let count_of = |asked: &[Set], those: &Set| {
        let words = asked.iter().flat_map(|set| set.iter().zip(those));
        words.map(|(a, b)| (a & b).count_ones()).sum::<u32>() as c_int
    };
    // The kernel takes a number that is kept for an open one.
    if count_of(&asked, &those(&fds::is_reserved)) > 0 {
        fds::release_reserved();
    }
    let hosts = those(&|fd| fds::host(fd).is_some());
    // SAFETY: what has been read of the program's sets is theirs to be written, by the caller's promise.
    let change = |set: usize, word: usize, change: &dyn Fn(c_ulong) -> c_ulong| unsafe {
        if asked[set][word] & hosts[word] != 0 {
            let place = sets[set].add(word);
            *place = change(*place);
        }
    };
    let each = |sets: usize| (0..sets).flat_map(move |set| (0..words).map(move |word| (set, word)));
    each(3).for_each(|(set, word)| change(set, word, &|bits| bits & !hosts[word]));
    // Nothing exceptional is to be told of a file.
    let ready = count_of(&asked[..2], &hosts);
    let others = real(ready > 0);
    // A call that fails leaves the sets as they were.
    let (back, ready) = if others < 0 { (3, 0) } else { (2, ready) };
    each(back)
        .for_each(|(set, word)| change(set, word, &|bits| bits | asked[set][word] & hosts[word]));
    others + ready
}
