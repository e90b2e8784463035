//! The host programs of a guest: who may ask what, and who hears what becomes of them.

use super::audit::{Audit, Event, Who};
use super::guest::Guest;
use super::launcher::Launcher;
use super::named::Named;
use super::poller::{Key, Poller};
use crate::config::GuestConfig;
use crate::exec::message::{About, Change, FromLauncher, JobId, ToLauncher};
use crate::exec::processes::{kill_session, signal_group};
use crate::exec::{self, environment};
use crate::message::{FromShadow, ToShadow};
use crate::shadow::sandbox;
use nix::sys::memfd::{memfd_create, MFdFlags};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Result, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Instant;

/// One program.
#[derive(Debug)]
struct Job {
    /// The session that started it and its number there (0 until it runs); `None` when that session is gone.
    owner: Option<(u32, u32)>,
    /// Who that was.
    who: Who,
    /// The launcher that has it.
    launcher: Key,
    /// Its session, once it has one.
    session: Option<i32>,
    /// Its program's process and process group; 0 until it runs.
    pid: i32,
    /// What it is.
    about: About,
    /// Whether its end has been told.
    ended: bool,
    since: Instant,
}

/// The programs of a guest.
#[derive(Debug)]
pub struct Jobs {
    /// What may be started; nothing when absent.
    pub(super) policy: Option<exec::Policy>,
    pub(super) launcher: Option<Launcher>,
    /// Launchers that are ending their programs.
    pub(super) dismissed: Vec<Launcher>,
    /// Working directories of named sessions.
    pub(super) named: Named,
    table: BTreeMap<JobId, Job>,
    next: JobId,
    /// Sessions that wait for an answer of a launcher, which comes by this number.
    questions: HashMap<u64, (u32, Key)>,
    audit: Audit,
}

impl Jobs {
    /// None yet.
    ///
    /// # Errors
    /// The user of programs does not exist, or the audit log cannot be opened.
    pub fn new(config: &GuestConfig, policy: &sandbox::Policy) -> Result<Jobs> {
        let config = config.exec.clone();
        let user = config.as_ref().map(|config| config.user(&policy.user));
        let user = user.transpose().map_err(std::io::Error::other)?;
        let audit = config.as_ref().and_then(|config| config.audit.as_deref());
        let opened = Audit::open(audit).map_err(|error| {
            let path = audit
                .map(|path| path.display().to_string())
                .unwrap_or_default();
            std::io::Error::other(format!("the audit log {path} cannot be opened: {error}"))
        })?;
        Ok(Jobs {
            policy: user
                .zip(config)
                .map(|(user, config)| exec::Policy { user, config }),
            launcher: None,
            dismissed: Vec::new(),
            named: Named::default(),
            table: BTreeMap::new(),
            next: 1,
            questions: HashMap::new(),
            audit: opened,
        })
    }

    /// The home directory of the user of programs, or, where none may be started, of the guest's own.
    pub fn home(&self, policy: &sandbox::Policy) -> PathBuf {
        let user = self
            .policy
            .as_ref()
            .map_or(&policy.user, |policy| &policy.user);
        user.home.clone()
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn of(&self, owner: (u32, u32)) -> Option<(JobId, &Job)> {
        let mut jobs = self.table.iter();
        jobs.find(|(_, job)| job.owner == Some(owner))
            .map(|(id, job)| (*id, job))
    }
}

/// An errno for who asked, of what went wrong here.
fn errno(error: &std::io::Error) -> i32 {
    match error.kind() {
        // The launcher is behind: it has more to start than it can.
        ErrorKind::WouldBlock => libc::EAGAIN,
        ErrorKind::PermissionDenied => libc::EACCES,
        _ => libc::EIO,
    }
}

impl Guest {
    /// What a shadow asks about programs.
    pub(super) fn hear_about_jobs(
        &mut self,
        slot: u32,
        message: FromShadow,
        mut files: Vec<OwnedFd>,
        poller: &mut Poller,
    ) {
        let asked = match message {
            FromShadow::Exec {
                umask,
                files: places,
                controls,
            } => {
                let id = self.jobs.next();
                let start = ToLauncher::Start {
                    id,
                    umask,
                    files: places,
                    controls,
                };
                self.start_job(slot, id, &start, &files, poller)
            }
            FromShadow::SignalJob { job, signal } => Err(self.signal_job((slot, job), signal)),
            FromShadow::ForgetJob { job } => Err(self.forget_job((slot, job))),
            FromShadow::Terminal { size } => {
                let question = self.jobs.next();
                self.ask_launcher(
                    slot,
                    question,
                    &ToLauncher::Terminal { question, size },
                    poller,
                )
            }
            FromShadow::Complete { text } => {
                let question = self.jobs.next();
                self.ask_launcher(
                    slot,
                    question,
                    &ToLauncher::Complete { question, text },
                    poller,
                )
            }
            FromShadow::ExecPolicy => match self.policy_for_guest() {
                Ok(file) => return self.grant(slot, 0, &[file.as_raw_fd()], poller),
                Err(error) => Err(errno(&error)),
            },
            FromShadow::EnterSession { .. } | FromShadow::KeepSession { .. }
                if self.jobs.policy.is_none() =>
            {
                Err(libc::EACCES)
            }
            FromShadow::EnterSession { name } => {
                let kept = self.jobs.named.directory(&name).map(AsRawFd::as_raw_fd);
                let fds: Vec<RawFd> = kept.into_iter().collect();
                return self.grant(slot, fds.len() as u32, &fds, poller);
            }
            FromShadow::KeepSession { name } => match files.pop() {
                Some(directory) => {
                    self.jobs.named.keep(name, directory);
                    Err(0)
                }
                None => Err(libc::EIO),
            },
            _ => return,
        };
        if let Err(errno) = asked {
            self.tell(slot, &ToShadow::Answer { errno }, &[], poller);
        }
    }

