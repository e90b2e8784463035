//! A shadow: the host process that holds the context of one guest process and executes its calls.
//!
//! Its main thread listens to hostd (descriptor 0) and, on the same kernel, to the guest process (descriptor 1);
//! each lane has a thread of its own, so a call that blocks holds up its lane only. Descriptor 2 is hostd's log.
#![allow(unsafe_code)]

use super::fdtable::FdTable;
use super::follow::Follow;
use super::gate::Gate;
use super::holds::Holds;
use super::hostd::{Granted, Hostd};
use super::jobs::Jobs;
use super::kicks::Kicks;
use super::lane::{HostBell, Lane};
use super::offered::{self, Heard, Offered};
use super::prepare;
use super::renewal::Own;
use super::starts::Starts;
use super::streams::Streams;
use crate::board::Board;
use crate::calls::exec::Places;
use crate::calls::scratch::Scratches;
use crate::calls::watch::Instances;
use crate::idmap::IdMaps;
use crate::message::{self, FromShadow, ToShadow};
use hostcall::doorbell::futex_wake;
use hostcall::region::{LaneState, Region};
use hostcall::shm::Mapping;
use hostcall::types::Errno;
use hostcall::wait::AWAKE;
use hostcall::wire::ProtocolError;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a session whose old program image is gone waits for the new one, which attaches as it starts.
const PATIENCE: Duration = Duration::from_secs(10);

/// Milliseconds between two attempts to start a thread for which the host had nothing left.
const SHORTAGE: u8 = 20;

const CONTROL: RawFd = 0;
pub(super) const CLIENT: RawFd = 1;

/// What a shadow is forked with.
#[derive(Debug)]
pub struct Start {
    /// Name of the guest.
    pub guest: String,
    /// Its place on the board.
    pub slot: u32,
    /// Lanes of its own region.
    pub lanes: u32,
    /// Its view, by the guest's count.
    pub view: u32,
    /// The guest's region, for a device guest.
    pub region: Option<Arc<Region>>,
    /// The board.
    pub board: Arc<Board>,
    /// Who follows changes in the guest, and the way to wait for it.
    pub follow: Option<Arc<Follow>>,
    /// Limit on open files.
    pub open_files: u64,
    /// How the ids of callers are mapped, if each call has the rights of its caller.
    pub callers: Option<IdMaps>,
    /// The host's proc file system, for the way to the shadow's own descriptors.
    pub proc: Option<OwnedFd>,
    /// Where its programs start.
    pub places: Places,
}

/// The context of one guest process, shared by the threads of its lanes. Working directory and umask are the
/// process's own.
#[derive(Debug)]
pub struct Session {
    /// The guest's descriptors.
    pub fds: FdTable,
    /// Directory of this process's descriptors, `/proc/self/fd`, under a number above all of theirs.
    pub links: Option<RawFd>,
    /// The line to hostd.
    pub hostd: Hostd,
    /// Counters and switches.
    pub board: Arc<Board>,
    /// Who follows changes in the guest, and the way to wait for it.
    pub follow: Option<Arc<Follow>>,
    /// This session's place on the board.
    pub slot: u32,
    /// How the other side is woken.
    pub bell: HostBell,
    /// The file mode creation mask, which umask(2) tells only by changing it.
    pub umask: AtomicU32,
    /// The guest's inotify instances.
    pub instances: Instances,
    /// The guest's files for the words of programs.
    pub scratches: Scratches,
    /// Pipes and terminals, and the bytes that the session moves through them.
    pub streams: Streams,
    /// What has become of the session's programs.
    pub jobs: Jobs,
    /// Those that hostd has been asked to start.
    pub starts: Starts,
    /// Pipes of the guest process's own.
    pub offered: Offered,
    /// Where programs start.
    pub places: Places,
    /// Whether the session waits for a new program image.
    pub holds: Holds,
    /// How the ids of callers are mapped, if each call has the rights of its caller.
    pub callers: Option<IdMaps>,
    /// The same if some id stands for another than itself.
    pub translated: Option<IdMaps>,
    /// Opens when a guest process has adopted the session.
    pub(super) adopted: Gate,
    /// Whether the guest process may have left what a shadow cannot be cleared of.
    pub(super) marked: AtomicBool,
}

