//! Ending the wait of one thread's calls from another thread, where no signal may be sent.

use super::{Client, Slot};
use crate::attach::bells;
use crate::doorbell::futex_wake;
use crate::wait::AWAKE;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A thread whose calls others may end.
#[derive(Debug)]
pub struct Interrupt {
    wanted: AtomicBool,
    /// The thread does not keep a lane for long on which it only waits.
    restless: bool,
    /// The lane on which the thread waits or waited last.
    lane: AtomicU32,
}

thread_local! {
    /// The calling thread's.
    static OWN: Cell<Option<&'static Interrupt>> = const { Cell::new(None) };
}

/// Has others end the calling thread's calls by `interrupt`.
pub fn interruptible(interrupt: &'static Interrupt) {
    OWN.set(Some(interrupt));
}

impl Interrupt {
    /// Nobody wants to end anything.
    pub const fn new() -> Interrupt {
        Interrupt {
            wanted: AtomicBool::new(false),
            restless: false,
            lane: AtomicU32::new(u32::MAX),
        }
    }

    /// The same for a thread whose calls end by themselves, too, with `EINTR`, when they have waited for some tenths of a second.
    pub const fn restless() -> Interrupt {
        Interrupt {
            restless: true,
            ..Interrupt::new()
        }
    }

    /// Takes [`Client::interrupt`] back; to be called while no thread has it.
    pub fn reset(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        self.lane.store(u32::MAX, Ordering::SeqCst);
    }
}

impl Default for Interrupt {
    fn default() -> Self {
        Interrupt::new()
    }
}

impl Client {
    /// From now on every call that blocks fails with `EINTR` in the thread whose this is. To be repeated until the thread
    /// has acted on it: it may just be about to sleep.
    pub fn interrupt(&self, thread: &Interrupt) {
        thread.wanted.store(true, Ordering::SeqCst);
        self.nudge(thread.lane.load(Ordering::SeqCst));
    }

    /// Wakes a thread that has been [cancelled](crate::cancellation::note), wherever it sleeps in a call that blocks: it gives the
    /// call up.
    pub fn cancelled(&self, thread: usize) {
        let sleeps = |slot: &&Slot| slot.sleeper.load(Ordering::Relaxed) == thread;
        for slot in self.opened().iter().filter(sleeps) {
            self.nudge(slot.number.load(Ordering::Relaxed));
        }
    }

    /// Wakes the thread that sleeps for an answer on a lane, as if the host had rung.
    pub(super) fn nudge(&self, lane: u32) {
        if let Some(page) = self.region.page(lane) {
            // Whoever else has the lane by now finds no reply, and sleeps on.
            page.guest_sleep.0.store(AWAKE, Ordering::Release);
            futex_wake(&page.guest_sleep.0, 1);
            bells::ring(lane);
        }
    }
}

/// What the calling thread's calls look at while they wait.
pub(super) struct Wanted(Option<&'static Interrupt>);

impl Wanted {
    /// For a call on a lane.
    pub(super) fn on(lane: u32) -> Wanted {
        let own = OWN.get();
        if let Some(own) = own {
            own.lane.store(lane, Ordering::SeqCst);
        }
        Wanted(own)
    }

    /// Whether the thread's calls may be ended.
    pub(super) fn is_possible(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the call is to be ended when it has waited for a while.
    pub(super) fn after_a_while(&self) -> bool {
        self.0.is_some_and(|own| own.restless)
    }

    /// Whether the call is to be ended.
    pub(super) fn now(&self) -> bool {
        self.0.is_some_and(|own| own.wanted.load(Ordering::SeqCst))
    }
}
