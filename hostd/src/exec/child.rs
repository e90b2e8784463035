//! From a guest's words to a program: a supervisor reads, looks up and judges, and has a child of its own become the program.
//!
//! A program is executed only when hostd permits it, which has written down by then that it is started.
//!
//! The words are a memory file that is sealed against writing, so they cannot change under the reader. The program is
//! executed by its path without symbolic links, which is the one that was judged. (Executing the open file instead would
//! show every program under the name of a number, and no script could be.)
#![allow(unsafe_code)]

use super::message::{About, Change, Terminal};
use super::policy::{judge, Request};
use super::words::{self, Words, MOST_BYTES};
use super::{become_program, environment, program, terminal, Policy};
use crate::message;
use hostcall::types::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Bytes of words that are read at first; few programs have more.
const FIRST_BYTES: usize = 16 << 10;

/// The seals without which words could change.
const SEALED: i32 = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK;

/// What a child is to do.
#[derive(Debug)]
pub(super) struct Task {
    /// The sealed words.
    pub words: File,
    /// The working directory, as the guest's process has it.
    pub directory: File,
    /// Whether that is one of the view's own.
    pub bare: bool,
    /// Standard streams.
    pub streams: [OwnedFd; 3],
    /// What a terminal among them is to the session.
    pub terminal: Terminal,
    /// File mode creation mask.
    pub umask: u32,
}

/// What of a task is said in words.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    bare: bool,
    terminal: Terminal,
    umask: u32,
}

impl Task {
    /// One as it comes from hostd: with descriptors for the words, the directory and those streams that are files; the others
    /// are `null`.
    ///
    /// # Errors
    /// `InvalidData` if a descriptor is missing; those of duplicating one.
    pub fn of(
        umask: u32,
        files: [bool; 3],
        (terminal, bare): (Terminal, bool),
        fds: Vec<OwnedFd>,
        null: &OwnedFd,
    ) -> std::io::Result<Task> {
        let mut fds = fds.into_iter();
        let mut next = || {
            fds.next()
                .ok_or(std::io::Error::from(std::io::ErrorKind::InvalidData))
        };
        let (words, directory) = (next()?.into(), next()?.into());
        let mut stream = |is_file: bool| if is_file { next() } else { null.try_clone() };
        let streams = [stream(files[0])?, stream(files[1])?, stream(files[2])?];
        Ok(Task {
            words,
            directory,
            bare,
            streams,
            terminal,
            umask,
        })
    }

    /// Sends it to a supervisor, with the line on which that reports.
    ///
    /// # Errors
    /// sendmsg(2).
    pub fn hand_over(&self, line: &UnixStream, report: &UnixStream) -> std::io::Result<()> {
        let said = Said {
            bare: self.bare,
            terminal: self.terminal,
            umask: self.umask,
        };
        let fixed = [
            report.as_raw_fd(),
            self.words.as_raw_fd(),
            self.directory.as_raw_fd(),
        ];
        let streams = self.streams.iter().map(AsRawFd::as_raw_fd);
        let fds: Vec<RawFd> = fixed.into_iter().chain(streams).collect();
        message::try_send(line, &said, &fds)
    }

    /// Takes one that was sent, with the line for reports.
    ///
    /// # Errors
    /// recvmsg(2); `WouldBlock` if there is none.
    pub fn take(line: &UnixStream) -> std::io::Result<(Task, UnixStream)> {
        let (said, fds) = message::receive(line)?;
        let Said {
            bare,
            terminal,
            umask,
        } = said;
        let [report, words, directory, stdin, stdout, stderr] =
            <[OwnedFd; 6]>::try_from(fds).map_err(|_| std::io::ErrorKind::InvalidData)?;
        let task = Task {
            words: words.into(),
            directory: directory.into(),
            bare,
            streams: [stdin, stdout, stderr],
            terminal,
            umask,
        };
        Ok((task, report.into()))
    }
}

/// What a child tells its launcher, a JSON line each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// What the program is to be; nothing stands against it, and it waits for [`PERMIT`].
    Wants(About),
    /// Why it was not started; nothing follows.
    Failure(Failure),
    /// It runs, as this process and process group.
    Running(i32),
    /// Its state has changed.
    Changed(Change),
    /// All programs of its session have ended, and nothing descends from them any more.
    Alone,
}

/// The byte by which the launcher permits its execution.
pub(super) const PERMIT: u8 = b'!';

/// Why a program was not started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    /// As execve(2) would say it.
    pub errno: i32,
    /// If it is the policy's will: why.
    pub denial: Option<String>,
    /// What the program was to be, unless that has been told already.
    pub about: Option<About>,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure {
            errno: errno.0,
            denial: None,
            about: None,
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

/// Writes lines in one piece.
pub(super) fn tell(mut to: impl Write, reports: &[Report]) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for report in reports {
        serde_json::to_writer(&mut bytes, report)?;
        bytes.push(b'\n');
    }
    to.write_all(&bytes)
}

