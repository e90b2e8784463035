//! One guest: its zygote, its shadows and what they share.

use super::complaints::Complaints;
use super::exports::Successor;
use super::jobs::Jobs;
use super::passing::{Closer, Passed};
use super::poller::{Key, Poller, Source};
use super::settle::Settling;
use super::zygote::Zygote;
use crate::board::Board;
use crate::config::GuestConfig;
use crate::message::{self, ToShadow};
use crate::shadow::sandbox::{Policy, Report};
use crate::shadow::{MOST_SPARES, SPARES};
use hostcall::attach::Hello;
use hostcall::doorbell::futex_wake;
use hostcall::region::{LanePage, LaneState, Region};
use hostcall::types::Token;
use hostcall::wait::AWAKE;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a held session waits for its process, and a connection for its introduction.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How the guest reaches us.
#[derive(Debug)]
pub enum Door {
    /// A socket on the same kernel.
    Socket {
        /// It listens.
        listener: UnixListener,
        /// Removed at the end.
        path: PathBuf,
        /// What the guest's processes share.
        commons: OwnedFd,
    },
    /// A region shared with a guest kernel, and its doorbell line.
    Device {
        /// The mapped region.
        region: Region,
        /// The region's memfd.
        memfd: OwnedFd,
        /// Bytes that name lanes; `None` until the guest's machine connects it.
        line: Option<OwnedFd>,
        /// Where the line is to be connected, and the link to the region, unless hostd booted the guest itself.
        outside: Option<Outside>,
        /// Which shadow serves a lane.
        served: Vec<Option<u32>>,
        /// Bytes written to the line.
        rung: u32,
    },
}

impl Door {
    /// What listens for processes, or for the machine that somebody else boots.
    pub fn listener(&self) -> Option<&UnixListener> {
        match self {
            Door::Socket { listener, .. } => Some(listener),
            Door::Device { outside, .. } => outside.as_ref().map(|outside| &outside.listener),
        }
    }

    /// What a process is given besides its region, for that all processes of the guest share.
    pub fn commons(&self) -> Option<RawFd> {
        match self {
            Door::Socket { commons, .. } => Some(commons.as_raw_fd()),
            Door::Device { .. } => None,
        }
    }
}

/// What a guest that somebody else boots is given.
#[derive(Debug)]
pub struct Outside {
    /// Listens for the doorbell line.
    pub listener: UnixListener,
    /// The listener's path.
    pub doorbell: PathBuf,
    /// Link to the region's memfd.
    pub link: PathBuf,
}

/// What a shadow is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Forked, not yet confined.
    Starting,
    /// Waits to be adopted.
    Spare,
    /// Serves a guest process.
    Active,
    /// Holds what a child inherited, until the child attaches.
    Prepared(Token, Instant),
    /// Serves a process that is changing its program image.
    Held(Token, Instant),
    /// Its process has ended; it clears itself for another one, or is ended then.
    Leaving(Instant),
}

impl State {
    /// Whether no process is served or will be: there is a shadow for another, or will be soon.
    pub fn is_idle(self) -> bool {
        matches!(self, State::Starting | State::Spare | State::Leaving(_))
    }
}

/// A child's session under preparation, collected from its parent's shadow.
#[derive(Debug)]
pub struct Unborn {
    /// By which the child will attach.
    pub token: Token,
    /// Inherited mask.
    pub umask: u32,
    /// Inherited working directory.
    pub cwd: Option<Passed>,
    /// Inherited files: number, close-on-exec, file.
    pub files: Vec<(RawFd, bool, Passed)>,
    /// hostd holds too many files of children already: the rest is thrown away and the fork fails.
    pub refused: bool,
}

/// One shadow, as hostd sees it.
#[derive(Debug)]
pub struct Session {
    /// Its socket.
    pub control: OwnedFd,
    /// Registration of the socket.
    pub key: Key,
    /// Its region, if it has its own.
    pub memfd: Option<OwnedFd>,
    /// Its process, once the zygote has told.
    pub shadow: Option<(i32, OwnedFd)>,
    /// What it is doing.
    pub state: State,
    /// The guest process: id, pidfd, registration (same kernel only).
    pub process: Option<(i32, OwnedFd, Key)>,
    /// The guest process's own name for itself (device only).
    pub claim: Token,
    /// Child being prepared.
    pub unborn: Option<Unborn>,
    /// Since when it is active.
    pub since: Instant,
    /// The view that it has, by the guest's count.
    pub view: u32,
}

/// Whoever waits for a spare shadow.
#[derive(Debug)]
pub enum Waiting {
    /// A process that has introduced itself.
    Local(OwnedFd, Hello),
    /// A process that has claimed a lane.
    Device(u32),
    /// A child that its parent forks.
    Child(u32, Unborn),
}

