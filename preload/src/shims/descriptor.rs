//! Duplicates and flags: dup(2), fcntl(2), ioctl(2).
#![allow(unsafe_code)]

use super::lock::{refused, settled};
use super::open::refuse_reserved;
use crate::real::{done, finish, set_errno, shims, sys, try_sys};
use crate::symbols::own;
use crate::{cancel, fds, kept, session, watching};
use hostcall::access::{get, put};
use hostcall::handout::{self, Handout};
use hostcall::ops::Calls;
use hostcall::types::{write_hint, Errno, OpenFlags, RecordLock, RemoteFd};
use libc::{c_int, c_ulong};
use syscalls::Sysno;

fn close_on_exec(cloexec: bool) -> OpenFlags {
    OpenFlags(if cloexec { libc::O_CLOEXEC } else { 0 })
}

/// A duplicate at the lowest number from `minimum` on.
fn duplicate(remote: RemoteFd, cloexec: bool, minimum: c_int) -> Result<c_int, Errno> {
    if minimum < 0 {
        return Err(Errno(libc::EINVAL));
    }
    let copy = session::client()?.dup(remote, close_on_exec(cloexec))?.fd;
    fds::install_from(copy, cloexec, minimum)
}

/// dup3(2) for any two descriptors, except that equal ones are left to the caller.
fn duplicate_onto(old: c_int, new: c_int, flags: c_int) -> Result<c_int, Errno> {
    fds::release_reserved();
    let cloexec = flags & libc::O_CLOEXEC != 0;
    if fds::internal(new) {
        return Err(Errno(libc::EBUSY));
    }
    match fds::host(old) {
        Some(remote) => {
            if !(0..fds::MOST as c_int).contains(&new) {
                return Err(Errno(libc::EBADF));
            }
            let copy = session::client()?.dup(remote, close_on_exec(cloexec))?.fd;
            fds::install_at(new, copy, cloexec)?;
        }
        None => {
            // SAFETY: plain system call.
            unsafe { try_sys!(Sysno::dup3, old, new, flags) }?;
            fds::displaced(new);
            watching::duplicated(old, new);
        }
    }
    Ok(new)
}

/// Sets close-on-exec of a host file on both sides.
pub fn mark_cloexec(fd: c_int, cloexec: bool) -> Result<(), Errno> {
    let remote = fds::host(fd).ok_or(Errno(libc::EBADF))?;
    let flag = if cloexec { libc::FD_CLOEXEC } else { 0 };
    session::client()?.fcntl(remote, libc::F_SETFD, flag as u64)?;
    fds::set_cloexec(fd, cloexec);
    Ok(())
}

