//! What shadows ask of hostd: ready, share, redeem, fork, hold, and their ends.

use super::complaints::printable;
use super::guest::{Guest, State, Unborn, PATIENCE};
use super::passing::Passed;
use super::poller::Poller;
use crate::message::{self, FromShadow, ToShadow};
use std::io::Result;
use std::os::fd::AsRawFd;
use std::time::Instant;

/// Shared files that wait to be redeemed, per guest: each holds a descriptor of hostd's.
const MOST_SHARED: usize = 4096;

/// Open files of children under preparation, per guest: they are hostd's descriptors too. One child of any size can
/// be prepared while no other is.
const MOST_UNBORN: usize = 8192;

impl Guest {
    /// Hears one shadow; a line to trace comes back.
    pub fn hear_shadow(&mut self, slot: u32, poller: &mut Poller) -> Result<Option<String>> {
        let Some(session) = self.sessions.get_mut(&slot) else {
            return Ok(None);
        };
        let (message, mut files) = match message::receive(&session.control) {
            Ok((message, files)) => (message, self.closer.take(files)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
            Err(_) => {
                let stillborn = session.state == State::Starting;
                self.lose_session(slot, poller);
                match stillborn {
                    // The next would fare no better at once.
                    true => self.breed_later(),
                    false => self.breed(poller)?,
                }
                return Ok(None);
            }
        };
        match message {
            FromShadow::Ready => {
                let memfd = files.pop().and_then(Passed::own);
                self.ready(slot, memfd, poller)?;
            }
            FromShadow::Share { token } => {
                let errno = match files.pop() {
                    Some(file) if self.shared.len() < MOST_SHARED && !self.closer.is_behind() => {
                        self.shared.insert(token.into(), (slot, file));
                        0
                    }
                    _ => libc::ENFILE,
                };
                self.tell(slot, &ToShadow::Answer { errno }, &[], poller);
            }
            FromShadow::Redeem { token } => match self.shared.remove(&token.into()) {
                Some((_, file)) => self.tell(
                    slot,
                    &ToShadow::Answer { errno: 0 },
                    &[file.as_raw_fd()],
                    poller,
                ),
                None => self.tell(
                    slot,
                    &ToShadow::Answer {
                        errno: libc::ENOENT,
                    },
                    &[],
                    poller,
                ),
            },
            FromShadow::Fork { token, umask } => {
                session.unborn = Some(Unborn {
                    token: token.into(),
                    umask,
                    cwd: files.pop(),
                    files: Vec::new(),
                    refused: false,
                });
            }
            FromShadow::ForkFiles {
                files: places,
                last,
            } => self.collect(slot, &places, files, last, poller)?,
            // Its process is gone: nobody will come for it.
            FromShadow::Hold { .. }
                if !matches!(session.state, State::Active | State::Held(..)) =>
            {
                self.end_session(slot, poller)
            }
            FromShadow::Hold { token } => {
                session.state = State::Held(token.into(), Instant::now() + PATIENCE);
                self.tell(slot, &ToShadow::Answer { errno: 0 }, &[], poller);
            }
            FromShadow::Unhold => {
                if matches!(session.state, State::Held(..)) {
                    session.state = State::Active;
                }
            }
            FromShadow::Settle => self.settle(slot, poller),
            FromShadow::Exec { .. }
            | FromShadow::SignalJob { .. }
            | FromShadow::ForegroundJob { .. }
            | FromShadow::ForgetJob { .. }
            | FromShadow::Terminal { .. }
            | FromShadow::EnterSession { .. }
            | FromShadow::KeepSession { .. }
            | FromShadow::Complete { .. } => self.hear_about_jobs(slot, message, files, poller),
            FromShadow::Ring { lane } => self.ring(slot, lane),
            FromShadow::LaneClosed { lane } => self.lane_closed(slot, lane, poller),
            FromShadow::Fault { error } => {
                self.complaints.about(
                    &self.name,
                    format_args!("session {slot} ended: protocol error: {error}"),
                );
                self.end_session(slot, poller);
                self.breed(poller)?;
            }
            FromShadow::Trace { line } => {
                // A guest process under another kernel has no id here; its shadow stands for it.
                let process = session.process.as_ref().map(|(pid, ..)| *pid);
                let shadow = session.shadow.as_ref().map(|(pid, _)| *pid);
                let pid = process.or(shadow).unwrap_or_default();
                return Ok(Some(format!("{} {pid} {}", self.name, printable(&line))));
            }
        }
        Ok(None)
    }

    /// Collects the open files of a child, and brings it to life when they are complete.
    fn collect(
        &mut self,
        slot: u32,
        places: &[(i32, bool)],
        files: Vec<Passed>,
        last: bool,
        poller: &mut Poller,
    ) -> Result<()> {
        let limit = self.policy.limits.open_files as usize;
        let held = self.unborn_files();
        let Some(unborn) = self
            .sessions
            .get_mut(&slot)
            .and_then(|session| session.unborn.as_mut())
        else {
            return Ok(());
        };
        let complete = places.len() == files.len() && unborn.files.len() + files.len() <= limit;
        // Those that are held for this child do not count against it.
        unborn.refused |=
            held - unborn.files.len() + files.len() > MOST_UNBORN && held > unborn.files.len();
        unborn.refused |= self.closer.is_behind();
        let files = if unborn.refused { Vec::new() } else { files };
        unborn.files.extend(
            places
                .iter()
                .zip(files)
                .map(|((place, cloexec), file)| (*place, *cloexec, file)),
        );
        if !complete {
            // A shadow that does this is not one of ours any more.
            self.end_session(slot, poller);
        } else if last {
            match self
                .sessions
                .get_mut(&slot)
                .and_then(|session| session.unborn.take())
            {
                Some(unborn) if unborn.refused => self.tell(
                    slot,
                    &ToShadow::Answer {
                        errno: libc::ENFILE,
                    },
                    &[],
                    poller,
                ),
                Some(unborn) => self.bear(slot, unborn, poller),
                None => {}
            }
            self.breed(poller)?;
        }
        Ok(())
    }
}