/// One guest.
#[derive(Debug)]
pub struct Guest {
    /// Index in the server.
    pub index: usize,
    /// Name in the configuration.
    pub name: String,
    /// Its configuration.
    pub config: GuestConfig,
    /// What its shadows may see and use.
    pub policy: Policy,
    /// Counts the changes to its exports: names the view that new shadows have.
    pub view: u32,
    /// Lanes of its region or of each shadow's.
    pub lanes: u32,
    /// How it reaches us.
    pub door: Door,
    /// Counters and switches shared with its shadows.
    pub board: Board,
    pub(super) board_fd: OwnedFd,
    /// hostd's program, which is also the zygote's.
    pub(super) program: PathBuf,
    pub(super) zygote: Option<Zygote>,
    /// The zygote of a view in the making.
    pub(super) successor: Option<Successor>,
    /// Active layers of the confinement, once the zygote has told.
    pub report: Option<Report>,
    /// What is logged about it.
    pub complaints: Complaints,
    /// Shadows that hostd has killed and whose end the zygote has not yet told.
    pub(super) killed: HashSet<i32>,
    /// Shadows whose sessions are over and whose end the zygote has not yet told.
    pub(super) leaving: HashSet<i32>,
    /// Shadows that wait for such ends.
    pub(super) settling: Vec<Settling>,
    /// Why the guest cannot be served.
    pub failed: Option<String>,
    /// Its shadows by their places on the board.
    pub sessions: HashMap<u32, Session>,
    /// Those that wait for a spare shadow.
    pub waiting: VecDeque<Waiting>,
    /// Shared open files and who shared them.
    pub shared: HashMap<Token, (u32, Passed)>,
    /// Closes what hostd holds of its files.
    pub(super) closer: Closer,
    /// The host programs that it has started, and may.
    pub(super) jobs: Jobs,
    /// When the last zygote was started, so that a failing one is not restarted in a circle.
    pub(super) born: Instant,
    /// When to make new spare shadows: a little after one was taken, so that its process does not wait for forks.
    pub(super) breed_at: Option<Instant>,
    /// When to end spare shadows that are more than usual.
    pub(super) thin_at: Option<Instant>,
}

/// Lanes of a process's own region unless configured.
pub const LOCAL_LANES: u32 = 16;
/// Lanes of a guest's one region unless configured.
pub const DEVICE_LANES: u32 = 255;

impl Guest {
    /// Prepares a guest and starts its zygote.
    pub fn new(
        index: usize,
        name: String,
        config: GuestConfig,
        policy: Policy,
        door: Door,
        program: PathBuf,
        poller: &mut Poller,
    ) -> Result<Guest> {
        let lanes = match &door {
            Door::Device { region, .. } => region.lanes(),
            Door::Socket { .. } => config.limits.lanes.unwrap_or(LOCAL_LANES),
        };
        let jobs = Jobs::new(&config, &policy)?;
        let (board, board_fd) =
            Board::create(policy.limits.processes + SPARES, jobs.most()).map_err(super::io)?;
        match &door {
            Door::Socket { listener, .. } => {
                poller.watch(listener, Source::Listener { guest: index })?
            }
            Door::Device {
                line: Some(line), ..
            } => poller.watch(line, Source::Line { guest: index })?,
            Door::Device {
                outside: Some(outside),
                ..
            } => poller.watch(&outside.listener, Source::Listener { guest: index })?,
            Door::Device { .. } => {
                return Err(std::io::Error::other(
                    "a device guest without a doorbell line",
                ))
            }
        };
        let mut guest = Guest {
            index,
            name,
            jobs,
            config,
            policy,
            view: 0,
            lanes,
            door,
            board,
            board_fd,
            program,
            zygote: None,
            successor: None,
            report: None,
            complaints: Complaints::default(),
            killed: HashSet::new(),
            leaving: HashSet::new(),
            settling: Vec::new(),
            failed: None,
            sessions: HashMap::new(),
            waiting: VecDeque::new(),
            shared: HashMap::new(),
            closer: Closer::default(),
            born: Instant::now(),
            breed_at: None,
            thin_at: None,
        };
        guest.announce();
        guest.start_zygote(poller)?;
        Ok(guest)
    }

    /// Writes into a device guest's region what its processes have to know.
    pub(super) fn announce(&self) {
        if let Door::Device { region, .. } = &self.door {
            region.set_policy(self.policy.callers.is_some(), self.view);
        }
    }

    /// Guest processes that are or will be served.
    pub fn processes(&self) -> usize {
        self.sessions
            .values()
            .filter(|session| !session.state.is_idle())
            .count()
    }

    /// Whether another process would be one too many, those counted that still wait for a shadow. Shadows whose processes have ended
    /// may be as many again: one that hangs in the kernel, where it closes a file, cannot be killed.
    pub fn is_full(&self) -> bool {
        let most = self.policy.limits.processes as usize;
        let hang = self.leaving.len() >= most + MOST_SPARES as usize;
        hang || self.processes() + self.waiting.len() >= most
    }

