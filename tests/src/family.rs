//! Host programs that do not end by being asked, for tests of who ends them.

use crate::daemon::eventually;
use crate::processes::all_end;
use std::path::Path;

/// The leader and another of its group ignore being hung up on, a third has made itself a daemon. Each leaves a file with its
/// process id in the working directory.
pub const SCRIPT: &str = "trap '' HUP
    (trap '' HUP; echo $$ >/dev/null; sh -c 'echo $PPID' > group; sleep 1000) &
    setsid sh -c 'echo $$ > daemon; exec sleep 1000' &
    echo $$ > leader
    wait";

/// Waits for the files: process ids of leader, group and daemon.
pub fn gather(directory: &Path) -> Vec<i32> {
    let names = ["leader", "group", "daemon"];
    names.map(|name| pid_in(&directory.join(name))).to_vec()
}

/// Waits for the process id that a program writes into a file.
pub fn pid_in(file: &Path) -> i32 {
    let read = || -> Option<i32> { std::fs::read_to_string(file).ok()?.trim().parse().ok() };
    eventually(&file.display().to_string(), || read().is_some());
    read().expect("it is there")
}

/// Waits until none of them is left.
pub fn all_gone(pids: &[i32]) {
    all_end("programs", pids);
}
