//! Attaching across kernels: one region for the whole guest, mapped from a device; lanes taken by compare-and-swap.
//!
//! The owner of lane *n* holds an open-file-description lock on byte *n* of the device, which the guest kernel drops
//! at the owner's death. So whoever can take that lock on a lane that is not free has found an orphan. The lock is the
//! open file's and not the process's: a process may have several links (a server of files that moves to a new session,
//! the guest's resident), and a process's locks would go with the first descriptor of the device that it closes.
#![allow(unsafe_code)]

use super::{map, out_of_the_way, AttachError};
use crate::doorbell::{ring_line, Aside, SerialLine};
use crate::region::{Claim, LanePage, LaneState, Region, MOST_LANES};
use crate::shm::Window;
use crate::types::{Errno, Token};
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// UML's window on a host file (`iomem=mmapper,FILE`).
pub const MMAPPER: &CStr = c"/dev/mmapper";
/// UML's line to the host (`ssl0=fd:N`).
pub const LINE: &CStr = c"/dev/ttyS0";
/// The byte on the line that means the region itself: answer the ping.
pub const REGION: u8 = MOST_LANES as u8;

/// Longest wait for a pong. hostd answers from its event loop, at once but on a machine where all processes wait for seconds; whom it does
/// not answer in time loses his files. While the guest itself is stopped nothing of it passes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The guest's descriptors: the device, on which the lane locks are held, and the doorbell line.
#[derive(Debug)]
pub struct Link {
    path: &'static CStr,
    device: RawFd,
    line: RawFd,
    process: Token,
}

impl Link {
    /// Opens the device and the line and maps the region.
    pub fn open(path: &'static CStr) -> Result<(Link, Region), AttachError> {
        let no_answer = |errno| AttachError::NoAnswer(path, errno);
        let device = open(path).map_err(no_answer)?;
        let mut link = Link {
            path,
            device,
            line: -1,
            process: Token::NONE,
        };
        link.line = open(LINE).map_err(|errno| AttachError::NoAnswer(LINE, errno))?;
        link.process = Token::random().map_err(no_answer)?;
        // SAFETY: the device stays open for the life of `link`, which outlives this borrow.
        let region = map(unsafe { BorrowedFd::borrow_raw(device) })?;
        Ok((link, region))
    }

    /// Takes a free lane. The lock comes first, so that a claim is never seen without it.
    pub fn claim_free(&self, region: &Region, claim: &Claim) -> Result<u32, Errno> {
        for lane in 0..region.lanes() {
            let Some(page) = region.page(lane) else {
                continue;
            };
            if page.state() != Some(LaneState::Free) || !lock(self.device, lane, libc::F_WRLCK) {
                continue;
            }
            if page.move_state(LaneState::Free, LaneState::Claimed) {
                page.set_claim(&Claim {
                    process: self.process,
                    ..*claim
                });
                page.set_state(LaneState::Waiting);
                self.attention(lane);
                return Ok(lane);
            }
            // Another thread of this process was faster; the lock is on the same open file and stays its own.
        }
        Err(Errno(libc::EAGAIN))
    }

    /// Takes a lane for a process that has none yet: frees orphans if it must, and waits for others to finish.
    pub fn claim(&self, region: &Region, claim: &Claim) -> Result<u32, Errno> {
        let mut nap = Duration::from_millis(1);
        loop {
            match self.claim_free(region, claim) {
                Err(Errno(libc::EAGAIN)) => {}
                claimed => return claimed,
            }
            if !self.alive(region) {
                return Err(Errno(libc::ETIMEDOUT));
            }
            if self.reap(region) == 0 {
                std::thread::sleep(nap);
                nap = (nap * 2).min(Duration::from_millis(50));
            }
        }
    }

    /// Gives back the lanes whose owners have died; says how many. For a process of which nobody else claims a lane meanwhile.
    pub fn reap(&self, region: &Region) -> usize {
        self.reap_by(self.device, region)
    }

    /// The same in a process whose other threads claim lanes. The locks of the link are theirs too: what is taken here for a look
    /// would be granted to one of them as soon as the lane is free, and then be let go under it.
    pub fn reap_beside(&self, region: &Region) {
        if let Ok(device) = open(self.path) {
            self.reap_by(device, region);
            // SAFETY: ours, and not used again.
            unsafe { libc::close(device) };
        }
    }

    fn reap_by(&self, device: RawFd, region: &Region) -> usize {
        let mut reaped = 0;
        for lane in 0..region.lanes() {
            let Some(page) = region.page(lane) else {
                continue;
            };
            let taken = matches!(
                page.state(),
                Some(LaneState::Claimed | LaneState::Waiting | LaneState::Served | LaneState::Dead)
            );
            // Our own lanes' locks would be granted to us again.
            if !taken || page.claim().process == self.process || !lock(device, lane, libc::F_WRLCK)
            {
                continue;
            }
            let states = [
                LaneState::Claimed,
                LaneState::Waiting,
                LaneState::Served,
                LaneState::Dead,
            ];
            // Looked at again under the lock: the owner may have given it back in between.
            if page.claim().process != self.process
                && states
                    .into_iter()
                    .any(|state| page.move_state(state, LaneState::Released))
            {
                self.attention(lane);
                reaped += 1;
                await_free(page, &mut { NAPS });
            }
            lock(device, lane, libc::F_UNLCK);
        }
        reaped
    }

