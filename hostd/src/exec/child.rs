//! A child of the launcher, from its fork until it becomes the program: what is read, judged and executed here is one thing.
//!
//! The words are a memory file that is sealed against writing, so they cannot change under the reader. The program is
//! executed by its path without symbolic links, which is the one that was judged. (Executing the open file instead would
//! show every program under the name of a number, and no script could be.)
#![allow(unsafe_code)]

use super::message::About;
use super::policy::{judge, Request};
use super::words::{self, Words, MOST_BYTES};
use super::{environment, program, terminal, Policy};
use crate::config::ProgramLimits;
use hostcall::types::Errno;
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

/// Bytes of arguments that people are shown.
const SHOWN: usize = 4096;

/// Bytes of words that are read at first; few programs have more.
const FIRST_BYTES: usize = 64 << 10;

/// Open files that a program may have unless it raises that itself, as in a login.
const OPEN_FILES: u64 = 1024;

/// The seals without which words could change.
const SEALED: i32 = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK;

/// What a child is to do.
#[derive(Debug)]
pub(super) struct Task {
    /// The sealed words.
    pub words: File,
    /// The working directory, as the guest's process has it.
    pub directory: File,
    /// Standard streams.
    pub streams: [OwnedFd; 3],
    /// Whether a terminal among them is to control the session.
    pub controls: bool,
    /// File mode creation mask.
    pub umask: u32,
}

/// What a child tells its launcher. The end of the report with no failure in it means that the program runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// What it is or was to be.
    About(About),
    /// Why not.
    Failure(Failure),
}

/// Why a program was not started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    /// As execve(2) would say it.
    pub errno: i32,
    /// If it is the policy's will: why.
    pub denial: Option<String>,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure {
            errno: errno.0,
            denial: None,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Errno(error.raw_os_error().unwrap_or(libc::EIO)).into()
    }
}

impl From<nix::Error> for Failure {
    fn from(error: nix::Error) -> Failure {
        Errno(error as i32).into()
    }
}

/// What a whole report says. Of a child that was killed before it could say anything, that it failed.
pub(super) fn outcome(report: &[u8]) -> (About, Option<Failure>) {
    let (mut about, mut failure) = (None, None);
    for line in report
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match serde_json::from_slice(line) {
            Ok(Report::About(told)) => about = Some(told),
            Ok(Report::Failure(told)) => failure = Some(told),
            Err(_) => failure = Some(Errno(libc::EIO).into()),
        }
    }
    let silent = || Some(Errno(libc::EIO).into());
    let failure = if about.is_none() {
        failure.or_else(silent)
    } else {
        failure
    };
    (about.unwrap_or_default(), failure)
}

/// Becomes the program, or reports why not and ends. The launcher's child has one thread and never returns to its code.
pub(super) fn run(task: Task, policy: &Policy, launcher: i32, report: &File) -> ! {
    let mut about = About::default();
    let Err(failure) = become_program(task, policy, launcher, &mut about, report);
    // A launcher that is gone hears nothing, and this process ends anyway.
    let _ = tell(report, &Report::About(about));
    let _ = tell(report, &Report::Failure(failure));
    // SAFETY: ends a process that has nothing to flush; what it copied from its parent is the parent's.
    unsafe { libc::_exit(127) }
}

fn tell(mut report: &File, line: &Report) -> std::io::Result<()> {
    use std::io::Write;
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    report.write_all(&bytes)
}

