//! Boots a guest, runs a command in it, carries its terminal or pipes, and tells how it ended.
//!
//! Everything that a guest consists of hangs on one helper process, which dies with hostd: no process,
//! mount, socket or file of a guest outlives it, `kill -9` included (see `helper`).
//!
//! # What it does to the calling process
//! - [`start`] forks and executes this very program (`/proc/self/exe guest-init`), so `main` must pass
//!   `argv[1] == "guest-init"` to [`init::main`]. The guest dies with the *thread* that called `start`
//!   (prctl(2), `PR_SET_PDEATHSIG`): call it from the main thread.
//! - It takes over SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH and SIGCONT from [`start`] until
//!   [`Running::wait`] has returned, and puts them back; one guest's console at a time in a process. The
//!   first four go to the command's process group; the third SIGTERM or SIGHUP ends the guest, and so does a SIGTERM that
//!   has not ended the command within [`Launch::grace`].
//! - On a terminal it sets raw mode and puts it back on return, on panic and on each of these signals.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{kill, Signal};
use nix::sys::socket::{setsockopt, socketpair, sockopt, AddressFamily, SockFlag, SockType};
use nix::unistd::{pipe2, Pid};

mod agent;
mod covers;
mod frame;
mod helper;
mod hostfs;
pub mod init;
mod jail;
mod layers;
pub mod libraries;
mod link;
mod local;
mod mounts;
mod namespaces;
mod plan;
mod relay;
mod setup;
mod signals;
mod spawn;
mod start;
pub(crate) mod sys;
mod terminal;
mod uml;

pub use frame::{FrameError, Status};
use link::FrameLink;
use plan::{Machine, Plan, Stdio, Task};
use relay::{End, Relay};
pub use start::{start, Running};

/// What a guest runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Namespaces of this kernel.
    Local,
    /// A kernel of its own, Debian's `user-mode-linux`.
    Uml,
}

impl Kind {
    /// The strongest kind that this machine has: UML where it is installed.
    pub fn auto() -> Kind {
        if uml::kernel().is_ok() {
            Kind::Uml
        } else {
            Kind::Local
        }
    }
}

/// How the guest's processes reach hostd.
#[derive(Debug)]
pub enum Attach {
    /// For a local guest: hostd's listening Unix socket, seen in the guest as `/run/hostcall/guest.sock` and
    /// nowhere else: its name on the host is removed, and its directory if that is empty then.
    Socket(PathBuf),
    /// For a guest with its own kernel. Both are passed on and closed in this process, so the other end of
    /// the doorbell hangs up when the guest is gone.
    Device {
        /// The region, a sealed memfd: `/dev/mmapper` in the guest.
        region: OwnedFd,
        /// One end of a stream socket pair: `/dev/ttyS0` in the guest, raw.
        doorbell: OwnedFd,
    },
}

/// A guest to start.
#[derive(Debug)]
pub struct Launch {
    /// What it runs on; must fit `attach`.
    pub kind: Kind,
    /// Directory with the guest's root files; the host's own root when absent. Never written to.
    pub root: Option<PathBuf>,
    /// Memory of a guest with its own kernel, MiB.
    pub mem_mib: u64,
    /// Where host files will appear in the guest: an empty directory there.
    pub prefix: PathBuf,
    /// The hostfs program, by guest paths that must be among `files`, and words that go before its own: it is started before
    /// the command and mounts the host's files at the prefix. Without one the prefix stays an empty directory.
    pub hostfs: Vec<OsString>,
    /// The program and its arguments, searched in the guest's PATH; empty for the guest's shell.
    pub command: Vec<OsString>,
    /// Environment of the command beyond the guest's own (PATH, HOME, USER, LOGNAME, SHELL).
    pub env: Vec<(OsString, OsString)>,
    /// Host file and guest path: copies put in before the command starts.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Symbolic links beside them: target and guest path.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Texts to put in the guest where nothing is yet: guest path and contents.
    pub texts: Vec<(PathBuf, &'static str)>,
    /// How its processes reach hostd.
    pub attach: Attach,
    /// How long the command may take to end after SIGTERM, but for one on a terminal, which is hung up.
    pub grace: Duration,
}

/// Why a guest did not start, or ended without a status.
#[derive(Debug)]
pub enum Error {
    /// user-mode-linux is not installed
    NoUml,
    /// What the caller asked for cannot be.
    Invalid(String),
    /// A system call failed.
    System {
        /// What was being done.
        what: &'static str,
        /// How it failed.
        error: io::Error,
    },
    /// The guest could not be made; one line that says why.
    Setup(String),
    /// The guest did not come up in time.
    Boot {
        /// How long it had.
        seconds: u64,
        /// The last of its boot log.
        log: Vec<u8>,
    },
    /// The guest ended before its command did.
    Died {
        /// What is known of the cause.
        cause: String,
        /// The last of its boot log.
        log: Vec<u8>,
    },
    /// The guest broke the console's protocol and was ended.
    Protocol(FrameError),
}

impl Error {
    fn system(what: &'static str, error: impl Into<io::Error>) -> Error {
        Error::System {
            what,
            error: error.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoUml => f.write_str("the guest's kernel is not installed: apt-get install user-mode-linux (or use --guest local)"),
            Error::Invalid(text) => f.write_str(text),
            Error::System { what, error } => write!(f, "cannot {what}: {error}"),
            Error::Setup(text) => write!(f, "the guest could not be started: {}", Printable(text.as_bytes())),
            Error::Boot { seconds, log } => {
                write!(f, "the guest did not come up within {seconds} s{}", LogTail(log))
            }
            Error::Died { cause, log } => {
                write!(f, "the guest died: {}{}", Printable(cause.as_bytes()), LogTail(log))
            }
            Error::Protocol(error) => write!(f, "the guest was ended, it broke the console's protocol: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Text of the guest on its way to a terminal or a log: no control character passes.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in String::from_utf8_lossy(self.0).trim_end().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

/// Lines of a boot log that a failure shows.
const LOG_SHOWN: usize = 15;

/// The last lines of a boot log, or nothing.
struct LogTail<'a>(&'a [u8]);

impl fmt::Display for LogTail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&[u8]> = self
            .0
            .split(|byte| *byte == b'\n')
            .filter(|line| line.len() > 1)
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        // A panic says why in its first line, and a long stack after it.
        let panic = lines
            .iter()
            .rposition(|line| line.windows(12).any(|part| part == b"Kernel panic"));
        let first = panic.unwrap_or(lines.len().saturating_sub(LOG_SHOWN));
        write!(f, "; its kernel's last lines:")?;
        for line in lines[first..].iter().take(LOG_SHOWN) {
            write!(f, "\n  {}", Printable(line))?;
        }
        Ok(())
    }
}
