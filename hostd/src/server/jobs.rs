//! The host programs of a guest: who may ask what. What becomes of them is in [`super::news`].

use super::audit::{Audit, Who};
use super::guest::Guest;
use super::launcher::Launcher;
use super::named::Named;
use super::passing::Passed;
use super::poller::{Key, Poller};
use crate::config::GuestConfig;
use crate::exec::message::{About, Change, JobId, ToLauncher};
use crate::exec::{self, environment};
use crate::message::{FromShadow, ToShadow};
use crate::shadow::sandbox;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// One program.
#[derive(Debug)]
pub(super) struct Job {
    /// The session that started it and its number there; `None` when that session has let go of it.
    pub owner: Option<(u32, u32)>,
    /// Who that was.
    pub who: Who,
    /// The launcher that has it.
    pub launcher: Key,
    /// Its session on the host; 0 until it has one.
    pub sid: i32,
    /// Its program's process and process group; 0 until it runs.
    pub pid: i32,
    /// What it is.
    pub about: About,
    /// Where its bytes are counted on the board.
    pub place: u32,
    /// Whether its start has been written down, and it been permitted.
    pub permitted: bool,
    /// Why hostd did not permit it.
    pub refusal: Option<Refusal>,
    /// How it has ended.
    pub end: Option<End>,
    /// Whether its end has been written down.
    pub recorded: bool,
    /// Since when it is wanted.
    pub since: Instant,
}

/// A program's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Its last change, unless nobody can tell.
    pub change: Option<Change>,
    /// When.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
}

impl Job {
    /// Its end, now.
    pub fn ends(&self, change: Option<Change>) -> End {
        End {
            change,
            at: SystemTime::now(),
            took: self.since.elapsed(),
        }
    }
}

/// An answer that is no: for the guest's programs, and for the person before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// errno(3).
    pub errno: i32,
    /// One line that names the cure, where errno does not say all.
    pub reason: Option<String>,
}

impl From<i32> for Refusal {
    fn from(errno: i32) -> Refusal {
        Refusal {
            errno,
            reason: None,
        }
    }
}

impl Refusal {
    /// One with its reason.
    pub fn because(errno: i32, reason: impl ToString) -> Refusal {
        Refusal {
            errno,
            reason: Some(reason.to_string()),
        }
    }
}