impl Session {
    /// Waits until the session belongs to a guest process.
    pub fn await_adoption(&self) {
        self.adopted.pass();
    }

    /// Ends the session because the guest broke the protocol.
    pub fn fault(&self, error: &ProtocolError) {
        let _ = self.hostd.tell(
            &FromShadow::Fault {
                error: error.to_string(),
            },
            &[],
        );
    }

    /// Hands a line to whoever traces; drops it if hostd is behind.
    pub fn trace(&self, line: String) {
        // SAFETY: descriptor 0 is the control socket for the life of the process.
        let control = unsafe { BorrowedFd::borrow_raw(CONTROL) };
        if message::try_send(&control, &FromShadow::Trace { line }, &[]).is_err() {
            self.board.head().dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What only the main thread touches.
pub(super) struct Main {
    pub(super) session: &'static Session,
    pub(super) lanes: Vec<Arc<Lane>>,
    /// Claimed lanes for which there was no thread to be had.
    pub(super) unserved: BTreeSet<u32>,
    /// The region that new lanes belong to.
    pub(super) region: Arc<Region>,
    pub(super) own_region: bool,
    pub(super) has_client: bool,
    kicks: Kicks,
    /// Until when a new program image may come, once the old one's socket is closed.
    deserted: Option<Instant>,
    /// What a region of its own says of itself.
    pub(super) own: Own,
    /// Whether the process is gone and the session is being cleared.
    pub(super) renewing: bool,
}

/// Runs a shadow, from its fork to its end. The control socket is descriptor 0.
pub fn run(start: Start) -> ! {
    let code = match Main::begin(start).and_then(|mut main| main.listen()) {
        Ok(()) => 0,
        Err(error) => {
            log::error!("a shadow ends: {error}");
            1
        }
    };
    // SAFETY: ends all threads at once; there is nothing to flush.
    unsafe { libc::_exit(code) }
}

fn control() -> BorrowedFd<'static> {
    // SAFETY: descriptor 0 is the control socket for the life of the process.
    unsafe { BorrowedFd::borrow_raw(CONTROL) }
}

fn errno(errno: Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.0)
}

impl Main {
    fn begin(start: Start) -> std::io::Result<Main> {
        let own = Own::of(&start);
        let (region, memfd) = match start.region {
            Some(region) => (region, None),
            None => {
                let (region, memfd) = own.make()?;
                (region, Some(memfd))
            }
        };
        prepare::interruptible()?;
        prepare::code();
        let links = start
            .proc
            .and_then(|proc| crate::calls::link::own(&proc, start.open_files));
        let follow = start
            .follow
            .filter(|follow| follow.move_above(start.open_files).is_ok());
        super::sandbox::seal().map_err(std::io::Error::other)?;
        let translated = start.callers.clone().filter(|maps| !maps.is_identity());
        let session = Box::leak(Box::new(Session {
            fds: FdTable::new(start.open_files),
            links,
            hostd: Hostd::new(control()),
            board: start.board,
            follow,
            slot: start.slot,
            bell: if memfd.is_some() {
                HostBell::Futex
            } else {
                HostBell::Watched
            },
            umask: AtomicU32::new(0o22),
            instances: Instances::default(),
            scratches: Scratches::default(),
            streams: Streams::default(),
            jobs: Jobs::default(),
            starts: Starts::default(),
            offered: Offered::default(),
            places: start.places,
            holds: Holds::new(),
            callers: start.callers,
            translated,
            adopted: Gate::default(),
            marked: AtomicBool::new(false),
        }));
        let mut main = Main {
            session,
            lanes: Vec::new(),
            unserved: BTreeSet::new(),
            region,
            own_region: memfd.is_some(),
            has_client: false,
            kicks: Kicks::default(),
            deserted: None,
            own,
            renewing: false,
        };
        main.stand_ready(memfd)?;
        Ok(main)
    }

