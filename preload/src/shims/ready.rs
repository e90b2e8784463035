//! Readiness: poll(2), select(2), epoll_ctl(2), by their names and by their numbers.
#![allow(unsafe_code)]

use super::io::fortify;
use crate::readiness::{list, sets, Back, Terms};
use crate::real::{set_errno, shims, sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::access::get;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use libc::{
    c_int, c_void, epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval,
};
use syscalls::Sysno;

shims! {
    fn poll(list: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
        list::poll(
            list,
            count,
            || Some(Terms::milliseconds(timeout)),
            || own::poll(list, count, timeout),
        )
    }

    fn ppoll(list: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        list::poll(
            list,
            count,
            || Terms::timespec(timeout)?.masked(mask.cast()),
            || own::ppoll(list, count, timeout, mask),
        )
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
        sets::select(
            count,
            [read, write, except],
            || Terms::timeval(timeout),
            || own::select(count, read, write, except, timeout),
        )
    }

    fn pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        sets::select(
            count,
            [read, write, except],
            || Terms::timespec(timeout)?.masked(mask.cast()),
            || own::pselect(count, read, write, except, timeout, mask),
        )
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

/// The terms of a system call, which writes to the time that it is given; a mask is as long as the kernel's.
///
/// # Safety
/// What there is at the pointers is the program's.
unsafe fn by_number(timeout: *mut timespec, mask: *const c_void, size: size_t) -> Option<Terms> {
    if !mask.is_null() && size != size_of::<u64>() {
        return None;
    }
    // SAFETY: the caller's promise.
    let terms = unsafe { Terms::timespec(timeout)?.masked(mask.cast()) }?;
    Some(match timeout.is_null() {
        true => terms,
        false => terms.telling(Back::Timespec(timeout)),
    })
}

/// The system call itself.
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
    // SAFETY: the caller's arguments.
    unsafe {
        list::poll(
            list,
            count,
            || by_number(timeout, mask, size),
            || sys!(Sysno::ppoll, list, count, timeout, mask, size),
        )
    }
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
    // A mask and its size, for the call has no seventh argument.
    let terms = || {
        let (mask, size) = match mask.is_null() {
            true => (std::ptr::null(), 0),
            // SAFETY: what there is at the pointer is the program's.
            false => unsafe { get(mask.cast::<(*const c_void, size_t)>()) }.ok()?,
        };
        // SAFETY: the caller's arguments.
        unsafe { by_number(timeout, mask, size) }
    };
    // SAFETY: the caller's arguments.
    unsafe {
        sets::select(count, [read, write, except], terms, || {
            sys!(Sysno::pselect6, count, read, write, except, timeout, mask)
        })
    }
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
    // SAFETY: the caller's arguments.
    unsafe {
        sets::select(
            count,
            [read, write, except],
            || Terms::timeval(timeout),
            || sys!(Sysno::select, count, read, write, except, timeout),
        )
    }
}
