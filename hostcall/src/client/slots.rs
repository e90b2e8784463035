//! A client's slots, made where the client lies: they are nearly all of it, and whatever holds them for a moment on the stack of a fresh
//! process is faulted in page by page.
#![allow(unsafe_code)]

use super::{Lane, Slot, MOST};
use crate::acting::ActsFor;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};

/// All slots.
pub(super) struct Slots(MaybeUninit<[Slot; MOST]>);

impl Slots {
    /// None yet.
    ///
    /// # Safety
    /// [`make`](Slots::make) comes before all else.
    pub(super) const unsafe fn unmade() -> Slots {
        Slots(MaybeUninit::uninit())
    }

    /// Makes them, all free and without a lane.
    pub(super) fn make(&mut self) {
        let first = self.0.as_mut_ptr().cast::<Slot>();
        for at in 0..MOST {
            // SAFETY: inside the array, which nobody else has.
            unsafe { first.add(at).write(Slot::new()) };
        }
    }
}

impl Deref for Slots {
    type Target = [Slot; MOST];

    #[inline]
    fn deref(&self) -> &[Slot; MOST] {
        // SAFETY: made, as whoever called `unmade` has promised.
        unsafe { self.0.assume_init_ref() }
    }
}

impl Slot {
    fn new() -> Slot {
        Slot {
            busy: AtomicU32::new(0),
            holder: AtomicUsize::new(0),
            calls: AtomicU32::new(0),
            asleep: AtomicBool::new(false),
            place: AtomicUsize::new(0),
            sleeper: AtomicUsize::new(0),
            number: AtomicU32::new(u32::MAX),
            lane: UnsafeCell::new(Lane {
                end: None,
                acts_for: ActsFor::Unknown,
                interrupted: false,
                ready: false,
            }),
        }
    }
}
