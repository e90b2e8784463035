//! Whatever else makes a descriptor in the guest kernel hands the reserved numbers back first.
#![allow(unsafe_code)]

use crate::fds;
use crate::real::shims;
use crate::symbols::own;
use libc::{c_char, c_int, c_uint, c_void, mode_t, pid_t, sigset_t, sockaddr, socklen_t};

macro_rules! makers {
    ($( fn $name:ident($($argument:ident : $type:ty),*); )*) => {
        shims! {
            $( fn $name($($argument: $type),*) -> c_int {
                fds::release_reserved();
                own::$name($($argument),*)
            } )*
        }
    };
}

makers! {
    fn socket(domain: c_int, kind: c_int, protocol: c_int);
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int);
    fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t);
    fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int);
    fn pipe(pair: *mut c_int);
    fn pipe2(pair: *mut c_int, flags: c_int);
    fn eventfd(initial: c_uint, flags: c_int);
    fn signalfd(fd: c_int, mask: *const sigset_t, flags: c_int);
    fn timerfd_create(clock: c_int, flags: c_int);
    fn epoll_create(size: c_int);
    fn epoll_create1(flags: c_int);
    fn memfd_create(name: *const c_char, flags: c_uint);
    fn shm_open(name: *const c_char, flags: c_int, mode: mode_t);
    fn mq_open(name: *const c_char, flags: c_int, mode: mode_t, attributes: *const c_void);
    fn __mq_open_2(name: *const c_char, flags: c_int);
    fn fanotify_init(flags: c_uint, event_flags: c_uint);
    fn pidfd_open(process: pid_t, flags: c_uint);
    fn pidfd_getfd(pidfd: c_int, fd: c_int, flags: c_uint);
}