fn become_program(
    task: Task,
    policy: &Policy,
    launcher: i32,
    about: &mut About,
    report: &File,
) -> Result<Infallible, Failure> {
    nix::unistd::setsid()?;
    // If the launcher is killed, nobody else may be left to end the program.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    if nix::unistd::getppid().as_raw() != launcher {
        return Err(Errno(libc::EIO).into());
    }
    let words = read(&task.words)?;
    about.arguments = shown(&words.arguments);
    let directory = enter(&task.directory)?;
    about.directory = Some(directory.display().to_string());
    let base = environment::base(&policy.user, &policy.config.environment);
    let path = base.get("PATH").map_or("", String::as_str);
    let found = program::look_up(&words.arguments[0], path)?;
    about.program = Some(found.display().to_string());
    let request = Request {
        program: &found,
        arguments: &words.arguments,
        directory: &directory,
    };
    judge(&program::rules(&policy.config, path), &request).map_err(|denial| Failure {
        errno: libc::EACCES,
        denial: Some(denial.to_string()),
    })?;
    tell(report, &Report::About(about.clone()))?;
    let variables = environment::merge(&base, &policy.config.pass, &words.offered);
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(task.umask));
    place(&task.streams, task.controls)?;
    limit(&policy.config.limits)?;
    become_ordinary()?;
    let program = CString::new(found.into_os_string().into_encoded_bytes());
    let program = program.map_err(|_| Errno(libc::EINVAL))?;
    Err(execute(&program, &words.arguments, &variables).into())
}

/// The words, if they cannot change any more.
fn read(file: &File) -> Result<Words, Failure> {
    // SAFETY: plain system call.
    let seals = Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) }.into())?;
    if seals as i32 & SEALED != SEALED {
        return Err(Errno(libc::EINVAL).into());
    }
    let all = (file.metadata()?.len() as usize).min(MOST_BYTES);
    let parsed = |len: usize| -> Result<Words, Failure> {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(words::parse(&bytes)?)
    };
    match all > FIRST_BYTES {
        // What is cut off there is malformed.
        true => parsed(FIRST_BYTES).or_else(|_| parsed(all)),
        false => parsed(all),
    }
}

/// Arguments for people, as many as fit.
fn shown(arguments: &[CString]) -> Vec<String> {
    let mut room = SHOWN;
    let mut shown = Vec::new();
    for argument in arguments {
        let text = argument.to_string_lossy();
        if text.len() >= room {
            shown.push("…".to_owned());
            break;
        }
        room -= text.len() + 1;
        shown.push(text.into_owned());
    }
    shown
}

/// Enters the guest's working directory by its path, with the rights of the user of programs: the descriptor is of the
/// shadow's view, from which `..` would not lead where it leads on the host.
fn enter(directory: &File) -> Result<PathBuf, Failure> {
    let wanted = directory.metadata()?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    std::env::set_current_dir(&path)?;
    let entered = std::fs::metadata(".")?;
    // Removed, or hidden from the host by a mount of the view.
    if (entered.dev(), entered.ino()) != (wanted.dev(), wanted.ino()) {
        return Err(Errno(libc::ENOENT).into());
    }
    Ok(std::env::current_dir()?)
}

/// Puts the streams in their places, with terminals for masters.
fn place(streams: &[OwnedFd; 3], controls: bool) -> Result<(), Failure> {
    let mut controlled = false;
    for (number, stream) in streams.iter().enumerate() {
        let terminal = terminal::of_master(stream.as_fd())?;
        if let Some(terminal) = terminal.as_ref().filter(|_| controls && !controlled) {
            terminal::control_by(terminal.as_fd())?;
            controlled = true;
        }
        let from = terminal.as_ref().unwrap_or(stream).as_raw_fd();
        // SAFETY: the first three numbers are no object's: the launcher's line and log are replaced for good.
        Errno::result(unsafe { libc::dup2(from, number as i32) }.into())?;
    }
    match controls && !controlled {
        true => Err(Errno(libc::EINVAL).into()),
        false => Ok(()),
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
    use nix::sys::signal::SigSet;
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

/// execve(2); returns only its failure.
fn execute(program: &CStr, arguments: &[CString], variables: &[CString]) -> Errno {
    match nix::unistd::execve(program, arguments, variables) {
        Err(error) => Errno(error as i32),
        Ok(never) => match never {},
    }
}
