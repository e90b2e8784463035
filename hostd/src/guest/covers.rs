//! What the guest's programs mount over the host's files. The preload library takes calls on them past the guest's kernel, so
//! it must know of such mounts, those included that programs make in which the library does not run.

use super::mounts::{table_of, Mount};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Looks at the mount table of COMMAND, in whose namespace the guest's programs are unless they leave it.
#[derive(Debug)]
pub struct Covers {
    table: File,
    prefix: PathBuf,
    known: Vec<Mount>,
}

impl Covers {
    /// Begins with what is mounted there now; `None` if that cannot be read.
    pub fn watch(command: Pid, prefix: &Path) -> Option<Covers> {
        let table = File::open(format!("/proc/{command}/mountinfo")).ok()?;
        let mut covers = Covers {
            table,
            prefix: prefix.canonicalize().ok()?,
            known: Vec::new(),
        };
        covers.known = covers.mounts()?;
        Some(covers)
    }

    fn mounts(&self) -> Option<Vec<Mount>> {
        let mut mounts = table_of(&self.table).ok()?;
        mounts.retain(|mount| mount.at.starts_with(&self.prefix));
        Some(mounts)
    }

    /// Has `server`, which serves the mount of the host's files, tell everybody if something has changed.
    pub fn look(&mut self, server: Option<Pid>) {
        let Some(mounts) = self.mounts() else { return };
        if mounts != self.known {
            self.known = mounts;
            if let Some(server) = server {
                let _ = kill(server, Signal::SIGUSR1);
            }
        }
    }
}

impl AsFd for Covers {
    /// Has `POLLPRI` when the table has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.table.as_fd()
    }
}