/// Starts a program in a process group.
///
/// # Errors
/// Why it was not started; `known` is what it was to be, as far as that has not been told.
pub(super) fn start(
    task: Task,
    policy: &Policy,
    group: Pid,
    known: &mut Option<About>,
    report: &UnixStream,
) -> Result<Pid, Failure> {
    let Task {
        words,
        directory,
        bare,
        streams,
        terminal,
        umask,
    } = task;
    let about = known.get_or_insert_default();
    let words = read(words)?;
    about.arguments = About::of_arguments(&words.arguments);
    let directory = enter(directory, bare).map_err(|Failure { errno, .. }| {
        let (user, why) = (&policy.user.name, Errno(errno));
        let reason = format!(
            "the working directory cannot be entered as {user} ({why}); go elsewhere by hcd"
        );
        Failure {
            denial: Some(About::of_reason(&reason)),
            ..Errno(errno).into()
        }
    })?;
    about.directory = Some(About::of_path(&directory));
    let base = environment::base(&policy.user, &policy.config.environment);
    let path = base.get("PATH").map_or("", String::as_str);
    let found = program::look_up(&words.arguments[0], path)?;
    about.program = Some(About::of_path(&found));
    let request = Request {
        program: &found,
        arguments: &words.arguments,
        directory: &directory,
    };
    judge(&program::rules(&policy.config, path), &request).map_err(|denial| Failure {
        denial: Some(About::of_reason(&denial)),
        ..Errno(libc::EACCES).into()
    })?;
    let program = CString::new(found.into_os_string().into_encoded_bytes());
    let program = become_program::Program {
        file: program.map_err(|_| Errno(libc::EINVAL))?,
        variables: environment::merge(&base, &policy.config.pass, &words.offered),
        arguments: words.arguments,
        umask,
        group,
        limits: &policy.config.limits,
    };
    let streams = terminals(streams, terminal)?;
    // hostd writes it down while the program's process is made.
    tell(report, &[Report::Wants(known.take().unwrap_or_default())])?;
    beget(&program, streams, report)
}

/// Waits until hostd permits the execution.
fn await_permission(mut launcher: &UnixStream) -> Result<(), Failure> {
    let mut byte = [0];
    launcher.read_exact(&mut byte)?;
    match byte {
        [PERMIT] => Ok(()),
        _ => Err(Errno(libc::EPROTO).into()),
    }
}

/// Dies with the parent from now on.
pub(super) fn bind_to_parent(parent: i32) -> Result<(), Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    match nix::unistd::getppid().as_raw() == parent {
        true => Ok(()),
        false => Err(Errno(libc::EIO).into()),
    }
}

/// Takes terminals for masters, and the first of them as the session's if wanted.
fn terminals(
    streams: [OwnedFd; 3],
    Terminal { controls, behind }: Terminal,
) -> Result<become_program::Streams, Failure> {
    let mut controlling = None;
    let mut given = Vec::new();
    for stream in streams {
        let terminal = terminal::of_master(stream.as_fd())?;
        if let Some(terminal) = terminal
            .as_ref()
            .filter(|_| controls && controlling.is_none())
        {
            terminal::control_by(terminal.as_fd())?;
            controlling = Some(terminal.try_clone()?);
        }
        given.push(terminal.unwrap_or(stream));
    }
    match controls && controlling.is_none() {
        true => Err(Errno(libc::EINVAL).into()),
        false => Ok(become_program::Streams {
            given,
            // Until somebody takes it, the foreground is the supervisor's.
            foreground: controlling.filter(|_| !behind),
        }),
    }
}

/// What the program's process is born with, and what it leaves.
struct Birth<'b> {
    program: &'b become_program::Program<'b>,
    streams: &'b become_program::Streams,
    report: &'b UnixStream,
    parent: i32,
    failure: Option<Failure>,
}

/// Bytes of the stack on which the program's process begins.
const STACK: usize = 64 << 10;

/// Makes the program's process and waits until it is the program. It runs in this process's memory until then, as by vfork(2):
/// copying the page tables twice for each program would take longer than all else here.
fn beget(
    program: &become_program::Program<'_>,
    streams: become_program::Streams,
    report: &UnixStream,
) -> Result<Pid, Failure> {
    let mut birth = Birth {
        program,
        streams: &streams,
        report,
        parent: std::process::id() as i32,
        failure: None,
    };
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack's end is aligned for any call. This thread, the only one, stands still until the child has executed
    // the program or ended, so nobody else uses what both have, and stack and birth live as long.
    let child = unsafe {
        let top = stack.as_mut_ptr_range().end;
        libc::clone(begin, top.cast(), flags, (&raw mut birth).cast())
    };
    let child = Pid::from_raw(Errno::result(child.into())? as i32);
    if let Some(failure) = birth.failure {
        return Err(failure);
    }
    drop(streams);
    Ok(child)
}

/// The program's process, which never comes back from here.
extern "C" fn begin(birth: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `beget` hands over a live birth and stands still.
    let birth = unsafe { &mut *birth.cast::<Birth<'_>>() };
    let permitted = bind_to_parent(birth.parent).and_then(|()| await_permission(birth.report));
    let Err(failure) = permitted.and_then(|()| birth.program.run(birth.streams));
    birth.failure = Some(failure);
    // SAFETY: as in `run`.
    unsafe { libc::_exit(127) }
}

/// The words, if they cannot change any more.
fn read(file: File) -> Result<Words, Failure> {
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

/// Enters the guest's working directory by its path, with the rights of the user of programs: the descriptor is of the
/// shadow's view, from which `..` would not lead where it leads on the host.
fn enter(directory: File, bare: bool) -> Result<PathBuf, Failure> {
    let wanted = directory.metadata()?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    std::env::set_current_dir(&path)?;
    let entered = std::fs::metadata(".")?;
    // Removed, or hidden from the host by a mount of the view.
    if !bare && (entered.dev(), entered.ino()) != (wanted.dev(), wanted.ino()) {
        return Err(Errno(libc::ENOENT).into());
    }
    Ok(std::env::current_dir()?)
}
