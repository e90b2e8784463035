//! Terminals: termios(3), ttyname(3), isatty(3), openpty(3), forkpty(3). A host file is none, and no terminal is opened on the
//! host.
#![allow(unsafe_code)]

use crate::real::{errno, finish, set_errno, shims, try_sys};
use crate::symbols::own;
use crate::{fds, fork};
use hostcall::types::Errno;
use libc::{c_char, c_int, pid_t, size_t, termios, winsize};
use syscalls::Sysno;

/// What libc's own function answers; that a host file is no terminal, where it is one.
fn unless_host(fd: c_int, own: impl FnOnce() -> c_int) -> c_int {
    match fds::host(fd) {
        Some(_) => finish(Err(Errno(libc::ENOTTY))),
        None => own(),
    }
}

shims! {
    fn posix_openpt(flags: c_int) -> c_int {
        fds::release_reserved();
        own::posix_openpt(flags)
    }

    fn getpt() -> c_int {
        fds::release_reserved();
        own::getpt()
    }

    fn openpty(first: *mut c_int, second: *mut c_int, name: *mut c_char, settings: *const termios, size: *const winsize) -> c_int {
        fds::release_reserved();
        own::openpty(first, second, name, settings, size)
    }

    /// Makes a terminal the process's own and its standard streams, login_tty(3). libc puts it over the three numbers
    /// past any hook, whatever they were.
    fn login_tty(fd: c_int) -> c_int {
        libc::setsid();
        if libc::ioctl(fd, libc::TIOCSCTTY, 0) == -1 {
            return -1;
        }
        for stream in 0..3 {
            while libc::dup2(fd, stream) == -1 && errno() == Errno(libc::EBUSY) {}
        }
        if fd > 2 {
            super::open::close(fd);
        }
        0
    }

    fn forkpty(first: *mut c_int, name: *mut c_char, settings: *const termios, size: *const winsize) -> pid_t {
        let (mut outer, mut inner) = (-1, -1);
        if openpty(&mut outer, &mut inner, name, settings, size) == -1 {
            return -1;
        }
        match fork::fork() {
            -1 => {
                let error = errno();
                super::open::close(outer);
                super::open::close(inner);
                finish(Err(error))
            }
            0 => {
                super::open::close(outer);
                if login_tty(inner) == -1 {
                    libc::_exit(1);
                }
                0
            }
            child => {
                *first = outer;
                super::open::close(inner);
                child
            }
        }
    }

    fn ttyname(fd: c_int) -> *mut c_char {
        match fds::host(fd) {
            Some(_) => finish(Err(Errno(libc::ENOTTY))),
            None => own::ttyname(fd),
        }
    }

    fn ttyname_r(fd: c_int, buffer: *mut c_char, len: size_t) -> c_int {
        match fds::host(fd) {
            Some(_) => libc::ENOTTY,
            None => own::ttyname_r(fd, buffer, len),
        }
    }

    fn tcgetattr(fd: c_int, settings: *mut libc::termios) -> c_int {
        unless_host(fd, || own::tcgetattr(fd, settings))
    }

    fn tcsetattr(fd: c_int, when: c_int, settings: *const libc::termios) -> c_int {
        unless_host(fd, || own::tcsetattr(fd, when, settings))
    }

    fn tcdrain(fd: c_int) -> c_int {
        unless_host(fd, || own::tcdrain(fd))
    }

    fn tcflow(fd: c_int, action: c_int) -> c_int {
        unless_host(fd, || own::tcflow(fd, action))
    }

    fn tcflush(fd: c_int, queue: c_int) -> c_int {
        unless_host(fd, || own::tcflush(fd, queue))
    }

    fn tcsendbreak(fd: c_int, duration: c_int) -> c_int {
        unless_host(fd, || own::tcsendbreak(fd, duration))
    }

    fn tcgetpgrp(fd: c_int) -> pid_t {
        unless_host(fd, || own::tcgetpgrp(fd))
    }

    fn tcsetpgrp(fd: c_int, group: pid_t) -> c_int {
        unless_host(fd, || own::tcsetpgrp(fd, group))
    }

    fn tcgetsid(fd: c_int) -> pid_t {
        unless_host(fd, || own::tcgetsid(fd))
    }

    fn isatty(fd: c_int) -> c_int {
        if fds::host(fd).is_some() {
            set_errno(Errno(libc::ENOTTY));
            return 0;
        }
        // The kernel's termios is smaller than libc's.
        let mut settings = std::mem::MaybeUninit::<libc::termios>::uninit();
        match try_sys!(Sysno::ioctl, fd, libc::TCGETS, settings.as_mut_ptr()) {
            Ok(_) => 1,
            Err(errno) => {
                set_errno(errno);
                0
            }
        }
    }

    fn __ttyname_r_chk(fd: c_int, buffer: *mut c_char, len: size_t, room: size_t) -> c_int {
        super::io::fortify(len, room);
        ttyname_r(fd, buffer, len)
    }
}
