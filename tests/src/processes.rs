//! Processes of this machine, by their numbers.

use crate::daemon::{descendants, eventually, Daemon};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

/// Whether a process is there. A zombie has ended; it waits for its parent only.
pub fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits until none of them is.
///
/// # Panics
/// One goes on.
pub fn all_end(what: &str, pids: &[i32]) {
    eventually(&format!("{what}: all of {pids:?} end"), || {
        !pids.iter().any(|pid| lives(*pid))
    });
}

/// Kills a process.
///
/// # Panics
/// There is none.
pub fn destroy(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
}

/// Processes below hostd by name.
pub fn named(daemon: &Daemon, name: &str) -> Vec<i32> {
    let is = |pid: &i32| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        comm.trim_end() == name
    };
    descendants(daemon.pid()).into_iter().filter(is).collect()
}