/// fcntl(2) on a host file. Integers are the low half of the argument, whatever the rest of the register holds.
unsafe fn control(
    fd: c_int,
    entry: fds::Entry,
    command: c_int,
    argument: usize,
) -> Result<c_int, Errno> {
    let number = argument as c_int;
    let remote = entry.remote;
    match command {
        libc::F_DUPFD => duplicate(remote, false, number),
        libc::F_DUPFD_CLOEXEC => duplicate(remote, true, number),
        libc::F_GETFD => Ok(if entry.cloexec { libc::FD_CLOEXEC } else { 0 }),
        libc::F_SETFD => mark_cloexec(fd, number & libc::FD_CLOEXEC != 0).map(|()| 0),
        libc::F_GETFL | libc::F_SETFL | libc::F_GETPIPE_SZ | libc::F_SETPIPE_SZ => {
            let reply = session::client()?.fcntl(remote, command, number as u32 as u64)?;
            Ok(reply.value)
        }
        write_hint::GET => {
            let hint = session::client()?.fcntl(remote, command, 0)?.value as u64;
            // SAFETY: this command's argument is a pointer to a u64.
            unsafe { put(argument as *mut u64, &hint) }.map(|()| 0)
        }
        write_hint::SET => {
            // SAFETY: likewise.
            let hint = unsafe { get(argument as *const u64) }?;
            session::client()?.fcntl(remote, command, hint).map(|_| 0)
        }
        command if is_lock(command) => {
            // SAFETY: for these commands the program passes a struct flock.
            unsafe { with_lock(command, argument, |lock| record_lock(remote, command, lock)) }
        }
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// Does something with the struct flock at the argument of fcntl(2). It is written to only where the command asks: a program may
/// have what it requests in memory that cannot be written.
///
/// # Safety
/// As for the call.
unsafe fn with_lock(
    command: c_int,
    argument: usize,
    act: impl FnOnce(&mut libc::flock) -> Result<(), Errno>,
) -> Result<c_int, Errno> {
    let place = argument as *mut libc::flock;
    // SAFETY: the caller's promise.
    unsafe {
        let mut lock = get(place)?;
        act(&mut lock)?;
        match asks(command) {
            true => put(place, &lock).map(|()| 0),
            false => Ok(0),
        }
    }
}

fn is_lock(command: c_int) -> bool {
    use libc::{F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLK, F_SETLKW};
    matches!(
        command,
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW
    )
}

/// Whether a command of locks is a question.
fn asks(command: c_int) -> bool {
    matches!(command, libc::F_GETLK | libc::F_OFD_GETLK)
}

/// Whether a command of locks waits while another lock stands in its way.
fn waits(command: c_int) -> bool {
    matches!(command, libc::F_SETLKW | libc::F_OFD_SETLKW)
}

/// [`record_lock`] for a file of the mount whose locks are the shadow's: its position is the guest kernel's.
pub fn kept_lock(
    fd: c_int,
    remote: RemoteFd,
    command: c_int,
    lock: &mut libc::flock,
) -> Result<(), Errno> {
    if lock.l_whence == libc::SEEK_CUR as i16 {
        // SAFETY: plain system call.
        let position = unsafe { try_sys!(Sysno::lseek, fd, 0, libc::SEEK_CUR) }?;
        lock.l_start += position as libc::off_t;
        lock.l_whence = libc::SEEK_SET as i16;
    }
    record_lock(remote, command, lock)
}

/// One record lock call, a cancellation point if it waits; a question's answer goes into `lock`.
pub fn record_lock(fd: RemoteFd, command: c_int, lock: &mut libc::flock) -> Result<(), Errno> {
    let asked = RecordLock {
        kind: lock.l_type,
        whence: lock.l_whence,
        start: lock.l_start,
        len: lock.l_len,
        pid: lock.l_pid,
    };
    if waits(command) {
        cancel::point();
    }
    let asks = asks(command);
    let client = session::client()?;
    let try_it = || client.lock(fd, command, asked).map(|reply| reply.lock);
    let in_the_way = |answer: &Result<RecordLock, Errno>| match answer {
        Ok(lock) => asks && lock.kind != libc::F_UNLCK as i16,
        Err(errno) => refused(*errno),
    };
    let answer = settled(client, try_it, in_the_way)?;
    if asks {
        lock.l_type = answer.kind;
        if answer.kind != libc::F_UNLCK as i16 {
            lock.l_whence = answer.whence;
            lock.l_start = answer.start;
            lock.l_len = answer.len;
            // The host names a shadow. A process that has no number here the kernel calls 0, and no process at all -1.
            lock.l_pid = answer.pid.min(0);
        }
    }
    Ok(())
}

/// ioctl(2) on a host file: what is about the descriptor is done, what is about a device is refused.
unsafe fn device_control(
    fd: c_int,
    remote: RemoteFd,
    request: c_ulong,
    argument: usize,
) -> Result<c_int, Errno> {
    let client = session::client()?;
    match request {
        libc::FIOCLEX => mark_cloexec(fd, true).map(|()| 0),
        libc::FIONCLEX => mark_cloexec(fd, false).map(|()| 0),
        libc::FIONBIO => {
            // SAFETY: the request's argument is a pointer to an int.
            let on = unsafe { get(argument as *const c_int) }? != 0;
            let old = client.fcntl(remote, libc::F_GETFL, 0)?.value;
            let new = if on {
                old | libc::O_NONBLOCK
            } else {
                old & !libc::O_NONBLOCK
            };
            client.fcntl(remote, libc::F_SETFL, new as u32 as u64)?;
            Ok(0)
        }
        libc::FIONREAD => {
            let size = super::stat::metadata_of(remote)?.size as i64;
            let position = client.lseek(remote, 0, libc::SEEK_CUR)?.offset;
            let rest = (size - position).clamp(0, c_int::MAX.into());
            // SAFETY: the request's argument is a pointer to an int.
            unsafe { put(argument as *mut c_int, &(rest as c_int)) }.map(|()| 0)
        }
        libc::FICLONE | libc::FICLONERANGE => Err(Errno(libc::EOPNOTSUPP)),
        request if request == handout::REQUEST.into() => {
            let token = client.share(remote)?.token;
            let handout = Handout {
                token,
                shared: true,
            }
            .to_bytes();
            // SAFETY: whoever knows the request passes room for its answer.
            unsafe { *(argument as *mut [u8; Handout::SIZE]) = handout };
            Ok(0)
        }
        // What only names a file is no open one.
        _ => match client.fcntl(remote, libc::F_GETFL, 0)?.value & libc::O_PATH {
            0 => Err(Errno(libc::ENOTTY)),
            _ => Err(Errno(libc::EBADF)),
        },
    }
}

/// fcntl(2) for any descriptor; `real` is libc's, which knows some commands that are more than a system call.
unsafe fn control_any(
    fd: c_int,
    command: c_int,
    argument: usize,
    real: impl FnOnce() -> c_int,
) -> c_int {
    if let Some(entry) = fds::entry(fd) {
        // SAFETY: the program's argument, as fcntl(2) has it.
        return finish(unsafe { control(fd, entry, command, argument) });
    }
    if refuse_reserved(fd) {
        return -1;
    }
    if let (Some(remote), true) = (kept::of(fd), is_lock(command) && argument != 0) {
        // SAFETY: for these commands the program passes a struct flock.
        let locked = unsafe {
            with_lock(command, argument, |lock| {
                kept_lock(fd, remote, command, lock)
            })
        };
        return finish(locked);
    }
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        fds::release_reserved();
        return watching::duplicated(fd, real());
    }
    real()
}

shims! {
    fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
        control_any(fd, command, argument, || own::fcntl(fd, command, argument))
    }

}

