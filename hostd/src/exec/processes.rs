//! Processes by proc(5): who belongs to a session, who descends from this one, and signals to them.
#![allow(unsafe_code)]

use hostcall::types::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// State and session of a process, proc_pid_stat(5).
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = text.rsplit_once(") ")?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(2)?.parse().ok()?))
}

/// Whether a process lives and belongs to a session.
fn is_member(pid: i32, session: i32) -> bool {
    stat(pid).is_some_and(|(state, of)| state != 'Z' && of == session)
}

/// The processes of a session that live.
pub(super) fn session(session: i32) -> BTreeSet<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_member(*pid, session)).collect()
}

/// Kills a session, whatever process groups it has made, but for one process.
pub(crate) fn kill_session(number: i32, but: Option<i32>) {
    for pid in session(number).into_iter().filter(|pid| Some(*pid) != but) {
        // SAFETY: plain system calls; the descriptor that comes back is ours. Its process is looked at once more, for the
        // number may have become another's before it was opened, and cannot afterwards.
        unsafe {
            let Ok(pidfd) = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, 0)) else {
                continue;
            };
            let pidfd = OwnedFd::from_raw_fd(pidfd as RawFd);
            if is_member(pid, number) {
                let none = std::ptr::null::<libc::siginfo_t>();
                libc::syscall(
                    libc::SYS_pidfd_send_signal,
                    pidfd.as_raw_fd(),
                    libc::SIGKILL,
                    none,
                    0,
                );
            }
        }
    }
}

/// Signals a process group whose number is known not to be another's.
///
/// # Errors
/// kill(2).
pub(crate) fn signal_group(group: i32, signal: i32) -> Result<(), Errno> {
    if group <= 1 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: plain system call.
    Errno::result(unsafe { libc::kill(-group, signal) }.into()).map(drop)
}

/// Children of a process.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Everything that descends from this process and lives, whatever sessions it has made for itself.
pub(super) fn descendants() -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut open = vec![std::process::id() as i32];
    while let Some(pid) = open.pop() {
        let new = children(pid)
            .into_iter()
            .filter(|child| found.insert(*child));
        open.extend(new.collect::<Vec<_>>());
    }
    found.retain(|pid| stat(*pid).is_some_and(|(state, _)| state != 'Z'));
    found
}

/// Signals descendants.
pub(super) fn signal_all(pids: &BTreeSet<i32>, signal: i32) {
    for pid in pids {
        // SAFETY: plain system call.
        unsafe { libc::kill(*pid, signal) };
    }
}
