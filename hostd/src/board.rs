//! The board: memory that hostd shares with its shadows (never with a guest), for counters and switches.
#![allow(unsafe_code)]

use crate::running::Running;
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::types::Errno;
use hostcall::wait::Clock;
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
}

const HEAD: usize = 4096;

const _: () = assert!(size_of::<Head>() <= HEAD);

/// The mapped board.
#[derive(Debug)]
pub struct Board {
    mapping: Mapping,
    slots: u32,
}

fn size(slots: u32) -> usize {
    (HEAD + slots as usize * size_of::<Slot>()).next_multiple_of(4096)
}

impl Board {
    /// Makes a board for so many sessions; the descriptor is for the zygote.
    pub fn create(slots: u32) -> Result<(Board, OwnedFd), Errno> {
        let fd = sealed_memfd(c"hostcall-board", size(slots))?;
        let board = Board::open(std::os::fd::AsFd::as_fd(&fd), slots)?;
        let clock = Clock::measure();
        let head = board.head();
        head.ticks_per_us
            .store(clock.ticks_per_us, Ordering::Relaxed);
        head.processors.store(clock.processors, Ordering::Relaxed);
        Ok((board, fd))
    }

    /// Maps a board that [`create`](Board::create) made.
    pub fn open(fd: BorrowedFd<'_>, slots: u32) -> Result<Board, Errno> {
        Ok(Board {
            mapping: Mapping::new(fd, size(slots))?,
            slots,
        })
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