    /// Descriptors that hostd holds for children whose parents are still sending them.
    pub fn unborn_files(&self) -> usize {
        let sending = self
            .sessions
            .values()
            .filter_map(|session| session.unborn.as_ref());
        let waiting = self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Child(_, unborn) => Some(unborn),
            _ => None,
        });
        sending
            .chain(waiting)
            .map(|unborn| unborn.files.len())
            .sum()
    }

    /// A shadow that waits to be adopted.
    pub fn spare(&self) -> Option<u32> {
        self.sessions
            .iter()
            .find(|(_, session)| session.state == State::Spare)
            .map(|(slot, _)| *slot)
    }

    /// The session that waits for this token.
    pub fn expecting(&self, wanted: Token) -> Option<u32> {
        let waits = |session: &Session| match session.state {
            State::Prepared(token, _) | State::Held(token, _) => token == wanted,
            _ => false,
        };
        self.sessions
            .iter()
            .find(|(_, session)| waits(session))
            .map(|(slot, _)| *slot)
    }

    /// Sends to a shadow; one that is too far behind to take it is ended.
    pub fn tell(&mut self, slot: u32, message: &ToShadow, fds: &[RawFd], poller: &mut Poller) {
        let Some(session) = self.sessions.get(&slot) else {
            return;
        };
        if message::try_send(&session.control, message, fds).is_err() {
            self.end_session(slot, poller);
        }
    }

    /// Sessions whose process never came are ended; says when the next one is due.
    pub fn expire(&mut self, now: Instant, poller: &mut Poller) -> Option<Instant> {
        // A device guest's process that still has a lane lives: its execve failed.
        let served: std::collections::HashSet<u32> = match &self.door {
            Door::Device { served, .. } => served.iter().flatten().copied().collect(),
            Door::Socket { .. } => Default::default(),
        };
        let due = |(slot, session): (&u32, &Session)| match session.state {
            State::Prepared(_, due) | State::Leaving(due) => Some(due),
            // On the same kernel the end of the process itself is seen.
            State::Held(_, due) if session.process.is_none() && !served.contains(slot) => Some(due),
            _ => None,
        };
        let late: Vec<u32> = self
            .sessions
            .iter()
            .filter(|entry| due(*entry).is_some_and(|due| due <= now))
            .map(|(slot, _)| *slot)
            .collect();
        // Somebody may wait for a shadow that those were to become.
        let missing = !late.is_empty() && !self.waiting.is_empty();
        late.into_iter()
            .for_each(|slot| self.end_session(slot, poller));
        if missing || self.breed_at.is_some_and(|due| due <= now) {
            self.breed_at = None;
            if let Err(error) = self.breed(poller) {
                log::warn!("guest {}: no new shadows: {error}", self.name);
            }
        }
        let retired = self.retire(now, poller);
        let settled = self.give_up_settling(now, poller);
        self.sessions
            .iter()
            .filter_map(due)
            .chain(self.breed_at)
            .chain(retired)
            .chain(settled)
            .min()
    }

    /// Ends everything.
    pub fn close(&mut self, poller: &mut Poller) {
        let all: Vec<u32> = self.sessions.keys().copied().collect();
        all.into_iter()
            .for_each(|slot| self.end_session(slot, poller));
        self.dismiss_launcher();
        self.end_zygote(poller);
        if let Some(successor) = self.successor.take() {
            successor.abandon(poller);
        }
        let left = match &self.door {
            Door::Socket { path, .. } => vec![path],
            Door::Device {
                outside: Some(outside),
                ..
            } => vec![&outside.doorbell, &outside.link],
            Door::Device { .. } => Vec::new(),
        };
        left.into_iter()
            .for_each(|path| drop(std::fs::remove_file(path)));
    }

    /// The guest kernel is gone, and with it all its processes. The next one finds the region as if it were fresh.
    pub fn hang_up(&mut self, key: Key, poller: &mut Poller) {
        if let Door::Device { line, .. } = &mut self.door {
            if let Some(line) = line.take() {
                poller.forget(&line, key);
            }
        }
        let all: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| !session.state.is_idle())
            .map(|(slot, _)| *slot)
            .collect();
        all.into_iter()
            .for_each(|slot| self.end_session(slot, poller));
        self.waiting.clear();
        self.dismiss_launcher();
        self.jobs.named.clear();
        if let Door::Device { region, .. } = &self.door {
            for lane in 0..region.lanes() {
                region.wipe(lane);
                if let Some(page) = region.page(lane) {
                    page.set_state(LaneState::Free);
                }
            }
            region.write_header(self.board.clock());
        }
        self.announce();
    }
}

/// Marks the lane of a dead shadow: its guest stops waiting, or, if the guest has already let go, it is free again.
pub fn bury(region: &Region, page: &LanePage, lane: u32) {
    if page.state() == Some(LaneState::Released) {
        region.wipe(lane);
        page.set_state(LaneState::Free);
    } else {
        page.set_state(LaneState::Dead);
    }
    page.guest_sleep.0.store(AWAKE, Ordering::Release);
    futex_wake(&page.guest_sleep.0, 1);
}
