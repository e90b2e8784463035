//! The launcher of one guest: a small single-threaded process that starts the guest's programs and tells what becomes of them.
//!
//! It is a fresh image of hostd's program (`hostd launcher GUEST`); descriptor 0 is its line to hostd. It is no shadow: its
//! programs see the host as their user does, within the policy. When hostd goes, it ends them all, those that have made
//! themselves daemons too, and then itself.
#![allow(unsafe_code)]

use super::child::{self, Failure, Report, Task};
use super::entry::Entry;
use super::jobs::{self, Session};
use super::message::{Change, FromLauncher, JobId, ToLauncher};
use super::terminals::Terminals;
use super::{guard, list, null, supervisor, Policy};
use crate::message;
use hostcall::types::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{fork, setgroups, setresgid, setresuid, ForkResult, Gid, Pid, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The argument that makes hostd's program a launcher.
pub const LAUNCHER: &str = "launcher";

/// Runs a launcher until hostd is gone and all programs with it.
pub fn run() -> ! {
    let code = match serve() {
        Ok(()) => 0,
        Err(error) => {
            log::error!("launcher: {error}");
            1
        }
    };
    std::process::exit(code)
}

/// The session of a program that a supervisor has been told of, and the line on which that reports.
type Begun = (Rc<Session>, UnixStream);

struct Launcher {
    /// The line to hostd.
    line: BorrowedFd<'static>,
    policy: Policy,
    null: OwnedFd,
    jobs: BTreeMap<JobId, Entry>,
    /// A supervisor that has nothing to do yet.
    spare: Option<Session>,
    /// Sessions of which nothing is left but their supervisors, and when these are ended.
    retired: Vec<(Instant, Rc<Session>)>,
    terminals: Terminals,
    /// Children that list programs.
    listers: BTreeSet<i32>,
    /// hostd says nothing any more, and all programs are being ended. It may still listen.
    hung_up: bool,
}

/// How long a supervisor stays that has nothing to do any more. Its end takes a processor for a tenth of a millisecond, at the very
/// moment when whoever has waited for the program goes on.
const REST: Duration = Duration::from_millis(3);

/// Lists of programs that are made at once. A directory of programs that hangs holds each up for good.
const MOST_LISTS: usize = 16;

fn serve() -> Result<()> {
    crate::guest::sys::close_all_but(&[]);
    let guard = guard::mount()?;
    let _ = prctl::set_name(c"launcher");
    // SAFETY: descriptor 0 is the line for the life of the process.
    let line = unsafe { BorrowedFd::borrow_raw(0) };
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_block()?;
    let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let (ToLauncher::Begin { policy }, _) = message::receive_by_file(&line)? else {
        return Err(std::io::Error::other("the first message is not a policy"));
    };
    let prepared = become_user(&policy, guard).and_then(|()| null::open(Path::new("/dev/null")));
    let null = match prepared {
        Ok(null) => null,
        Err(error) => {
            let error = format!(
                "programs cannot be started as {}: {error}",
                policy.user.name
            );
            return message::send(&line, &FromLauncher::Failed { error }, &[]);
        }
    };
    let launcher = Launcher {
        line,
        terminals: Terminals::new(policy.config.processes as usize),
        policy: *policy,
        null,
        jobs: BTreeMap::new(),
        spare: None,
        retired: Vec::new(),
        listers: BTreeSet::new(),
        hung_up: false,
    };
    launcher.listen(&ends)
}

/// Takes the rights of the user of programs, for good.
fn become_user(policy: &Policy, guard: Pid) -> Result<()> {
    let user = &policy.user;
    // Fails where this process leads its group already.
    let _ = nix::unistd::setsid();
    if Uid::effective().is_root() {
        let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        setgroups(&groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
    } else if Uid::effective().as_raw() != user.uid {
        return Err(ErrorKind::PermissionDenied.into());
    }
    prctl::set_no_new_privs()?;
    // What programs leave behind comes to this process, so that it can be ended with the guest.
    prctl::set_child_subreaper(true)?;
    // Programs of the same user must not look into this process. Exec makes them ordinary again.
    prctl::set_dumpable(false)?;
    guard::obey(guard)
}

/// What is to be heard.
struct Ready {
    ends: bool,
    reports: Vec<JobId>,
    line: bool,
}

impl Launcher {
    fn listen(mut self, ends: &SignalFd) -> Result<()> {
        while let Some(timeout) = self.pass_time() {
            let ready = self.wait(ends, timeout)?;
            // A program's start is told before its end.
            ready.reports.into_iter().for_each(|id| self.hear_child(id));
            if ready.ends {
                while ends.read_signal()?.is_some() {}
                self.reap();
            }
            if ready.line {
                self.hear_hostd();
            }
        }
        Ok(())
    }

    fn wait(&self, ends: &SignalFd, timeout: PollTimeout) -> Result<Ready> {
        let reports = self.jobs.iter();
        let reports = reports.map(|(id, entry)| (*id, &entry.job.report));
        let (ids, files): (Vec<JobId>, Vec<&UnixStream>) = reports.unzip();
        let mut fds = vec![PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            files
                .iter()
                .map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)),
        );
        if !self.hung_up {
            fds.push(PollFd::new(self.line, PollFlags::POLLIN));
        }
        match poll(&mut fds, timeout) {
            Err(nix::Error::EINTR) => {}
            polled => drop(polled?),
        }
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let reporting = ids.iter().zip(&fds[1..]).filter(|(_, fd)| ready(fd));
        Ok(Ready {
            ends: ready(&fds[0]),
            reports: reporting.map(|(id, _)| *id).collect(),
            line: !self.hung_up && fds.last().is_some_and(ready),
        })
    }

    /// Does what is due; how long to wait then, or nothing if all is over.
    fn pass_time(&mut self) -> Option<PollTimeout> {
        let now = Instant::now();
        let jobs = self.jobs.values_mut();
        let next = jobs.filter_map(|entry| entry.job.pass_time(now)).min();
        let over: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, entry)| entry.job.is_over())
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            let session = self.jobs.remove(&id).map(|entry| entry.job.give_up());
            self.retired
                .extend(session.map(|session| (now + REST, session)));
            self.tell(&FromLauncher::Gone { id }, &[]);
        }
        if self.hung_up && self.jobs.is_empty() {
            return None;
        }
        self.retired.retain(|(due, _)| *due > now);
        let rests = self.retired.iter().map(|(due, _)| *due);
        let next = rests.chain(next).min();
        Some(next.map_or(PollTimeout::NONE, |due| {
            let left = due.saturating_duration_since(now) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        }))
    }

    fn tell(&mut self, message: &FromLauncher, fds: &[RawFd]) {
        if message::send(&self.line, message, fds).is_err() {
            self.lose_hostd();
        }
    }

    /// hostd has ended or wants this to end: what was started goes, first asked, then killed.
    fn lose_hostd(&mut self) {
        if !std::mem::replace(&mut self.hung_up, true) {
            let ids: Vec<JobId> = self.jobs.keys().copied().collect();
            ids.into_iter().for_each(|id| self.end(id));
        }
    }

    fn end(&mut self, id: JobId) {
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.job.ask_to_end(libc::SIGHUP);
            entry.job.forget();
        }
    }

    fn hear_hostd(&mut self) {
        let (message, fds) = match message::receive_long(&self.line, false) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return self.lose_hostd(),
        };
        match message {
            ToLauncher::Begin { .. } => {}
            ToLauncher::Start {
                id,
                umask,
                files,
                terminal,
                bare,
                beside,
            } => {
                let task = Task::of(umask, files, (terminal, bare), fds, &self.null);
                self.start(id, task, beside);
            }
            ToLauncher::Permit { id } => self.permit(id),
            ToLauncher::Signal {
                question,
                id,
                signal,
            } => {
                let entry = self.jobs.get(&id).ok_or(Errno(libc::ESRCH));
                let signalled = entry.and_then(|entry| entry.job.signal(signal));
                self.answer(question, signalled.map(|()| None));
            }
            ToLauncher::Move { question, id, own } => {
                let entry = self.jobs.get(&id).ok_or(Errno(libc::ESRCH));
                let moved = entry.and_then(|entry| entry.job.move_to_foreground(own));
                self.answer(question, moved.map(|()| None));
            }
            ToLauncher::End { id } => self.end(id),
            ToLauncher::Forget { id } => {
                if let Some(entry) = self.jobs.get_mut(&id) {
                    entry.job.forget();
                }
            }
            ToLauncher::Terminal { question, size } => {
                let terminal = self.terminals.open(size);
                self.answer(question, terminal.map(Some));
            }
            ToLauncher::Complete { question, text } => {
                if let Err(errno) = self.complete(question, &text) {
                    self.answer(question, Err(errno));
                }
            }
        }
    }

    /// Has a child answer, for a directory of programs may lie on a file system that hangs.
    fn complete(&mut self, question: u64, text: &[u8]) -> std::result::Result<(), Errno> {
        if self.listers.len() >= MOST_LISTS {
            return Err(Errno(libc::EAGAIN));
        }
        let own = std::process::id() as i32;
        // SAFETY: this process has one thread, so the child may do anything; it never comes back.
        match unsafe { fork() } {
            Ok(ForkResult::Parent { child }) => {
                self.listers.insert(child.as_raw());
                Ok(())
            }
            Ok(ForkResult::Child) => {
                if child::bind_to_parent(own).is_ok() {
                    self.answer(question, list::programs(&self.policy, text).map(Some));
                }
                // SAFETY: ends a process that has nothing to flush.
                unsafe { libc::_exit(0) }
            }
            Err(error) => Err(Errno(error as i32)),
        }
    }

    fn permit(&mut self, id: JobId) {
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.permit();
        }
    }

    fn remove(&mut self, id: JobId) {
        if let Some(entry) = self.jobs.remove(&id) {
            entry.job.give_up();
        }
    }

    fn answer(&mut self, question: u64, answer: std::result::Result<Option<OwnedFd>, Errno>) {
        let errno = answer.as_ref().err().map_or(0, |errno| errno.0);
        let file = answer.ok().flatten();
        let fds: Vec<RawFd> = file.iter().map(AsRawFd::as_raw_fd).collect();
        self.tell(&FromLauncher::Answer { question, errno }, &fds);
    }

    /// Has a supervisor start a program: one of its own, or that of another job.
    fn start(&mut self, id: JobId, task: Result<Task>, beside: Option<JobId>) {
        let started = task.and_then(|task| match beside {
            None => self.start_alone(task),
            Some(other) => self.start_beside(other, &task).map(|begun| (begun, None)),
        });
        match started {
            Ok(((session, report), again)) => {
                let leader = session.leader;
                let seconds = self.policy.config.seconds;
                let mut entry = Entry::new(session, report, seconds, beside.is_some());
                entry.again = again;
                self.jobs.insert(id, entry);
                let forked = FromLauncher::Forked {
                    id,
                    session: leader,
                };
                self.tell(&forked, &[]);
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.refuse(id, Errno(errno).into());
            }
        }
    }

    fn start_beside(&self, other: JobId, task: &Task) -> Result<Begun> {
        let other = self.jobs.get(&other);
        let other = other.ok_or(std::io::Error::from_raw_os_error(libc::ESRCH))?;
        let started = other.job.session.start(task);
        let report = started.map_err(|error| match error.kind() {
            // The first program could not be executed, and its supervisor has ended.
            ErrorKind::BrokenPipe => std::io::Error::from_raw_os_error(libc::ESRCH),
            _ => error,
        })?;
        Ok((other.job.session.clone(), report))
    }

    /// The task comes back where the supervisor was a spare one, which somebody may have killed before it could take it.
    fn start_alone(&mut self, task: Task) -> Result<(Begun, Option<Task>)> {
        if let Some(spare) = self.spare.take() {
            if let Ok(report) = spare.start(&task) {
                return Ok(((Rc::new(spare), report), Some(task)));
            }
        }
        let session = self.fork()?;
        let report = session.start(&task)?;
        Ok(((Rc::new(session), report), None))
    }

    /// Forks a supervisor. Copying this process takes as long as all else until a program is executed, so one stands ready.
    fn fork(&self) -> Result<Session> {
        let (ours, theirs) = UnixStream::pair()?;
        let launcher = std::process::id() as i32;
        // SAFETY: this process has one thread, so the child may do anything; it never comes back.
        match unsafe { fork()? } {
            ForkResult::Child => supervisor::run(&self.policy, launcher, theirs),
            ForkResult::Parent { child } => Ok(Session::new(child.as_raw(), ours)),
        }
    }

    fn keep_spare(&mut self) {
        if self.spare.is_none() && !self.hung_up {
            // Without one the next start makes its own, or tells why it cannot.
            self.spare = self.fork().ok();
        }
    }

    /// A supervisor reports.
    fn hear_child(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        match entry.hear() {
            Some(lines) => lines.iter().for_each(|line| self.obey_child(id, line)),
            None => self.lose_child(id),
        }
    }

    fn obey_child(&mut self, id: JobId, line: &[u8]) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        entry.again = None;
        match serde_json::from_slice(line) {
            Ok(Report::Wants(about)) => self.tell(&FromLauncher::Wants { id, about }, &[]),
            Ok(Report::Running(pid)) => {
                entry.job.run_as(pid);
                self.tell(&FromLauncher::Running { id, pid }, &[]);
                self.keep_spare();
            }
            Ok(Report::Failure(failure)) => self.refuse(id, failure),
            Ok(Report::Changed(change)) => {
                if change.is_end() {
                    entry.job.end();
                }
                self.tell(&FromLauncher::Changed { id, change }, &[]);
            }
            Ok(Report::Alone) => entry.job.be_alone(),
            Err(error) => log::warn!("launcher: a report of job {id}: {error}"),
        }
    }

    fn refuse(&mut self, id: JobId, failure: Failure) {
        let Failure {
            errno,
            denial,
            about,
        } = failure;
        let refused = FromLauncher::Refused {
            id,
            errno,
            denial,
            about,
        };
        self.tell(&refused, &[]);
        self.remove(id);
    }

    /// A supervisor is gone before its time, and its program with it.
    fn lose_child(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        if let Some(task) = entry.again.take() {
            self.remove(id);
            return self.start(id, Ok(task), None);
        }
        if !entry.job.runs() {
            let errno = entry.lost();
            return self.refuse(id, errno.into());
        }
        let ended = entry.job.has_ended();
        // Its numbers may be others' from here on, and its program and all that this has started are strangers.
        self.remove(id);
        self.reap();
        if !ended {
            let change = Change::Signalled(libc::SIGKILL as u8, false);
            self.tell(&FromLauncher::Changed { id, change }, &[]);
        }
        self.tell(&FromLauncher::Gone { id }, &[]);
    }

    /// Reaps listers, and ends and reaps what has escaped from its supervisor.
    fn reap(&mut self) {
        // SAFETY: plain system call on our own child.
        let gone = |pid| unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) } != 0;
        self.listers.retain(|pid| !gone(*pid));
        let sessions = self.jobs.values().map(|entry| &*entry.job.session);
        let sessions = sessions.chain(&self.spare);
        let retired = self.retired.iter().map(|(_, session)| &**session);
        let sessions = sessions.chain(retired).map(|session| session.leader);
        let own: BTreeSet<i32> = sessions.chain(self.listers.iter().copied()).collect();
        jobs::end_strangers(|pid| own.contains(&pid));
    }
}
