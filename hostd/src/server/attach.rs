//! Guest processes come: by a connection to the socket, or by a claim on a lane and a ring of the line.
#![allow(unsafe_code)]

use super::due::Due;
use super::guest::{bury, Door, Guest, State, Unborn, Waiting};
use super::poller::{Poller, Source};
use crate::message::{ToShadow, MOST_FDS};
use hostcall::attach::{device, Hello, Welcome};
use hostcall::clock::Clock;
use hostcall::doorbell::futex_wake;
use hostcall::region::{self, Claim, LaneState, Region, VERSION};
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::types::{Errno, Token};
use hostcall::wait::AWAKE;
use nix::sys::socket::{recv, sendmsg, sockopt, ControlMessage, MsgFlags};
use std::io::{ErrorKind, IoSlice, Result};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes on their way to a device guest; its terminal layer holds 4096 and throttles 128 short of that.
const MOST_RINGS: i32 = 1024;

impl Guest {
    /// Reads the introduction of a process that has connected; `Ok(None)` while it is still to come, and the end of the file if it
    /// never will.
    pub fn introduction(connection: &OwnedFd) -> Result<Option<Hello>> {
        let mut bytes = [0; Hello::SIZE + 1];
        match recv(connection.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => Hello::from_bytes(&bytes[..len])
                .map(Some)
                .map_err(std::io::Error::other),
        }
    }

    /// Gives a process that has introduced itself its session.
    pub fn welcome(
        &mut self,
        connection: OwnedFd,
        hello: Hello,
        poller: &mut Poller,
    ) -> Result<()> {
        if hello.version != VERSION {
            return refuse(&connection, Errno(libc::EPROTO));
        }
        if self.failed.is_some() {
            return refuse(&connection, Errno(libc::EIO));
        }
        let slot = match hello.claim.resume {
            Token::NONE if self.is_full() => return refuse(&connection, Errno(libc::EAGAIN)),
            Token::NONE => self.spare(),
            token => match self.expecting(token) {
                None => return refuse(&connection, Errno(libc::ENOENT)),
                found => found,
            },
        };
        let Some(slot) = slot else {
            self.waiting.push_back(Waiting::Local(connection, hello));
            return self.breed(poller);
        };
        let Some(session) = self.sessions.get_mut(&slot) else {
            return Ok(());
        };
        let image = matches!(session.state, State::Held(..));
        let callers = self.policy.callers.is_some();
        if image {
            // The old image may have left anything in the rings of the old region.
            let region = fresh_region(self.lanes, self.board.clock(), callers, self.view)?;
            session.memfd = Some(region);
        }
        let Some(memfd) = session.memfd.as_ref().map(AsRawFd::as_raw_fd) else {
            return refuse(&connection, Errno(libc::EIO));
        };
        let umask = (session.state == State::Spare).then_some(hello.claim.umask);
        session.state = State::Active;
        session.since = Instant::now();
        // The process first: it has a region to map while the shadow, whose lane already waits, hears of it.
        let welcome = Welcome {
            version: VERSION,
            errno: 0,
            view: session.view,
        }
        .to_bytes();
        let shared: Vec<RawFd> = [Some(memfd), self.door.commons()]
            .into_iter()
            .flatten()
            .collect();
        let rights = [ControlMessage::ScmRights(&shared)];
        let sent = sendmsg::<()>(
            connection.as_raw_fd(),
            &[IoSlice::new(&welcome)],
            &rights,
            MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
            None,
        );
        let adopt = ToShadow::Adopt {
            umask,
            image,
            lane: 0,
        };
        let fds = [connection.as_raw_fd(), memfd];
        self.tell(slot, &adopt, &fds[..1 + usize::from(image)], poller);
        let watched = self.watch_process(slot, &connection, poller);
        // Without a descriptor to watch it by, the session ends with its socket, as the shadow sees.
        let gone = watched.is_err_and(|error| !super::is_shortage(&error));
        if sent.is_err() || gone {
            // Gone before it was welcomed.
            self.end_session(slot, poller);
        }
        self.breed_soon(poller)
    }