shims! {
    fn dup(fd: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => finish(duplicate(remote, false, 0)),
            None => {
                fds::release_reserved();
                watching::duplicated(fd, sys!(Sysno::dup, fd))
            }
        }
    }

    fn dup2(old: c_int, new: c_int) -> c_int {
        if old == new {
            // dup2(2) then only says whether the descriptor is open.
            return match fds::host(old) {
                Some(_) => new,
                None if refuse_reserved(old) => -1,
                None => {
                    let open = try_sys!(Sysno::fcntl, old, libc::F_GETFD, 0);
                    finish(open.map(|_| new))
                }
            };
        }
        finish(duplicate_onto(old, new, 0))
    }

    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
        if old == new || flags & !libc::O_CLOEXEC != 0 {
            set_errno(Errno(libc::EINVAL));
            return -1;
        }
        finish(duplicate_onto(old, new, flags))
    }

    fn ioctl(fd: c_int, request: c_ulong, argument: usize) -> c_int {
        match fds::host(fd) {
            Some(remote) => finish(device_control(fd, remote, request, argument)),
            // Cloning from the host into a guest file: the source is a number in the argument.
            None if request == libc::FICLONE && fds::host(argument as c_int).is_some() => {
                done::<()>(Err(Errno(libc::EXDEV)))
            }
            None if request == libc::FIONREAD && watching::is(fd) => {
                done(put(argument as *mut c_int, &watching::unread(fd)))
            }
            None => sys!(Sysno::ioctl, fd, request, argument),
        }
    }

}
