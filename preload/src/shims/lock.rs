//! Locks besides those of fcntl(2): flock(2), lockf(3).
#![allow(unsafe_code)]

use super::descriptor::{kept_lock, record_lock};
use crate::real::{done, shims, sys};
use crate::symbols::own;
use crate::{fds, kept, session};
use hostcall::cancellation;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use libc::{c_int, off_t};
use syscalls::Sysno;

shims! {
    fn flock(fd: c_int, operation: c_int) -> c_int {
        match fds::host(fd).or_else(|| kept::of(fd)) {
            // No cancellation point.
            Some(remote) => cancellation::passed(|| done(session::client().and_then(|client| {
                let try_it = || client.flock(remote, operation);
                settled(client, try_it, |answer| matches!(answer, Err(errno) if refused(*errno)))
            }))),
            None => sys!(Sysno::flock, fd, operation),
        }
    }

    fn lockf(fd: c_int, command: c_int, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(lock_section(command, len, |command, lock| record_lock(remote, command, lock))),
            None if kept::of(fd).is_some() => done(lock_section(command, len, |command, lock| {
                let remote = kept::of(fd).ok_or(Errno(libc::EBADF))?;
                kept_lock(fd, remote, command, lock)
            })),
            None => own::lockf(fd, command, len),
        }
    }
}

/// Whether a lock was refused because of another.
pub fn refused(errno: Errno) -> bool {
    matches!(errno, Errno(libc::EAGAIN | libc::EACCES))
}

/// Tries a lock again if another stands in the way: it may be that of a process that has ended, whose shadow ends a moment
/// later.
pub fn settled<T>(
    client: &Client,
    try_it: impl Fn() -> Result<T, Errno>,
    in_the_way: impl Fn(&Result<T, Errno>) -> bool,
) -> Result<T, Errno> {
    let answer = try_it();
    if !in_the_way(&answer) {
        return answer;
    }
    client.settle()?;
    try_it()
}

/// lockf(3) in terms of record locks that start at the file's position.
fn lock_section(
    command: c_int,
    len: off_t,
    locked: impl FnOnce(c_int, &mut libc::flock) -> Result<(), Errno>,
) -> Result<(), Errno> {
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
    locked(operation, &mut lock)?;
    if command == libc::F_TEST && lock.l_type != libc::F_UNLCK as i16 {
        return Err(Errno(libc::EACCES));
    }
    Ok(())
}
