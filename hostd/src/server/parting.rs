//! Sessions end: with their shadow, or, where that can be cleared of what the process left, with the shadow ready for another.

use super::guest::{bury, Door, Guest, State, Waiting};
use super::poller::Poller;
use crate::shadow::SPARES;
use hostcall::types::Token;
use std::io::Result;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a shadow may take to clear itself. It notices the end of its process by the line between them, which a child
/// of the process may hold open, and it may hang in the kernel, closing a file of a network file system.
const CLEARING: Duration = Duration::from_millis(50);

/// How long more shadows than usual stand ready after the last process has ended.
const RETIRING: Duration = Duration::from_millis(500);

impl Guest {
    /// A guest process on the same kernel has ended.
    pub(super) fn part(&mut self, slot: u32, poller: &mut Poller) {
        let view = self.view;
        let stays = |session: &&mut super::guest::Session| {
            session.state == State::Active && session.view == view
        };
        let Some(session) = self.sessions.get_mut(&slot).filter(stays) else {
            return self.end_session(slot, poller);
        };
        session.state = State::Leaving(Instant::now() + CLEARING);
        let shadow = session.shadow.as_ref();
        self.leaving.extend(shadow.map(|(pid, _)| *pid));
        self.close_books(slot, poller);
    }

    /// A shadow can be had: one that has just been forked, or one whose process has ended and that has cleared itself.
    pub(super) fn ready(
        &mut self,
        slot: u32,
        memfd: Option<OwnedFd>,
        poller: &mut Poller,
    ) -> Result<()> {
        let view = self.view;
        let Some(session) = self.sessions.get_mut(&slot) else {
            return Ok(());
        };
        let due = match session.state {
            State::Starting => true,
            State::Active | State::Leaving(_) => session.view == view && memfd.is_some(),
            // A shadow that says so is not one of ours any more.
            State::Spare | State::Prepared(..) | State::Held(..) => false,
        };
        if !due {
            self.end_session(slot, poller);
            return self.breed(poller);
        }
        let shadow = session.shadow.as_ref().map(|(pid, _)| *pid);
        (session.memfd, session.state, session.since) = (memfd, State::Spare, Instant::now());
        // Again, if the process's end was heard of before: until now its calls went on.
        self.close_books(slot, poller);
        self.wipe_counts(slot);
        if let Some(pid) = shadow {
            self.cleared(pid, poller);
        }
        self.serve_waiting(poller)?;
        self.retire_later();
        Ok(())
    }

    /// Has spare shadows beyond the usual end in a while, counted from when the last became ready.
    fn retire_later(&mut self) {
        let due = || Instant::now() + RETIRING;
        self.thin_at = (self.spares().len() > SPARES as usize).then(due);
    }

    fn spares(&self) -> Vec<u32> {
        self.sessions
            .iter()
            .filter(|(_, session)| session.state == State::Spare)
            .map(|(slot, _)| *slot)
            .collect()
    }

    /// Ends spare shadows beyond `most` and those that somebody waits for.
    pub(super) fn thin_out(&mut self, most: u32, poller: &mut Poller) {
        let spares = self.spares();
        let excess = spares
            .len()
            .saturating_sub(most as usize + self.waiting.len());
        spares
            .into_iter()
            .take(excess)
            .for_each(|slot| self.end_session(slot, poller));
    }

    /// Ends the spare shadows that were of use while many processes came, once few do.
    pub(super) fn retire(&mut self, now: Instant, poller: &mut Poller) -> Option<Instant> {
        if self.thin_at.is_some_and(|due| due <= now) {
            self.thin_out(SPARES, poller);
            // Whom the others are kept for may never come for them.
            self.retire_later();
        }
        self.thin_at
    }

    /// Ends a session at once: the shadow dies, its lanes are dead, what it shared is closed.
    pub fn end_session(&mut self, slot: u32, poller: &mut Poller) {
        // The zygotes of earlier views are gone and tell nothing.
        let shadow = self
            .sessions
            .get(&slot)
            .filter(|session| session.view == self.view)
            .and_then(|session| session.shadow.as_ref());
        self.killed.extend(shadow.map(|(pid, _)| *pid));
        self.lose_session(slot, poller);
    }

    /// Ends a session whose shadow has hung up: it is dead already, or it had better be.
    pub(super) fn lose_session(&mut self, slot: u32, poller: &mut Poller) {
        self.close_books(slot, poller);
        let Some(session) = self.sessions.remove(&slot) else {
            return;
        };
        poller.forget(&session.control, session.key);
        if let Some((pid, pidfd)) = &session.shadow {
            super::kill(pidfd);
            if session.view == self.view {
                self.leaving.insert(*pid);
            }
        }
        if let Door::Device { region, served, .. } = &mut self.door {
            for (lane, server) in served
                .iter_mut()
                .enumerate()
                .filter(|(_, server)| **server == Some(slot))
            {
                *server = None;
                if let Some(page) = region.page(lane as u32) {
                    bury(region, page, lane as u32);
                }
            }
        }
    }

    /// Nothing is owed to a session's process any more, nor known of it.
    fn close_books(&mut self, slot: u32, poller: &mut Poller) {
        let Some(session) = self.sessions.get_mut(&slot) else {
            return;
        };
        if let Some((_, pidfd, key)) = session.process.take() {
            poller.forget(&pidfd, key);
        }
        (session.claim, session.unborn) = (Token::NONE, None);
        // The kernel has ended its watches with it, or the zygote does.
        self.board.slot(slot).watches.store(0, Ordering::Relaxed);
        self.board.end_scratch(slot);
        self.board.head().running.end(slot);
        self.end_jobs(slot);
        self.settling.retain(|settling| !settling.is_of(slot));
        self.shared.retain(|_, (owner, _)| *owner != slot);
        // Its place will be another's, who must not get the answer.
        self.waiting
            .retain(|waiting| !matches!(waiting, Waiting::Child(parent, _) if *parent == slot));
    }

    /// Counts from nothing for the next process.
    pub(super) fn wipe_counts(&self, slot: u32) {
        let counts = self.board.slot(slot);
        counts
            .calls
            .iter()
            .chain([&counts.errors])
            .for_each(|count| count.store(0, Ordering::Relaxed));
    }
}
