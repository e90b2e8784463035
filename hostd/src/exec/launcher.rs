//! The launcher of one guest: a small single-threaded process that starts the guest's programs and tells what becomes of them.
//!
//! It is a fresh image of hostd's program (`hostd launcher GUEST`); descriptor 0 is its line to hostd. It is no shadow: its
//! programs see the host as their user does, within the policy. When hostd goes, it ends them all, those that have made
//! themselves daemons too, and then itself.
#![allow(unsafe_code)]

use super::child::{self, Failure, Report, Task};
use super::jobs::{self, Job};
use super::message::{About, Change, FromLauncher, JobId, ToLauncher};
use super::{list, processes, terminal, Policy};
use crate::message;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{fork, setgroups, setresgid, setresuid, ForkResult, Gid, Uid};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::time::Instant;

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

/// A job, and what its supervisor reports.
struct Entry {
    job: Job,
    report: File,
    /// What has come of its next line.
    line: Vec<u8>,
    about: About,
}

struct Launcher {
    /// The line to hostd.
    line: BorrowedFd<'static>,
    policy: Policy,
    null: OwnedFd,
    jobs: BTreeMap<JobId, Entry>,
    /// When the programs that are left are killed, once hostd says nothing any more. It may still listen.
    end: Option<Instant>,
}

fn serve() -> Result<()> {
    crate::guest::sys::close_all_but(&[]);
    let _ = prctl::set_name(c"launcher");
    // SAFETY: descriptor 0 is the line for the life of the process.
    let line = unsafe { BorrowedFd::borrow_raw(0) };
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_block()?;
    let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let (ToLauncher::Begin { policy }, _) = message::receive_long(&line, true)? else {
        return Err(std::io::Error::other("the first message is not a policy"));
    };
    let prepared = become_user(&policy).and_then(|()| null());
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
        policy: *policy,
        null,
        jobs: BTreeMap::new(),
        end: None,
    };
    launcher.listen(&ends)
}

/// Takes the rights of the user of programs, for good.
fn become_user(policy: &Policy) -> Result<()> {
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
    Ok(())
}

