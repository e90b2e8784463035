//! The process that becomes a program, from its fork to execve(2).
#![allow(unsafe_code)]

use super::child::Failure;
use crate::config::ProgramLimits;
use hostcall::types::Errno;
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

/// Open files that a program may have unless it raises that itself, as in a login.
const OPEN_FILES: u64 = 1024;

/// What to become.
#[derive(Debug)]
pub(super) struct Program<'p> {
    /// Its file, which has been judged.
    pub file: CString,
    /// Its arguments.
    pub arguments: Vec<CString>,
    /// Its environment.
    pub variables: Vec<CString>,
    /// File mode creation mask.
    pub umask: u32,
    /// The process group that it joins.
    pub group: Pid,
    /// What it may use.
    pub limits: &'p ProgramLimits,
}

/// The files that it is given.
#[derive(Debug)]
pub(super) struct Streams {
    /// Standard input, output and error.
    pub given: Vec<OwnedFd>,
    /// The terminal whose foreground it is to have.
    pub foreground: Option<OwnedFd>,
}

/// The process group of one of its own.
pub(super) const OWN_GROUP: Pid = Pid::from_raw(0);

impl Program<'_> {
    /// Becomes it; returns only to say why not. All signals are blocked.
    pub(super) fn run(&self, streams: &Streams) -> Result<Infallible, Failure> {
        nix::unistd::setpgid(Pid::from_raw(0), self.group)?;
        if let Some(terminal) = &streams.foreground {
            // SIGTTOU, which this would cause, is blocked.
            nix::unistd::tcsetpgrp(terminal, nix::unistd::getpid())?;
        }
        for (number, stream) in streams.given.iter().enumerate() {
            // SAFETY: the first three numbers are no object's: the launcher's line and log are replaced for good.
            Errno::result(unsafe { libc::dup2(stream.as_raw_fd(), number as i32) }.into())?;
        }
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(self.umask));
        limit(self.limits)?;
        become_ordinary()?;
        match nix::unistd::execve(&self.file, &self.arguments, &self.variables) {
            Err(error) => Err(error.into()),
            Ok(never) => match never {},
        }
    }
}

fn limit(limits: &ProgramLimits) -> Result<(), Failure> {
    let mib = |size: Option<u64>| size.map(|size| size << 20);
    let bounds = [
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
        (Resource::RLIMIT_AS, mib(limits.memory_mib)),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_FSIZE, mib(limits.file_mib)),
        (Resource::RLIMIT_CORE, mib(limits.core_mib)),
        (Resource::RLIMIT_NPROC, limits.user_processes),
    ];
    for (resource, value) in bounds {
        let (_, hard) = getrlimit(resource)?;
        match value {
            Some(value) => setrlimit(resource, value.min(hard), value.min(hard))?,
            // hostd's own is far above what programs expect, select(2) and those that close all numbers.
            None if resource == Resource::RLIMIT_NOFILE => {
                setrlimit(resource, OPEN_FILES.min(hard), hard)?
            }
            None => {}
        }
    }
    Ok(())
}

/// Undoes what the launcher is and a program should not be.
fn become_ordinary() -> Result<(), Failure> {
    // Those that libc keeps for itself too: whoever started hostd may have ignored them. All zeros is the default action, and as
    // long as the kernel's structure is on any architecture.
    let default = [0u64; 4];
    for signal in 1..=libc::SIGRTMAX() {
        let none = std::ptr::null::<u64>();
        // SAFETY: reads a live array and installs no handler. SIGKILL and SIGSTOP refuse, which is right.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, 8) };
    }
    SigSet::all().thread_unblock()?;
    let cloexec = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: plain system call; only the program that is about to be executed loses descriptors.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, cloexec) })?;
    Ok(())
}
