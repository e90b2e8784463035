//! Locks besides those of fcntl(2): flock(2), lockf(3).
#![allow(unsafe_code)]

use super::descriptor::record_lock;
use crate::real::{done, hooks, sys, Symbol};
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::types::{Errno, RemoteFd};
use libc::{c_int, off_t};
use syscalls::Sysno;

static LOCKF: Symbol = Symbol::new(c"lockf64");

hooks! {
    fn flock(fd: c_int, operation: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.flock(remote, operation))),
            None => sys!(Sysno::flock, fd, operation),
        }
    }

    fn lockf | lockf64 (fd: c_int, command: c_int, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(lock_section(remote, command, len)),
            None => match LOCKF.get::<unsafe extern "C" fn(c_int, c_int, off_t) -> c_int>() {
                Some(real) => real(fd, command, len),
                None => done::<()>(Err(Errno(libc::ENOSYS))),
            },
        }
    }
}

/// lockf(3) in terms of record locks that start at the file's position.
fn lock_section(fd: RemoteFd, command: c_int, len: off_t) -> Result<(), Errno> {
    let (operation, kind) = match command {
        libc::F_LOCK => (libc::F_SETLKW, libc::F_WRLCK),
        libc::F_TLOCK => (libc::F_SETLK, libc::F_WRLCK),
        libc::F_ULOCK => (libc::F_SETLK, libc::F_UNLCK),
        libc::F_TEST => (libc::F_GETLK, libc::F_RDLCK),
        _ => return Err(Errno(libc::EINVAL)),
    };
    let mut lock = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_CUR as i16,
        l_start: 0,
        l_len: len,
        l_pid: 0,
    };
    record_lock(fd, operation, &mut lock)?;
    if command == libc::F_TEST && lock.l_type != libc::F_UNLCK as i16 {
        return Err(Errno(libc::EACCES));
    }
    Ok(())
}
