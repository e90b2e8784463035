//! The launcher's jobs: processes by their numbers, and how they are ended.
//!
//! A job is a program in a session, which its supervisor leads ([`super::supervisor`]), and in it in a process group: its own, or that
//! of another job of the same pipeline. The supervisor and the first program, which leads the group, live or stay zombies until hostd
//! lets go of the last job of the session, each other program until hostd lets go of its job, so that nobody else can get their
//! numbers while these are still used. What a program starts descends from the supervisor, whatever session it makes for itself, and
//! is ended with the job.
#![allow(unsafe_code)]

use super::child::Task;
use super::message::Change;
use super::processes::{children, kill_descendants, signal_descendants, signal_group};
use super::supervisor::{move_program, wake};
use hostcall::types::Errno;
use std::cell::Cell;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a job that was hung up on has before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How long the kernel is given to end what has been killed, before it is looked for again.
const LOOK: Duration = Duration::from_millis(10);

/// Where a job that is being ended stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Nobody ends it.
    No,
    /// It has been asked, and is killed then.
    Asked(Instant),
    /// It has been killed, and what is left of it is killed then.
    Killed(Instant),
}

/// What the jobs of one session have in common.
#[derive(Debug)]
pub(super) struct Session {
    /// The supervisor, our child, which leads it.
    pub leader: i32,
    /// The line on which it is sent what to start.
    line: UnixStream,
    /// The process group: that of the first program, once it runs.
    group: Cell<Option<i32>>,
    /// The group has been asked to end.
    asked: Cell<bool>,
    /// Each job of which something lives, and nobody has killed it, has this too.
    life: Rc<()>,
}

impl Session {
    /// The one of a supervisor that has just been forked, and has no program yet.
    pub fn new(leader: i32, line: UnixStream) -> Session {
        Session {
            leader,
            line,
            group: Cell::new(None),
            asked: Cell::new(false),
            life: Rc::new(()),
        }
    }

    /// Has the supervisor start a program, the first or another in the group, and report of it on a line of its own, of which
    /// this end comes back.
    ///
    /// # Errors
    /// `ESRCH` if the group is being ended; sendmsg(2): `BrokenPipe` if the supervisor is gone.
    pub fn start(&self, task: &Task) -> std::io::Result<UnixStream> {
        if self.asked.get() {
            return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
        }
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        task.hand_over(&self.line, &theirs)?;
        wake(self.leader)?;
        Ok(ours)
    }

    fn lives(&self) -> bool {
        Rc::strong_count(&self.life) > 1
    }

    /// Whether its first program has come to run.
    pub fn has_group(&self) -> bool {
        self.group.get().is_some()
    }

    fn kill_leader(&self) {
        // SAFETY: plain system call on our own child, which nobody else reaps.
        unsafe { libc::kill(self.leader, libc::SIGKILL) };
    }
}

impl Drop for Session {
    /// Lets go of its numbers. Who is not yet a zombie is reaped with the strangers.
    fn drop(&mut self) {
        self.kill_leader();
        // SAFETY: as above.
        unsafe { libc::waitpid(self.leader, std::ptr::null_mut(), libc::WNOHANG) };
    }
}

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    /// Its session.
    pub session: Rc<Session>,
    /// Its supervisor's reports of it, and the way of its permission.
    pub report: UnixStream,
    life: Option<Rc<()>>,
    runs: bool,
    ended: bool,
    /// Nothing descends from the program any more.
    alone: bool,
    ending: Ending,
    /// When its time is over.
    due: Option<Instant>,
    /// Whether hostd waits for it no more.
    forgotten: bool,
}

impl Job {
    /// One whose supervisor has just been told of it.
    pub fn new(session: Rc<Session>, report: UnixStream, seconds: Option<u32>) -> Job {
        let due = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        Job {
            session,
            report,
            life: None,
            runs: false,
            ended: false,
            alone: false,
            ending: Ending::No,
            due,
            forgotten: false,
        }
    }

    /// Its program runs, as this process. The first of a session has made the process group.
    pub fn run_as(&mut self, program: i32) {
        self.runs = true;
        self.life = Some(self.session.life.clone());
        let group = &self.session.group;
        group.set(group.get().or(Some(program)));
    }

    /// Whether its program has begun to run.
    pub fn runs(&self) -> bool {
        self.runs
    }

    fn group(&self) -> Option<i32> {
        self.session.group.get().filter(|_| self.runs)
    }