    /// Waits for the lanes that others of the guest are giving back.
    pub fn await_released(&self, region: &Region) {
        let pages = (0..region.lanes()).filter_map(|lane| region.page(lane));
        let mut naps = NAPS;
        pages
            .filter(|page| page.state() == Some(LaneState::Released))
            .for_each(|page| await_free(page, &mut naps));
    }

    /// Names a lane to hostd.
    pub fn attention(&self, lane: u32) {
        ring_line(self.line, lane as u8);
    }

    /// Asks hostd for a sign of life.
    pub fn alive(&self, region: &Region) -> bool {
        let header = region.header();
        let asked = header.ping.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        ring_line(self.line, REGION);
        let step = Duration::from_millis(1);
        for _ in 0..PATIENCE.as_millis() {
            // Others may have asked since; any answer to this question or a later one will do.
            if (header.pong.load(Ordering::Acquire).wrapping_sub(asked) as i32) >= 0 {
                return true;
            }
            std::thread::sleep(step);
        }
        false
    }

    /// The doorbell of a lane.
    pub fn bell<'r>(&self, region: &'r Region, lane: u32) -> SerialLine<'r> {
        SerialLine {
            line: self.line,
            lane: lane as u8,
            wanted: region.page(lane).map(|page| &page.bell.0),
        }
    }

    /// Whether `fd` is one of the two descriptors.
    pub fn owns(&self, fd: RawFd) -> bool {
        fd == self.device || fd == self.line
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: the descriptors are ours and not used again; -1 is harmless.
        unsafe {
            libc::close(self.device);
            libc::close(self.line);
        }
    }
}

/// Changes an open file's lock on a lane, if another open file's does not stand in the way.
fn lock(device: RawFd, lane: u32, kind: libc::c_int) -> bool {
    // SAFETY: flock is valid when zeroed, and lives through the call.
    unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = kind as i16;
        lock.l_whence = libc::SEEK_SET as i16;
        lock.l_start = lane.into();
        lock.l_len = 1;
        libc::fcntl(device, libc::F_OFD_SETLK, &lock) == 0
    }
}

/// Naps of half a millisecond that are spent at most on lanes that the host is to take back.
const NAPS: u32 = 400;

/// Waits until the host has taken back a lane that was given back.
fn await_free(page: &LanePage, naps: &mut u32) {
    while page.state() != Some(LaneState::Free) && *naps > 0 {
        std::thread::sleep(Duration::from_micros(500));
        *naps -= 1;
    }
}

/// Enters memory of the device into the tables of the guest kernel's host, all of it at once. The guest's kernel has it in its own
/// tables, but in user-mode Linux the first use of each page is a fault all the same, of tens of microseconds. A change of protection has
/// it bring both into line.
pub(super) fn enter(memory: Window<'_>) {
    let _aside = Aside::begin();
    let (start, len) = (memory.as_ptr().cast(), memory.len());
    // SAFETY: whole pages of the mapping, which nobody but the caller uses, as readable and writable after as before.
    unsafe {
        if libc::mprotect(start, len, libc::PROT_READ) == 0 {
            libc::mprotect(start, len, libc::PROT_READ | libc::PROT_WRITE);
        }
    }
}

fn open(path: &CStr) -> Result<RawFd, Errno> {
    // SAFETY: a NUL-terminated path; the call touches no other memory.
    let fd = unsafe {
        libc::open(
            path.as_ptr(),
            libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOCTTY,
        )
    };
    out_of_the_way(Errno::result(fd.into())? as RawFd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region;
    use crate::shm::{sealed_memfd, Mapping};
    use crate::wait::Clock;
    use std::ffi::CString;
    use std::os::fd::{AsFd, AsRawFd};

    const CLAIM: Claim = Claim {
        process: Token::NONE,
        resume: Token::NONE,
        umask: 0,
    };

    /// A process of a guest whose device is this file.
    fn link(file: &impl AsRawFd, process: u64) -> Link {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let path = Box::leak(CString::new(path).unwrap().into_boxed_c_str());
        Link {
            path,
            device: open(path).unwrap(),
            line: open(c"/dev/null").unwrap(),
            process: Token([process, 1]),
        }
    }

    #[test]
    fn a_lane_that_a_thread_takes_while_another_gives_back_dead_ones_stays_its_own() {
        let file = sealed_memfd(c"device", region::size(1)).unwrap();
        let clock = Clock {
            ticks_per_us: 1,
            processors: 1,
        };
        let mapping = Mapping::new(file.as_fd(), region::size(1)).unwrap();
        let region = Region::create(mapping, 1, clock);
        let page = region.page(0).unwrap();
        let (living, other) = (link(&file, 1), link(&file, 2));
        for dead in 3..10 {
            assert_eq!(link(&file, dead).claim_free(&region, &CLAIM), Ok(0));
            std::thread::scope(|scope| {
                scope.spawn(|| living.reap_beside(&region));
                while page.state() != Some(LaneState::Released) {
                    std::thread::yield_now();
                }
                page.set_state(LaneState::Free);
                while living.claim_free(&region, &CLAIM).is_err() {
                    std::thread::yield_now();
                }
            });
            assert_eq!(other.reap(&region), 0, "the owner lives");
            page.set_state(LaneState::Free);
            lock(living.device, 0, libc::F_UNLCK);
        }
    }
}
