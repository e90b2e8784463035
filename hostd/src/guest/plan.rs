//! What `start` hands to the processes that make the guest, across exec, as one document.

use super::frame::WinSize;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt::Display;
use std::os::fd::RawFd;

/// How one standard stream of COMMAND is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// The descriptor that the guest's processes were started with (same kernel only).
    Inherit,
    /// A pipe in the guest, carried by frames.
    Pipe,
    /// The guest's own terminal.
    Terminal,
    /// For standard error: the very pipe of standard output, so that what is written to both keeps its order.
    AsOutput,
}

/// What happens inside the guest, whatever kind it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The program and its arguments; empty for the guest's shell.
    pub command: Vec<OsString>,
    /// Environment beyond the guest's own.
    pub env: Vec<(OsString, OsString)>,
    /// An empty directory to make, where host files will appear.
    pub prefix: OsString,
    /// The program that mounts the host's files there, and its first arguments; empty if they are not to be mounted.
    pub hostfs: Vec<OsString>,
    /// Guest paths of the staged files, in staging order.
    pub files: Vec<OsString>,
    /// Symbolic links to make: target and guest path.
    pub links: Vec<(OsString, OsString)>,
    /// Texts to put where nothing is yet: guest path and contents.
    pub texts: Vec<(OsString, String)>,
    /// Standard input, output, error.
    pub stdio: [Stdio; 3],
    /// Whether set-user-id bits of the root's files must not count: hostd was started by an ordinary user,
    /// so that the owners of these files cannot be told, and all but the user's look like nobody's.
    pub nosuid: bool,
    /// First size of the terminal, when there is one.
    pub winsize: Option<WinSize>,
}

/// What the guest runs on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Machine {
    /// Namespaces of this kernel; hostd's socket is at this host path.
    Local {
        /// Host path of the socket.
        socket: OsString,
    },
    /// A user-mode-linux kernel.
    Uml {
        /// The kernel, `linux.uml`.
        kernel: OsString,
        /// Modules to stage: kernel release, file.
        modules: Vec<(OsString, OsString)>,
        /// Memory of the guest, MiB.
        mem_mib: u64,
        /// Descriptor of the region shared with the guest.
        region: RawFd,
        /// Descriptor of the doorbell line.
        doorbell: RawFd,
    },
}

/// Everything that the helper needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The hostd process, whose death ends the guest.
    pub parent: i32,
    /// Root of the guest's files; the host's own when absent.
    pub root: Option<OsString>,
    /// Host files to put in the guest, in the order of [`Task::files`].
    pub files: Vec<OsString>,
    /// The part that travels into the guest.
    pub task: Task,
    /// What it runs on.
    pub machine: Machine,
    /// Descriptor of the frame line.
    pub link: RawFd,
    /// Descriptor that takes one line when something fails.
    pub report: RawFd,
}

impl Plan {
    /// Every descriptor that must outlive exec.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let mut all = vec![self.link, self.report];
        if let Machine::Uml {
            region, doorbell, ..
        } = self.machine
        {
            all.extend([region, doorbell]);
        }
        all
    }
}

/// Turns an error into one line that says what was being done.
pub trait Context<T> {
    /// `what` is the thing that failed, as in "mount /proc".
    ///
    /// # Errors
    /// The same failure, as text.
    fn context(self, what: impl Display) -> Result<T, String>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Result<T, String> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}