    fn grant(&mut self, slot: u32, value: u32, fds: &[RawFd], poller: &mut Poller) {
        self.tell(slot, &ToShadow::Value { value }, fds, poller);
    }

    /// Has the launcher start a program. An errno is the answer; otherwise that comes later.
    fn start_job(
        &mut self,
        slot: u32,
        id: JobId,
        start: &ToLauncher,
        files: &[OwnedFd],
        poller: &mut Poller,
    ) -> std::result::Result<(), i32> {
        let process = self
            .sessions
            .get(&slot)
            .and_then(|session| session.process.as_ref());
        let process = process.map(|(pid, ..)| *pid);
        let Some(policy) = &self.jobs.policy else {
            let complaint = "a host program is refused: the configuration has no `exec`";
            self.complaints.about(&self.name, complaint);
            return Err(libc::EACCES);
        };
        let who = Who {
            guest: self.name.clone(),
            session: slot,
            process,
            user: policy.user.name.clone(),
        };
        if self.jobs.table.len() >= policy.config.processes as usize {
            self.complaints.about(
                &self.name,
                format_args!(
                    "a host program is refused: `processes` ({}) run",
                    policy.config.processes
                ),
            );
            return Err(libc::EAGAIN);
        }
        let fds: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let launcher = self.launcher(poller).map_err(|error| errno(&error))?;
        launcher.tell(start, &fds).map_err(|error| errno(&error))?;
        let launcher = launcher.key;
        let job = Job {
            owner: Some((slot, 0)),
            who,
            launcher,
            session: None,
            pid: 0,
            about: About::default(),
            ended: false,
            since: Instant::now(),
        };
        self.jobs.table.insert(id, job);
        Ok(())
    }

    /// Asks the launcher on behalf of a session. An errno is the answer; otherwise that comes later.
    fn ask_launcher(
        &mut self,
        slot: u32,
        question: u64,
        message: &ToLauncher,
        poller: &mut Poller,
    ) -> std::result::Result<(), i32> {
        let launcher = self.launcher(poller).map_err(|error| errno(&error))?;
        launcher.tell(message, &[]).map_err(|error| errno(&error))?;
        let launcher = launcher.key;
        self.jobs.questions.insert(question, (slot, launcher));
        Ok(())
    }

    /// Signals a job's process group. Its number is the job's as long as the launcher keeps its first process, which it does
    /// until hostd lets go of the job.
    fn signal_job(&self, owner: (u32, u32), signal: i32) -> i32 {
        if !(0..=libc::SIGRTMAX()).contains(&signal) {
            return libc::EINVAL;
        }
        match self.jobs.of(owner) {
            Some((_, job)) => signal_group(job.pid, signal).map_or_else(|errno| errno.0, |()| 0),
            None => libc::ESRCH,
        }
    }

    fn forget_job(&mut self, owner: (u32, u32)) -> i32 {
        // The shadow knows it, so it has been one: its launcher was lost.
        let Some((id, job)) = self.jobs.of(owner) else {
            return 0;
        };
        if !job.ended {
            return libc::EBUSY;
        }
        self.let_go(id, ToLauncher::Forget { id });
        0
    }

    /// A job is its session's no more.
    fn let_go(&mut self, id: JobId, message: ToLauncher) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        job.owner = None;
        let all = self.jobs.launcher.iter().chain(&self.jobs.dismissed);
        let key = job.launcher;
        let launcher = all.into_iter().find(|launcher| launcher.key == key);
        if launcher.is_some_and(|launcher| launcher.tell(&message, &[]).is_err()) {
            // It is far behind, or ending. Programs that nobody can end any more must not stay.
            self.dismiss_launcher();
        }
    }

    /// A session is over, and its programs with it.
    pub(super) fn end_jobs(&mut self, slot: u32) {
        self.jobs.questions.retain(|_, (asker, _)| *asker != slot);
        let own = |job: &Job| job.owner.is_some_and(|(owner, _)| owner == slot);
        let jobs = self.jobs.table.iter().filter(|(_, job)| own(job));
        let ids: Vec<JobId> = jobs.map(|(id, _)| *id).collect();
        for id in ids {
            self.let_go(id, ToLauncher::End { id });
        }
    }

