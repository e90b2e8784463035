//! Terminals for host programs: made here, for a shadow's view holds no device that makes them. The host's own terminal is
//! never lent (CVE-2017-5226).
#![allow(unsafe_code)]

use hostcall::types::Errno;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, unlockpt};
use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp, Pid};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// From `asm-generic/ioctls.h`, `_IO('T', 0x41)`.
const TIOCGPTPEER: libc::c_ulong = 0x5441;

/// A terminal's size in characters and in pixels.
pub(crate) fn window_size([rows, columns, xpixels, ypixels]: [u16; 4]) -> libc::winsize {
    libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: xpixels,
        ws_ypixel: ypixels,
    }
}

/// Makes a terminal: its master and its number.
pub(super) fn open(size: [u16; 4]) -> Result<(OwnedFd, u32), Errno> {
    let make = || -> nix::Result<OwnedFd> {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        Ok(master.into())
    };
    let master = make().map_err(|error| Errno(error as i32))?;
    let size = window_size(size);
    // SAFETY: reads a live winsize.
    let set = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    Errno::result(set.into())?;
    let number = number(master.as_fd()).ok_or(Errno(libc::EIO))?;
    Ok((master, number))
}

/// The number of a master's terminal; `None` if the file is no master.
fn number(file: BorrowedFd<'_>) -> Option<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: writes a live integer, and only if the file is a master.
    let got = unsafe { libc::ioctl(file.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
    (got != -1).then_some(number)
}

/// The terminal of a master, whatever names lead to it; `None` if the file is no master.
pub(super) fn of_master(file: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    if number(file).is_none() {
        return Ok(None);
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: plain system call; the descriptor that comes back is ours.
    unsafe {
        let peer = Errno::result(libc::ioctl(file.as_raw_fd(), TIOCGPTPEER, flags).into())?;
        Ok(Some(OwnedFd::from_raw_fd(peer as i32)))
    }
}

/// Makes a terminal the controlling one of this process, which leads a session.
pub(super) fn control_by(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: plain system call.
    let set = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(set.into()).map(drop)
}

/// Moves a program to the foreground of the terminal that controls this process's session, or away from it: what takes its place
/// there is this process's own group, in which nobody reads. `before` is the group that had it, which gets it back. SIGTTOU,
/// which this would cause, is blocked.
pub(super) fn move_program(program: i32, own: bool, before: &mut i32) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = std::fs::File::options()
        .read(true)
        .write(true)
        .custom_flags(flags.bits())
        .open("/dev/tty");
    // It is gone, or there was none.
    let Ok(terminal) = opened else { return };
    let (this, Ok(now)) = (getpgrp(), tcgetpgrp(&terminal)) else {
        return;
    };
    match own {
        false if now != this => {
            *before = now.as_raw();
            let _ = tcsetpgrp(&terminal, this);
        }
        // The group that had it may have ended in the meantime.
        true if now == this => {
            let _ = tcsetpgrp(&terminal, Pid::from_raw(*before))
                .or_else(|_| tcsetpgrp(&terminal, Pid::from_raw(program)));
        }
        _ => {}
    }
}
