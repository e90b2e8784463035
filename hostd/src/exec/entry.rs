//! A job as the launcher keeps it, and what its supervisor reports of it.

use super::child::{Task, PERMIT};
use super::jobs::{Job, Session};
use hostcall::types::Errno;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// One of them.
pub(super) struct Entry {
    pub job: Job,
    /// What has come of the next line of its report.
    line: Vec<u8>,
    /// Whether it joins the group of another.
    joins: bool,
    /// What another supervisor is to do if this one ends before it reports anything.
    pub again: Option<Task>,
}

impl Entry {
    /// One whose supervisor has just been told of it.
    pub fn new(
        session: Rc<Session>,
        report: UnixStream,
        seconds: Option<u32>,
        joins: bool,
    ) -> Entry {
        Entry {
            job: Job::new(session, report, seconds),
            line: Vec::new(),
            joins,
            again: None,
        }
    }

    /// Its program may be executed.
    pub fn permit(&mut self) {
        // A supervisor that is gone is told of by the other end of its line.
        let _ = self.job.report.write_all(&[PERMIT]);
    }

    /// Reads whole lines; `None` if the supervisor is gone, maybe with its permission unread.
    pub fn hear(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut room = [0; 4096];
        match self.job.report.read(&mut room) {
            Ok(0) => return None,
            Ok(len) => self.line.extend_from_slice(&room[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        let whole = self.line.iter().rposition(|byte| *byte == b'\n');
        let whole: Vec<u8> = self.line.drain(..whole.map_or(0, |end| end + 1)).collect();
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        Some(lines.map(<[u8]>::to_vec).collect())
    }

    /// Why a program did not come to run whose supervisor is gone.
    pub fn lost(&self) -> Errno {
        match self.joins && !self.job.session.has_group() {
            true => Errno(libc::ESRCH),
            false => Errno(libc::EIO),
        }
    }
}