/// An answer: nothing yet, or errno(3).
type Asked = std::result::Result<(), i32>;

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
    pub(super) table: BTreeMap<JobId, Job>,
    next: JobId,
    /// Sessions that wait for an answer of a launcher, which comes by this number.
    pub(super) questions: HashMap<u64, (u32, Key)>,
    pub(super) audit: Audit,
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

    /// What the guest's own programs have to know of the policy, as JSON.
    pub fn policy_for_guest(&self) -> String {
        let text = match &self.policy {
            None => json!({"allowed": false}),
            Some(exec::Policy { user, config }) => {
                let set = environment::base(user, &config.environment);
                let name = nix::unistd::gethostname().unwrap_or_default();
                json!({
                    "allowed": !config.allow.is_empty(),
                    "user": user.name,
                    "home": user.home.to_string_lossy(),
                    "host": name.to_string_lossy(),
                    "pass": config.pass,
                    "environment": set.keys().collect::<Vec<_>>(),
                })
            }
        };
        text.to_string()
    }

    /// How many there can be at once.
    pub fn most(&self) -> u32 {
        let policy = self.policy.as_ref();
        policy.map_or(0, |policy| policy.config.processes)
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A launcher that still listens or ends its programs.
    pub(super) fn launcher(&self, key: Key) -> Option<&Launcher> {
        let all = self.launcher.iter().chain(&self.dismissed);
        all.into_iter().find(|launcher| launcher.key == key)
    }

    /// A place on the board that no other job has. There are as many as jobs at most.
    fn free_place(&self) -> u32 {
        let taken: BTreeSet<u32> = self.table.values().map(|job| job.place).collect();
        (0..).find(|place| !taken.contains(place)).unwrap_or(0)
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
        mut files: Vec<Passed>,
        poller: &mut Poller,
    ) {
        let asked: Asked = match message {
            FromShadow::Exec {
                job,
                umask,
                files: places,
                terminal,
                bare,
                beside,
            } => {
                let id = self.jobs.next();
                let asked = self.neighbour((slot, job), beside).and_then(|beside| {
                    let start = ToLauncher::Start {
                        id,
                        umask,
                        files: places,
                        terminal,
                        bare,
                        beside,
                    };
                    self.start_job((slot, job), id, &start, &files, poller)
                });
                if let Err(refusal) = asked {
                    self.refuse_job((slot, job), refusal, poller);
                }
                return;
            }
            FromShadow::SignalJob { job, signal } => self.signal_job((slot, job), signal),
            FromShadow::ForegroundJob { job, own } => self.move_job((slot, job), own),
            FromShadow::ForgetJob { job } => return self.forget_job((slot, job)),
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
            self.refuse(slot, errno, poller);
        }
    }

    /// Answers a session that the answer is no.
    pub(super) fn refuse(&mut self, slot: u32, errno: i32, poller: &mut Poller) {
        self.tell(slot, &ToShadow::Answer { errno }, &[], poller);
    }

    /// Tells a session that its program was not started.
    pub(super) fn refuse_job(
        &mut self,
        (slot, job): (u32, u32),
        Refusal { errno, reason }: Refusal,
        poller: &mut Poller,
    ) {
        let refused = ToShadow::JobRefused { job, errno, reason };
        self.tell(slot, &refused, &[], poller);
    }

    fn grant(&mut self, slot: u32, value: u32, fds: &[RawFd], poller: &mut Poller) {
        self.tell(slot, &ToShadow::Value { value }, fds, poller);
    }

    /// The job of a session beside which another is to start, as `owner` there. Its launcher must be the one that starts that.
    fn neighbour(
        &self,
        owner: (u32, u32),
        beside: Option<u32>,
    ) -> std::result::Result<Option<JobId>, Refusal> {
        if self.jobs.of(owner).is_some() {
            return Err(libc::EINVAL.into());
        }
        let Some(number) = beside else {
            return Ok(None);
        };
        let (id, job) = self.jobs.of((owner.0, number)).ok_or(libc::ESRCH)?;
        let launcher = self.jobs.launcher.as_ref().map(|launcher| launcher.key);
        match launcher == Some(job.launcher) {
            true => Ok(Some(id)),
            false => Err(libc::ESRCH.into()),
        }
    }

    /// Has the launcher start a program. The answer comes later, if it is not no at once.
    fn start_job(
        &mut self,
        owner: (u32, u32),
        id: JobId,
        start: &ToLauncher,
        files: &[Passed],
        poller: &mut Poller,
    ) -> std::result::Result<(), Refusal> {
        let process = self
            .sessions
            .get(&owner.0)
            .and_then(|session| session.process.as_ref());
        let process = process.map(|(pid, ..)| *pid);
        let Some(policy) = &self.jobs.policy else {
            let complaint = "a host program is refused: the configuration has no `exec`";
            self.complaints.about(&self.name, complaint);
            return Err(libc::EACCES.into());
        };
        let who = Who {
            guest: self.name.clone(),
            job: id,
            session: owner.0,
            process,
            user: policy.user.name.clone(),
        };
        let most = policy.config.processes;
        if self.jobs.table.len() >= most as usize {
            let reason = format!("as many host programs as `processes` under \"exec\" allows ({most}) run, or have left others running; wait for some, or raise it in hostd's configuration");
            self.complaints.about(
                &self.name,
                format_args!("a host program is refused: {reason}"),
            );
            self.record_refusal(&who, &reason);
            return Err(Refusal::because(libc::EAGAIN, reason));
        }
        if self.closer.is_behind() {
            return Err(libc::EAGAIN.into());
        }
        let place = self.jobs.free_place();
        self.board.job(place).clear();
        let fds: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let launcher = self.launcher(poller).map_err(|error| errno(&error))?;
        let (told, launcher) = (launcher.tell(start, &fds), launcher.key);
        if let Err(error) = told {
            if error.kind() != ErrorKind::WouldBlock {
                return Err(errno(&error).into());
            }
            let reason = "too many are being started at once; try again";
            self.record_refusal(&who, reason);
            return Err(Refusal::because(errno(&error), reason));
        }
        let job = Job {
            owner: Some(owner),
            who,
            launcher,
            sid: 0,
            pid: 0,
            about: About::default(),
            place,
            permitted: false,
            refusal: None,
            end: None,
            recorded: false,
            since: Instant::now(),
        };
        self.jobs.table.insert(id, job);
        Ok(())
    }

    /// Asks the launcher on behalf of a session, which has one question at a time. The answer comes later, if it is not no at once.
    fn ask_launcher(
        &mut self,
        slot: u32,
        question: u64,
        message: &ToLauncher,
        poller: &mut Poller,
    ) -> Asked {
        let launcher = self.launcher(poller).map_err(|error| errno(&error))?;
        launcher.tell(message, &[]).map_err(|error| errno(&error))?;
        let launcher = launcher.key;
        let asks = |(asker, _): &mut (u32, Key)| *asker != slot;
        self.jobs.questions.retain(|_, asked| asks(asked));
        self.jobs.questions.insert(question, (slot, launcher));
        Ok(())
    }

    /// Has the launcher signal a job's process group: that knows whose number it is.
    fn signal_job(&mut self, owner: (u32, u32), signal: i32) -> Asked {
        if !(0..=libc::SIGRTMAX()).contains(&signal) {
            return Err(libc::EINVAL);
        }
        self.ask_about_job(owner, |question, id| ToLauncher::Signal {
            question,
            id,
            signal,
        })
    }

    /// Asks a job's launcher for something; its answer is the session's.
    fn ask_about_job(
        &mut self,
        owner: (u32, u32),
        message: impl FnOnce(u64, JobId) -> ToLauncher,
    ) -> Asked {
        let question = self.jobs.next();
        let (id, job) = self.jobs.of(owner).ok_or(libc::ESRCH)?;
        let key = job.launcher;
        let launcher = self.jobs.launcher(key).ok_or(libc::ESRCH)?;
        launcher
            .tell(&message(question, id), &[])
            .map_err(|error| errno(&error))?;
        self.jobs.questions.insert(question, (owner.0, key));
        Ok(())
    }

    /// Has the launcher move a job to its terminal's foreground or away from it.
    fn move_job(&mut self, owner: (u32, u32), own: bool) -> Asked {
        self.ask_about_job(owner, |question, id| ToLauncher::Move { question, id, own })
    }

    /// A job that has ended is left to itself. One that is not there has been one, for the shadow knows it: its launcher was lost.
    fn forget_job(&mut self, owner: (u32, u32)) {
        let job = self.jobs.of(owner).filter(|(_, job)| job.end.is_some());
        if let Some((id, _)) = job {
            self.let_go(id, ToLauncher::Forget { id });
        }
    }

    /// A job is its session's no more.
    fn let_go(&mut self, id: JobId, message: ToLauncher) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        job.owner = None;
        self.record_end(id);
        self.tell_launcher_of(id, &message);
    }

    /// Tells a job's launcher what must not be lost.
    pub(super) fn tell_launcher_of(&mut self, id: JobId, message: &ToLauncher) {
        let job = self.jobs.table.get(&id);
        let launcher = job.and_then(|job| self.jobs.launcher(job.launcher));
        if launcher.is_some_and(|launcher| launcher.tell(message, &[]).is_err()) {
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
}
