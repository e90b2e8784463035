//! A hostfs mount with a hostd of its own behind it, entered by the test's thread: outside programs that it starts see it.

use crate::daemon::{exports, Daemon};
use crate::mount::Mount;
use nix::mount::{umount2, MntFlags};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// The cache modes.
pub const MODES: [&str; 3] = ["none", "auto", "always"];

/// A mounted hostfs; unmounted and ended with the test.
#[derive(Debug)]
pub struct Mounted {
    mount: Mount,
    /// The host's side.
    pub daemon: Daemon,
}

impl Mounted {
    /// The usual exports, mounted with a cache mode.
    pub fn start(cache: &str) -> Mounted {
        let options = format!("cache={cache}");
        Mounted::configured(|directory| json!({"exports": exports(directory)}), &options)
    }

    /// The same, where each call has its caller's rights, and a file has so many bytes at most.
    pub fn for_callers(cache: &str, longest: u64) -> Mounted {
        let daemon = Daemon::with_room(
            longest,
            |directory| json!({"exports": exports(directory), "as": "caller"}),
        );
        // Links that a suite makes in the guest lead to paths of the guest.
        Mounted::over(daemon, &format!("cache={cache},symlinks=stored"))
    }

    /// A guest's configuration that depends on the directory, and `-o` options.
    pub fn configured(guest: impl FnOnce(&Path) -> Value, options: &str) -> Mounted {
        Mounted::over(Daemon::configured(guest), options)
    }

    fn over(daemon: Daemon, options: &str) -> Mounted {
        let mount = Mount::of(&daemon, options);
        mount.enter();
        Mounted { mount, daemon }
    }

    /// Process id of hostfs.
    pub fn pid(&self) -> i32 {
        self.mount.pid()
    }

    /// Where it is mounted.
    pub fn mountpoint(&self) -> &Path {
        &self.mount.mountpoint
    }

    /// A file of the export as the host names it.
    pub fn host(&self, name: &str) -> PathBuf {
        self.daemon.export(name)
    }

    /// The same file on the mount.
    pub fn path(&self, name: &str) -> PathBuf {
        self.mount.path(self.host(name))
    }

    /// The number that `.hostcall/status` gives behind a word at the beginning of a line.
    ///
    /// # Panics
    /// There is no such line.
    pub fn count(&self, word: &str) -> u64 {
        let status = std::fs::read_to_string(self.mount.path(".hostcall/status"));
        let status = status.expect("the mount's status");
        let line = status.lines().find_map(|line| line.strip_prefix(word));
        let number = line.and_then(|rest| {
            let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
            numbers.find(|number| !number.is_empty())?.parse().ok()
        });
        number.unwrap_or_else(|| panic!("no {word:?} in\n{status}"))
    }
}

impl Drop for Mounted {
    /// The directory of the daemon is removed next, by a thread that sees the mount in it.
    fn drop(&mut self) {
        let _ = umount2(&self.mount.mountpoint, MntFlags::MNT_DETACH);
    }
}
