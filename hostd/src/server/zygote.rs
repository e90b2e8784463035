//! hostd's side of a guest's zygote: starting it, having it fork shadows, replacing it.

use super::guest::{Door, Guest, Session, State};
use super::offspring;
use super::poller::{Key, Poller, Source};
use crate::message::{self, FromZygote, ToZygote};
use crate::shadow::lifeline;
use crate::shadow::sandbox::Policy;
use crate::shadow::title::ZYGOTE;
use crate::shadow::{MOST_SPARES, SPARES};
use hostcall::types::Token;
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Child;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Shadows that are being forked at once. It keeps both directions of the zygote's socket far from full, where hostd and
/// zygote could wait for each other.
const MOST_STARTING: usize = 32;

/// Bytes that a shadow may be behind: what a child inherits is sent at once, about 2 KiB for 64 open files.
const MOST_QUEUED: usize = 32 << 20;

/// How long after an attachment its spare shadow is replaced where few are left, and where there are enough: then the fork
/// takes the processor from no program that is about to start.
const BREED_DELAY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(10));

/// Spare shadows that are enough for a while.
const ENOUGH: usize = SPARES as usize / 2;

/// How long after a shadow that ended before it was ready another is tried.
const STILLBIRTH_DELAY: Duration = Duration::from_millis(100);

/// The zygote's process and socket.
#[derive(Debug)]
pub struct Zygote {
    child: Child,
    socket: OwnedFd,
    key: Key,
}

impl Zygote {
    /// Its next message.
    pub(super) fn hear(&self) -> Result<(FromZygote, Vec<OwnedFd>)> {
        message::receive_long(&self.socket, false)
    }

    /// Ends its process; the shadows that it has forked live on.
    pub(super) fn end(mut self, poller: &mut Poller) {
        poller.forget(&self.socket, self.key);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The same zygote, watched for another reason.
    pub(super) fn known_as(self, source: Source, poller: &mut Poller) -> Zygote {
        poller.rename(self.key, source);
        self
    }
}

impl Guest {
    /// Starts a zygote and gives it the guest's policy.
    pub(super) fn start_zygote(&mut self, poller: &mut Poller) -> Result<()> {
        let source = Source::Zygote { guest: self.index };
        self.zygote = Some(self.make_zygote(&self.policy, self.view, source, poller)?);
        self.born = Instant::now();
        Ok(())
    }

    /// Starts a zygote for a view of the guest.
    pub(super) fn make_zygote(
        &self,
        policy: &Policy,
        view: u32,
        source: Source,
        poller: &mut Poller,
    ) -> Result<Zygote> {
        let (child, socket) = offspring::start(&self.program, ZYGOTE, &self.name)?;
        let begin = ToZygote::Begin {
            guest: self.name.clone(),
            policy: Box::new(policy.clone()),
            lanes: self.lanes,
            device: matches!(self.door, Door::Device { .. }),
            view,
            jobs: self.jobs.most(),
            home: self.jobs.home(policy),
            programs: self.jobs.policy_for_guest(),
        };
        let lifeline = lifeline::end_for_zygote()?;
        let mut fds = vec![lifeline.as_raw_fd(), self.board_fd.as_raw_fd()];
        if let Door::Device { memfd, .. } = &self.door {
            fds.push(memfd.as_raw_fd());
        }
        message::send_by_file(&socket, &begin, &fds)?;
        let key = poller.watch(&socket, source)?;
        Ok(Zygote { child, socket, key })
    }

