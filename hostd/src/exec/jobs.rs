//! The launcher's jobs: processes by their numbers, and how they are ended.
//!
//! A job's first process leads a session and a process group that both have its number. It stays a zombie until hostd lets go
//! of the job, so that nobody else can get that number while it is still used to signal the group.
#![allow(unsafe_code)]

use super::message::Change;
use super::processes::{children, descendants, kill_session, session, signal_all, signal_group};
use std::time::{Duration, Instant};

/// How long a job that was hung up on has before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Where a job that is being ended stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Nobody ends it.
    No,
    /// It has been asked, and is killed then.
    Asked(Instant),
    /// It has been killed.
    Killed,
}

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    /// Its first process, its session and its process group.
    pub pid: i32,
    ended: bool,
    ending: Ending,
    /// When its time is over.
    due: Option<Instant>,
    /// Whether hostd waits for it no more.
    forgotten: bool,
}

impl Job {
    /// One that has just been forked.
    pub fn new(pid: i32, seconds: Option<u32>) -> Job {
        let due = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        Job {
            pid,
            ended: false,
            ending: Ending::No,
            due,
            forgotten: false,
        }
    }

    /// Sends a signal to the group. That nothing is left of it is no failure here.
    fn signal(&self, signal: i32) {
        let _ = signal_group(self.pid, signal);
    }

    /// Asks it to end: hung up on, or out of time. A stopped one must go on to hear that.
    pub fn ask_to_end(&mut self, signal: i32) {
        if self.ending == Ending::No {
            self.signal(signal);
            self.signal(libc::SIGCONT);
            self.ending = Ending::Asked(Instant::now() + GRACE);
        }
    }

    /// Nobody waits for it: it goes when it has ended.
    pub fn forget(&mut self) {
        self.forgotten = true;
    }

    /// The next change of its state; the end is told once.
    pub fn change(&mut self) -> Option<Change> {
        if self.ended {
            return None;
        }
        let stops = libc::WSTOPPED | libc::WCONTINUED;
        // The end last, which leaves the zombie: what came before must not be told after it.
        let change =
            wait(self.pid, stops).or_else(|| wait(self.pid, libc::WEXITED | libc::WNOWAIT))?;
        self.ended = change.is_end();
        Some(change)
    }

    /// Does what is due; when to look again.
    pub fn pass_time(&mut self, now: Instant) -> Option<Instant> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.ask_to_end(libc::SIGTERM);
        }
        if matches!(self.ending, Ending::Asked(due) if due <= now) {
            self.ending = Ending::Killed;
            self.signal(libc::SIGKILL);
            kill_session(self.pid);
        }
        let ending = match self.ending {
            Ending::Asked(due) => Some(due),
            _ => None,
        };
        self.due.into_iter().chain(ending).min()
    }

    /// Whether it is over and can be dropped: hostd has let go of it, and if it is being ended, nothing is left of it.
    pub fn is_over(&self) -> bool {
        let rest = || matches!(self.ending, Ending::Asked(_)) && !session(self.pid).is_empty();
        self.forgotten && self.ended && !rest()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: plain system call on our own child, which has ended; its number is free from here on.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::WNOHANG) };
    }
}

/// waitid(2) without waiting. (A crate's status has no real-time signals.)
fn wait(pid: i32, what: i32) -> Option<Change> {
    // SAFETY: a siginfo is valid when zeroed, and lives through the call.
    let (done, info) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let done = libc::waitid(libc::P_PID, pid as u32, &mut info, what | libc::WNOHANG);
        (done, info)
    };
    // SAFETY: waitid fills these fields; without a change they are zero.
    let (who, status) = unsafe { (info.si_pid(), info.si_status() as u8) };
    if done != 0 || who == 0 {
        return None;
    }
    match info.si_code {
        libc::CLD_EXITED => Some(Change::Exited(status)),
        libc::CLD_KILLED => Some(Change::Signalled(status, false)),
        libc::CLD_DUMPED => Some(Change::Signalled(status, true)),
        libc::CLD_STOPPED => Some(Change::Stopped(status)),
        libc::CLD_CONTINUED => Some(Change::Continued),
        _ => None,
    }
}

/// Reaps the children that programs have left behind, which come to the launcher when their parents end.
pub(super) fn reap_strangers(own: impl Fn(i32) -> bool) {
    for pid in children(std::process::id() as i32) {
        if !own(pid) {
            // SAFETY: plain system call; a child that lives is left alone.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
        }
    }
}

/// Hangs up on everything that was started here.
pub(super) fn hang_up_on_all() {
    let all = descendants();
    signal_all(&all, libc::SIGHUP);
    signal_all(&all, libc::SIGCONT);
}
