//! One shadow for one process after another of its guest, which costs a part of what a fork and a death do.
//!
//! All processes of a guest have the same rights on the host, so the shadow of one that has ended may serve another. Nothing
//! of the first may reach the second: the op table says of each call whether what it leaves is no more than open files,
//! with their locks, a working directory, a mask and what is known of host programs (`clean`). All of that is given up here, and so
//! is the memory that was shared with the process, which its children may still hold; hostd ends the programs. A session that has
//! made any other call, or whose calls have their callers' rights, dies with its process, as does one that cannot be cleared.
#![allow(unsafe_code)]

use super::session::{wake, Main, Session, Start, CLIENT};
use hostcall::clock::Clock;
use hostcall::region::{self, LaneState, Region};
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::types::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// Where the shadow writes its log.
const LOG: i32 = 2;
/// The guest's lowest number.
const FIRST: u32 = 3;

/// What the region of a guest process on the same kernel says of itself, and how many files the process may open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    lanes: u32,
    clock: Clock,
    callers: bool,
    view: u32,
    open_files: u64,
}

impl Own {
    pub(super) fn of(start: &Start) -> Own {
        Own {
            lanes: start.lanes,
            clock: start.board.clock(),
            callers: start.callers.is_some(),
            view: start.view,
            open_files: start.open_files,
        }
    }

    /// A region that nobody has seen.
    pub(super) fn make(&self) -> std::io::Result<(Arc<Region>, OwnedFd)> {
        let size = region::size(self.lanes);
        let memfd = sealed_memfd(c"hostcall-region", size).map_err(io)?;
        let mapping = Mapping::new(memfd.as_fd(), size).map_err(io)?;
        let region = Region::create(mapping, self.lanes, self.clock);
        region.set_policy(self.callers, self.view);
        Ok((Arc::new(region), memfd))
    }
}

fn io(errno: Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.0)
}

impl Session {
    /// The process leaves what the shadow cannot be cleared of.
    pub fn mark(&self) {
        self.marked.store(true, Ordering::Relaxed);
    }

    fn can_be_cleared(&self) -> bool {
        // Who waits for hostd would be waited for here, and hostd may owe the process nothing any more.
        let waits = self.hostd.is_asked() || !self.starts.can_be_cleared();
        let is_marked = self.marked.load(Ordering::Relaxed);
        !is_marked && self.callers.is_none() && !self.holds.any() && !waits
    }

    /// Gives up the process's files, numbers below `open_files`, and its line, and leaves its directory. No call is being
    /// executed.
    fn clear(&self, open_files: u64) -> std::io::Result<()> {
        self.adopted.close();
        self.starts.clear();
        self.jobs.clear();
        self.streams.clear();
        self.scratches.clear();
        self.offered.clear();
        self.fds.clear();
        // SAFETY: plain system calls; all of these numbers are the guest's or its line's, and no thread uses them.
        unsafe {
            let last = open_files as u32 - 1;
            Errno::result(libc::syscall(libc::SYS_close_range, FIRST, last, 0)).map_err(io)?;
            Errno::result(libc::dup3(LOG, CLIENT, libc::O_CLOEXEC).into()).map_err(io)?;
        }
        nix::unistd::chdir("/")?;
        Ok(())
    }
}

impl Main {
    /// The process is gone: makes this a spare shadow again, or says that it cannot be one.
    pub(super) fn renew(&mut self) -> std::io::Result<bool> {
        if !self.own_region || !self.session.can_be_cleared() {
            return Ok(false);
        }
        self.renewing = true;
        // The process may be on this very processor, about to tell its parent that it has ended.
        std::thread::yield_now();
        self.lanes.iter().for_each(|lane| lane.end());
        self.empty_lanes(LaneState::Dead)?;
        // By a call that was being executed, or a new image that came for the session.
        if !self.session.can_be_cleared() {
            return Ok(false);
        }
        self.has_client = false;
        self.session.clear(self.own.open_files)?;
        self.set_umask(0o22);
        let (region, memfd) = self.own.make()?;
        self.region = region;
        self.renewing = false;
        self.stand_ready(Some(memfd))?;
        Ok(true)
    }

    /// Ends all lanes and waits until their threads have left; the claims that were not served yet come back.
    pub(super) fn empty_lanes(&mut self, state: LaneState) -> std::io::Result<BTreeSet<u32>> {
        // One whose thread has left may be another's by now, and must not be taken away.
        self.lanes.retain(|lane| !lane.has_left());
        self.end_lanes(state);
        // Meanwhile hostd may have lanes of the new image served, which stay.
        let (old, unserved) = (self.lanes.clone(), std::mem::take(&mut self.unserved));
        while let Some(lane) = old.iter().find(|lane| !lane.has_left()) {
            lane.await_end(Duration::from_micros(200));
            self.kick();
            // One of them may wait for hostd's answer, which only this thread delivers.
            self.hear_hostd()?;
        }
        self.lanes.retain(|lane| !lane.has_left());
        Ok(unserved)
    }

    /// Ends all lanes; their guests' threads stop waiting, their own threads leave.
    pub(super) fn end_lanes(&self, state: LaneState) {
        for page in self.lanes.iter().filter_map(|lane| lane.page()) {
            page.set_state(state);
            wake(&page.guest_sleep.0);
            wake(&page.host_sleep.0);
        }
    }
}