    /// Hears the zygote.
    pub fn hear_zygote(&mut self, poller: &mut Poller) -> Result<()> {
        let Some(zygote) = &self.zygote else {
            return Ok(());
        };
        match zygote.hear() {
            Ok((FromZygote::Ready { report }, _)) => {
                log::info!("guest {}: {report}", self.name);
                self.report = Some(report);
                self.breed(poller)
            }
            Ok((FromZygote::Failed { error }, _)) => {
                log::error!("guest {}: {error}", self.name);
                self.failed = Some(error);
                Ok(())
            }
            Ok((FromZygote::Spawned { slot, pid }, fds)) => {
                if let (Some(session), Some(pidfd)) =
                    (self.sessions.get_mut(&slot), fds.into_iter().next())
                {
                    session.shadow = Some((pid, pidfd));
                }
                Ok(())
            }
            Ok((FromZygote::Ended { pid, signal }, _)) => {
                let ours = self.killed.remove(&pid) && signal == libc::SIGKILL;
                if signal != 0 && !ours {
                    let cause = match signal {
                        libc::SIGKILL => ": the host is out of memory, or somebody killed it",
                        libc::SIGSYS => ": it made a system call that is not allowed to it",
                        _ => "",
                    };
                    self.complaints.about(
                        &self.name,
                        format_args!("shadow {pid} died of signal {signal}{cause}"),
                    );
                }
                self.left(pid, poller);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => self.lose_zygote(poller),
        }
    }

    /// Makes new shadows a while after one could not even start, instead of forking in a circle.
    pub(super) fn breed_later(&mut self) {
        self.breed_at
            .get_or_insert(Instant::now() + STILLBIRTH_DELAY);
    }

    fn lose_zygote(&mut self, poller: &mut Poller) -> Result<()> {
        self.end_zygote(poller);
        let unborn: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.state == State::Starting)
            .map(|(slot, _)| *slot)
            .collect();
        unborn
            .into_iter()
            .for_each(|slot| self.end_session(slot, poller));
        if self.failed.is_some() {
            return Ok(());
        }
        if self.born.elapsed() < Duration::from_millis(100) {
            let error = "its zygote ends as soon as it is started".to_owned();
            log::error!("guest {}: {error}", self.name);
            self.failed = Some(error);
            return Ok(());
        }
        log::warn!(
            "guest {}: the zygote has ended; starting another",
            self.name
        );
        self.start_zygote(poller)
    }

    /// Ends the zygote's process; its shadows live on.
    pub(super) fn end_zygote(&mut self, poller: &mut Poller) {
        // Nobody will tell of them any more, and their numbers become others'.
        self.killed.clear();
        self.lost_sight(poller);
        if let Some(zygote) = self.zygote.take() {
            zygote.end(poller);
        }
    }

    /// Makes spare shadows a little later if there is one left: forks now would take the processor from the
    /// process that has just attached.
    pub(super) fn breed_soon(&mut self, poller: &mut Poller) -> Result<()> {
        let is_spare = |session: &&Session| session.state == State::Spare;
        let delay = match self.sessions.values().filter(is_spare).count() {
            0 => return self.breed(poller),
            spares if spares < ENOUGH => BREED_DELAY.0,
            _ => BREED_DELAY.1,
        };
        let due = Instant::now() + delay;
        self.breed_at = Some(self.breed_at.map_or(due, |earlier| earlier.min(due)));
        Ok(())
    }

    /// Keeps enough spare shadows ready.
    pub fn breed(&mut self, poller: &mut Poller) -> Result<()> {
        if self.report.is_none() {
            return Ok(());
        }
        let count = |is: fn(&State) -> bool| {
            let states = self.sessions.values().map(|session| &session.state);
            states.filter(|state| is(state)).count()
        };
        let idle = count(|state| state.is_idle());
        // One that clears itself may never have done, and nobody waits for that.
        let sure = count(|state| matches!(state, State::Spare | State::Starting));
        let waiting = self.waiting.len();
        let missing = (SPARES as usize + waiting)
            .saturating_sub(idle)
            .max(waiting.saturating_sub(sure));
        self.thin_out(MOST_SPARES, poller);
        let starting = self
            .sessions
            .values()
            .filter(|session| session.state == State::Starting)
            .count();
        for _ in 0..missing.min(MOST_STARTING.saturating_sub(starting)) {
            let Some(zygote) = &self.zygote else {
                return Ok(());
            };
            let most = self.policy.limits.processes + SPARES;
            let Some(slot) = (0..most).find(|slot| !self.sessions.contains_key(slot)) else {
                return Ok(());
            };
            // Before the shadow is there, which counts from its first thread on.
            self.wipe_counts(slot);
            self.board.slot(slot).lanes.store(0, Ordering::Relaxed);
            self.board.end_scratch(slot);
            // An ordinary user has less; then a child of some thousand files may find its parent's fork refused.
            let (ours, theirs) = offspring::line(MOST_QUEUED)?;
            if message::try_send(
                &zygote.socket,
                &ToZygote::Spawn { slot },
                &[theirs.as_raw_fd()],
            )
            .is_err()
            {
                return Ok(());
            }
            let key = poller.watch(
                &ours,
                Source::Shadow {
                    guest: self.index,
                    slot,
                },
            )?;
            let session = Session {
                control: ours,
                key,
                memfd: None,
                shadow: None,
                state: State::Starting,
                process: None,
                claim: Token::NONE,
                unborn: None,
                since: Instant::now(),
                view: self.view,
            };
            self.sessions.insert(slot, session);
        }
        Ok(())
    }
}
