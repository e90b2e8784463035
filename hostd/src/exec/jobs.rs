//! The launcher's jobs: processes by their numbers, and how they are ended.
//!
//! A job is a session, which its supervisor leads ([`super::child`]), and in it the process group of its program. Both live or
//! stay zombies until hostd lets go of the job, so that nobody else can get their numbers while these are still used.
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
    /// Its supervisor, our child, which leads its session.
    pub session: i32,
    /// Its program's process and process group, once that runs.
    group: Option<i32>,
    ended: bool,
    ending: Ending,
    /// When its time is over.
    due: Option<Instant>,
    /// Whether hostd waits for it no more.
    forgotten: bool,
}

impl Job {
    /// One whose supervisor has just been forked.
    pub fn new(session: i32, seconds: Option<u32>) -> Job {
        let due = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        Job {
            session,
            group: None,
            ended: false,
            ending: Ending::No,
            due,
            forgotten: false,
        }
    }

    /// Its program runs.
    pub fn run_as(&mut self, group: i32) {
        self.group = Some(group);
    }

    /// Whether its program has begun to run.
    pub fn runs(&self) -> bool {
        self.group.is_some()
    }

    /// Whether its program has ended.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Its program has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Sends a signal to the group. That nothing is left of it is no failure here.
    fn signal(&self, signal: i32) {
        if let Some(group) = self.group {
            let _ = signal_group(group, signal);
        }
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

    /// Does what is due; when to look again.
    pub fn pass_time(&mut self, now: Instant) -> Option<Instant> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.ask_to_end(libc::SIGTERM);
        }
        if matches!(self.ending, Ending::Asked(due) if due <= now) {
            self.ending = Ending::Killed;
            match self.group {
                Some(_) => {
                    self.signal(libc::SIGKILL);
                    kill_session(self.session, Some(self.session));
                }
                // It hangs somewhere on the way to its program.
                None => self.kill_supervisor(),
            }
        }
        let ending = match self.ending {
            Ending::Asked(due) => Some(due),
            _ => None,
        };
        self.due.into_iter().chain(ending).min()
    }

    /// Whether it is over and can be dropped: hostd has let go of it, and if it is being ended, nothing is left of it.
    pub fn is_over(&self) -> bool {
        let rest = || session(self.session).iter().any(|pid| *pid != self.session);
        self.forgotten && self.ended && !(matches!(self.ending, Ending::Asked(_)) && rest())
    }

    fn kill_supervisor(&self) {
        // SAFETY: plain system call on our own child, which nobody else reaps.
        unsafe { libc::kill(self.session, libc::SIGKILL) };
    }
}

impl Drop for Job {
    /// Lets go of its numbers. Who is not yet a zombie is reaped with the strangers.
    fn drop(&mut self) {
        self.kill_supervisor();
        // SAFETY: as above.
        unsafe { libc::waitpid(self.session, std::ptr::null_mut(), libc::WNOHANG) };
    }
}

/// waitid(2). (A crate's status has no real-time signals.)
pub(super) fn wait(pid: i32, what: i32) -> Option<Change> {
    // SAFETY: a siginfo is valid when zeroed, and lives through the call.
    let (done, info) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let done = libc::waitid(libc::P_PID, pid as u32, &mut info, what);
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