    /// Watches a process on the same kernel, so that its session ends with it, whoever inherited its socket.
    fn watch_process(
        &mut self,
        slot: u32,
        connection: &OwnedFd,
        poller: &mut Poller,
    ) -> Result<()> {
        let Some(session) = self.sessions.get_mut(&slot) else {
            return Ok(());
        };
        session.memfd = None;
        let pid = nix::sys::socket::getsockopt(connection, sockopt::PeerCredentials)?.pid();
        if session
            .process
            .as_ref()
            .is_some_and(|(known, ..)| *known == pid)
        {
            return Ok(());
        }
        // SAFETY: plain system call; the descriptor that comes back is ours.
        let pidfd = unsafe {
            OwnedFd::from_raw_fd(
                Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, 0)).map_err(super::io)?
                    as RawFd,
            )
        };
        let key = poller.watch(
            &pidfd,
            Source::Process {
                guest: self.index,
                slot,
            },
        )?;
        if let Some((_, old, key)) = session.process.replace((pid, pidfd, key)) {
            poller.forget(&old, key);
        }
        Ok(())
    }

    /// A shadow is ready: whoever waited longest gets it.
    pub fn serve_waiting(&mut self, poller: &mut Poller) -> Result<()> {
        while self.spare().is_some() {
            match self.waiting.pop_front() {
                None => break,
                Some(Waiting::Local(connection, hello)) => {
                    self.welcome(connection, hello, poller)?
                }
                // Given back in the meantime, or never meant: it counts again when it rings again.
                Some(Waiting::Device(lane)) => self.attend(lane, poller)?,
                Some(Waiting::Child(parent, unborn)) => self.bear(parent, unborn, poller),
            }
        }
        self.breed(poller)
    }

    /// Turns a spare shadow into the session of a child that its parent forks.
    pub fn bear(&mut self, parent: u32, unborn: Unborn, poller: &mut Poller) {
        if self.is_full() {
            return self.answer(parent, libc::EAGAIN, poller);
        }
        let Some(slot) = self.spare() else {
            self.waiting.push_back(Waiting::Child(parent, unborn));
            return;
        };
        let cwd: Vec<RawFd> = unborn.cwd.iter().map(AsRawFd::as_raw_fd).collect();
        self.tell(
            slot,
            &ToShadow::Context {
                umask: unborn.umask,
            },
            &cwd,
            poller,
        );
        for batch in unborn.files.chunks(MOST_FDS) {
            let files = batch
                .iter()
                .map(|(number, cloexec, _)| (*number, *cloexec))
                .collect();
            let fds: Vec<RawFd> = batch.iter().map(|(_, _, file)| file.as_raw_fd()).collect();
            self.tell(slot, &ToShadow::Import { files }, &fds, poller);
        }
        let looks = self.door.looks();
        let errno = match self.sessions.get_mut(&slot) {
            Some(child) => {
                let patience = Duration::from_secs(self.policy.limits.child_seconds.into());
                let due = Due::after(patience, Instant::now(), looks);
                child.state = State::Prepared(unborn.token, due);
                0
            }
            None => libc::EAGAIN,
        };
        self.answer(parent, errno, poller);
    }

    /// Reads the bytes of the doorbell line; false if the guest kernel is gone.
    pub fn hear_line(&mut self, poller: &mut Poller) -> Result<bool> {
        let Door::Device {
            line: Some(line), ..
        } = &self.door
        else {
            return Ok(false);
        };
        let mut bytes = [0; 256];
        let len = match nix::unistd::read(line, &mut bytes) {
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(true),
            Err(_) | Ok(0) => return Ok(false),
            Ok(len) => len,
        };
        for byte in &bytes[..len] {
            match *byte {
                device::REGION => self.pong(),
                lane => self.attend(lane.into(), poller)?,
            }
        }
        Ok(true)
    }

    fn pong(&self) {
        if let Door::Device { region, .. } = &self.door {
            let header = region.header();
            header
                .pong
                .store(header.ping.load(Ordering::Acquire), Ordering::Release);
        }
    }

    /// Names a lane to the guest, whose resident then wakes the thread that sleeps for it.
    ///
    /// Never more bytes than the guest's terminal layer holds: it would throttle the line, and UML's serial driver never
    /// ends that. A ring that is left out costs a sleeper a few milliseconds, for it also looks by itself. `heard` is
    /// the guest's word; a false one stops its own line only.
    pub fn ring(&mut self, slot: u32, lane: u32) {
        let Door::Device {
            region,
            line: Some(line),
            served,
            rung,
            ..
        } = &mut self.door
        else {
            return;
        };
        if served.get(lane as usize) != Some(&Some(slot)) {
            return;
        }
        let header = region.header();
        let waiting = rung.wrapping_sub(header.heard.load(Ordering::Acquire)) as i32;
        if waiting < MOST_RINGS && nix::unistd::write(&*line, &[lane as u8]) == Ok(1) {
            *rung = rung.wrapping_add(1);
            header.rung.store(*rung, Ordering::Release);
        }
    }

    /// Looks at a lane that rang.
    fn attend(&mut self, lane: u32, poller: &mut Poller) -> Result<()> {
        let Door::Device { region, served, .. } = &self.door else {
            return Ok(());
        };
        let Some(page) = region.page(lane) else {
            return Ok(());
        };
        let server = served[lane as usize];
        match (page.state(), server) {
            (Some(LaneState::Waiting), None) => {
                let claim = page.claim();
                self.admit(lane, claim, poller)?;
            }
            (Some(LaneState::Served), Some(slot)) => {
                let cancelled = page.cancel.0.load(Ordering::Acquire) != 0;
                page.host_sleep.0.store(AWAKE, Ordering::Release);
                futex_wake(&page.host_sleep.0, 1);
                if cancelled {
                    self.tell(slot, &ToShadow::Attention { lane }, &[], poller);
                }
            }
            (Some(LaneState::Released), None) => {
                region.wipe(lane);
                page.set_state(LaneState::Free);
            }
            // Given back, or nonsense that a guest wrote into its own lane's state: the shadow's thread leaves.
            (_, Some(slot)) => self.tell(slot, &ToShadow::Attention { lane }, &[], poller),
            _ => {}
        }
        Ok(())
    }

    /// Gives a claimed lane to the claimer's shadow: the one that it has, the one that waits for it, or a spare one.
    fn admit(&mut self, lane: u32, claim: Claim, poller: &mut Poller) -> Result<()> {
        // While one of a process's threads is about to execve, the others go on.
        let is_served = |state| matches!(state, State::Active | State::Held(..));
        let own = self
            .sessions
            .iter()
            .find(|(_, session)| session.claim == claim.process && is_served(session.state))
            .map(|(slot, _)| *slot);
        if let Some(slot) = own {
            self.assign(lane, slot);
            self.tell(slot, &ToShadow::Serve { lane }, &[], poller);
            return Ok(());
        }
        let full = self.is_full();
        let slot = match claim.resume {
            Token::NONE if full || self.failed.is_some() => None,
            Token::NONE => {
                match self.spare() {
                    None => {
                        // A lane waits once, however often it rings, or ringing would fill our memory.
                        if !self.waiting.iter().any(
                            |waiting| matches!(waiting, Waiting::Device(other) if *other == lane),
                        ) {
                            self.waiting.push_back(Waiting::Device(lane));
                        }
                        return self.breed(poller);
                    }
                    spare => spare,
                }
            }
            token => self.expecting(token),
        };
        let Some(session) = slot.and_then(|slot| self.sessions.get_mut(&slot)) else {
            if let Door::Device { region, .. } = &self.door {
                if let Some(page) = region.page(lane) {
                    bury(region, page, lane);
                }
            }
            return Ok(());
        };
        let (image, umask) = (
            matches!(session.state, State::Held(..)),
            (session.state == State::Spare).then_some(claim.umask),
        );
        (session.state, session.claim, session.since) =
            (State::Active, claim.process, Instant::now());
        let slot = slot.unwrap_or_default();
        self.assign(lane, slot);
        self.tell(slot, &ToShadow::Adopt { umask, image, lane }, &[], poller);
        self.breed_soon(poller)
    }

    fn assign(&mut self, lane: u32, slot: u32) {
        if let Door::Device { served, .. } = &mut self.door {
            served[lane as usize] = Some(slot);
        }
    }

    /// A shadow's thread has left a lane: it can be used again. A process without lanes has ended.
    pub fn lane_closed(&mut self, slot: u32, lane: u32, poller: &mut Poller) {
        let Door::Device { region, served, .. } = &mut self.door else {
            return;
        };
        let Some(server) = served
            .get_mut(lane as usize)
            .filter(|server| **server == Some(slot))
        else {
            return;
        };
        *server = None;
        if let Some(page) = region.page(lane) {
            bury(region, page, lane);
        }
        let idle = !served.contains(&Some(slot));
        if idle
            && self
                .sessions
                .get(&slot)
                .is_some_and(|session| session.state == State::Active)
        {
            self.end_session(slot, poller);
        }
    }
}

fn refuse(connection: &OwnedFd, errno: Errno) -> Result<()> {
    let bytes = Welcome {
        version: VERSION,
        errno: errno.0,
        view: 0,
    }
    .to_bytes();
    // Whoever does not listen to the refusal will see the end of the connection.
    let _ = nix::sys::socket::send(
        connection.as_raw_fd(),
        &bytes,
        MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
    );
    Ok(())
}

fn fresh_region(lanes: u32, clock: Clock, callers: bool, view: u32) -> Result<OwnedFd> {
    let size = region::size(lanes);
    let memfd = sealed_memfd(c"hostcall-region", size).map_err(super::io)?;
    let mapping = Mapping::new(memfd.as_fd(), size).map_err(super::io)?;
    Region::create(mapping, lanes, clock).set_policy(callers, view);
    Ok(memfd)
}