    /// Tells hostd that a guest process can have this shadow, with its region if it has one.
    pub(super) fn stand_ready(&mut self, memfd: Option<OwnedFd>) -> std::io::Result<()> {
        if self.own_region {
            self.offer(0);
        }
        let fds: Vec<RawFd> = memfd.iter().map(AsRawFd::as_raw_fd).collect();
        message::send(&control(), &FromShadow::Ready, &fds)
    }

    /// Serves hostd's and the client's messages until one of them is gone.
    fn listen(&mut self) -> std::io::Result<()> {
        loop {
            self.lanes.retain(|lane| !lane.has_left());
            let kick = self.kick();
            let pause = self.kicks.pause_after(kick);
            for lane in std::mem::take(&mut self.unserved) {
                self.attend(lane);
            }
            // SAFETY: descriptor 1 is the client's socket while `has_client`; poll ignores errors of a stale one.
            let client = unsafe { BorrowedFd::borrow_raw(CLIENT) };
            let mut fds = [
                PollFd::new(control(), PollFlags::POLLIN),
                PollFd::new(client, PollFlags::POLLIN),
            ];
            let fds = if self.has_client {
                &mut fds[..]
            } else {
                &mut fds[..1]
            };
            let timeout = if let Some(pause) = pause {
                pause
            } else if !self.unserved.is_empty() {
                PollTimeout::from(SHORTAGE)
            } else if let Some(due) = self.deserted {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    // The process lives but does not come back, so it cannot want its files any more.
                    return Ok(());
                }
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            } else {
                PollTimeout::NONE
            };
            match poll(fds, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                polled => polled?,
            };
            let ready = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
            if ready(&fds[0]) {
                self.hear_hostd()?;
            } else if fds.len() > 1 && ready(&fds[1]) && !self.hear_client() {
                if self.session.holds.any() {
                    // The old image is gone; hostd knows when the process itself ends.
                    self.has_client = false;
                    self.deserted = Some(Instant::now() + PATIENCE);
                } else if !self.renew()? {
                    return Ok(());
                }
            }
        }
    }

