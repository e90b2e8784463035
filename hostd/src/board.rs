//! The board: memory that hostd shares with its shadows (never with a guest), for counters and switches.
#![allow(unsafe_code)]

use crate::running::Running;
use hostcall::clock::Clock;
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::types::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Ops that a slot counts: every number that fits the table's eight bits.
pub const OPS: usize = 256;

/// Switches and counts of a whole guest.
#[derive(Debug)]
#[repr(C)]
pub struct Head {
    /// Whether somebody watches: shadows send a trace line for each call.
    pub tracing: AtomicU32,
    /// Trace lines dropped because hostd was behind.
    pub dropped: AtomicU64,
    /// Programs that the guest's kernel executes from host files.
    pub running: Running,
    /// Bytes of the guest's scratch files.
    scratch: AtomicU64,
    ticks_per_us: AtomicU32,
    processors: AtomicU32,
}

/// Counts of one session.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Slot {
    /// Calls by op number.
    pub calls: [AtomicU64; OPS],
    /// Answers that were an errno.
    pub errors: AtomicU64,
    /// Lanes served now.
    pub lanes: AtomicU32,
    /// Watches on host files that the session holds.
    pub watches: AtomicU32,
    /// Bytes of the session's scratch files.
    scratch: AtomicU64,
}

/// Bytes that a session has carried for a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// To the program, of which it may have read less.
    pub to_program: u64,
    /// From it.
    pub from_program: u64,
}

/// The same as it is counted.
#[derive(Debug)]
#[repr(C)]
pub struct Carried {
    to_program: AtomicU64,
    from_program: AtomicU64,
}

impl Carried {
    /// So many went to the program.
    pub fn carry_in(&self, bytes: u64) {
        self.to_program.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many came from it.
    pub fn carry_out(&self, bytes: u64) {
        self.from_program.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many that went to it came back unread.
    pub fn carry_back(&self, bytes: u64) {
        let left = |count: u64| Some(count.saturating_sub(bytes));
        let _ = (self.to_program).fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
    }

    /// None yet.
    pub fn clear(&self) {
        self.to_program.store(0, Ordering::Relaxed);
        self.from_program.store(0, Ordering::Relaxed);
    }

    /// So far.
    pub fn get(&self) -> Bytes {
        Bytes {
            to_program: self.to_program.load(Ordering::Relaxed),
            from_program: self.from_program.load(Ordering::Relaxed),
        }
    }
}

/// Bytes that the scratch files of one guest can have together: a program's words take some KiB, seldom more.
pub const MOST_SCRATCH: u64 = 64 << 20;

const HEAD: usize = 4096;

const _: () = assert!(size_of::<Head>() <= HEAD);

/// The mapped board.
#[derive(Debug)]
pub struct Board {
    mapping: Mapping,
    slots: u32,
    jobs: u32,
}

/// Where the places of jobs begin.
fn jobs_at(slots: u32) -> usize {
    HEAD + slots as usize * size_of::<Slot>()
}

fn size(slots: u32, jobs: u32) -> usize {
    (jobs_at(slots) + jobs as usize * size_of::<Carried>()).next_multiple_of(4096)
}

impl Board {
    /// Makes a board for so many sessions and programs, of each at least one; the descriptor is for the zygote.
    pub fn create(slots: u32, jobs: u32) -> Result<(Board, OwnedFd), Errno> {
        let fd = sealed_memfd(c"hostcall-board", size(slots, jobs.max(1)))?;
        let board = Board::open(std::os::fd::AsFd::as_fd(&fd), slots, jobs)?;
        let clock = Clock::measure();
        let head = board.head();
        head.ticks_per_us
            .store(clock.ticks_per_us, Ordering::Relaxed);
        head.processors.store(clock.processors, Ordering::Relaxed);
        Ok((board, fd))
    }

    /// Maps a board that [`create`](Board::create) made.
    pub fn open(fd: BorrowedFd<'_>, slots: u32, jobs: u32) -> Result<Board, Errno> {
        let jobs = jobs.max(1);
        Ok(Board {
            mapping: Mapping::new(fd, size(slots, jobs))?,
            slots,
            jobs,
        })
    }

    /// Takes room for a scratch file of a session; whether the guest has it.
    pub fn take_scratch(&self, slot: u32, len: u64) -> bool {
        let room = |sum: u64| Some(sum + len).filter(|sum| *sum <= MOST_SCRATCH);
        let order = Ordering::Relaxed;
        let taken = self.head().scratch.fetch_update(order, order, room).is_ok();
        if taken {
            self.slot(slot).scratch.fetch_add(len, order);
        }
        taken
    }

    /// Gives the room of a scratch file back.
    pub fn give_scratch(&self, slot: u32, len: u64) {
        let order = Ordering::Relaxed;
        // If the session is over, hostd has given all of it back.
        let left = |sum: u64| sum.checked_sub(len);
        if self
            .slot(slot)
            .scratch
            .fetch_update(order, order, left)
            .is_ok()
        {
            self.head().scratch.fetch_sub(len, order);
        }
    }

    /// Gives back the room of all scratch files of a session that is over, and once more before its place is another's: its process
    /// may have been in the midst of a call.
    pub fn end_scratch(&self, slot: u32) {
        let len = self.slot(slot).scratch.swap(0, Ordering::Relaxed);
        self.head().scratch.fetch_sub(len, Ordering::Relaxed);
    }

    /// What is carried for the program at a place; out-of-range ones share the last.
    pub fn job(&self, place: u32) -> &Carried {
        let place = place.min(self.jobs - 1) as usize;
        // SAFETY: in bounds by the clamp, aligned because slots are; atomics only.
        unsafe {
            self.mapping
                .base()
                .add(jobs_at(self.slots) + place * size_of::<Carried>())
                .cast::<Carried>()
                .as_ref()
        }
    }

    /// Switches and counts of the guest.
    pub fn head(&self) -> &Head {
        // SAFETY: the mapping has at least `HEAD` bytes, is page-aligned, and `Head` is made of atomics.
        unsafe { self.mapping.base().cast::<Head>().as_ref() }
    }

    /// What the pacers have to know of the processors; measured once, by hostd.
    pub fn clock(&self) -> Clock {
        Clock {
            ticks_per_us: self.head().ticks_per_us.load(Ordering::Relaxed),
            processors: self.head().processors.load(Ordering::Relaxed),
        }
    }

    /// Watches on host files that all sessions hold.
    pub fn watches(&self) -> u32 {
        let each = (0..self.slots).map(|slot| self.slot(slot).watches.load(Ordering::Relaxed));
        each.fold(0, u32::saturating_add)
    }

    /// Counts of one session; out-of-range slots share the last.
    pub fn slot(&self, slot: u32) -> &Slot {
        let slot = slot.min(self.slots - 1) as usize;
        // SAFETY: in bounds by the clamp, aligned to 64 because `HEAD` and the slot size are; atomics only.
        unsafe {
            self.mapping
                .base()
                .add(HEAD + slot * size_of::<Slot>())
                .cast::<Slot>()
                .as_ref()
        }
    }
}
