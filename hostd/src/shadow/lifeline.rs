//! What ends the processes of a zygote with hostd: itself and its shadows, those too that somebody has stopped.
//!
//! One that runs sees the end of its line to hostd and ends itself. One that is stopped sees nothing, and the kernel is not to
//! end it with its parent (prctl(2), `PR_SET_PDEATHSIG`): a zygote ends before its shadows when exports change, or when
//! somebody kills it, and they serve on. So each zygote holds an end of a pipe that only hostd can write to, which it never does,
//! and has its process group killed for whatever happens there (fcntl(2), `F_SETSIG`): the end of hostd.
#![allow(unsafe_code)]

use super::sandbox::F_SETSIG;
use nix::fcntl::OFlag;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

/// hostd's end, which closes with hostd.
static HOSTD: OnceLock<OwnedFd> = OnceLock::new();

/// For hostd: the end for a new zygote.
///
/// # Errors
/// pipe(2), open(2) of `/proc/self/fd`.
pub fn end_for_zygote() -> Result<OwnedFd> {
    if HOSTD.get().is_none() {
        let (_, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let _ = HOSTD.set(writer);
    }
    let writer = HOSTD.get().map_or(-1, AsRawFd::as_raw_fd);
    // Opened anew: whose group is signalled is a property of the open file.
    Ok(File::open(format!("/proc/self/fd/{writer}"))?.into())
}

/// A zygote's end, which all its shadows inherit. The kernel signals for it as long as one of them has it open.
#[derive(Debug)]
pub struct Lifeline(OwnedFd);

impl Lifeline {
    /// Ties the calling process and all that it will fork to hostd's life.
    ///
    /// # Errors
    /// fcntl(2).
    pub fn hold(end: OwnedFd) -> Result<Lifeline> {
        // Fails where this process leads its group already.
        let _ = nix::unistd::setsid();
        let group = nix::unistd::getpgrp().as_raw();
        set(&end, libc::F_SETOWN, -group)?;
        set(&end, F_SETSIG, libc::SIGKILL)?;
        set(&end, libc::F_SETFL, libc::O_ASYNC)?;
        Ok(Lifeline(end))
    }

    /// The same above the numbers of the guest.
    ///
    /// # Errors
    /// There is no such number.
    pub fn move_above(&mut self, most: u64) -> Result<()> {
        let moved = set(&self.0, libc::F_DUPFD_CLOEXEC, most as i32)?;
        // SAFETY: the kernel has just given us this descriptor.
        self.0 = unsafe { OwnedFd::from_raw_fd(moved) };
        Ok(())
    }
}

fn set(file: &OwnedFd, command: i32, argument: i32) -> Result<RawFd> {
    // SAFETY: plain system call; the commands above take an integer.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(Error::last_os_error()),
        value => Ok(value),
    }
}