    /// Whether its program has ended.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Its program has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Its program has left nothing behind, or nothing any more.
    pub fn be_alone(&mut self) {
        self.alone = true;
        self.life = None;
    }

    /// Sends a signal to its group.
    ///
    /// # Errors
    /// kill(2); `ESRCH` before the program runs.
    pub fn signal(&self, signal: i32) -> Result<(), Errno> {
        let group = self.group().ok_or(Errno(libc::ESRCH))?;
        signal_group(group, signal)
    }

    /// Has its supervisor, which is of the terminal's session as nobody else here is, move it to the foreground or back.
    ///
    /// # Errors
    /// sigqueue(3).
    pub fn move_to_foreground(&self, own: bool) -> Result<(), Errno> {
        move_program(self.session.leader, own)
    }

    /// Asks it to end: hung up on, or out of time. A stopped one must go on to hear that, and one that does not run yet has
    /// nothing to be asked.
    pub fn ask_to_end(&mut self, signal: i32) {
        if self.ending != Ending::No {
            return;
        }
        let Some(group) = self.group() else {
            return self.kill(Instant::now());
        };
        // The others of its group need not hear it again.
        let signals = match self.session.asked.replace(true) {
            true => &[][..],
            false => &[signal, libc::SIGCONT],
        };
        for signal in signals.iter().copied() {
            // That nothing is left of it is no failure.
            let _ = signal_group(group, signal);
            if !self.alone {
                signal_descendants(self.session.leader, signal, Some(group));
            }
        }
        self.ending = Ending::Asked(Instant::now() + GRACE);
    }

    /// Nobody waits for it: it goes when nothing is left of it.
    pub fn forget(&mut self) {
        self.forgotten = true;
    }

    fn kill(&mut self, now: Instant) {
        self.ending = Ending::Killed(now + LOOK);
        self.life = None;
        match self.group() {
            Some(group) => {
                // The kernel kills a group in one piece, however fast it multiplies.
                let _ = signal_group(group, libc::SIGKILL);
                kill_descendants(self.session.leader, Some(group));
            }
            // Its supervisor has others to watch; without permission it gives this one up.
            None if self.session.lives() => drop(self.report.shutdown(Shutdown::Write)),
            // It hangs somewhere on the way to its program.
            None => self.session.kill_leader(),
        }
    }

    /// Does what is due; when to look again.
    pub fn pass_time(&mut self, now: Instant) -> Option<Instant> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.ask_to_end(libc::SIGTERM);
        }
        if matches!(self.ending, Ending::Asked(due) | Ending::Killed(due) if due <= now)
            && !(self.ended && self.alone)
        {
            self.kill(now);
        }
        let ending = match self.ending {
            Ending::Asked(due) | Ending::Killed(due) if !(self.ended && self.alone) => Some(due),
            _ => None,
        };
        self.due.into_iter().chain(ending).min()
    }

    /// Whether it is over and can be dropped: hostd has let go of it, and nothing is left of it.
    pub fn is_over(&self) -> bool {
        self.forgotten && self.ended && self.alone
    }

    /// Lets go of its numbers, unless they are its session's too, which comes back.
    pub fn give_up(self) -> Rc<Session> {
        let Job {
            session, report, ..
        } = self;
        drop(report);
        if Rc::strong_count(&session) > 1 {
            // The closed line is no signal, and the supervisor waits for those.
            let _ = wake(session.leader);
        }
        session
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

/// Reaps orphans that have come to this process; whether it has no other children than `own`.
pub(super) fn reap_orphans(own: impl Fn(i32) -> bool) -> bool {
    loop {
        let mut orphans = children(std::process::id() as i32);
        orphans.retain(|pid| !own(*pid));
        if orphans.is_empty() {
            return true;
        }
        // SAFETY: plain system call on a child; one that lives is left alone.
        let reap = |pid| unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) } == pid;
        // What one leaves has come to us in the meantime.
        if orphans.into_iter().filter(|pid| reap(*pid)).count() == 0 {
            return false;
        }
    }
}

/// Kills the launcher's children that it has not made: they are what remains of a job whose supervisor has been killed, by
/// whom but one of its programs.
pub(super) fn end_strangers(own: impl Fn(i32) -> bool) {
    for pid in children(std::process::id() as i32) {
        if !own(pid) {
            kill_descendants(pid, None);
            // SAFETY: plain system calls on a child that nobody else reaps. What it leaves comes to us in turn.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG);
            }
        }
    }
}
