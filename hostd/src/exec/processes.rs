//! Processes by proc(5): who descends from whom, and signals to them.
#![allow(unsafe_code)]

use hostcall::types::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How often a family is looked through for those that were born meanwhile, before it is killed.
const ROUNDS: u32 = 16;

/// What proc_pid_stat(5) says of a process.
struct Stat {
    parent: i32,
    group: i32,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = text.rsplit_once(") ")?.1.split_whitespace().skip(1);
    Some(Stat {
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

/// Signals a process group whose number is known not to be another's.
///
/// # Errors
/// kill(2).
pub(super) fn signal_group(group: i32, signal: i32) -> Result<(), Errno> {
    if group <= 1 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: plain system call.
    Errno::result(unsafe { libc::kill(-group, signal) }.into()).map(drop)
}

/// Children of a process, of whichever of its threads; zombies too.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| {
        // Absent once the thread is.
        std::fs::read_to_string(thread.path().join("children")).ok()
    });
    let numbers = |list: String| -> Vec<i32> {
        let numbers = list.split_whitespace();
        numbers.filter_map(|pid| pid.parse().ok()).collect()
    };
    lists.flat_map(numbers).collect()
}

/// All that descends from a process, which adopts orphans. Zombies are told from the living by nobody but their parents: one whose
/// first thread alone has ended looks like one.
#[derive(Debug)]
struct Family {
    root: i32,
    members: BTreeSet<i32>,
}

impl Family {
    fn of(root: i32) -> Family {
        let mut members = BTreeSet::new();
        let mut open = vec![root];
        while let Some(pid) = open.pop() {
            let new = children(pid)
                .into_iter()
                .filter(|child| members.insert(*child));
            open.extend(new.collect::<Vec<_>>());
        }
        Family { root, members }
    }

    /// Signals those of its members that `wanted` picks.
    fn signal(&self, signal: i32, wanted: impl Fn(i32, &Stat) -> bool) {
        for pid in self.members.iter().copied() {
            // SAFETY: plain system calls; the descriptor that comes back is ours. Its process is looked at once more, for the
            // number may have become another's before it was opened, and cannot afterwards.
            unsafe {
                let Ok(pidfd) = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, 0)) else {
                    continue;
                };
                let pidfd = OwnedFd::from_raw_fd(pidfd as RawFd);
                let kin = |parent: i32| parent == self.root || self.members.contains(&parent);
                if stat(pid).is_some_and(|stat| kin(stat.parent) && wanted(pid, &stat)) {
                    let none = std::ptr::null::<libc::siginfo_t>();
                    let pidfd = pidfd.as_raw_fd();
                    libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, none, 0);
                }
            }
        }
    }
}

/// Signals what descends from a process but for one process group.
pub(super) fn signal_descendants(root: i32, signal: i32, but: Option<i32>) {
    Family::of(root).signal(signal, |_, stat| Some(stat.group) != but);
}

/// Kills what descends from a process; whether nothing was left already. All but `program` are stopped before, for what is
/// stopped cannot have children meanwhile. (A stop of the program itself would be told to its guest.)
pub(super) fn kill_descendants(root: i32, program: Option<i32>) -> bool {
    let mut family = Family::of(root);
    let empty = family.members.is_empty();
    let mut seen = BTreeSet::new();
    for _ in 0..ROUNDS {
        if family.members.is_subset(&seen) {
            break;
        }
        family.signal(libc::SIGSTOP, |pid, _| {
            Some(pid) != program && !seen.contains(&pid)
        });
        seen.append(&mut family.members);
        family = Family::of(root);
    }
    family.signal(libc::SIGKILL, |_, _| true);
    empty
}