/// `/dev/null`, if that is what stands there (CVE-2026-88265).
fn null() -> Result<OwnedFd> {
    let flags = libc::O_NOFOLLOW;
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open("/dev/null")?;
    let metadata = file.metadata()?;
    let wanted = nix::sys::stat::makedev(1, 3);
    match metadata.file_type().is_char_device() && metadata.rdev() == wanted {
        true => Ok(file.into()),
        false => Err(std::io::Error::other("/dev/null is something else")),
    }
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
        let reports = reports.map(|(id, entry)| (*id, &entry.report));
        let (ids, files): (Vec<JobId>, Vec<&File>) = reports.unzip();
        let mut fds = vec![PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            files
                .iter()
                .map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)),
        );
        if self.end.is_none() {
            fds.push(PollFd::new(self.line, PollFlags::POLLIN));
        }
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => {}
            polled => drop(polled?),
        }
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let reporting = ids.iter().zip(&fds[1..]).filter(|(_, fd)| ready(fd));
        Ok(Ready {
            ends: ready(&fds[0]),
            reports: reporting.map(|(id, _)| *id).collect(),
            line: self.end.is_none() && fds.last().is_some_and(ready),
        })
    }

    /// Does what is due; how long to wait then, or nothing if all is over.
    fn pass_time(&mut self) -> Option<PollTimeout> {
        let now = Instant::now();
        let jobs = self.jobs.values_mut();
        let due = jobs.filter_map(|entry| entry.job.pass_time(now)).min();
        let over: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, entry)| entry.job.is_over())
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.jobs.remove(&id);
            self.tell(&FromLauncher::Gone { id }, &[]);
        }
        if let Some(end) = self.end {
            let left = processes::descendants();
            if left.is_empty() && self.jobs.is_empty() {
                return None;
            }
            if end <= now {
                processes::signal_all(&left, libc::SIGKILL);
                // Those that were just being forked; and the kernel takes its time.
                return Some(PollTimeout::from(10u8));
            }
        }
        let next = due.into_iter().chain(self.end).min();
        Some(next.map_or(PollTimeout::NONE, |due| {
            let left = due.saturating_duration_since(now) + std::time::Duration::from_millis(1);
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
        if self.end.is_none() {
            self.end = Some(Instant::now() + jobs::GRACE);
            for entry in self.jobs.values_mut() {
                entry.job.ask_to_end(libc::SIGHUP);
                entry.job.forget();
            }
            jobs::hang_up_on_all();
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
                controls,
            } => self.start(id, umask, files, controls, fds),
            ToLauncher::End { id } => {
                if let Some(entry) = self.jobs.get_mut(&id) {
                    entry.job.ask_to_end(libc::SIGHUP);
                    entry.job.forget();
                }
            }
            ToLauncher::Forget { id } => {
                if let Some(entry) = self.jobs.get_mut(&id) {
                    entry.job.forget();
                }
            }
            ToLauncher::Terminal { question, size } => self.answer(question, terminal::open(size)),
            // A directory of programs may lie on a file system that hangs.
            // SAFETY: this process has one thread, so the child may do anything; it never comes back.
            ToLauncher::Complete { question, text } => match unsafe { fork() } {
                Ok(ForkResult::Parent { .. }) => {}
                Ok(ForkResult::Child) => {
                    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
                    self.answer(question, list::programs(&self.policy, &text));
                    // SAFETY: ends a process that has nothing to flush.
                    unsafe { libc::_exit(0) }
                }
                Err(error) => {
                    let errno = hostcall::types::Errno(error as i32);
                    self.answer(question, Err(errno));
                }
            },
        }
    }

    fn answer(
        &mut self,
        question: u64,
        answer: std::result::Result<OwnedFd, hostcall::types::Errno>,
    ) {
        let errno = answer.as_ref().err().map_or(0, |errno| errno.0);
        let fds: Vec<RawFd> = answer.iter().map(AsRawFd::as_raw_fd).collect();
        self.tell(&FromLauncher::Answer { question, errno }, &fds);
    }

    /// Forks a child for a program.
    fn start(
        &mut self,
        id: JobId,
        umask: u32,
        files: [bool; 3],
        controls: bool,
        fds: Vec<OwnedFd>,
    ) {
        let started = self
            .task(umask, files, controls, fds)
            .and_then(|task| self.fork(task));
        match started {
            Ok((pid, report)) => {
                let entry = Entry {
                    job: Job::new(pid, self.policy.config.seconds),
                    report,
                    line: Vec::new(),
                    about: About::default(),
                };
                self.jobs.insert(id, entry);
                self.tell(&FromLauncher::Forked { id, session: pid }, &[]);
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let about = About::default();
                self.tell(
                    &FromLauncher::Refused {
                        id,
                        errno,
                        denial: None,
                        about,
                    },
                    &[],
                );
            }
        }
    }

    fn task(
        &self,
        umask: u32,
        files: [bool; 3],
        controls: bool,
        fds: Vec<OwnedFd>,
    ) -> Result<Task> {
        let mut fds = fds.into_iter();
        let mut next = || {
            fds.next()
                .ok_or(std::io::Error::from(ErrorKind::InvalidData))
        };
        let (words, directory) = (next()?.into(), next()?.into());
        let mut stream = |is_file: bool| {
            if is_file {
                next()
            } else {
                self.null.try_clone()
            }
        };
        let streams = [stream(files[0])?, stream(files[1])?, stream(files[2])?];
        Ok(Task {
            words,
            directory,
            streams,
            controls,
            umask,
        })
    }

    fn fork(&self, task: Task) -> Result<(i32, File)> {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        crate::serve::set_nonblocking(&reader)?;
        let launcher = std::process::id() as i32;
        // SAFETY: this process has one thread, so the child may do anything; it never comes back.
        match unsafe { fork()? } {
            ForkResult::Child => child::run(task, &self.policy, launcher, &writer.into()),
            ForkResult::Parent { child } => Ok((child.as_raw(), reader.into())),
        }
    }

    /// A supervisor reports.
    fn hear_child(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let mut room = [0; 4096];
        match entry.report.read(&mut room) {
            Ok(0) => self.lose_child(id),
            Ok(len) => {
                entry.line.extend_from_slice(&room[..len]);
                while let Some(end) = self.line_of(id) {
                    self.obey_child(id, &end);
                }
            }
            // Nothing but a lack of bytes can be the matter with a pipe of ours.
            Err(_) => {}
        }
    }

    /// The next whole line of a report.
    fn line_of(&mut self, id: JobId) -> Option<Vec<u8>> {
        let line = &mut self.jobs.get_mut(&id)?.line;
        let end = line.iter().position(|byte| *byte == b'\n')?;
        Some(line.drain(..=end).collect())
    }

    fn obey_child(&mut self, id: JobId, line: &[u8]) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        match serde_json::from_slice(line) {
            Ok(Report::About(about)) => entry.about = about,
            Ok(Report::Running(pid)) => {
                entry.job.run_as(pid);
                let about = std::mem::take(&mut entry.about);
                self.tell(&FromLauncher::Running { id, pid, about }, &[]);
            }
            Ok(Report::Failure(failure)) => self.refuse(id, failure),
            Ok(Report::Changed(change)) => {
                if change.is_end() {
                    entry.job.end();
                }
                self.tell(&FromLauncher::Changed { id, change }, &[]);
            }
            Err(error) => log::warn!("launcher: a report of job {id}: {error}"),
        }
    }

    fn refuse(&mut self, id: JobId, Failure { errno, denial }: Failure) {
        let about = self.jobs.remove(&id).map(|entry| entry.about);
        let about = about.unwrap_or_default();
        let refused = FromLauncher::Refused {
            id,
            errno,
            denial,
            about,
        };
        self.tell(&refused, &[]);
    }

    /// A supervisor is gone before its time, and its program with it.
    fn lose_child(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get(&id) else {
            return;
        };
        if !entry.job.runs() {
            return self.refuse(id, hostcall::types::Errno(libc::EIO).into());
        }
        let ended = entry.job.has_ended();
        // Its numbers may be others' from here on.
        self.jobs.remove(&id);
        if !ended {
            let change = Change::Signalled(libc::SIGKILL as u8, false);
            self.tell(&FromLauncher::Changed { id, change }, &[]);
        }
        self.tell(&FromLauncher::Gone { id }, &[]);
    }

    /// Reaps what programs have left behind.
    fn reap(&self) {
        let own: Vec<i32> = self.jobs.values().map(|entry| entry.job.session).collect();
        jobs::reap_strangers(|pid| own.contains(&pid));
    }
}