    /// What a launcher tells.
    pub(super) fn hear_of_job(
        &mut self,
        message: FromLauncher,
        fds: Vec<OwnedFd>,
        poller: &mut Poller,
    ) {
        match message {
            FromLauncher::Failed { .. } => {}
            FromLauncher::Forked { id, session } => {
                if let Some(job) = self.jobs.table.get_mut(&id) {
                    job.session = Some(session);
                }
            }
            FromLauncher::Running { id, pid, about } => self.job_runs(id, pid, about, poller),
            FromLauncher::Refused {
                id,
                errno,
                denial,
                about,
            } => {
                let event = match denial {
                    Some(reason) => Event::Deny { reason },
                    None => Event::Fail { errno },
                };
                if let Some(job) = self.jobs.table.remove(&id) {
                    self.write_down(&job.who, &about, &event);
                    if let Some((slot, _)) = job.owner {
                        self.tell(slot, &ToShadow::Answer { errno }, &[], poller);
                    }
                }
            }
            FromLauncher::Changed { id, change } => self.job_changes(id, change, poller),
            FromLauncher::Gone { id } => drop(self.jobs.table.remove(&id)),
            FromLauncher::Answer { question, errno } => {
                if let Some((slot, _)) = self.jobs.questions.remove(&question) {
                    let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
                    self.tell(slot, &ToShadow::Answer { errno }, &fds, poller);
                }
            }
        }
    }

    fn job_runs(&mut self, id: JobId, pid: i32, about: About, poller: &mut Poller) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        (job.pid, job.about) = (pid, about.clone());
        let who = job.who.clone();
        let mut started = None;
        if let Some((slot, number)) = &mut job.owner {
            if let Some(session) = self.sessions.get_mut(slot) {
                session.jobs += 1;
                *number = session.jobs;
                started = Some((*slot, *number));
            }
        }
        self.write_down(&who, &about, &Event::Start { pid });
        if let Some((slot, job)) = started {
            self.tell(slot, &ToShadow::JobStarted { job }, &[], poller);
        }
    }

    fn job_changes(&mut self, id: JobId, change: Change, poller: &mut Poller) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        job.ended |= change.is_end();
        let owner = job.owner;
        if change.is_end() {
            let end = Event::end(job.pid, Some(change), job.since.elapsed());
            let (who, about) = (job.who.clone(), job.about.clone());
            self.write_down(&who, &about, &end);
        }
        if let Some((slot, job)) = owner {
            self.tell(slot, &ToShadow::JobChanged { job, change }, &[], poller);
        }
    }

    /// A launcher is gone: what it had started is killed as far as it can be found.
    pub(super) fn lose_jobs(&mut self, launcher: Key, poller: &mut Poller) {
        let lost = |job: &Job| job.launcher == launcher;
        let lost: Vec<JobId> = self
            .jobs
            .table
            .iter()
            .filter(|(_, job)| lost(job))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            let Some(job) = self.jobs.table.remove(&id) else {
                continue;
            };
            let killed = Change::Signalled(libc::SIGKILL as u8, false);
            if let Some(session) = job.session {
                kill_session(session, None);
            }
            if job.pid != 0 && !job.ended {
                self.write_down(
                    &job.who,
                    &job.about,
                    &Event::end(job.pid, None, job.since.elapsed()),
                );
            }
            match job.owner {
                Some((slot, number)) if job.pid != 0 && !job.ended => {
                    let change = ToShadow::JobChanged {
                        job: number,
                        change: killed,
                    };
                    self.tell(slot, &change, &[], poller);
                }
                Some((slot, _)) if job.pid == 0 => {
                    self.tell(slot, &ToShadow::Answer { errno: libc::EIO }, &[], poller);
                }
                _ => {}
            }
        }
        let asked = self
            .jobs
            .questions
            .iter()
            .filter(|(_, (_, of))| *of == launcher);
        let unanswered: Vec<(u64, u32)> = asked
            .map(|(question, (slot, _))| (*question, *slot))
            .collect();
        for (question, slot) in unanswered {
            self.jobs.questions.remove(&question);
            self.tell(slot, &ToShadow::Answer { errno: libc::EIO }, &[], poller);
        }
    }

    fn write_down(&mut self, who: &Who, about: &About, event: &Event) {
        if let Err(error) = self.jobs.audit.write(who, about, event) {
            self.complaints
                .about(&self.name, format_args!("the audit log: {error}"));
        }
    }

    /// What the guest's own programs have to know of the policy.
    fn policy_for_guest(&self) -> Result<std::fs::File> {
        let text = match &self.jobs.policy {
            None => json!({"allowed": false}),
            Some(exec::Policy { user, config }) => {
                let set = environment::base(user, &config.environment);
                json!({
                    "allowed": !config.allow.is_empty(),
                    "user": user.name,
                    "pass": config.pass,
                    "environment": set.keys().collect::<Vec<_>>(),
                })
            }
        };
        let file = memfd_create(c"hostcall-policy", MFdFlags::MFD_CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(text.to_string().as_bytes())?;
        Ok(file)
    }
}
