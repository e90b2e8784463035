//! What a guest's launchers tell of its programs: who hears it, and what is written down.

use super::audit::{Event, Line, Who};
use super::guest::Guest;
use super::jobs::{Job, Refusal};
use super::poller::{Key, Poller};
use crate::exec::message::{About, Change, FromLauncher, JobId, ToLauncher};
use crate::message::ToShadow;
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::SystemTime;

impl Guest {
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
                    job.sid = session;
                }
            }
            FromLauncher::Wants { id, about } => self.permit(id, about),
            FromLauncher::Running { id, pid } => self.job_runs(id, pid, poller),
            FromLauncher::Refused {
                id,
                errno,
                denial,
                about,
            } => self.job_fails(
                id,
                Refusal {
                    errno,
                    reason: denial,
                },
                about,
                poller,
            ),
            FromLauncher::Changed { id, change } => self.job_changes(id, change, poller),
            FromLauncher::Gone { id } => self.drop_job(id),
            FromLauncher::Answer { question, errno } => {
                if let Some((slot, _)) = self.jobs.questions.remove(&question) {
                    let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
                    self.tell(slot, &ToShadow::Answer { errno }, &fds, poller);
                }
            }
        }
    }

    /// Writes a program down and has it executed. What cannot be written down is not executed.
    fn permit(&mut self, id: JobId, about: About) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        job.about = about;
        // The launcher is ending it already.
        if job.owner.is_none() {
            return;
        }
        let start = Event::Start { sid: job.sid };
        match self.write_down(id, SystemTime::now(), &start) {
            Ok(()) => {
                if let Some(job) = self.jobs.table.get_mut(&id) {
                    job.permitted = true;
                }
                self.tell_launcher_of(id, &ToLauncher::Permit { id });
            }
            Err(error) => {
                if let Some(job) = self.jobs.table.get_mut(&id) {
                    let reason = format!("nothing is started that cannot be written down, and the audit log cannot be written: {error}");
                    job.refusal = Some(Refusal::because(libc::EIO, reason));
                }
                self.tell_launcher_of(id, &ToLauncher::End { id });
            }
        }
    }

    fn job_runs(&mut self, id: JobId, pid: i32, poller: &mut Poller) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        job.pid = pid;
        let (Some((slot, number)), place) = (job.owner, job.place) else {
            return;
        };
        let started = ToShadow::JobStarted { job: number, place };
        self.tell(slot, &started, &[], poller);
    }

    fn job_fails(
        &mut self,
        id: JobId,
        refusal: Refusal,
        about: Option<About>,
        poller: &mut Poller,
    ) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        if let Some(about) = about {
            job.about = about;
        }
        let event = match &refusal.reason {
            Some(reason) => Event::Deny {
                reason: reason.clone(),
            },
            None => Event::Fail {
                errno: refusal.errno,
            },
        };
        let written = self.write_down(id, SystemTime::now(), &event);
        let complaint = written.err();
        let Some(Job {
            owner,
            refusal: own,
            ..
        }) = self.jobs.table.remove(&id)
        else {
            return;
        };
        if let (Some(error), None) = (complaint, &own) {
            self.complain_of_audit(&error);
        }
        if let Some(owner) = owner {
            self.refuse_job(owner, own.unwrap_or(refusal), poller);
        }
    }

    fn job_changes(&mut self, id: JobId, change: Change, poller: &mut Poller) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        if change.is_end() {
            job.end = Some(job.ends(Some(change)));
        }
        match job.owner {
            Some((slot, job)) => {
                self.tell(slot, &ToShadow::JobChanged { job, change }, &[], poller);
            }
            None => self.record_end(id),
        }
    }

    /// A launcher is gone, and with it all that it had started.
    pub(super) fn lose_jobs(&mut self, launcher: Key, poller: &mut Poller) {
        let table = self.jobs.table.iter();
        let lost = table.filter(|(_, job)| job.launcher == launcher);
        let lost: Vec<JobId> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            let Some(job) = self.jobs.table.get(&id) else {
                continue;
            };
            let (owner, runs, ended) = (job.owner, job.pid != 0, job.end.is_some());
            self.drop_job(id);
            match owner {
                Some((slot, number)) if runs && !ended => {
                    let change = ToShadow::JobChanged {
                        job: number,
                        change: Change::Signalled(libc::SIGKILL as u8, false),
                    };
                    self.tell(slot, &change, &[], poller);
                }
                Some(owner) if !runs => self.refuse_job(owner, libc::EIO.into(), poller),
                _ => {}
            }
        }
        let asked = self.jobs.questions.iter();
        let asked = asked.filter(|(_, (_, of))| *of == launcher);
        let unanswered: Vec<(u64, u32)> = asked
            .map(|(question, (slot, _))| (*question, *slot))
            .collect();
        for (question, slot) in unanswered {
            self.jobs.questions.remove(&question);
            self.answer(slot, libc::EIO, poller);
        }
    }

    /// A job is over, in whatever way.
    fn drop_job(&mut self, id: JobId) {
        if let Some(job) = self.jobs.table.get_mut(&id) {
            job.owner = None;
            if job.permitted && job.end.is_none() {
                job.end = Some(job.ends(None));
            }
        }
        self.record_end(id);
        self.jobs.table.remove(&id);
    }

    /// Writes an end down once nobody carries the program's bytes any more.
    pub(super) fn record_end(&mut self, id: JobId) {
        let Some(job) = self.jobs.table.get_mut(&id) else {
            return;
        };
        let (None, Some(end), false) = (job.owner, job.end, job.recorded) else {
            return;
        };
        job.recorded = true;
        let event = Event::end(job.pid, &end, self.board.job(job.place).get());
        if let Err(error) = self.write_down(id, end.at, &event) {
            self.complain_of_audit(&error);
        }
    }

    /// Writes down that a program was refused before anybody looked what it was to be.
    pub(super) fn record_refusal(&mut self, who: &Who, reason: &str) {
        let event = Event::Deny {
            reason: reason.to_owned(),
        };
        let about = About::default();
        let line = Line::new(SystemTime::now(), &event, who, &about);
        if let Err(error) = self.jobs.audit.write(line) {
            self.complain_of_audit(&error);
        }
    }

    fn complain_of_audit(&mut self, error: &std::io::Error) {
        self.complaints.about(
            &self.name,
            format_args!("the audit log lacks a line: {error}"),
        );
    }

    fn write_down(&mut self, id: JobId, time: SystemTime, event: &Event) -> Result<()> {
        let Some(job) = self.jobs.table.get(&id) else {
            return Ok(());
        };
        let line = Line::new(time, event, &job.who, &job.about);
        self.jobs.audit.write(line)
    }
}