    /// Obeys hostd's next message, if there is one.
    pub(super) fn hear_hostd(&mut self) -> std::io::Result<()> {
        match message::receive(&control()) {
            Ok((message, files)) => self.obey(message, files),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => {
                // hostd is gone: nobody may wait for answers that will not come.
                self.end_lanes(LaneState::Dead);
                // SAFETY: ends all threads at once; there is nothing to flush.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Hears the client; false if it is gone.
    fn hear_client(&mut self) -> bool {
        match offered::hear(CLIENT) {
            Heard::Lane(lane) => self.attend(lane),
            Heard::Offer(file) => self.session.offered.put(file),
            Heard::Nothing => {}
            Heard::Gone => return false,
        }
        true
    }

    fn obey(&mut self, message: ToShadow, files: Vec<OwnedFd>) -> std::io::Result<()> {
        match message {
            // Sent before hostd has heard that the process is gone: who would come now must not find another's session.
            ToShadow::Adopt { .. } | ToShadow::Import { .. } | ToShadow::Context { .. }
                if self.renewing =>
            {
                self.session.mark();
            }
            ToShadow::Adopt { umask, image, lane } => self.adopt(umask, image, lane, files)?,
            ToShadow::Serve { lane } => self.attend(lane),
            // Every turn of the loop looks at the lanes that are served.
            ToShadow::Attention { .. } => {}
            ToShadow::Import { files: places } => {
                super::import::import(&self.session.fds, &places, files)?
            }
            ToShadow::Context { umask } => {
                self.set_umask(umask);
                if let Some(cwd) = files.first() {
                    nix::unistd::fchdir(cwd)?;
                }
            }
            ToShadow::View { view } if self.own_region => self.region.set_view(view),
            ToShadow::View { .. } => {}
            ToShadow::Answer { errno: 0 } => self.grant(0, files),
            ToShadow::Answer { errno } => self.session.hostd.refuse(Errno(errno)),
            ToShadow::Value { value } => self.grant(value, files),
            ToShadow::JobStarted { job, place } => {
                // Those of a process before this one are not there any more.
                if self.session.starts.holds(job) {
                    self.session.jobs.begin(job, place);
                    self.session.starts.run(job, &self.session.board, place);
                }
            }
            ToShadow::JobRefused { job, errno, reason } => {
                self.session.starts.refuse(job, Errno(errno), reason)
            }
            ToShadow::JobChanged { job, change } => self.session.jobs.change(job, change),
        }
        Ok(())
    }

    fn grant(&self, value: u32, files: Vec<OwnedFd>) {
        let file = files.into_iter().next();
        self.session.hostd.deliver(Ok(Granted { file, value }));
    }

    pub(super) fn set_umask(&self, umask: u32) {
        self.session.umask.store(umask & 0o777, Ordering::Relaxed);
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));
    }

    fn adopt(
        &mut self,
        umask: Option<u32>,
        image: bool,
        lane: u32,
        files: Vec<OwnedFd>,
    ) -> std::io::Result<()> {
        if image {
            // The old image's threads are gone; a call that one of them left behind is interrupted.
            let unserved = self.empty_lanes(if self.own_region {
                LaneState::Dead
            } else {
                LaneState::Released
            })?;
            for lane in unserved {
                self.close_lane(lane);
            }
            self.session.holds.end();
            crate::calls::file::close_on_exec(self.session);
        }
        let mut files = files.into_iter();
        if self.own_region {
            let client = files.next().ok_or(std::io::ErrorKind::InvalidData)?;
            // SAFETY: 1 is this process's place for the client's socket; the old one, if any, is closed by this.
            let placed = unsafe { libc::dup3(client.as_raw_fd(), CLIENT, libc::O_CLOEXEC) };
            Errno::result(placed.into()).map_err(errno)?;
            self.has_client = true;
            self.deserted = None;
            if let Some(memfd) = files.next() {
                let mapping = Mapping::new(memfd.as_fd(), self.region.mapped()).map_err(errno)?;
                // hostd has written its header.
                let region = Region::own(mapping, self.region.lanes());
                self.region = Arc::new(region.map_err(std::io::Error::other)?);
            }
        }
        if let Some(umask) = umask {
            self.set_umask(umask);
        }
        if self.own_region && self.lanes.is_empty() {
            self.offer(lane);
        }
        self.attend(lane);
        // The first call is on its way, and its thread wakes in the time in which the process maps the region.
        self.session.adopted.open();
        Ok(())
    }

    /// Serves a lane of the session's own region before anybody has claimed it.
    fn offer(&mut self, lane: u32) {
        if let Some(page) = self.region.page(lane) {
            page.set_state(LaneState::Waiting);
        }
        self.attend(lane);
    }

    /// Looks at a lane: serves a new claim. (Cancelling and closing are seen by every turn of the loop.)
    fn attend(&mut self, lane: u32) {
        let Some(page) = self.region.page(lane) else {
            return;
        };
        // A thread may have left since the turn of the loop began, and its lane been claimed anew.
        self.lanes.retain(|lane| !lane.has_left());
        if self.lanes.iter().any(|other| other.number == lane) {
            return;
        }
        if !page.move_state(LaneState::Waiting, LaneState::Served) {
            // Given back before it was served: no thread will leave it, so hostd hears of it here.
            return self.close_lane(lane);
        }
        match Lane::start(self.session, self.region.clone(), lane) {
            Ok(lane) => self.lanes.push(lane),
            // The guest's thread waits for a thread of ours, as it waits for an answer.
            Err(_)
                if !self.lanes.is_empty()
                    && page.move_state(LaneState::Served, LaneState::Waiting) =>
            {
                self.unserved.insert(lane);
            }
            Err(error) => {
                log::warn!("no thread for a lane: {error}");
                page.set_state(LaneState::Dead);
                wake(&page.guest_sleep.0);
                self.close_lane(lane);
            }
        }
    }

    /// Tells hostd that a lane of the guest's one region is not served here (any more).
    fn close_lane(&self, lane: u32) {
        if !self.own_region {
            let _ = self
                .session
                .hostd
                .tell(&FromShadow::LaneClosed { lane }, &[]);
        }
    }
}

pub(super) fn wake(word: &AtomicU32) {
    word.store(AWAKE, Ordering::Release);
    futex_wake(word, 1);
}
