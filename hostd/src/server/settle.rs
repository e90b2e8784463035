//! What guest processes that have ended leave behind goes with their shadows, a moment later. A shadow whose guest process
//! must not meet it (a lock, the writing end of a pipe) asks hostd to wait for that moment.

use super::guest::{Guest, Session};
use super::poller::Poller;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A shadow may hang in the kernel, on a network file system; nobody waits longer for it.
const PATIENCE: Duration = Duration::from_millis(200);

/// A shadow that waits.
#[derive(Debug)]
pub struct Settling {
    /// Its place on the board.
    slot: u32,
    /// The shadows that it waits for.
    leaving: HashSet<i32>,
    /// Until when.
    due: Instant,
}

impl Settling {
    /// Whether it is this shadow.
    pub(super) fn is_of(&self, slot: u32) -> bool {
        self.slot == slot
    }
}

impl Guest {
    /// Ends the sessions whose processes have ended, and answers when their shadows are gone.
    pub(super) fn settle(&mut self, slot: u32, poller: &mut Poller) {
        for ended in self.ended() {
            self.part(ended, poller);
        }
        // An answer to one that has ended itself would be its successor's, and one shadow asks one thing at a time.
        let asks = self.settling.iter().any(|settling| settling.is_of(slot));
        if asks || !self.sessions.contains_key(&slot) {
            return self.end_session(slot, poller);
        }
        if self.leaving.is_empty() {
            return self.answer(slot, 0, poller);
        }
        self.settling.push(Settling {
            slot,
            leaving: self.leaving.clone(),
            due: Instant::now() + PATIENCE,
        });
    }

    /// Sessions whose processes have ended by now: their events may stand behind the question in the queue.
    fn ended(&self) -> Vec<u32> {
        let watched = self.sessions.iter().filter_map(|(slot, session)| {
            let (_, pidfd, _) = session.process.as_ref()?;
            Some((*slot, PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)))
        });
        let (slots, mut pidfds): (Vec<u32>, Vec<PollFd<'_>>) = watched.unzip();
        if poll(&mut pidfds, PollTimeout::ZERO).is_err() {
            return Vec::new();
        }
        let over = |pidfd: &PollFd<'_>| pidfd.any() == Some(true);
        let pairs = slots.into_iter().zip(&pidfds);
        pairs
            .filter(|(_, pidfd)| over(pidfd))
            .map(|(slot, _)| slot)
            .collect()
    }

    /// A shadow is gone.
    pub(super) fn left(&mut self, pid: i32, poller: &mut Poller) {
        // Its hang-up may stand behind what it had to say; then it is not waited for.
        let is_its =
            |session: &&mut Session| matches!(&session.shadow, Some((of, _)) if *of == pid);
        if let Some(session) = self.sessions.values_mut().find(is_its) {
            session.shadow = None;
        }
        self.cleared(pid, poller);
    }

    /// Nothing of a shadow's session is left.
    pub(super) fn cleared(&mut self, pid: i32, poller: &mut Poller) {
        self.leaving.remove(&pid);
        for settling in &mut self.settling {
            settling.leaving.remove(&pid);
        }
        self.answer_settled(|settling| settling.leaving.is_empty(), poller);
    }

    /// Nobody will tell of the shadows any more.
    pub(super) fn lost_sight(&mut self, poller: &mut Poller) {
        self.leaving.clear();
        self.answer_settled(|_| true, poller);
    }

    /// Answers those that have waited too long; when the next one is due.
    pub(super) fn give_up_settling(
        &mut self,
        now: Instant,
        poller: &mut Poller,
    ) -> Option<Instant> {
        self.answer_settled(|settling| settling.due <= now, poller);
        self.settling.iter().map(|settling| settling.due).min()
    }

    fn answer_settled(&mut self, settled: impl Fn(&Settling) -> bool, poller: &mut Poller) {
        let (over, waiting) = std::mem::take(&mut self.settling)
            .into_iter()
            .partition(settled);
        self.settling = waiting;
        let over: Vec<Settling> = over;
        for settling in over {
            self.answer(settling.slot, 0, poller);
        }
    }
}
